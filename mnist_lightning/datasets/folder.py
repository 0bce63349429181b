"""Pictures of one's own, in a folder for each class."""

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from mnist_lightning.datasets.source import Arrays, Source
from mnist_lightning.pictures.contents import files_below, head_of, kind_of
from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import PictureError
from mnist_lightning.runs.errors import RunError, UsageError


class Folder(Source):
    """Pictures in a folder for each class, by its name: root/cat/1.jpg. Each is resized and cropped to one size.

    Where there are train/ and test/ in the folder, those hold the classes; else a part of each class is held out as
    the test set, by a fixed draw.

    Args:
        root: the folder.
        height, width: of the images, in pixels.
        grey: one channel instead of red, green and blue.
        test_part: the fraction of each class's pictures that is the test set; at least one of each stays to train.
    """

    def __init__(
        self,
        root: str,
        height: Annotated[int, Field(ge=1, le=4096)] = 32,
        width: Annotated[int, Field(ge=1, le=4096)] = 32,
        grey: bool = False,
        test_part: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    ) -> None:
        self.folder, self.shape, self.test_part = Path(root), (1 if grey else 3, height, width), test_part
        parts = [self.folder / name for name in ("train", "test")]
        self.parts = parts if all(part.is_dir() for part in parts) else [self.folder]
        folders = self.parts[0].iterdir() if self.parts[0].is_dir() else ()
        self.classes = sorted(path.name for path in folders if path.is_dir() and not path.name.startswith("."))
        if len(self.classes) < 2:
            found = f"{len(self.classes)} folders are" if self.parts[0].is_dir() else "nothing is"
            raise UsageError(f"data.root={root}: must hold a folder of pictures for each class; {found} there")

    def read(self, may_download: bool = True) -> Arrays:
        sets = [self.read_part(part) for part in self.parts]
        if len(sets) == 2:
            return *sets[0], *sets[1]
        [(images, labels)] = sets
        order = np.random.default_rng(0).permutation(len(labels))
        of_each = [order[labels[order] == label] for label in range(len(self.classes))]
        sizes = [min(max(round(self.test_part * len(of)), 1), len(of) - 1) for of in of_each]
        test = np.sort(np.concatenate([of[:size] for of, size in zip(of_each, sizes, strict=True)]))
        return np.delete(images, test, axis=0), np.delete(labels, test), images[test], labels[test]

    def read_part(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        read = partial(read_picture, shape=self.shape)
        images, labels = [], []
        for label, name in enumerate(self.classes):
            try:
                pictures, others = files_below(folder / name)
            except PictureError as error:
                raise RunError(str(error)) from error
            for file in [*pictures, *(other for other in others if kind_of(head_of(other)))]:  # a PDF is refused
                try:
                    images.append(read(file))
                except PictureError as error:
                    raise RunError(f"{file}: {error}. Repair or remove it") from error
                labels.append(label)
        if len(set(labels)) < len(self.classes):
            empty = ", ".join(name for label, name in enumerate(self.classes) if label not in labels)
            raise RunError(f"{folder}: no pictures of {empty}")
        return np.stack(images), np.array(labels, np.int64)
