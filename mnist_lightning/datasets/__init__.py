"""Sources of images, a file each, and how images are drawn from them."""
