"""Networks, a file each, and what their layers make of an image."""
