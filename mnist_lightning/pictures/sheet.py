"""Where the sheet lies in a picture: on a desk, in a hand, within a window's bars, in a printed box."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

COARSE = 96  # pixels of the longer side that a sheet is looked for in
LEAST, MOST = 0.03, 0.985  # of the picture that a sheet covers
CORNERS = 6  # at most: four, and more where the picture ends before the sheet
BENT = 1.3  # coarse pixels by which a side may leave a straight line
SOLID = 0.92  # of its convex hull that a sheet fills: a thumb may lie on it
STEEP = 10  # greys by which sheet and ground differ at once
EDGE = 2  # coarse pixels that are left out at its sides

Mask = NDArray[np.bool_]


def sheets(grey: NDArray[np.uint8]) -> Iterator[tuple[Mask, float]]:
    """Yield each region of one light on a ground of another with straight sides, the largest first.

    As a coarse mask, bool (h, w), a little within its sides, and by how many degrees its sides are turned, -45 to 45.
    `grey` is uint8 (H, W).
    """
    small = Image.fromarray(grey)
    small.thumbnail((COARSE, COARSE), Image.Resampling.BOX)
    coarse = np.asarray(small.filter(ImageFilter.MedianFilter(3)))
    found = [region for level in levels(coarse) for part in (coarse > level, coarse <= level) for region in hulls(part)]
    areas: list[int] = []
    for mask, corners in sorted(found, key=lambda one: -one[0].sum()):
        area = int(mask.sum())
        if any(abs(area - other) < 0.1 * other for other in areas) or not is_steep(coarse, mask):
            continue  # the same one at another level, or a light that fades
        areas.append(area)
        within = ndimage.binary_erosion(mask, iterations=EDGE, border_value=1)
        if within.any():  # no strip
            yield within, turn(corners, mask.shape)


def levels(coarse: NDArray[np.uint8]) -> list[float]:
    """Return greys that may part a sheet from its ground: Otsu's 1979, those of the two halves, and even steps."""
    low, high = np.percentile(coarse, (1, 99))
    if high - low < 2 * STEEP:
        return []
    best = otsu(coarse.ravel())
    halves = (coarse[coarse <= best], coarse[coarse > best])
    return [best, *(otsu(half) for half in halves if np.ptp(half) >= STEEP), *np.linspace(low, high, 5)[1:-1]]


def otsu(greys: NDArray[np.uint8]) -> float:
    """Return the level whose two sides differ most."""
    count = np.bincount(greys, minlength=256).astype(float)
    below, total = count.cumsum(), (count * np.arange(256)).cumsum()
    above = below[-1] - below
    apart = total / np.maximum(below, 1) - (total[-1] - total) / np.maximum(above, 1)
    return float((below * above * apart**2).argmax())


def hulls(part: Mask) -> Iterator[tuple[Mask, NDArray[np.float64]]]:
    """Yield the convex hull, as a mask and its corners (N, 2), of each connected region that fills one with few."""
    labels, _ = ndimage.label(part)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if height * width < LEAST * part.size:
            continue
        region = labels[rows, columns] == number
        spans = [width - region.argmax(axis=1) - region[:, ::-1].argmax(axis=1)]  # from its first to its last pixel
        spans += [height - region.argmax(axis=0) - region[::-1].argmax(axis=0)]
        area = min(int(span.sum()) for span in spans)  # whatever holes it has
        if not max(LEAST * part.size, 0.5 * height * width) <= area <= MOST * part.size:
            continue
        left = region.argmax(axis=1)
        y = np.arange(height)
        points = np.concatenate([np.stack([x, y], axis=1) for x in (left, left + spans[0] - 1)])
        try:
            hull = ConvexHull(points + np.array([columns.start, rows.start]))
        except QhullError:  # a line
            continue
        if area < SOLID * (hull.volume + 0.5 * hull.area):
            continue
        outline = hull.points[hull.vertices]
        corners = straightened(outline)
        if 4 <= len(corners) <= CORNERS:
            canvas = Image.new("1", part.shape[::-1])
            ImageDraw.Draw(canvas).polygon([tuple(point) for point in outline.tolist()], fill=1, outline=1)
            yield np.asarray(canvas), corners


def is_steep(coarse: NDArray[np.uint8], mask: Mask) -> bool:
    """Return whether a region and its ground differ where they meet."""
    outside = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask)
    inside = mask & ~ndimage.binary_erosion(mask, iterations=3, border_value=1)
    return bool(outside.any()) and abs(np.median(coarse[inside]) - np.median(coarse[outside])) >= STEEP


def straightened(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a polygon (N, 2) without the corners that are nearly on a line between others."""
    while len(corners) > 3:
        before, after = np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)
        along = after - before
        off = np.abs(along[:, 0] * (corners - before)[:, 1] - along[:, 1] * (corners - before)[:, 0])
        off /= np.maximum(np.hypot(*along.T), 1e-9)
        if off.min() > BENT:
            break
        corners = np.delete(corners, off.argmin(), axis=0)
    return corners


def turn(corners: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Return the angle in degrees, -45 to 45, of the longest of a polygon's three or four own sides, else 0.

    Of a sheet that goes on beyond the picture on two sides or more, one can't say how it is turned.
    """
    sides = np.roll(corners, -1, axis=0) - corners
    middles = corners + sides / 2
    is_own = np.all((middles >= 1.5) & (middles <= np.array(shape[::-1]) - 2.5), axis=1)
    lengths = np.hypot(*sides.T) * is_own
    if np.count_nonzero(lengths > 0.2 * lengths.max()) < 3:
        return 0.0
    x, y = sides[lengths.argmax()]
    return float((np.degrees(np.arctan2(y, x)) + 45) % 90 - 45)
