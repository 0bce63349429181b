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
