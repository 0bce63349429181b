"""A run directory: what is in it, how it is written and read, and what tells one experiment from another."""
