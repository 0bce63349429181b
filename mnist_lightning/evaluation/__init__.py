"""What a network does on a set of images, as it is and corrupted."""
