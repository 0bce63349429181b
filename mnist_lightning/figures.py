"""Figures: functions from numbers to a matplotlib Figure, drawn to be read at the size of a README."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

INK, MUTED, ACCENT = "#1f2933", "#7b8794", "#1f6feb"

matplotlib.rcParams["svg.hashsalt"] = "mnist-lightning"  # the same figure gives the same file


def accuracy_curve(accuracies: Sequence[float], title: str) -> Figure:
    """Draw accuracy after each epoch with a dashed line at the last value, as the tutorial does.

    Args:
        accuracies: fractions, of epochs 1, 2, ….
    """
    percent = 100 * np.asarray(accuracies)
    epochs = np.arange(1, len(percent) + 1)
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(epochs, percent, color=ACCENT, marker="o", markersize=6, linewidth=2, clip_on=False, zorder=3)
    axes.axhline(percent[-1], color=MUTED, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"Converge to: {percent[-1]:.0f}%",
        (1, percent[-1]),
        xytext=(0, 6),
        textcoords="offset points",
        color=INK,
        fontsize=12,
    )
    axes.annotate(
        f"{percent[-1]:.2f} %", (epochs[-1], percent[-1]), xytext=(0, -16), textcoords="offset points",
        color=ACCENT, fontsize=11, ha="right",
    )  # fmt: skip
    margin = max(0.15 * (percent.max() - percent.min()), 0.1)
    axes.set_ylim(percent.min() - margin, percent.max() + 1.5 * margin)
    axes.set_xlim(0.5, len(percent) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch", color=INK, fontsize=11)
    axes.set_ylabel("test accuracy (%)", color=INK, fontsize=11)
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.tick_params(colors=INK, labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    return figure


def leaderboard(names: Sequence[str], accuracies: Sequence[Sequence[float]], label: str) -> Figure:
    """Draw a line for each experiment: a dot for every seed, a bar from mean - sd to mean + sd, and the mean as a tick.

    Args:
        names: of the experiments, best first; the first 25 are drawn.
        accuracies: percent, of each experiment's seeds.
        label: what the accuracies are.
    """
    names, accuracies = names[:25], accuracies[:25]
    figure = Figure(figsize=(8, 1.2 + 0.36 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for height, values in enumerate(accuracies):
        mean, deviation = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0
        axes.plot(
            [mean - deviation, mean + deviation],
            [height, height],
            color=ACCENT,
            alpha=0.3,
            linewidth=9,
            solid_capstyle="butt",
        )
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


def heat_map(
    values: Sequence[Sequence[float]], across: Sequence[str], down: Sequence[str],
    label_across: str, label_down: str, label: str,
) -> Figure:  # fmt: skip
    """Draw `values` (len(down), len(across)), each with its number in its cell."""
    cells = np.asarray(values)
    figure = Figure(figsize=(2.4 + 0.95 * len(across), 1.6 + 0.6 * len(down)), layout="constrained")
    axes = figure.add_subplot()
    lowest = lower_end(cells.ravel().tolist())
    image = axes.imshow(cells, cmap="Blues", aspect="auto", vmin=lowest)
    dark = (lowest + cells.max()) / 2
    for (y, x), value in np.ndenumerate(cells):
        axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=11, color="white" if value > dark else INK)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set_xlabel(label_across, color=INK, fontsize=11)
    axes.set_ylabel(label_down, color=INK, fontsize=11)
    axes.tick_params(colors=INK, labelsize=10, length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, extend="min" if cells.min() < lowest else "neither")
    bar.set_label(label, color=INK, fontsize=10)
    bar.outline.set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as `path`.png and `path`.svg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=150, facecolor="white")
    figure.savefig(path.with_suffix(".svg"), facecolor="white", metadata={"Date": None})


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return `figure` as an image, uint8 (H, W, 4), for TensorBoard."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
