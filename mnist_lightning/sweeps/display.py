"""What a sweep shows while it runs: a live line for each job on a terminal, else a line when one ends."""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from mnist_lightning.terminal.console import CONSOLE, say

PROGRESS = re.compile(r"epoch +(\d+)/(\d+)(?:  step (\d+)/(\d+))?")  # as callbacks.Recorder reports it


class Board:
    """The lines of a sweep of `total` jobs."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.lines: dict[str, tuple[float, str, str, str]] = {}  # job: part done, epoch, accuracy, time
        self.live = Live(console=CONSOLE, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if CONSOLE.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.live.stop()

    def show(self, name: str, output: str, results: Mapping[str, Any] | None, seconds: float) -> None:
        """Take note of how far a job is: `output` is the end of what it printed."""
        self.lines[name] = (*progress(output), accuracy(results), f"{seconds:.0f} s")

    def refresh(self) -> None:
        """Draw the lines."""
        if not CONSOLE.is_terminal:
            return
        table = Table.grid(padding=(0, 2))
        width = max(6, min(24, CONSOLE.width - 75))
        for name, (part, epoch, reached, seconds) in self.lines.items():
            table.add_row(
                name,
                ProgressBar(total=1, completed=part, width=width, complete_style="cyan", finished_style="green"),
                epoch,
                reached,
                seconds,
            )
        table.add_row(f"{self.done} of {self.total} done")
        self.live.update(table, refresh=True)

    def ended(self, name: str, status: str, results: Mapping[str, Any], seconds: float) -> None:
        """Say how a job ended, above the live lines."""
        self.done += 1
        self.lines.pop(name, None)
        parts = [
            f"{self.done:>{len(str(self.total))}}/{self.total}",
            name,
            status,
            accuracy(results),
            f"{seconds:.1f} s",
        ]
        style = None if status in ("finished", "pruned") else "red"
        say("  ".join(filter(None, parts)), style)
        self.refresh()


def progress(output: str) -> tuple[float, str]:
    """Return from the end of a job's output the part of it that is done, 0 to 1, and its epoch as a text."""
    reports = PROGRESS.findall(output)
    if not reports:
        return 0.0, "starting"
    epoch, epochs, step, steps = (int(number or 0) for number in reports[-1])
    part = (epoch - 1 + step / steps) / epochs if steps else epoch / epochs
    return part, f"epoch {epoch}/{epochs}"


def accuracy(results: Mapping[str, Any] | None) -> str:
    """Return the accuracy after the latest epoch, of the held-out images where there are any."""
    epochs = results["epochs"] if results else []
    for stage in ("val", "test"):
        if epochs and epochs[-1].get(f"{stage}_accuracy") is not None:
            return f"{stage} accuracy {epochs[-1][f'{stage}_accuracy']:.2%}"
    return ""
