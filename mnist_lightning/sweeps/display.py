"""What a sweep shows while it runs: a live line for each job on a terminal, else a line when one ends."""

import re
import time
from collections.abc import Mapping
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from mnist_lightning.terminal.console import CONSOLE, clock, reached, say

REPORT = re.compile(r"^ *(\d+)/(\d+)  .*?(?:step (\d+)/(\d+))?$", re.MULTILINE)  # a line of terminal.epochs


class Board(Progress):
    """The lines of a sweep of `total` jobs."""

    def __init__(self, total: int) -> None:
        super().__init__(
            TextColumn("{task.description}", table_column=Column(overflow="ellipsis")),  # gives way to the numbers
            BarColumn(bar_width=None, table_column=Column(ratio=1)), TextColumn("{task.fields[said]}"),
            console=CONSOLE, auto_refresh=False, transient=True, disable=not CONSOLE.is_terminal, expand=True,
        )  # fmt: skip
        self.all = self.add_task("all jobs", total=total, said=f"0 of {total}")
        self.lines: dict[str, TaskID] = {}
        self.begun, self.jobs_done = time.monotonic(), 0

    def show(self, name: str, output: str, results: Mapping[str, Any] | None) -> None:
        """Take note of how far a job is: `output` is the end of what it printed."""
        if name not in self.lines:
            self.lines[name] = self.add_task(name, total=1, said="")
        part, shown = 0.0, "starting"
        if reports := REPORT.findall(output):
            epoch, epochs, step, steps = (int(number or 0) for number in reports[-1])
            part, shown = (epoch - 1 + step / steps if steps else epoch) / epochs, f"epoch {epoch}/{epochs}"
        self.update(self.lines[name], completed=part, said="  ".join(filter(None, [shown, reached(results)])))
        self.show_all()

    def show_all(self) -> None:
        """Show how many jobs are done, and how long the others take at the pace of all that has been done."""
        done, total = self.jobs_done, self.tasks[0].total or 0
        parts = sum(task.completed for task in self.tasks[1:])
        pace = (time.monotonic() - self.begun) / (done + parts) if done + parts else 0
        left = f", {clock(pace * (total - done - parts))} left" if pace else ""
        self.update(self.all, completed=done + parts, said=f"{done} of {total:.0f}{left}")

    def ended(self, name: str, status: str, results: Mapping[str, Any], seconds: float) -> None:
        """Say how a job ended, above the live lines."""
        self.jobs_done += 1
        done, total = str(self.jobs_done), f"{self.tasks[0].total:.0f}"
        if name in self.lines:
            self.remove_task(self.lines.pop(name))
        self.show_all()
        parts = [f"{done.rjust(len(total))}/{total}", name, status, reached(results), f"{seconds:.1f} s"]
        say("  ".join(filter(None, parts)), None if status in ("finished", "pruned") else "red")
        self.refresh()
