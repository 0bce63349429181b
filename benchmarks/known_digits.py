"""What MNIST's digits look like, for the remarks of predict: `python benchmarks/known_digits.py [FOLDER]`.

It writes mnist_lightning/pictures/digits.npz: of each digit the mean and the first twenty principal components of the
60,000 training images, in float16. No image can be read from it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning.config import compose
from mnist_lightning.config.build import source
from mnist_lightning.pictures.likeness import KNOWN, coarse
from mnist_lightning.terminal.command import answered

COMPONENTS = 20


def known(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return each digit's mean (10, 196) and orthonormal components (10, 20, 196), those of most variance first."""
    of_digits = [coarse(images[labels == digit]) for digit in range(10)]
    axes = [np.linalg.eigh(np.cov(seen.T))[1].T[: -COMPONENTS - 1 : -1] for seen in of_digits]
    means = [seen.mean(0) for seen in of_digits]
    return np.stack(means).astype(np.float16), np.stack(axes).astype(np.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="that holds MNIST (default: where a run finds it)")
    images, labels, *_ = source(compose.own_data("mnist"), parser.parse_args().folder).checked(may_download=False)
    mean, components = known(images, labels)
    np.savez_compressed(KNOWN, mean=mean, components=components)


if __name__ == "__main__":
    with answered():
        main()
