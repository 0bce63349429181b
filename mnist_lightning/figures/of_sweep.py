"""Figures of many runs: functions from numbers to a matplotlib Figure."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mnist_lightning.figures.of_run import ACCENT, INK, MUTED

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED, LONGEST_LINE = 25, 48  # experiments, characters of their names


def leaderboard(names: Sequence[str], accuracies: Sequence[Sequence[float]], label: str) -> Figure:
    """Draw a line for each experiment: a dot for every seed, a bar from mean - sd to mean + sd, and the mean as a tick.

    Args:
        names: of the experiments, best first; the first 25 are drawn.
        accuracies: percent, of each experiment's seeds.
        label: what the accuracies are.
    """
    accuracies = accuracies[:MOST_NAMED]
    names = [textwrap.fill(name, LONGEST_LINE) for name in names[:MOST_NAMED]]
    lines = [line for name in names for line in name.split("\n")]
    size = (6 + 0.09 * max(map(len, lines)), 1.2 + 0.17 * len(lines) + 0.19 * len(names))  # inches
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    for height, values in enumerate(accuracies):
        mean, deviation = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0
        axes.hlines(height, mean - deviation, mean + deviation, color=ACCENT, alpha=0.3, linewidth=9)
        axes.plot(mean, height, color=INK, marker="|", markersize=13, markeredgewidth=2)
        axes.plot(values, [height] * len(values), "o", color=ACCENT, markersize=5, alpha=0.8, markeredgewidth=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the best on top
    lowest = lower_end([float(np.mean(values)) for values in accuracies])
    for height, values in enumerate(accuracies):
        if np.mean(values) < lowest:  # off the axis: only its number
            axes.annotate(f"◂ {np.mean(values):.2f}", (0.01, height), xycoords=("axes fraction", "data"), va="center")
    if any(np.mean(values) < lowest for values in accuracies):
        best = max(max(values) for values in accuracies)
        axes.set_xlim(lowest - 0.15 * (best - lowest), best + 0.05 * (best - lowest))
    axes.set_xlabel(f"{label}: dots are seeds, | their mean, the bar ± one sd", color=INK, fontsize=10)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=10)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    return figure


def lower_end(percents: Sequence[float]) -> float:
    """Return where an axis of accuracies begins, so that one that collapsed to chance does not flatten the others."""
    best, middle = float(np.max(percents)), float(np.median(percents))
    return max(float(np.min(percents)), best - 4 * max(best - middle, 0.1))


def heat_map(grid: "pd.DataFrame", label: str) -> Figure:
    """Draw a table of accuracies in percent, each with its number in its cell."""
    cells, down, across = grid.to_numpy(), list(grid.index), list(grid.columns)
    figure = Figure(figsize=(2.4 + 0.95 * len(across), 1.6 + 0.6 * len(down)), layout="constrained")
    axes = figure.add_subplot()
    lowest = lower_end(cells.ravel().tolist())
    image = axes.imshow(cells, cmap="Blues", aspect="auto", vmin=lowest)
    dark = lowest + 0.65 * (cells.max() - lowest)  # from here on white is easier to read
    for (y, x), value in np.ndenumerate(cells):
        axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=11, color="white" if value > dark else INK)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set_xlabel(grid.columns.name, color=INK, fontsize=11)
    axes.set_ylabel(grid.index.name, color=INK, fontsize=11)
    axes.tick_params(colors=INK, labelsize=10, length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, extend="min" if cells.min() < lowest else "neither")
    bar.set_label(label, color=INK, fontsize=10)
    bar.outline.set_visible(False)
    return figure
