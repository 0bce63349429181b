"""A random draw of images with as equally many of each class as can be."""

import numpy as np
from numpy.typing import NDArray


def balanced_draw(labels: NDArray[np.uint8], size: int, seed: int) -> NDArray[np.int64]:
    """Return `size` indices into `labels`, ascending: a random draw with as equally many of each class as can be."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)  # of each image: how many of its class are drawn before it
    for label in np.unique(labels):
        of_class = shuffled[labels[shuffled] == label]
        turn[of_class] = np.arange(len(of_class))
    return np.sort(shuffled[np.argsort(turn[shuffled], kind="stable")[:size]])
