"""A person's own picture, from its file: read whole and within bounds, and as greys or in the shape of a network."""

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist_lightning.pictures.prepare import LARGEST, PictureError, on_paper

MOST_PIXELS, MOST_BYTES = 100_000_000, 2**28

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong with a file, PictureError says

Picture = str | Path | BinaryIO  # a file by its name, or open for reading


def read_picture(
    source: Picture, shape: Sequence[int] | None = None,
    formats: Sequence[str] | None = None, most_pixels: int = MOST_PIXELS,
) -> NDArray[np.uint8]:  # fmt: skip
    """Return a picture as greys, uint8 (H, W), at most 512 pixels a side.

    What is transparent becomes paper; of a picture that moves, the first frame is taken.

    Args:
        shape: (C, H, W) to resize and crop it to instead: uint8 (H, W) for one channel, (3, H, W) for three.
        formats: Pillow's names of those that are read; None: all of them, but for EPS, for which it starts a program.
        most_pixels: of the picture as it comes; more is no photograph of a digit, but a decompression bomb.
    """
    content = io.BytesIO(read_bytes(source))
    if formats is None:
        Image.init()
        formats = [name for name in Image.OPEN if name != "EPS"]
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(content, formats=list(formats)) as picture:
            if picture.width * picture.height > most_pixels:
                raise Image.DecompressionBombError
            side = max([LARGEST, *(shape or ())])
            picture.draft(None, (side, side))  # JPEG: decoded no larger than needed
            ImageOps.exif_transpose(picture, in_place=True)
            if shape:
                return fitted(picture, shape)
            grey = on_paper(picture)
            grey.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
            return np.asarray(grey)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError("not a picture that can be read") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PictureError(f"more than {most_pixels:,} pixels: make it smaller") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise PictureError(f"damaged: {error}") from error


def read_bytes(source: Picture) -> bytes:
    """Return what is in a picture's file: neither nothing nor without end."""
    try:
        with Path(source).open("rb") if isinstance(source, str | Path) else nullcontext(source) as file:
            content = file.read(MOST_BYTES + 1)
    except IsADirectoryError as error:
        raise PictureError("a folder without pictures") from error
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    if len(content) > MOST_BYTES:
        raise PictureError(f"more than {MOST_BYTES:,} bytes: make it smaller")
    if not content:
        raise PictureError("empty: there is nothing in it")
    return content


def fitted(picture: Image.Image, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return a picture resized and cropped to a `shape` of (C, H, W), uint8; what is transparent becomes white."""
    channels, height, width = shape
    if channels not in (1, 3):
        raise PictureError(f"the network takes images of {channels} channels, and a picture has one or three")
    if picture.mode.startswith(("I", "F")):
        picture = on_paper(picture)
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = ImageOps.fit(picture.convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    return pixels if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def files_below(folder: str | Path) -> list[Path]:
    """Return the pictures in a folder and in its folders, by their suffixes, in the order of their names."""
    suffixes = Image.registered_extensions()
    found = [path for path in Path(folder).rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    return sorted((path for path in found if not path.name.startswith(".")), key=str)
