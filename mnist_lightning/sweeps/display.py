"""What a sweep shows while it runs: a live line for each job on a terminal, else a line when one ends."""

import re
from collections.abc import Mapping
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mnist_lightning.terminal.console import CONSOLE, say

REPORT = re.compile(r"epoch +(\d+)/(\d+)(?:  step (\d+)/(\d+))?")  # as training.recorder says it


class Board(Progress):
    """The lines of a sweep of `total` jobs."""

    def __init__(self, total: int) -> None:
        super().__init__(
            TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[epoch]}"),
            TextColumn("{task.fields[reached]}"), TimeElapsedColumn(),
            console=CONSOLE, auto_refresh=False, transient=True, disable=not CONSOLE.is_terminal,
        )  # fmt: skip
        self.all = self.add_task("all jobs", total=total, epoch=f"0 of {total} done", reached="")
        self.lines: dict[str, TaskID] = {}

    def show(self, name: str, output: str, results: Mapping[str, Any] | None) -> None:
        """Take note of how far a job is: `output` is the end of what it printed."""
        if name not in self.lines:
            self.lines[name] = self.add_task(name, total=1, epoch="", reached="")
        part, shown = 0.0, "starting"
        if reports := REPORT.findall(output):
            epoch, epochs, step, steps = (int(number or 0) for number in reports[-1])
            part, shown = (epoch - 1 + step / steps if steps else epoch) / epochs, f"epoch {epoch}/{epochs}"
        self.update(self.lines[name], completed=part, epoch=shown, reached=accuracy(results))

    def ended(self, name: str, status: str, results: Mapping[str, Any], seconds: float) -> None:
        """Say how a job ended, above the live lines."""
        self.advance(self.all)
        done, total = f"{self.tasks[0].completed:.0f}", f"{self.tasks[0].total:.0f}"
        self.update(self.all, epoch=f"{done} of {total} done")
        if name in self.lines:
            self.remove_task(self.lines.pop(name))
        parts = [f"{done.rjust(len(total))}/{total}", name, status, accuracy(results), f"{seconds:.1f} s"]
        say("  ".join(filter(None, parts)), None if status in ("finished", "pruned") else "red")
        self.refresh()


def accuracy(results: Mapping[str, Any] | None) -> str:
    """Return the accuracy after the latest epoch, of the held-out images where there are any."""
    latest = results["epochs"][-1] if results and results["epochs"] else {}
    for stage in ("val", "test"):
        if latest.get(f"{stage}_accuracy") is not None:
            return f"{stage} accuracy {latest[f'{stage}_accuracy']:.2%}"
    return ""
