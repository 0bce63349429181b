"""Which ink is the digit's, and how wide its strokes are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

Ink = NDArray[np.float32]
Mask = NDArray[np.bool_]

ROOM = 2  # pixels around what is cropped: nothing within touches the sides that are not the picture's
LONG = 0.6  # of the width or height of all ink: a line is at least as long
THIN, MOST_LINES = 0.15, 8  # of its length, a line is no wider
COVERED = 0.6  # of its length at least is free of what crosses it
SLOPES = np.linspace(-0.12, 0.12, 13)
STRAY = 0.1  # of the ink of the largest part: less is a speck
LEAST_STROKE = 0.02  # of that ink: the digit may be so small beside a table
MOST_PARTS = 40  # the largest: a page of dots has thousands
WITHIN = 0.35  # of the size of what is around it: a digit is no smaller
ROUND = 0.95  # of its convex hull that a ring or a box fills
STROKE, HEIGHT = 2.5, 20  # pixels: the strokes of MNIST's digits in their box
CLEAR, USUAL = 0.3, 95  # of the most ink; percent of what is clearly ink: where thin strokes cross, it is darker
BOLD = 3.2  # pixels: wider strokes are thinned to this
STRIP = 4  # times as long as wide: the inside of a hollow stroke, which no loop of a digit is
EIGHT = np.ones((3, 3), bool)


def strokes_alone(ink: Ink, is_sheet: bool = False) -> Ink:
    """Return a picture's `ink` without lines, and without the parts that are no strokes of a digit."""
    where, kept = bounds(ink > 0, ROOM), np.zeros_like(ink)
    if ink[where].size:
        kept[where] = digit_only(without_lines(ink[where], ink.shape), ink.shape, is_sheet)
    return kept


