"""How much a prepared picture is like one of MNIST's digits."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KNOWN = Path(__file__).with_name("digits.npz")  # written by benchmarks/known_digits.py


def unlikeness(prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how unlike each digit a prepared picture, uint8 (28, 28), is: float32 (10,), of MNIST's own about 1.

    Each digit is known by eight ways to write it. Unlikeness is the squared distance from the nearest one's principal
    components: Turk and Pentland 1991, in groups as by Kambhatla and Leen 1997.
    """
    means, components = known_digits()
    deviations = coarse(prepared) - means
    along = np.einsum("dwcp,dwp->dwc", components, deviations)
    return np.asarray((np.square(deviations).sum(-1) - np.square(along).sum(-1)).min(-1))


def coarse(prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures uint8 (…, 28, 28) as the means of 2×2 pixels, float32 (…, 196), 0 to 1."""
    blocks = prepared.reshape(*prepared.shape[:-2], 14, 2, 14, 2).mean((-3, -1), dtype=np.float32)
    return blocks.reshape(*prepared.shape[:-2], 196) / 255


@cache
def known_digits() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean (10, 8, 196) and components (10, 8, 16, 196) of each way to write a digit in coarse pixels."""
    with np.load(KNOWN) as known:
        return known["mean"].astype(np.float32), known["components"].astype(np.float32)
