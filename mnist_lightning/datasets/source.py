"""What every source of images says of itself, and how it is read."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_lightning.runs.errors import RunError

DIGITS = tuple("0123456789")
Arrays = tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.uint8], NDArray[Any]]


class Source:
    """Where images come from and what is on them. A data set of one's own is a class like this one.

    A constructor that takes `root` or `search` is given data.root and data.search.

    Attributes:
        classes: the names of the labels 0, 1, …
        shape: of an image, (C, H, W).
        train_size: images to train, where that is known before they are read.
        is_handwriting: a person's own picture is prepared as MNIST was, light ink on black, centred by its mass;
            otherwise it is resized and cropped.
    """

    classes: Sequence[str]
    shape: tuple[int, int, int]
    train_size: int | None = None
    is_handwriting = False

    def read(self, may_download: bool = True) -> Arrays:
        """Return the images to train and their labels, then those to test, uint8.

        Images are (N, H, W) where they are grey, else (N, C, H, W); labels are whole numbers (N,).
        """
        raise NotImplementedError

    def checked(self, may_download: bool = True) -> Arrays:
        """Return what `read` gives, labels as int64, once it is what the source says of itself. RunError: it is not."""
        shape, name, most = raw_shape(self.shape), type(self).__name__, len(self.classes) - 1
        try:
            arrays = self.read(may_download)
        except OSError as error:
            raise RunError(f"{name} can't be read: {error}") from error
        if not isinstance(arrays, Sequence) or len(arrays) != 4:
            raise RunError(
                f"{name}: its read() must return four arrays: images to train, labels, images to test, labels"
            )
        train_images, train_labels, test_images, test_labels = map(np.asarray, arrays)
        for part, images, labels in (("training", train_images, train_labels), ("test", test_images, test_labels)):
            if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
                wanted = f"must be uint8, (N, {', '.join(map(str, shape))}), at least one"
                raise RunError(f"{name}: its {part} images are {images.dtype}, {images.shape}: {wanted}")
            if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
                wanted = f"must be a whole number for each of {len(images):,} images"
                raise RunError(f"{name}: its {part} labels are {labels.dtype}, {labels.shape}: {wanted}")
            if labels.min() < 0 or labels.max() > most:
                raise RunError(
                    f"{name}: its {part} labels go from {labels.min()} to {labels.max()}: {most} is the last class"
                )
        train_images, test_images = (np.require(some, requirements="W") for some in (train_images, test_images))
        return train_images, train_labels.astype(np.int64), test_images, test_labels.astype(np.int64)


def raw_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape in which an image of (C, H, W) is handed over: (H, W) where it is grey."""
    return tuple(shape[1:] if shape[0] == 1 else shape)


def data_sha256(images: NDArray[np.uint8], labels: NDArray[Any]) -> str:
    """Return the SHA-256 of raw images, uint8, and their labels: equal means the same, in the same order."""
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    digest.update(np.ascontiguousarray(labels, np.int64).tobytes())
    return digest.hexdigest()


def balanced_draw(labels: NDArray[np.uint8], size: int, seed: int) -> NDArray[np.int64]:
    """Return `size` indices into `labels`, ascending: a random draw with as equally many of each class as can be."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)  # of each image drawn: how many of its class come before it
    for label in np.unique(labels):
        of_class = labels[shuffled] == label
        turn[of_class] = np.arange(of_class.sum())
    return np.sort(shuffled[turn.argsort(kind="stable")[:size]])


def noun(classes: Sequence[str]) -> str:
    """Return what a class is called."""
    return "digit" if all(name.isdecimal() for name in classes) else "class"
