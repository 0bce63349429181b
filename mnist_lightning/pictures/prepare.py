"""A person's own picture, prepared as MNIST itself was: LeCun, Bottou, Bengio, Haffner 1998, section III-A.

Light ink on a dark ground, the digit scaled into 20×20 without changing its shape, and its centre of mass in the
middle of 28×28.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

SIZE, BOX = 28, 20  # pixels
LARGEST = 512  # pixels of the longer side that the ink is looked for in: more shows nothing more of a digit
COARSE, WIDEST = 64, 25  # pixels of the longer side that the paper is looked for in; a stroke is narrower
DIMMEST = 0.15  # of the paper's full brightness: in darker corners noise would be taken for ink
MOST_SPECKS = 40  # pixels that may be darker than the ink; the strokes of a small digit have a few hundred
GRAINS = 5  # standard deviations: of 250,000 pixels of mere noise, the strongest 40 reach 3.6
THRESHOLDS = (0.25, 0.4, 0.6)  # of the ink's contrast: above paper grain; above faint lines; above ruled lines
SURE = 0.75  # of the ink's contrast: that is ink in full
LEAST_CONTRAST = 16  # of 255: a paler picture is blank


class PictureError(Exception):
    """A picture can't be read, or nothing is on it."""


def on_paper(picture: Image.Image) -> Image.Image:
    """Return a picture of any mode in greys, with the transparent parts as paper: white, for light ink black."""
    if picture.mode.startswith(("I", "F")):  # whole or broken numbers of any range
        values = np.asarray(shrunk(picture.convert(picture.mode[0])), np.float64)
        if not np.isfinite(values).all():
            raise PictureError("damaged: some of its values are no numbers")
        values = values - min(values.min(), 0)
        brightest = 2.0 ** np.ceil(np.log2(max(values.max(), 1e-9)))  # stretched, an even one would not stay so
        return Image.fromarray((values * (255 / brightest)).round().astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = shrunk(picture.convert("RGBA"))
        ink = np.asarray(picture.convert("L"), float)
        opacity = np.asarray(picture.getchannel("A"), float) + 1e-9
        paper = "black" if np.average(ink, weights=opacity) > 128 else "white"
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, paper), picture)
    luminance = picture.convert("L")  # nearly even where ink and paper differ by their colour alone
    if picture.mode != "L" and spread(luminance) < 2 * LEAST_CONTRAST:
        luminance = max(luminance, *shrunk(picture.convert("RGB")).split(), key=spread)
    return luminance


def spread(channel: Image.Image) -> int:
    """Return between which greys the parts of a picture differ."""
    return int(np.ptp(np.asarray(channel.resize((COARSE, COARSE), Image.Resampling.BOX))))


