"""A person's own picture, prepared as MNIST itself was: LeCun, Bottou, Bengio, Haffner 1998, section III-A.

Light ink on a dark ground, the digit scaled into 20×20 without changing its shape, and its centre of mass in the
middle of 28×28. Before that, the digit is found: on its sheet, without lines and specks. docs/pictures.md shows it.
"""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mnist_lightning.pictures.paper import (
    PictureError,
    Pixels,
    border,
    find_ink,
    in_grey,
    is_inside,
    light_share,
    narrowness,
)
from mnist_lightning.pictures.sheet import sheets
from mnist_lightning.pictures.strokes import Ink, as_wide, bounds, filled_strokes

SIZE, BOX = 28, 20  # pixels
LARGEST = 384  # pixels of the longer side that the ink is looked for in: more shows nothing more of a digit
SMALL, LARGER = 32, 160  # pixels of the longer side: a smaller picture is enlarged to this
GREY = 24  # of 255: where the channels differ by less, they show nothing that the brightness does not
PLAIN = 0.08  # of what is looked at is light or dark, at most: no sheet lies on a ground there
DEEPEST = 2  # sheets on each other: a box on a sheet on a desk
MARGIN = 0.02  # of a sheet's sides: a digit keeps away from them
RIM = 5  # coarse pixels around a sheet: its edge may be taken for ink
WHOLLY = 0.9  # of the ink at least is on a sheet: then that is where the digit is
NARROWER = 0.65  # of the strokes' width in the whole picture: then the digit is the one on the sheet
FAINT = 0.2  # of the ink in full: what is fainter at its sides does not count
FINE = 6  # times as many pixels as in the end: then strokes are widened


def on_paper(picture: Image.Image) -> Image.Image:
    """Return a picture of any mode as L or RGB, with the transparent parts as paper: white, for light ink black."""
    if picture.mode.startswith(("I", "F")):  # whole or broken numbers of any range
        values = np.asarray(shrunk(picture.convert(picture.mode[0])), np.float64)
        if not np.isfinite(values).all():
            raise PictureError("damaged: some of its values are no numbers")
        values = values - min(values.min(), 0)
        brightest = 2.0 ** np.ceil(np.log2(max(values.max(), 1e-9)))  # stretched, an even one would not stay so
        return Image.fromarray((values * (255 / brightest)).round().astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = shrunk(picture if picture.mode == "RGBA" else picture.convert("RGBA"))
        ink = np.asarray(picture.convert("L"), float)
        opacity = np.asarray(picture.getchannel("A"), float) + 1e-9
        paper = "black" if np.average(ink, weights=opacity) > 128 else "white"
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, paper), picture)
    return picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")


