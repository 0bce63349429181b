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
ROUNDED = 3  # coarse pixels that a corner may lack
SOLID = 0.92  # of its convex hull that a sheet fills: a thumb may lie on it
STEEP = 10  # greys by which sheet and ground differ at once
EDGE = 2  # coarse pixels that are left out at its sides

Mask = NDArray[np.bool_]


def sheets(grey: NDArray[np.uint8]) -> Iterator[tuple[Mask, NDArray[np.float64]]]:
    """Yield each region of one light on a ground of another with straight sides, the largest first.

    As a coarse mask, bool (h, w), and four corners (4, 2), (x, y) in its pixels, from the upper left one to the right:
    a little within its own. `grey` is uint8 (H, W).
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
        inner = ndimage.binary_erosion(mask, iterations=EDGE, border_value=1)
        if inner.any():  # no strip
            yield inner, within(corners)


def levels(coarse: NDArray[np.uint8]) -> list[float]:
    """Return greys that may part a sheet from its ground: Otsu's 1979, and those of the two halves."""
    if np.ptp(np.percentile(coarse, (1, 99))) < 2 * STEEP:
        return []
    best = otsu(coarse.ravel())
    halves = (coarse[coarse <= best], coarse[coarse > best])
    return [best, *(otsu(half) for half in halves if np.ptp(half) >= STEEP)]


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
        room = (rows.stop - rows.start) * (columns.stop - columns.start)
        if room < LEAST * part.size:
            continue
        region = ndimage.binary_fill_holes(labels[rows, columns] == number)
        area = region.sum()
        if not max(LEAST * part.size, 0.5 * room) <= area <= MOST * part.size:
            continue
        try:
            hull = ConvexHull(np.argwhere(region)[:, ::-1] + (columns.start, rows.start))
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


def straightened(corners: NDArray[np.float64], bent: float = BENT) -> NDArray[np.float64]:
    """Return a polygon (N, 2) without the corners that are nearly on a line between others."""
    while len(corners) > 3:
        before, after = np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)
        along = after - before
        off = np.abs(along[:, 0] * (corners - before)[:, 1] - along[:, 1] * (corners - before)[:, 0])
        off /= np.maximum(np.hypot(*along.T), 1e-9)
        if off.min() > bent:
            break
        corners = np.delete(corners, off.argmin(), axis=0)
    return corners


def within(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return four corners (4, 2) a little within a polygon (N, 2), from the upper left one to the right.

    They are its own where it has four, else those of the smallest rectangle around it, which shares one of its sides.
    """
    corners = straightened(corners, ROUNDED)
    if len(corners) != 4:
        rectangles = []
        for x, y in np.roll(corners, -1, axis=0) - corners:
            axes = np.array([(x, y), (-y, x)]) / max(np.hypot(x, y), 1e-9)
            low, high = (corners @ axes.T).min(axis=0), (corners @ axes.T).max(axis=0)
            rectangles.append((np.prod(high - low), np.array([low, (high[0], low[1]), high, (low[0], high[1])]) @ axes))
        corners = min(rectangles, key=lambda one: float(one[0]))[1]
    inwards = corners.mean(axis=0) - corners
    corners = corners + inwards * (1.5 * EDGE / np.hypot(*inwards.T))[:, None]
    return np.roll(corners, -int(corners.sum(axis=1).argmin()), axis=0)
