"""What to say beside an answer that may not be one: `python benchmarks/own_pictures.py RUN --doubt` measures it."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnist_lightning.pictures.prepare import BOX

UNSURE = 0.5  # probability: fewer than 1 in 200 of MNIST's digits are read with less
TALL = 0.6  # of the taller of two things that stand side by side
INKED = 64  # of 255


def remark_on(prepared: NDArray[np.uint8], probabilities: Sequence[float]) -> str | None:
    """Return what speaks against an answer, None where nothing does.

    `prepared` is the picture as the network sees it, uint8 (28, 28), and `probabilities` are those of the classes.
    """
    if prepared.ndim == 2 and are_two(prepared):
        return "there may be two things on it: show one"
    if max(probabilities) < UNSURE:
        return "it may be something else"
    return None


def are_two(prepared: NDArray[np.uint8]) -> bool:
    """Return whether two parts of about the same height stand side by side."""
    labels, _ = ndimage.label(prepared > INKED, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    heights = [rows.stop - rows.start for rows, _ in boxes]
    tall = [columns for (_, columns), height in zip(boxes, heights, strict=True) if height >= TALL * max(heights)]
    are_large = max(heights, default=0) > BOX / 4
    return are_large and any(a.stop <= b.start or b.stop <= a.start for a, b in combinations(tall, 2))