def shrunk(picture: Image.Image) -> Image.Image:
    """Return a picture of at most 767 pixels a side: arithmetic on more would take memory for nothing."""
    return picture.reduce(max(max(picture.size) // LARGEST, 1))


def without_colours(picture: Pixels) -> Pixels:
    """Return a picture (H, W, 3) as its brightness (H, W) where its channels hardly differ."""
    if picture.ndim == 2 or np.mean(np.ptp(picture[::2, ::2], axis=2) > GREY) > 0.001:
        return picture
    return np.asarray(Image.fromarray(picture).convert("L"))


def prepare(picture: Pixels) -> Pixels:
    """Return a picture of one digit as MNIST would show it, uint8 (28, 28), light ink on black.

    In `picture`, uint8 (H, W) or in colours (H, W, 3), dark ink is anywhere on light paper, or light on dark; a blank
    one is a PictureError.
    """
    return fitted(digit_in(enlarged(picture)))


def fitted(ink: Ink) -> Pixels:
    """Return a digit's ink (H, W) as MNIST would show it: its strokes, its size and its place."""
    return fitted_to_box(as_wide(filled_strokes(cropped(ink))))


def fitted_to_box(ink: Ink) -> Pixels:
    """Return ink (H, W) scaled into the box of 20×20, its centre of mass in the middle of 28×28."""
    digit = Image.fromarray(np.ceil(255 * ink).astype(np.uint8))
    scale = BOX / max(digit.size)
    width, height = (max(1, round(side * scale)) for side in digit.size)
    small = np.asarray(digit.resize((width, height), Image.Resampling.LANCZOS), np.float64)
    small *= 255 / max(small.max(), 1)
    down, right = ndimage.center_of_mass(small)  # it comes to 14 ± 0.5, as in MNIST
    top, left = np.clip(np.round((SIZE / 2 - down, SIZE / 2 - right)), 0, (SIZE - height, SIZE - width)).astype(int)
    prepared = np.zeros((SIZE, SIZE), np.uint8)
    prepared[top : top + height, left : left + width] = small.round()
    return prepared


def cropped(ink: Ink) -> Ink:
    """Return the ink without the paper around it, in at most 120 pixels a side."""
    digit = Image.fromarray(ink[bounds(ink >= FAINT * ink.max())])
    digit.thumbnail((FINE * BOX, FINE * BOX), Image.Resampling.BOX)
    return np.asarray(digit)


def enlarged(picture: Pixels) -> Pixels:
    """Return a picture of a few pixels smoothly enlarged, with more of its border around it."""
    if max(picture.shape[:2]) >= SMALL:
        return picture
    scale = LARGER / max(picture.shape[:2])
    size = tuple(max(round(scale * side), 1) for side in picture.shape[1::-1])
    large = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    room, paper = LARGER // 4, np.median(border(large), axis=0)
    padded = np.full((large.shape[0] + 2 * room, large.shape[1] + 2 * room, *large.shape[2:]), paper, np.uint8)
    padded[room:-room, room:-room] = large
    return padded


def digit_in(picture: Pixels, depth: int = 0) -> Ink:
    """Return the digit's ink, float32 (H, W): that on a sheet, or that of the whole picture.

    The former where the latter is on the sheet or at its edge, comes in from the border, or has wider strokes.
    """
    grey, whole = in_grey(picture), None
    try:
        whole = find_ink(picture, is_sheet=depth > 0)
    except PictureError as error:
        blank = error
    for light in [grey] if picture.ndim == 2 else [grey, np.ptp(picture, axis=2)]:  # a note may differ in colour alone
        if depth == DEEPEST or not PLAIN < light_share(light) < 1 - PLAIN:
            continue
        for region, corners in sheets(light):
            with suppress(PictureError):  # an empty one
                on_it = digit_in(on_sheet(picture, region, corners), depth + 1)
                is_better = (
                    whole is None
                    or not is_inside(whole)
                    or is_on(region, whole)
                    or narrowness(on_it) < NARROWER * narrowness(whole)
                )
                if is_better and is_inside(on_it, MARGIN):
                    return on_it
    if whole is None:
        raise blank
    return whole


def is_on(region: NDArray[np.bool_], ink: Ink) -> bool:
    """Return whether nearly all of the ink is on a coarse region, or at its edge."""
    coarse = np.asarray(Image.fromarray(ink).resize(region.shape[::-1], Image.Resampling.BOX))
    near = ndimage.binary_dilation(region, iterations=RIM)
    return bool(coarse[near].sum() > WHOLLY * coarse.sum())


def on_sheet(picture: Pixels, region: NDArray[np.bool_], corners: NDArray[np.float64]) -> Pixels:
    """Return what lies within the `corners` of a coarse `region`, as if seen from above and upright."""
    whole = Image.fromarray(picture)
    colours = np.asarray(whole.resize(region.shape[::-1], Image.Resampling.BOX))[region].reshape(region.sum(), -1)
    places = (corners + 0.5) * np.array(whole.size) / region.shape[::-1]
    width, height = (max(round(float(np.hypot(*(places[at] - places[0])))), 1) for at in (1, 3))
    quad = places[[0, 3, 2, 1]].ravel().tolist()
    colour = tuple(np.median(colours, axis=0).astype(int).tolist())
    sheet = whole.transform((width, height), Image.Transform.QUAD, quad, Image.Resampling.BICUBIC, fillcolor=colour)
    return np.asarray(sheet)
