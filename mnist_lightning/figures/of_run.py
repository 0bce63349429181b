"""Figures of one run: functions from numbers to a matplotlib Figure, drawn to be read at the size of a README."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray
from PIL import Image

from mnist_lightning.datasets.source import noun
from mnist_lightning.runs.files import write_atomically

DOTS_PER_INCH = 150
INK, MUTED, ACCENT = "#1f2933", "#7b8794", "#1f6feb"
Fractions = NDArray[np.float32]  # 0 to 1

matplotlib.rcParams["svg.hashsalt"] = "mnist-lightning"  # the same figure gives the same file
matplotlib.rcParams["text.parse_math"] = False  # a name with $ in it is no formula


def accuracy_curve(accuracies: Sequence[float], title: str) -> Figure:
    """Draw accuracy, a fraction, after epochs 1, 2, … with a dashed line at the last value, as the tutorial does."""
    percent = 100 * np.asarray(accuracies)
    epochs = np.arange(1, len(percent) + 1)
    figure, axes = one_chart(title, "epoch", "test accuracy (%)", size=(5.4, 3.4))
    axes.plot(epochs, percent, color=ACCENT, marker="o", markersize=6, linewidth=2, clip_on=False, zorder=3)
    axes.axhline(percent[-1], color=MUTED, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"Converge to: {percent[-1]:.0f}%", (1, percent[-1]), xytext=(0, 7), textcoords="offset points",
        color=INK, fontsize=12, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip
    axes.annotate(
        f"{percent[-1]:.2f}%", (1, percent[-1]), xytext=(5, 0), textcoords="offset points", color=ACCENT,
        fontsize=11, va="center", xycoords=axes.get_yaxis_transform(), annotation_clip=False,
    )  # fmt: skip
    margin = max(0.15 * np.ptp(percent), 0.1)
    axes.set(xlim=(0.5, len(percent) + 0.5), ylim=(percent.min() - margin, percent.max() + 1.5 * margin))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def confusion_matrix(counts: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw how often each true class (rows) was read as which (columns): counts, coloured by their share of the row."""
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    side, longest = 0.42 * max(len(classes), 10), max(map(len, classes))  # inches, characters
    figure, axes = one_chart(title, "read as", f"true {noun(classes)}", size=(side + 1.4 + 0.09 * longest, side + 1))
    image = axes.imshow(shares**0.4, cmap="Blues", vmin=0, vmax=1)  # the root, so that a single error can still be seen
    for (y, x), count in np.ndenumerate(counts):
        if count:
            color = number_color(image.to_rgba(shares[y, x] ** 0.4))
            axes.text(x, y, f"{count:,}", ha="center", va="center", fontsize=10, color=color)
    places = range(len(counts))
    axes.set_xticks(places, classes, rotation=0 if longest < 4 else 90)
    axes.set_yticks(places, classes)
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(places, [f"{share:.1%}" for share in shares.diagonal()])
    beside.set_ylabel("of these read correctly", color=INK, fontsize=11)
    beside.tick_params(colors=INK, labelsize=10, length=0)
    beside.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def number_color(background: Any) -> str:
    """Return the colour in which a number is read best on an RGB one: black or white, 4.5:1 or more (WCAG 2)."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in background[:3]]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def precision_recall(precision: Fractions, recall: Fractions, classes: Sequence[str], title: str) -> Figure:
    """Draw precision against recall for each class: fractions, (classes, thresholds), by rising threshold."""
    figure, axes = one_chart(title, "recall (%)", "precision (%)")
    for label, (p, r) in enumerate(zip(100 * precision, 100 * recall, strict=True)):
        line = ("-", "--", ":", "-.")[label // 10 % 4]  # there are ten colours
        axes.plot(r, p, line, marker=".", color=f"C{label % 10}", linewidth=1.8, label=classes[label], markevery=[0])
    reached = (precision > 0.9) & (recall > 0.9)  # the corner where curves of good networks part
    limits = (90, 100.2) if reached.any(axis=1).all() else (0, 102)
    axes.set(xlim=limits, ylim=limits)
    options: dict[str, Any] = {"frameon": False, "ncols": 2, "loc": "lower left"}
    if len(classes) > 10 or max(map(len, classes)) > 8:  # beside the chart
        options = {"frameon": False, "ncols": -(-len(classes) // 18), "loc": "center left", "bbox_to_anchor": (1, 0.5)}
    legend = axes.legend(title=noun(classes), labelcolor=INK, handlelength=3, **options)
    legend.get_title().set_color(INK)
    for handle in legend.get_lines():
        handle.set_marker("")  # that of a curve which is a single point
    return figure


def reliability(counts: NDArray[np.int64], confidence: Fractions, accuracy: Fractions, title: str) -> Figure:
    """Draw the mean accuracy against the mean confidence, fractions, in bins of equal width, and below their images."""
    figure = Figure(figsize=(5.4, 5))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width = 100 / len(counts)
    filled = counts > 0
    middles, confidence = (np.arange(len(counts)) + 0.5) * width, 100 * confidence[filled]
    upper.bar(middles[filled], 100 * accuracy[filled], 0.9 * width, color=ACCENT, alpha=0.85, label="accuracy")
    upper.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1.2)
    upper.plot(confidence, confidence, "o", color=INK, markersize=4, label="confidence", clip_on=False)
    upper.legend(frameon=False, loc="upper left", labelcolor=INK)
    lower.bar(middles, counts, 0.9 * width, color=MUTED)
    lower.set_yscale("symlog", linthresh=1)
    lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    upper.set(xlim=(0, 100), ylim=(0, 100))
    lower.set_ylim(bottom=0)
    style(upper, title, "", "read correctly (%)")
    style(lower, "", "confidence (%)", "images")
    return figure


def one_chart(title: str, across: str, up: str, size: tuple[float, float] = (5.4, 4.4)) -> tuple[Figure, Axes]:
    """Return a figure of `size` inches with one empty chart."""
    figure = Figure(figsize=size)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)  # inches
    axes = figure.add_subplot()
    style(axes, title, across, up)
    return figure, axes


def style(axes: Axes, title: str, across: str, up: str, grid: Literal["x", "y"] = "y") -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.set_xlabel(across, color=INK, fontsize=11)
    axes.set_ylabel(up, color=INK, fontsize=11)
    axes.grid(axis=grid, color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)


def save(figure: Figure, path: Path, as_svg: bool = False) -> bytes:
    """Write `figure` as `path`.png, and as .svg too where asked, and return the former's content."""
    png, svg = io.BytesIO(), io.BytesIO()
    Image.fromarray(draw(figure)).save(png, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".png"), png.getvalue())
    if as_svg:
        figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None})
        write_atomically(path.with_suffix(".svg"), svg.getvalue())
    return png.getvalue()


def draw(figure: Figure) -> NDArray[np.uint8]:
    """Return `figure` as an image, uint8 (H, W, 3)."""
    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings(action="ignore"):  # of a name in letters that no font here has
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
