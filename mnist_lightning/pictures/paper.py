"""How much ink is at each pixel of a picture, whatever its light, its paper and its pen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from mnist_lightning.pictures.strokes import Ink, bounds, stroke_width, strokes_alone

COARSE, WIDEST = 64, 25  # pixels of the longer side that the paper is looked for in; a stroke is narrower
DIMMEST = 0.15  # of the paper's full brightness: in darker corners noise would be taken for ink
MOST_SPECKS = 40  # pixels that may be darker than the ink; the strokes of a small digit have a few hundred
GRAINS = 5  # standard deviations: of 250,000 pixels of mere noise, the strongest 40 reach 3.6
FAINT, STRONG = 0.25, 0.5  # of the ink's contrast: above the paper's grain; above printed lines
PALEST = 0.12  # of the ink's contrast, where the paper has no grain
SURE = 0.75  # of the ink's contrast: that is ink in full
DARKEST = 0.75  # of the ink in full: where nothing that is left has as much, the digit went with the lines
LEAST_CONTRAST = 16  # of 255: a paler picture is blank
NARROWER = 3  # times as narrow, for the fourth power of its contrast: that is the ink, whatever most is
CLEAR = 0.15  # of what is looked at is light or dark, at most: then the rest is the paper

Pixels = NDArray[np.uint8]


class PictureError(Exception):
    """A picture can't be read, or nothing is on it."""


def find_ink(picture: Pixels, is_sheet: bool = False) -> Ink:
    """Return how much ink is at each pixel, float32 (H, W): 0 is paper, whatever its colour and shadow, and 1 is ink.

    The paper is the picture without all that is narrow, by a morphological closing (for light ink an opening), which
    leaves the edge of a shadow where it is: Serra 1982, the top-hat transform. The ink is what stands out from it, in
    the channel where it does most.
    """
    contrast, pale = contrast_of(picture)
    ink = ink_above(FAINT, contrast, is_sheet)
    if not is_digit(ink):
        stronger = ink_above(STRONG, contrast, is_sheet)
        ink = stronger if is_digit(stronger) else ink  # then the digit itself reaches the border
    if pale < FAINT and parts(ink) > 1:  # a pencil's line comes and goes
        paler = ink_above(pale, contrast, is_sheet)
        if 0 < parts(paler) < parts(ink) and is_inside(paler):
            return paler
    if ink.max() < DARKEST:
        raise PictureError("blank: only lines stand out from the paper")
    return ink


def is_digit(ink: Ink) -> bool:
    return is_inside(ink) and bool(ink.max() >= DARKEST)


