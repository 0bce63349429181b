"""From a configuration to objects: composed by Hydra, checked, and built."""
