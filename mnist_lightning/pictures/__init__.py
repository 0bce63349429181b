"""A person's own pictures: prepared as the training images were, and the page to draw them on."""
