"""Figures of images in rows and columns: functions from arrays to a matplotlib Figure.

All images of a figure stand in one chart, whose unit is the side of an image: a chart for each would take seconds.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mnist_lightning.figures.of_run import INK, MUTED

MOST_MAPS = 20  # of one layer, filters too


def captioned(images: NDArray, captions: Sequence[str], title: str, columns: int = 5) -> Figure:
    """Draw images, uint8 or of any range, each below a caption of up to two lines.

    Grey ones, (N, H, W), are dark where values are high; those in colours are (N, 3, H, W).
    """
    rows = max(-(-len(images) // columns), 1)
    figure, axes = sheet(1.2 * columns - 0.2, 1.5 * rows, inches=1, title=title)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = 1.2 * (index % columns), 1.5 * (index // columns) + 0.47
        low, high = (0, 255) if image.dtype == np.uint8 else (image.min(), image.max())
        tile(axes, image, left, top, "gray_r", low, high)
        size = min(11.0, 140 / max(map(len, caption.split("\n"))))  # points: so the longer line has room
        axes.text(left + 0.5, top - 0.06, caption, color=INK, fontsize=size, ha="center", linespacing=1.1)
    return figure


def filters(weights: NDArray[np.float32], title: str) -> Figure:
    """Draw the first 20 kernels, (N, H, W), on one scale, blue where they look for ink and red where for paper."""
    weights = weights[:MOST_MAPS]
    columns, strongest = min(len(weights), 5), float(np.abs(weights).max()) or 1.0
    rows = -(-len(weights) // columns)
    figure, axes = sheet(max(1.12 * columns + 0.9, 5), 1.3 * rows, inches=0.8, title=title)
    for index, kernel in enumerate(weights):
        left, top = 1.12 * (index % columns), 1.3 * (index // columns) + 0.25
        image = tile(axes, kernel, left, top, "RdBu", -strongest, strongest)
        axes.text(left + 0.5, top - 0.05, str(index), color=MUTED, fontsize=11, ha="center")
    bar = figure.colorbar(image, cax=axes.inset_axes((1.12 * columns + 0.1, 0.25, 0.2, 1), transform=axes.transData))
    bar.ax.tick_params(labelsize=10, colors=INK)
    bar.outline.set_visible(False)
    return figure


def feature_maps(layers: Sequence[tuple[str, NDArray[np.float32]]], title: str) -> Figure:
    """Draw the first 20 channels of each layer's output, (channels, H, W), by its name, each layer on its own scale."""
    columns = 10
    rows = [-(-min(len(maps), MOST_MAPS) // columns) for _, maps in layers]
    tops = np.cumsum([0.5, *(1.08 * count + 0.6 for count in rows)])
    figure, axes = sheet(1.08 * columns, tops[-1] - 0.6, inches=0.55, title=title)
    for (name, maps), top in zip(layers, tops, strict=False):
        label = f"{name}  {'×'.join(map(str, maps.shape))}{part_of(len(maps))}"
        axes.text(0, top - 0.12, label, color=INK, fontsize=11)
        for index, values in enumerate(maps[:MOST_MAPS]):
            left, down = 1.08 * (index % columns), 1.08 * (index // columns)
            tile(axes, values, left, top + down, "gray_r", maps.min(), maps.max())
    return figure


def part_of(count: int) -> str:
    """Return what follows the name of a layer of which not all `count` channels are drawn."""
    return f", the first {MOST_MAPS}" if count > MOST_MAPS else ""


def sheet(width: float, height: float, inches: float, title: str) -> tuple[Figure, Axes]:
    """Return a figure with an empty chart of `width` × `height` units of so many inches, y downwards."""
    margin, head = 0.15, 0.65  # inches
    size = (width * inches + 2 * margin, height * inches + margin + head)
    figure = Figure(figsize=size)
    place = (margin / size[0], margin / size[1], 1 - 2 * margin / size[0], 1 - (margin + head) / size[1])
    axes = figure.add_axes(place, xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    figure.text(margin / size[0], 1 - 0.14 / size[1], title, color=INK, fontsize=12, va="top")
    return figure, axes


def tile(axes: Axes, image: NDArray, left: float, top: float, colors: str, low: float, high: float) -> AxesImage:
    """Draw `image`, (H, W) or in colours (3, H, W), its longer side one unit long."""
    height, width = (side / max(image.shape[-2:]) for side in image.shape[-2:])
    left, top = left + (1 - width) / 2, top + (1 - height) / 2
    if image.ndim == 3:
        image = ((image - low) / max(high - low, 1e-9)).transpose(1, 2, 0).clip(0, 1)
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor="#cbd2d9", linewidth=1, clip_on=False))
    place = (left, left + width, top + height, top)
    return axes.imshow(
        image, colors, vmin=low, vmax=high, extent=place, origin="upper", interpolation="nearest", aspect="auto"
    )
