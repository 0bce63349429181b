"""How much a prepared picture is like one of MNIST's digits."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KNOWN = Path(__file__).with_name("digits.npz")  # written by benchmarks/known_digits.py


def unlikeness(prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how unlike each digit a prepared picture, uint8 (28, 28), is: float32 (10,), of MNIST's own about 1.

    That is its squared distance from the space of the digit's principal components: Turk and Pentland 1991.
    """
    means, components = known_digits()
    deviations = coarse(prepared) - means
    along = np.einsum("dcp,dp->dc", components, deviations)
    return np.asarray(np.square(deviations).sum(1) - np.square(along).sum(1))


def coarse(prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures uint8 (…, 28, 28) as the means of 2×2 pixels, float32 (…, 196), 0 to 1."""
    blocks = prepared.reshape(*prepared.shape[:-2], 14, 2, 14, 2).mean((-3, -1), dtype=np.float32)
    return blocks.reshape(*prepared.shape[:-2], 196) / 255


@cache
def known_digits() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return of MNIST's 60,000 coarse training images each digit's mean (10, 196) and components (10, 20, 196)."""
    with np.load(KNOWN) as known:
        return known["mean"].astype(np.float32), known["components"].astype(np.float32)
