"""Figures of many runs: functions from numbers to a matplotlib Figure."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mnist_lightning.figures.of_run import ACCENT, INK, number_color, style

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED, LONGEST_LINE = 25, 48  # experiments, characters of their names


def leaderboard(
    names: Sequence[str], values: Sequence[Sequence[float]], label: str, in_percent: bool = True, title: str = ""
) -> Figure:
    """Draw a line for each of the first 25 experiments: a dot for every seed, a bar of mean ± sd, the mean as a tick.

    The values are those of each experiment's seeds, and `label` says what they are. Of accuracies in percent, the axis
    begins where the better ones are.
    """
    first = f"the first {MOST_NAMED} of " if len(names) > MOST_NAMED else ""
    which = f"{first}{len(names)} experiments, best first" if len(names) > 1 else ""
    marks = "dots: seeds; |: their mean; bar: ± one sd" if max(map(len, values)) > 1 else ""
    values = values[:MOST_NAMED]
    names = [textwrap.fill(name, LONGEST_LINE) for name in names[:MOST_NAMED]]
    lines = [line for name in names for line in name.split("\n")]
    size = (6 + 0.09 * max(map(len, lines)), 1.7 + 0.17 * len(lines) + 0.19 * len(names))  # inches
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    means = [float(np.mean(some)) for some in values]
    lowest = lower_end(means) if in_percent else min(means)
    for height, (mean, some) in enumerate(zip(means, values, strict=True)):
        deviation = np.std(some, ddof=1) if len(some) > 1 else 0
        axes.hlines(height, mean - deviation, mean + deviation, color=ACCENT, alpha=0.3, linewidth=9)
        axes.plot(mean, height, color=INK, marker="|", markersize=13, markeredgewidth=2)
        axes.plot(some, [height] * len(some), "o", color=ACCENT, markersize=5, alpha=0.8, markeredgewidth=0)
        if mean < lowest:  # off the axis: only its number
            axes.annotate(f"◂ {mean:.2f}", (0.01, height), xycoords=("axes fraction", "data"), va="center", color=INK)
    style(axes, "", label, "", grid="x")
    head(figure, f"{title}\n{which}\n{marks}")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the best on top
    if min(means) < lowest:
        best = max(map(max, values))
        axes.set_xlim(lowest - 0.15 * (best - lowest), best + 0.05 * (best - lowest))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def lower_end(percents: Sequence[float]) -> float:
    """Return where an axis of accuracies begins, so that one that collapsed to chance does not flatten the others."""
    best, middle = float(np.max(percents)), float(np.median(percents))
    return max(float(np.min(percents)), best - 4 * max(best - middle, 0.1))


def heat_map(grid: "pd.DataFrame", label: str, in_percent: bool = True, title: str = "") -> Figure:
    """Draw a table of values, such as accuracies in percent, each with its number in its cell."""
    cells, down, across = grid.to_numpy(), list(grid.index), list(grid.columns)
    widest = max(0.95, 0.2 + 0.09 * max(map(len, across)))  # inches
    figure = Figure(figsize=(2.4 + widest * len(across), 2.1 + 0.6 * len(down)), layout="constrained")
    axes = figure.add_subplot()
    lowest = lower_end(cells.ravel().tolist()) if in_percent else float(cells.min())
    image = axes.imshow(cells, cmap="Blues", aspect="auto", vmin=lowest)
    for (y, x), value in np.ndenumerate(cells):
        text = f"{value:.2f}" if in_percent else f"{value:.3f}".removesuffix(".000")  # of a count
        color = number_color(image.to_rgba(value))
        axes.text(x, y, text, ha="center", va="center", fontsize=11, color=color)
    style(axes, "", str(grid.columns.name), str(grid.index.name))
    head(figure, f"{title}\n{label} by {grid.index.name} and {grid.columns.name}")
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, extend="min" if cells.min() < lowest else "neither")
    bar.set_label(label, color=INK, fontsize=10)
    bar.outline.set_visible(False)
    return figure


def head(figure: Figure, title: str) -> None:
    """Write above a figure, in lines as long as it is wide."""
    most = int(10.5 * figure.get_figwidth())  # characters of 12 points in an inch
    lines = [line for text in title.strip().split("\n") for line in textwrap.wrap(text, most)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", color=INK, fontsize=12)
