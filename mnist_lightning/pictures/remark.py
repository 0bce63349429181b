"""What to say beside an answer that may not be one: `python benchmarks/own_pictures.py RUN --doubt` measures it."""

from collections.abc import Sequence
from itertools import combinations
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnist_lightning.pictures.likeness import unlikeness
from mnist_lightning.pictures.prepare import BOX

DIGITS = "0123456789"  # the classes of which it is known what they look like
UNSURE = 0.4  # probability: about 1 in 1,000 of MNIST's digits are read with less
UNLIKE = 5.3  # of `strangeness`: about 1 in 290 of the digits held out, laid on paper, are stranger
TALL = 0.6  # of the taller of two things that stand side by side
INKED = 64  # of 255


def remark_on(
    prepared: NDArray[np.uint8], probabilities: Sequence[float], classes: Sequence[str] = DIGITS
) -> str | None:
    """Return what speaks against an answer, None where nothing does.

    `prepared` is the picture as the network sees it, uint8 (28, 28), and `probabilities` are those of the `classes`. Of
    digits it is known what they look like, of other handwriting only how sure the answer is.
    """
    if prepared.ndim == 2 and are_two(prepared):
        return "there may be two things on it: show one at a time"
    is_digit = prepared.ndim == 2 and "".join(classes) == DIGITS
    if max(probabilities) < UNSURE or (is_digit and strangeness(prepared, probabilities) > UNLIKE):
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


def strangeness(prepared: NDArray[np.uint8], probabilities: Sequence[float]) -> float:
    """Return how unlike the most likely digit a prepared picture is, and how unlikely that is."""
    digit = int(np.argmax(probabilities))
    return float(unlikeness(prepared)[digit]) - log(probabilities[digit])