def contrast_of(picture: Pixels) -> tuple[NDArray[np.float32], float]:
    """Return by how much each pixel stands out from the paper, of the ink in full, and by how much more than grain.

    The first is float32 (H, W), about 0 on paper and 1 on ink.
    """
    grey = in_grey(picture)
    is_light = paper_is_light(grey)
    channels = [grey] if picture.ndim == 2 else [picture[..., channel] for channel in range(3)]
    contrasts = [standing_out(channel, is_light) for channel in channels]
    contrast = contrasts[0] if len(contrasts) == 1 else together(contrasts)
    rank = 1 + min(contrast.size // 500, MOST_SPECKS)
    visible = contrast[contrast >= LEAST_CONTRAST]
    full = np.partition(visible, -rank)[-rank] if len(visible) >= rank else 0
    noise = GRAINS * max(grain(channel) for channel in channels)
    if full <= noise:
        raise PictureError("blank: nothing stands out from the paper")
    return contrast / full, max(noise / full, PALEST)


def together(contrasts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the most by which a pixel stands out in any channel, but for those with the ink on the other side."""
    clearest = max(contrasts, key=lambda contrast: float(np.percentile(contrast[::2, ::2], 99.5)))
    inked = clearest > clearest.max() / 2
    most: NDArray[np.float32] = np.max([one for one in contrasts if one is clearest or one[inked].sum() > 0], axis=0)
    return most


def ink_above(least: float, contrast: NDArray[np.float32], is_sheet: bool) -> Ink:
    """Return the digit's ink: 0 where the contrast is `least` of the full ink's, 1 where it is half a full more."""
    return strokes_alone(np.clip((contrast - least) / (SURE - FAINT), 0, 1), is_sheet)


def parts(ink: Ink) -> int:
    return int(ndimage.label(ink[bounds(ink > 0)], np.ones((3, 3)))[1])


def clean(channel: Pixels) -> NDArray[np.float32]:
    """Return a channel in at most 64 pixels a side, without its grain."""
    coarse = Image.fromarray(channel)
    coarse.thumbnail((COARSE, COARSE), Image.Resampling.BOX)
    return np.asarray(coarse.filter(ImageFilter.MedianFilter(3)), np.float32)


def standing_out(channel: Pixels, is_light: bool) -> NDArray[np.float32]:
    """Return by how much each pixel is darker than light paper, or lighter than dark: greys, float32 (H, W)."""
    morph = ndimage.grey_closing if is_light else ndimage.grey_opening
    smooth = Image.fromarray(morph(clean(channel), WIDEST, mode="nearest"))
    paper: NDArray[np.float32] = np.asarray(smooth.resize(channel.shape[::-1], Image.Resampling.BILINEAR))
    contrast = paper - channel if is_light else channel - paper
    if is_light:  # in a shadow there is less light for the ink to swallow
        contrast *= paper.max() / np.maximum(paper, max(DIMMEST * paper.max(), 1))
    return contrast


def paper_is_light(grey: Pixels) -> bool:
    """Return whether dark ink is on light paper: by what most is, unless the other gives narrower, stronger strokes."""
    share = light_share(grey)
    if not CLEAR < share < 1 - CLEAR:
        return share > 0.5
    is_light = share > 0.5
    image = Image.fromarray(grey)
    image.thumbnail((2 * COARSE, 2 * COARSE), Image.Resampling.BOX)
    small = np.asarray(image)
    (ink, contrast), (other, more) = (strokes_on(small, light) for light in (is_light, not is_light))
    is_other = (more / max(contrast, 1)) ** 4 * narrowness(ink) > NARROWER * narrowness(other)
    return bool(is_light != is_other)


def strokes_on(grey: Pixels, is_light: bool) -> tuple[Ink, float]:
    """Return where ink would be, 0 or 1 as float32 (H, W), and by how many greys it would stand out."""
    contrast = standing_out(grey, is_light)
    rank = 1 + contrast.size // 200
    full = float(np.partition(contrast.ravel(), -rank)[-rank])
    return (contrast > max(full, LEAST_CONTRAST) / 2).astype(np.float32), full


def light_share(grey: Pixels) -> float:
    """Return how much is light of the border, of a ring within it, and of what surrounds the strokes.

    Each of the three is misled by something else: a table beside the sheet, a tight crop, a bold digit.
    """
    coarse, middle = clean(grey), (int(grey.min()) + int(grey.max())) / 2
    rows, columns = (side // 8 for side in grey.shape)  # a table is seldom broader
    within = grey[rows : len(grey) - rows, columns : grey.shape[1] - columns]
    lightest, darkest = ndimage.maximum_filter(coarse, COARSE // 4), ndimage.minimum_filter(coarse, COARSE // 4)
    around_strokes = lightest - darkest >= 0.6 * (lightest - darkest).max()
    strokes_ground = (2 * coarse > lightest + darkest)[around_strokes]
    shares = (np.mean(border(grey) > middle), np.mean(border(within) > middle), strokes_ground.mean())
    return float(np.mean(shares))


def border(grey: NDArray[Any]) -> NDArray[Any]:
    """Return the outermost pixels, (N,)."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def grain(grey: NDArray[np.uint8]) -> float:
    """Return the standard deviation of noise, from the median difference of neighbours: few of them are at an edge."""
    differences = np.abs(np.diff(grey.ravel().astype(np.int16)))
    median = np.searchsorted(np.bincount(differences).cumsum(), len(differences) / 2)
    return float(median) / (0.6745 * 2**0.5)


def is_inside(ink: Ink, margin: float = 1 / 30) -> bool:
    """Return whether no ink is within a `margin` of the picture's sides from its border."""
    rows, columns = (1 + int(margin * side) for side in ink.shape)
    return not any(side.any() for side in (ink[:rows], ink[-rows:], ink[:, :columns], ink[:, -columns:]))


def narrowness(ink: Ink) -> float:
    """Return how wide the strokes are, of the size of the whole."""
    inked = ink > 0.5
    return stroke_width(inked) / max(np.ptp(places) + 1 for places in np.nonzero(inked)) if inked.any() else 1.0


def in_grey(picture: Pixels) -> Pixels:
    """Return a picture's brightness, uint8 (H, W), or the channel that shows more where that shows nearly nothing."""
    if picture.ndim == 2:
        return picture
    image = Image.fromarray(picture)
    grey = image.convert("L")
    return np.asarray(max(grey, *image.split(), key=spread) if spread(grey) < 2 * LEAST_CONTRAST else grey)


def spread(channel: Image.Image) -> int:
    """Return between which greys the parts of a picture differ."""
    return int(np.ptp(np.asarray(channel.resize((COARSE, COARSE), Image.Resampling.BOX))))