def bounds(mask: Mask, room: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of a mask (H, W) that hold anything, and some around them."""
    found = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    down, across = (slice(max(at[0] - room, 0), at[-1] + 1 + room) if len(at) else slice(0) for at in found)
    return down, across


def without_lines(ink: Ink, picture: tuple[int, ...]) -> Ink:
    """Return ink cropped out of a `picture` of some (H, W) without straight lines that go on beyond the rest.

    They do at both ends: under it, over it, around it. Where a stroke meets a line, it keeps what is thicker there.
    """
    lying = long_lines(ink > 0.3)
    standing = [line.T for line in long_lines((ink > 0.3).T)]
    every = np.any([*lying, *standing, np.zeros(ink.shape, bool)], axis=0)
    rest = (ink > 0.3) & ~every
    if not every.any():
        return ink
    main = largest(rest, least=0.2)  # a pencil's stroke comes in pieces
    lines = [int(line.sum()) for line in [*lying, *standing]]
    if main.sum() < 0.1 * max(lines):  # nothing but lines: the middle one that stands may be a 1
        if not standing:
            return np.zeros_like(ink)
        columns = np.flatnonzero(every.any(axis=0))
        main = min(standing, key=lambda line: abs(np.nonzero(line)[1].mean() - columns.mean()))
        rest, standing = main, [line for line in standing if line is not main]
    removed = [line for line in lying if goes_beyond(line, main, standing, picture[1], above=0.25)]  # a 7 has a bar
    if not removed:
        return ink
    at_lines = ndimage.binary_dilation(np.any(removed, axis=0), EIGHT, iterations=4)
    crossed = [one.T for one in lying]  # then the sides of a box, or axes
    removed += [
        line for line in standing if (line & at_lines).any() and goes_beyond(line.T, main.T, crossed, picture[0], 0.06)
    ]
    gone = np.any(removed, axis=0)
    beside = ndimage.binary_dilation(gone, EIGHT, iterations=2) & ~ndimage.binary_dilation(rest, EIGHT)
    return np.where(gone | beside, np.float32(0), ink)


def goes_beyond(line: Mask, rest: Mask, across: list[Mask], width: int, above: float) -> bool:
    """Return whether a lying line, above or below the rest, ends beyond it or at a line `across`, on both sides."""
    (rows, columns), (line_rows, line_columns) = np.nonzero(rest), np.nonzero(line)
    is_across_picture = np.ptp(line_columns) > 0.95 * width
    if 0.15 < np.mean(rows < line_rows.mean()) < 0.85 and not is_across_picture:
        return False
    margin = (0.06 if line_rows.mean() > rows.mean() else above) * max(np.ptp(rows), np.ptp(columns))
    left, right = line_columns.min(), line_columns.max()
    corners = ndimage.binary_dilation(np.any([*across, np.zeros_like(line)], axis=0), EIGHT, iterations=4) & line
    at_left, at_right = corners[:, : left + 3].any(), corners[:, right - 2 :].any()
    return bool((at_left or left < columns.min() - margin) and (at_right or right > columns.max() + margin))


def long_lines(mask: Mask) -> list[Mask]:
    """Return the nearly level straight lines of a mask, each as a mask without what crosses it.

    A straight line is where the upper edges of thin ink meet most columns: Hough 1962, over a few slopes.
    """
    columns = np.flatnonzero(mask.any(axis=0))
    length = max(LONG * (np.ptp(columns) + 1), 8) if len(columns) else np.inf
    thick = heights(mask)
    thin = mask & (thick <= max(THIN * length, 2)) if len(columns) else mask
    edges = thin & ~np.pad(mask, ((1, 0), (0, 0)))[:-1]
    lines: list[Mask] = []
    while len(lines) < MOST_LINES:
        y, x = np.nonzero(edges)
        if len(x) < COVERED * length:
            break
        places = [np.bincount((y - slope * x).round().astype(int) + mask.shape[1]) for slope in SLOPES]
        counts = [np.convolve(count, (1, 1, 1), "same") for count in places]
        slope, count = max(zip(SLOPES, counts, strict=True), key=lambda one: one[1].max())
        if count.max() < COVERED * length:
            break
        near = np.abs(y - slope * x + mask.shape[1] - count.argmax()) <= 1.5
        slope, start = np.polyfit(x[near], y[near], 1)
        near = np.abs(y - slope * x - start) <= 2
        width = np.median(thick[y[near], x[near]])
        row, column = np.nonzero(thin & (thick <= 1.6 * width + 1))
        off = row - slope * column - start
        on_it = (off >= -2) & (off <= 1.6 * width + 2)
        line = np.zeros(mask.shape, bool)
        line[row[on_it], column[on_it]] = True
        if np.ptp(x[near]) >= length and near.sum() >= COVERED * length:
            lines.append(line)
        edges[y[near], x[near]] = False
    return lines


def heights(mask: Mask) -> NDArray[np.int32]:
    """Return for each pixel how many of its column are inked around it without a gap; 0 where there is no ink."""
    rows = np.arange(len(mask), dtype=np.int32)[:, None]
    before = np.maximum.accumulate(np.where(mask, -1, rows), axis=0)
    after = np.minimum.accumulate(np.where(mask, len(mask), rows)[::-1], axis=0)[::-1]
    return np.where(mask, after - before - 1, 0)


def largest(mask: Mask, least: float = 1.0) -> Mask:
    """Return the largest connected part, and those of at least so much of its size."""
    labels, _ = ndimage.label(mask, EIGHT)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= least * sizes.max())[labels] & mask


class Part(NamedTuple):
    """A connected part of the ink: its number among the labels, how much ink it has, and where it lies."""

    number: int
    amount: float
    rows: slice
    columns: slice

    @property
    def height(self) -> int:
        return self.rows.stop - self.rows.start

    @property
    def width(self) -> int:
        return self.columns.stop - self.columns.start

    @property
    def size(self) -> int:
        return max(self.height, self.width)

    def mask(self, labels: NDArray[np.int32]) -> Mask:
        return labels[self.rows, self.columns] == self.number


def digit_only(ink: Ink, picture: tuple[int, ...], is_sheet: bool = False) -> Ink:
    """Return ink cropped out of a `picture` of some (H, W) without the connected parts that are no strokes of a digit.

    These are specks, what comes in from the border beside something within (of a sheet: beside something larger), a
    ring or box around the rest, dots, and lines above or below.
    """
    labels, count = ndimage.label(ink > 0, EIGHT)
    if count < 2:
        return ink
    amounts = np.bincount(labels.ravel(), ink.ravel(), minlength=count + 1)
    amounts[0], boxes = 0, ndimage.find_objects(labels)
    most = np.flatnonzero(amounts >= LEAST_STROKE * amounts.max())
    most = np.sort(most[np.argsort(-amounts[most], kind="stable")[:MOST_PARTS]])
    parts = [Part(n, amounts[n], *boxes[n - 1]) for n in most.tolist()]
    inner = [part for part in parts if not at_border(part, ink.shape)]
    if inner:
        reach = max(part.size for part in inner) / (1 if is_sheet else WITHIN)
        sides = zip((labels[0], labels[-1], labels[:, 0], labels[:, -1]), np.repeat(picture[::-1], 2), strict=True)
        along = np.max([np.bincount(side, minlength=count + 1) / length for side, length in sides], axis=0)
        parts = [part for part in parts if part in inner or (along[part.number] < 0.8 and part.size > reach)]
    for part in sorted(parts, key=lambda part: -part.size):
        if encloses(part, [other for other in parts if other != part and other.size >= WITHIN * part.size], labels):
            parts.remove(part)
    main = max(parts, key=lambda part: part.amount)
    strokes = [part for part in parts if part == main or is_stroke(part, main, part.mask(labels))]
    is_kept = np.zeros(count + 1, bool)
    is_kept[[part.number for part in strokes if part.amount >= STRAY * main.amount]] = True
    return np.where(is_kept[labels], ink, np.float32(0))


def at_border(part: Part, shape: tuple[int, ...]) -> bool:
    sides = zip((part.rows, part.columns), shape, strict=True)
    return any(side.start <= 1 or side.stop >= length - 1 for side, length in sides)


def encloses(part: Part, others: list[Part], labels: NDArray[np.int32]) -> bool:
    """Return whether a part is a ring or box, and one of the others lies in it."""
    if not others:
        return False
    filled = ndimage.binary_fill_holes(labels == part.number)
    try:
        hull = ConvexHull(np.argwhere(filled)).volume
    except QhullError:  # a line
        return False
    is_full = filled.sum() > ROUND * hull
    return is_full and any(filled[other.rows, other.columns].mean() > ROUND for other in others)


def is_stroke(part: Part, main: Part, mask: Mask) -> bool:
    """Return whether a part beside the main one may be a stroke of the same digit: no dot, no line below or above."""
    is_compact = min(part.height, part.width) > 0.6 * part.size and mask.mean() > 0.68
    is_above, is_below = part.rows.stop <= main.rows.start + 4, part.rows.start >= main.rows.stop - 4
    beyond = (0.25 if is_above else 0.0) * main.size  # a 7 and a 5 have a bar of their own above
    is_longer = part.columns.start < main.columns.start - beyond and part.columns.stop > main.columns.stop + beyond
    is_line = (is_above or is_below) and is_longer and part.width > 4 * part.height
    return not is_line and not (is_compact and part.size < WITHIN * main.size)


def filled_strokes(ink: Ink) -> Ink:
    """Return `ink` with hollow strokes filled: the holes that are long strips, unlike the loops of a digit."""
    holes, count = ndimage.label(ink < 0.5)
    is_enclosed = np.ones(count + 1, bool)
    is_enclosed[[0, *holes[0], *holes[-1], *holes[:, 0], *holes[:, -1]]] = False
    if not is_enclosed.any():
        return ink
    widths = np.zeros(count + 1)
    np.maximum.at(widths, holes, 2 * ndimage.distance_transform_edt(ink < 0.5))
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    strips = is_enclosed & (sizes > STRIP * widths**2) & (widths < 0.3 * max(ink.shape))
    return np.where(strips[holes], np.float32(1), ink) if strips.any() else ink


def stroke_width(inked: Mask) -> float:
    """Return the mean width of the strokes in pixels: four times the mean distance from a stroke's edge."""
    inked = np.pad(inked, 1)
    return 4 * float(ndimage.distance_transform_edt(inked)[inked].mean()) - 1


def as_wide(ink: Ink) -> Ink:
    """Return cropped `ink` (H, W) with strokes about as wide as MNIST's: thin ones widened, bold ones thinned.

    What is widened has a little more paper around it. Of a bold stroke that part is kept which is deepest in it.
    """
    inked = ink > np.percentile(ink[ink > CLEAR * ink.max()], USUAL) / 2
    width, side = stroke_width(inked), max(ink.shape)
    more = (STROKE * side / HEIGHT - width) / (2 - 2 * STROKE / HEIGHT)  # the digit grows by as much
    if more >= 0.5:
        room = int(np.ceil(more)) + 1
        away = ndimage.distance_transform_edt(~np.pad(inked, room))
        return np.maximum(np.pad(ink, room), np.clip(more + 1 - away, 0, 1)).astype(np.float32)
    kept = BOLD * side / HEIGHT / width
    if kept >= 1:
        return ink
    depth = ndimage.distance_transform_edt(np.pad(inked, 1))[1:-1, 1:-1]
    deepest = ndimage.maximum_filter(depth, 2 * int(width / 2) + 1)
    return ink * np.clip(depth - (1 - kept) * deepest + 0.5, 0, 1).astype(np.float32)
