"""A person's own picture, from its file: read whole and within bounds, and as greys or in the shape of a network."""

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist_lightning.pictures.contents import HEAD, files_below, in_words, kind_of, remedy
from mnist_lightning.pictures.prepare import LARGEST, PictureError, on_paper, without_colours

MOST_PIXELS, MOST_BYTES = 100_000_000, 2**28
MOVING = {"GIF", "PNG", "WEBP", "AVIF"}  # formats whose frames are one picture, and not pages
MOST_MOVED = 5  # times as many pixels in all frames: of 500 million, simple ones take five seconds
LEAST_FRAME = 2**14  # pixels that take as long as the smallest frame
NOT_READ = {"PDF": "a PDF", "SVG": "an SVG drawing", "HEIC": "a HEIC picture"}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong with a file, PictureError says

Picture = str | Path | BinaryIO  # a file by its name, or open for reading


def read_picture(
    source: Picture, shape: Sequence[int] | None = None,
    formats: Sequence[str] | None = None, most_pixels: int = MOST_PIXELS,
) -> NDArray[np.uint8]:  # fmt: skip
    """Return a picture, uint8 (H, W) or where it has colours (H, W, 3), at most 384 pixels a side.

    What is transparent becomes paper. Of a picture that moves the last frame is taken, as the first of a digit being
    drawn is empty; of several pages the first.

    Args:
        shape: (C, H, W) to resize and crop it to instead: uint8 (H, W) for one channel, (3, H, W) for three.
        formats: Pillow's names of those that are read; None: all of them, but for EPS, for which it starts a program.
        most_pixels: of the picture as it comes; more is no photograph of a digit, but a decompression bomb.
    """
    content = read_bytes(source)
    kind = kind_of(content[:HEAD])
    formats = readable(kind, formats)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=formats) as picture:
            if picture.width * picture.height > most_pixels:
                raise Image.DecompressionBombError
            if picture.format in MOVING:
                to_last_frame(picture, most_pixels)
            side = max([LARGEST, *(shape or ())])
            picture.draft(None, (side, side))  # JPEG: decoded no larger than needed
            ImageOps.exif_transpose(picture, in_place=True)
            if shape:
                return fitted(picture, shape)
            plain = on_paper(picture)
            plain.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
            return without_colours(np.asarray(plain))
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            "damaged: no picture is in it" if kind == "HEIC" else "not a picture that can be read"
        ) from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PictureError(f"more than {most_pixels:,} pixels: make it smaller") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise PictureError(f"damaged: {str(error).strip()}") from error


def readable(kind: str | None, formats: Sequence[str] | None) -> list[str]:
    """Return Pillow's names of the formats that are read; a PictureError for a picture of another, with what to do."""
    if kind in NOT_READ and (what_to_do := remedy(kind, can_install=formats is None)):
        raise PictureError(f"is {NOT_READ[kind]}: {what_to_do}")
    if kind == "HEIC":  # not before: it takes time
        try:
            from pillow_heif import register_heif_opener
        except ImportError as error:
            raise PictureError(f"is a HEIC picture, and pillow_heif can't be imported: {error}") from error
        register_heif_opener()
    Image.init()
    return [name for name in Image.OPEN if name != "EPS"] if formats is None else [*formats]


def to_last_frame(picture: Image.Image, most_pixels: int) -> None:
    """Go to the last frame of a picture that moves, through all others: each may be drawn on the one before."""
    frame, most_in_all = 0, MOST_MOVED * most_pixels
    with suppress(EOFError):
        while True:
            picture.seek(frame + 1)
            frame += 1
            area = picture.width * picture.height
            if area > most_pixels:  # a frame of a GIF may be larger than the first
                raise Image.DecompressionBombError
            if (frame + 1) * max(area, LEAST_FRAME) > most_in_all:
                raise PictureError(f"more than {most_in_all:,} pixels in all its frames: save the last one as PNG")


def read_bytes(source: Picture) -> bytes:
    """Return what is in a picture's file: neither nothing nor without end."""
    try:
        with Path(source).open("rb") if isinstance(source, str | Path) else nullcontext(source) as file:
            content = file.read(MOST_BYTES + 1)
    except IsADirectoryError as error:
        pictures, others = files_below(str(source))
        has = f"it has {in_words(others)}" if others else "it is empty"
        raise PictureError(
            f"a folder without pictures: {has}" if not pictures else "a folder: name its pictures"
        ) from error
    except OSError as error:
        instead = ": download it, and name the file" if "://" in str(source) else ""
        raise PictureError(f"{error.strerror or error}{instead}") from error
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
