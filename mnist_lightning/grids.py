"""Figures of images, in rows and columns: functions from arrays to a matplotlib Figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mnist_lightning.figures import INK, MUTED

COLUMNS = 6
MOST_MAPS = 20  # of one layer


def mistakes(
    images: NDArray[np.uint8], true: Sequence[int], predicted: Sequence[int], confidence: Sequence[float], title: str
) -> Figure:
    """Draw wrongly read images, each with what it is, what it was read as, and how confidently.

    Args:
        images: (N, H, W), raw.
        confidence: fractions.
    """
    rows = max(-(-len(images) // COLUMNS), 1)
    figure = Figure(figsize=(1.25 * COLUMNS, 0.5 + 1.55 * rows))
    figure.text(0.02, 1 - 0.16 / figure.get_figheight(), title, color=INK, fontsize=12, va="top")
    if not len(images):
        figure.text(0.5, 0.4, "every image was read correctly", color=MUTED, fontsize=12, ha="center")
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, image, digit, guess, share in zip(places, images, true, predicted, confidence, strict=False):
        show(axes, image, cmap="gray_r")
        axes.set_title(f"{digit} read as {guess}\n{share:.1%}", color=INK, fontsize=9)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=1 - 0.85 / figure.get_figheight(), hspace=0.5)
    return figure


def filters(weights: NDArray[np.float32], title: str) -> Figure:
    """Draw the kernels of a layer, blue where they look for ink and red where for paper, on one scale.

    Args:
        weights: (N, H, W).
    """
    columns = min(len(weights), 10)
    rows = -(-len(weights) // columns)
    figure = Figure(figsize=(max(0.85 * columns, 4) + 0.8, 0.6 + 0.95 * rows))
    figure.text(0.02, 1 - 0.14 / figure.get_figheight(), title, color=INK, fontsize=12, va="top")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    strongest = float(np.abs(weights).max()) or 1.0
    for axes in places:
        axes.set_axis_off()
    for index, (axes, kernel) in enumerate(zip(places, weights, strict=False)):
        show(axes, kernel, cmap="RdBu", low=-strongest, high=strongest)
        axes.set_title(str(index), color=MUTED, fontsize=8, pad=2)
    figure.subplots_adjust(left=0.02, right=0.86, bottom=0.04, top=1 - 0.62 / figure.get_figheight())
    bar = figure.colorbar(places[0].images[0], cax=figure.add_axes((0.89, 0.08, 0.02, 0.6)))
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    return figure


def feature_maps(layers: Sequence[tuple[str, NDArray[np.float32]]], title: str) -> Figure:
    """Draw what each layer makes of one image, a row for each layer, dark where the value is high.

    Args:
        layers: a layer's name and its output, (channels, H, W); of each the first 20 channels are drawn.
    """
    columns = max(min(len(maps), MOST_MAPS) for _, maps in layers)
    figure = Figure(figsize=(1.7 + 0.5 * columns, 0.5 + 0.62 * len(layers)))
    figure.text(0.02, 1 - 0.12 / figure.get_figheight(), title, color=INK, fontsize=12, va="top")
    for axes, (name, maps) in zip(figure.subplots(len(layers), 1, squeeze=False)[:, 0], layers, strict=True):
        scaled = (maps[:MOST_MAPS] - maps.min()) / max(float(np.ptp(maps)), 1e-9)
        for column, values in enumerate(scaled):  # in one chart: hundreds of them would take seconds
            axes.imshow(values, cmap="gray_r", vmin=0, vmax=1, extent=(column + 0.04, column + 0.96, 0.04, 0.96))
            axes.add_patch(frame(column + 0.04, 0.04, 0.92))
        axes.set(xlim=(0, columns), ylim=(0, 1), aspect="equal", anchor="W")
        axes.set_axis_off()
        label = f"{name}\n{'×'.join(map(str, maps.shape))}"
        axes.text(-0.2, 0.5, label, ha="right", va="center", color=INK, fontsize=8)
    edge = 1.5 / figure.get_figwidth()
    figure.subplots_adjust(left=edge, right=0.99, bottom=0.02, top=1 - 0.42 / figure.get_figheight(), hspace=0.02)
    return figure


def show(axes: Axes, image: NDArray, cmap: str, low: float | None = None, high: float | None = None) -> None:
    axes.imshow(image, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    axes.add_patch(frame(-0.5, -0.5, len(image)))


def frame(left: float, bottom: float, side: float) -> Rectangle:
    return Rectangle((left, bottom), side, side, fill=False, edgecolor="#cbd2d9", linewidth=0.8)
