"""What MNIST's digits look like, for the remarks of predict: `python benchmarks/known_digits.py [FOLDER]`.

It writes mnist_lightning/pictures/digits.npz. The training images of each digit are parted into eight groups of alike
ones, by k-means. Of each group the file holds the mean and the first sixteen principal components, in float16. No image
can be read from it. The 10,000 images that data.val_size=10000 holds out are not used: they set the limits.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning.config import compose
from mnist_lightning.config.build import source
from mnist_lightning.datasets.source import balanced_draw
from mnist_lightning.pictures.likeness import KNOWN, coarse
from mnist_lightning.terminal.command import answered

GROUPS, COMPONENTS, HELD_OUT = 8, 16, 10_000


def known(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return each group's mean (10, 8, 196) and orthonormal components (10, 8, 16, 196), by falling variance."""
    rest = np.setdiff1d(np.arange(len(labels)), balanced_draw(labels, HELD_OUT, 0))
    groups = []
    for digit in range(10):
        seen = coarse(images[rest][labels[rest] == digit])
        group = kmeans2(seen, GROUPS, iter=100, minit="++", rng=0)[1]
        groups += [seen[group == number] for number in range(GROUPS)]
    means = np.stack([seen.mean(0) for seen in groups])
    axes = np.stack([np.linalg.eigh(np.cov(seen.T))[1].T[: -COMPONENTS - 1 : -1] for seen in groups])
    return means.reshape(10, GROUPS, -1).astype(np.float16), axes.reshape(10, GROUPS, COMPONENTS, -1).astype(np.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="that holds MNIST (default: where a run finds it)")
    images, labels, *_ = source(compose.own_data("mnist"), parser.parse_args().folder).checked(may_download=False)
    mean, components = known(images, labels)
    np.savez_compressed(KNOWN, mean=mean, components=components)


if __name__ == "__main__":
    with answered():
        main()
