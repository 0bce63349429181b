"""A person's own picture, prepared as MNIST itself was: LeCun, Bottou, Bengio, Haffner 1998, section III-A.

Light ink on a dark ground, the digit scaled into 20×20 without changing its shape, and its centre of mass in the
middle of 28×28.
"""

import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError
from scipy import ndimage

SIZE, BOX = 28, 20  # pixels
LARGEST = 512  # pixels of the longer side that the ink is looked for in: more shows nothing more of a digit
MOST_PIXELS = 100_000_000
LEAST_CONTRAST = 16  # of 255: a paler picture is blank

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong with a file, PictureError says

Picture = str | Path | BinaryIO  # a file by its name, or open for reading


class PictureError(Exception):
    """A picture can't be read, or nothing is on it."""


def read_picture(
    source: Picture, formats: Sequence[str] | None = None, most_pixels: int = MOST_PIXELS
) -> NDArray[np.uint8]:
    """Return a picture as greys, uint8 (H, W), at most 512 pixels a side.

    What is transparent becomes paper; of a picture that moves, the first frame is taken.

    Args:
        formats: Pillow's names of those that are read; None: all of them, but for EPS, for which it starts a program.
        most_pixels: of the picture as it comes; more is no photograph of a digit, but a decompression bomb.

    Raises:
        PictureError: it is no such picture, or empty, truncated or enormous.
    """
    try:
        content = Path(source).read_bytes() if isinstance(source, str | Path) else source.read()
    except IsADirectoryError as error:
        raise PictureError("a folder without pictures") from error
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    if not content:
        raise PictureError("empty: there is nothing in it")
    if formats is None:
        Image.init()
        formats = [name for name in Image.OPEN if name != "EPS"]
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(content), formats=list(formats)) as picture,
        ):
            if picture.width * picture.height > most_pixels:
                raise PictureError(f"more than {most_pixels:,} pixels: make it smaller")
            picture.draft("L", (LARGEST, LARGEST))  # JPEG: decoded no larger than needed
            ImageOps.exif_transpose(picture, in_place=True)
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


def on_paper(picture: Image.Image) -> Image.Image:
    """Return a picture of any mode in greys, with the transparent parts as paper: white, for light ink black."""
    if picture.mode.startswith(("I", "F")):  # whole or broken numbers of any range
        values = np.asarray(shrunk(picture.convert(picture.mode[0])), np.float64)
        scaled = (values - values.min()) * 255 / max(np.ptp(values), 1e-9)
        return Image.fromarray(scaled.round().astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = shrunk(picture.convert("RGBA"))
        ink = np.asarray(picture.convert("L"), float)
        opacity = np.asarray(picture.getchannel("A"), float) + 1e-9
        paper = "black" if np.average(ink, weights=opacity) > 128 else "white"
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, paper), picture)
    return picture.convert("L")


def shrunk(picture: Image.Image) -> Image.Image:
    """Return a picture of at most about 1,000 pixels a side: arithmetic on more would take memory for nothing."""
    return picture.reduce(max(max(picture.size) // LARGEST, 1))


def prepare(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture of one digit as MNIST would show it, uint8 (28, 28), light ink on black.

    Args:
        grey: uint8 (H, W), dark ink on light paper or light on dark, anywhere in the picture.

    Raises:
        PictureError: the picture is blank.
    """
    ink = find_ink(grey)
    rows, columns = np.flatnonzero(ink.max(axis=1)), np.flatnonzero(ink.max(axis=0))
    digit = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = BOX / max(digit.size)
    width, height = (max(1, round(side * scale)) for side in digit.size)
    small = np.asarray(digit.resize((width, height), Image.Resampling.LANCZOS), np.float64)
    small *= 255 / max(small.max(), 1)
    top, left = (corner(small.sum(axis=other), length) for other, length in ((1, height), (0, width)))
    prepared = np.zeros((SIZE, SIZE), np.uint8)
    prepared[top : top + height, left : left + width] = small.round()
    return prepared


def corner(mass: NDArray[np.float64], length: int) -> int:
    """Return where a digit begins on a side of 28 pixels, for a centre of mass at 14 ± 0.5, as in MNIST."""
    centre = np.average(np.arange(length), weights=mass)
    return min(max(round(SIZE / 2 - centre), 0), SIZE - length)


def find_ink(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how much ink is at each pixel, uint8 (H, W): 0 is paper, whatever its colour and shadow.

    The paper is the lightest (of a dark picture the darkest) of each neighbourhood; the ink is what stands out from it.
    """
    coarse = Image.fromarray(grey)
    coarse.thumbnail((64, 64), Image.Resampling.BOX)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper_is_light = np.median(border) > (int(grey.min()) + int(grey.max())) / 2
    rank = coarse.filter(ImageFilter.MedianFilter(3))
    widest = ImageFilter.MaxFilter(15) if paper_is_light else ImageFilter.MinFilter(15)
    blurred = rank.filter(widest).filter(ImageFilter.GaussianBlur(5))
    paper = blurred.resize((grey.shape[1], grey.shape[0]), Image.Resampling.BILINEAR)
    difference = (np.asarray(paper, np.int16) - grey) * (1 if paper_is_light else -1)
    strongest = np.percentile(difference, 99.8)
    if strongest < LEAST_CONTRAST:
        raise PictureError("blank: nothing stands out from the paper")
    ink = np.clip((difference / strongest - 0.3) / 0.5, 0, 1)  # paper grain and blurred shadow stay below 0.3
    return (255 * without_specks(ink)).astype(np.uint8)


def without_specks(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `ink` with only those connected parts that have a tenth of the ink of the largest."""
    parts, count = ndimage.label(ink, structure=np.ones((3, 3)))
    amounts = ndimage.sum_labels(ink, parts, np.arange(count + 1))
    return np.where((amounts >= 0.1 * amounts.max())[parts], ink, 0.0)
