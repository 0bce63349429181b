"""The data sets by their names."""

from collections.abc import Sequence
from pathlib import Path

from mnist_lightning.datasets import mnist
from mnist_lightning.datasets.digits import load_digits

TRAIN_SIZES = {"mnist": 60_000, "digits": 1_437}  # images
IMAGE_SHAPE, CLASSES = (1, 28, 28), 10  # of every image, and of every data set


def load(name: str, root: str | Path, search: Sequence[str | Path] = (), may_download: bool = True) -> mnist.Arrays:
    """Return the data set of that name, in the form of `mnist.load`."""
    return mnist.load(root, search, may_download) if name == "mnist" else load_digits()