def shrunk(picture: Image.Image) -> Image.Image:
    """Return a picture of at most about 1,000 pixels a side: arithmetic on more would take memory for nothing."""
    return picture.reduce(max(max(picture.size) // LARGEST, 1))


def prepare(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture of one digit as MNIST would show it, uint8 (28, 28), light ink on black.

    In `grey`, uint8 (H, W), dark ink is anywhere on light paper, or light on dark; a blank one is a PictureError.
    """
    ink = np.ceil(255 * find_ink(grey)).astype(np.uint8)
    rows, columns = np.flatnonzero(ink.max(axis=1)), np.flatnonzero(ink.max(axis=0))
    digit = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = BOX / max(digit.size)
    width, height = (max(1, round(side * scale)) for side in digit.size)
    small = np.asarray(digit.resize((width, height), Image.Resampling.LANCZOS), np.float64)
    small *= 255 / max(small.max(), 1)
    down, right = ndimage.center_of_mass(small)  # it comes to 14 ± 0.5, as in MNIST
    top, left = np.clip(np.round((SIZE / 2 - down, SIZE / 2 - right)), 0, (SIZE - height, SIZE - width)).astype(int)
    prepared = np.zeros((SIZE, SIZE), np.uint8)
    prepared[top : top + height, left : left + width] = small.round()
    return prepared


def find_ink(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much ink is at each pixel, float32 (H, W): 0 is paper, whatever its colour and shadow, and 1 is ink.

    The paper is the picture without all that is narrow, by a morphological closing (for light ink an opening), which
    leaves the edge of a shadow where it is: Serra 1982, the top-hat transform. The ink is what stands out from it.
    """
    coarse = Image.fromarray(grey)
    coarse.thumbnail((COARSE, COARSE), Image.Resampling.BOX)
    clean = np.asarray(coarse.filter(ImageFilter.MedianFilter(3)), np.float32)
    is_light = paper_is_light(grey, clean)
    without_strokes = (ndimage.grey_closing if is_light else ndimage.grey_opening)(clean, WIDEST, mode="nearest")
    smooth = Image.fromarray(ndimage.gaussian_filter(without_strokes, 1))
    paper: NDArray[np.float32] = np.asarray(smooth.resize(grey.shape[::-1], Image.Resampling.BILINEAR))
    contrast = paper - grey if is_light else grey - paper
    if is_light:  # in a shadow there is less light for the ink to swallow
        contrast *= paper.max() / np.maximum(paper, DIMMEST * paper.max())
    rank = 1 + min(contrast.size // 500, MOST_SPECKS)
    visible = contrast[contrast >= LEAST_CONTRAST]
    full = np.partition(visible, -rank)[-rank] if len(visible) >= rank else 0
    if full <= GRAINS * grain(grey):
        raise PictureError("blank: nothing stands out from the paper")
    inks = []
    for least in THRESHOLDS:
        inks.append(digit_only(np.clip((contrast / full - least) / (SURE - THRESHOLDS[0]), 0, 1)))
        if is_inside(inks[-1]):
            return inks[-1]
    return inks[0]  # then the digit itself reaches the border


def paper_is_light(grey: NDArray[np.uint8], coarse: NDArray[np.float32]) -> bool:
    """Return whether most is light of the border, of a ring within it, and of what surrounds the strokes.

    Each of the three is misled by something else: a table beside the sheet, a tight crop, a bold digit.
    """
    middle = (int(grey.min()) + int(grey.max())) / 2
    rows, columns = (side // 8 for side in grey.shape)  # a table is seldom broader
    within = grey[rows : len(grey) - rows, columns : grey.shape[1] - columns]
    lightest, darkest = ndimage.maximum_filter(coarse, COARSE // 4), ndimage.minimum_filter(coarse, COARSE // 4)
    around_strokes = lightest - darkest >= 0.6 * (lightest - darkest).max()
    strokes_ground = (2 * coarse > lightest + darkest)[around_strokes]
    shares = (np.mean(border(grey) > middle), np.mean(border(within) > middle), strokes_ground.mean())
    return bool(np.mean(shares) > 0.5)


def border(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the outermost pixels, uint8 (N,)."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def grain(grey: NDArray[np.uint8]) -> float:
    """Return the standard deviation of noise, from the median difference of neighbours: few of them are at an edge."""
    differences = np.abs(np.diff(grey.ravel().astype(np.int16)))
    median = np.searchsorted(np.bincount(differences).cumsum(), len(differences) / 2)
    return float(median) / (0.6745 * 2**0.5)


def digit_only(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `ink` without the connected parts that are specks, or a table beside the sheet where there is more.

    Specks have less than a tenth of the ink of the largest part; a table runs along most of a side of the picture.
    """
    parts, count = ndimage.label(ink, structure=np.ones((3, 3)))
    inked = ink > 0
    amounts = np.bincount(parts[inked], ink[inked], minlength=count + 1)
    sides = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    along = np.max([np.bincount(side, minlength=count + 1) / len(side) for side in sides], axis=0)
    beside = np.where(along < 0.8, amounts, 0)
    if beside.max() > 0.02 * amounts.max():  # else the top of a 7 that fills its picture would be a table
        amounts = beside
    return np.where((amounts >= 0.1 * amounts.max())[parts], ink, np.float32(0))


def is_inside(ink: NDArray[np.float32]) -> bool:
    """Return whether no ink is within a thirtieth of the picture from its border."""
    rows, columns = (1 + side // 30 for side in ink.shape)
    return np.count_nonzero(ink) == np.count_nonzero(ink[rows:-rows, columns:-columns])
