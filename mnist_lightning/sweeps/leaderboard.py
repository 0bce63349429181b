"""The table of many runs: which experiment was better, and how sure that is."""

import csv
import io
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.experiment import experiment, fingerprint, short_names, varied
from mnist_lightning.runs.run import is_in_use, read_results
from mnist_lightning.sweeps.sweep import SWEEP_FILE, Job, Sweep


@dataclass
class FoundRun:
    """A run directory: what results.json and config.yaml say, and what became of it."""

    directory: Path
    results: dict[str, Any]
    settings: dict[str, Any]  # flat, without the seed
    status: str  # of results.json; "killed" where it says "running" and nothing runs; "pruned"

    @property
    def is_finished(self) -> bool:
        return self.status == "finished" and bool(self.results.get("test"))

    def accuracy(self, stage: str) -> float | None:
        """Return the final accuracy in percent on "val" or "test"; None where it was not measured."""
        result = self.results.get(stage)
        return 100 * result["accuracy"] if result else None


@dataclass
class Row:
    """The runs of one experiment: they differ in nothing but the seed."""

    settings: dict[str, Any]
    runs: list[FoundRun] = field(default_factory=list)

    @property
    def finished(self) -> list[FoundRun]:
        """The finished runs, one a seed: the same seed twice is no further evidence."""
        by_seed = {run.results.get("seed"): run for run in sorted(self.runs, key=lambda r: r.results.get("started", ""))
                   if run.is_finished}  # fmt: skip
        return [by_seed[seed] for seed in sorted(by_seed, key=str)]

    def accuracies(self, stage: str) -> list[float]:
        return [value for run in self.finished if (value := run.accuracy(stage)) is not None]

    @property
    def status(self) -> str:
        counts = {
            status: sum(run.status == status for run in self.runs) for status in (run.status for run in self.runs)
        }
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{count} {status}" for status, count in counts.items())

    @property
    def seconds(self) -> float | None:
        times = [run.results["total_seconds"] for run in self.finished]
        return statistics.mean(times) if times else None


class Leaderboard:
    """The rows of a table, best first.

    Args:
        runs: of any number of sweeps and single runs.
        waiting: directories of jobs that have not been run yet.
    """

    def __init__(self, runs: Sequence[FoundRun], waiting: Sequence[Path] = ()) -> None:
        self.runs = list(runs)
        self.waiting = list(waiting)
        rows: dict[str, Row] = {}
        for run in self.runs:
            same = fingerprint(run.settings) if run.settings else str(run.directory)
            rows.setdefault(same, Row(run.settings)).runs.append(run)
        finished = [run for run in self.runs if run.is_finished]
        self.stage = "val" if finished and all(run.results.get("val") for run in finished) else "test"
        self.rows = sorted(rows.values(), key=self._order)

    def _order(self, row: Row) -> tuple[bool, str, float, str]:
        accuracies = row.accuracies(self.stage)
        best = -statistics.mean(accuracies) if accuracies else math.inf
        return (
            not row.settings,
            str(row.settings.get("data.dataset")),
            best,
            str(min(run.directory for run in row.runs)),
        )

    @cached_property
    def ranks(self) -> list[int | None]:
        """The rank of each row among the finished ones of its data set, from 1."""
        seen: Counter[Any] = Counter()
        ranks: list[int | None] = []
        for row in self.rows:
            seen[row.settings.get("data.dataset")] += bool(row.finished)
            ranks.append(seen[row.settings.get("data.dataset")] if row.finished else None)
        return ranks

    @cached_property
    def columns(self) -> dict[str, str]:
        """The varied settings, {dotted name: name of the column}."""
        return short_names(varied([row.settings for row in self.rows if row.settings]))

    @property
    def stages(self) -> list[str]:
        return ["val", "test"] if self.stage == "val" else ["test"]

    @property
    def unfinished(self) -> list[FoundRun]:
        return [run for run in self.runs if run.status not in ("finished", "pruned")]

    @property
    def note(self) -> str:
        """How the rows are ranked, and what that is worth."""
        if len({row.settings.get("data.dataset") for row in self.rows if row.finished}) > 1:
            return "Accuracies on different data sets do not compare: the rows are ranked within each."
        if self.stage == "val":
            return "Ranked by the accuracy on held-out images; the test set chose nothing."
        if not any(row.finished for row in self.rows):
            return "No run has finished yet."
        if len(self.rows) < 2:
            return "Accuracy on the test set; with one experiment nothing was chosen by it."
        return (
            "Ranked by TEST accuracy, for want of held-out images in every run: the first row was chosen by the test "
            "set, so its accuracy is too good. To choose, hold images out: data.val_size=N."
        )

    @property
    def verdict(self) -> str:
        """How sure it is that the first row is better than the second."""
        ranked = [row for row in self.rows if row.accuracies(self.stage)]
        if len(ranked) < 2 or ranked[0].settings.get("data.dataset") != ranked[1].settings.get("data.dataset"):
            return ""
        first, second = (row.accuracies(self.stage) for row in ranked[:2])
        ahead = statistics.mean(first) - statistics.mean(second)
        if len(first) < 2 or len(second) < 2:
            return f"The first is {ahead:.2f} points ahead; whether by chance, more seeds would say: seed=0,1,2."
        error, chance = welch(first, second)
        sure = "more than chance" if chance < 0.05 else "that may be chance: more seeds would say"
        return (
            f"The first is {ahead:.2f} ± {error:.2f} points ahead (difference of means ± its standard error; "
            f"Welch's t-test, p = {chance:.2g}): {sure}."
        )

    @property
    def header(self) -> list[str]:
        return ["", *self.columns.values(), *(f"{stage} accuracy %" for stage in self.stages), "status", "seconds"]

    def cells(self) -> list[list[str]]:
        """Return the table as texts, a list for each row."""
        folded = any(len(row.finished) > 1 for row in self.rows)
        return [
            [
                str(rank or ""),
                *(shown(row.settings.get(key)) if row.settings else "?" for key in self.columns),
                *(spread(row.accuracies(stage), with_count=folded) for stage in self.stages),
                row.status,
                "" if row.seconds is None else f"{row.seconds:.1f}",
            ]
            for rank, row in zip(self.ranks, self.rows, strict=True)
        ]

    def text(self) -> str:
        """Return the table with its columns aligned: texts to the left, numbers to the right."""
        lines = [self.header, *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        left = {*self.columns.values(), "status"}
        aligned = [
            [
                cell.ljust(width) if name in left else cell.rjust(width)
                for cell, width, name in zip(line, widths, self.header, strict=True)
            ]
            for line in lines
        ]
        return "\n".join("  ".join(line).rstrip() for line in aligned)

    def markdown(self) -> str:
        """Return the table, how it is ranked, and the runs without a result."""
        header = ["rank", *self.header[1:]]
        alignment = [":---" if name in (*self.columns.values(), "status") else "---:" for name in header]
        lines = [f"| {' | '.join(line)} |" for line in [header, alignment, *map(escaped, self.cells())]]
        return (
            "\n".join(["# Leaderboard", "", *lines, "", self.note, *filter(None, ["", self.verdict]), *self._rest()])
            + "\n"
        )

    def _rest(self) -> list[str]:
        lines = [f"- {run.directory}: {run.status}{reason(run)}" for run in self.unfinished]
        lines += [f"- {directory}: not run yet" for directory in self.waiting]
        return ["", *lines] if lines else []

    def csv(self) -> str:
        """Return one line a row, with plain numbers: accuracies are fractions, times seconds."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        measures = [f"{stage}_accuracy_{what}" for stage in self.stages for what in ("mean", "sd")]
        writer.writerow(["rank", *self.columns, *measures, "n", "seeds", "status", "seconds", "runs"])
        for rank, row in zip(self.ranks, self.rows, strict=True):
            values = [figure for stage in self.stages for figure in moments([a / 100 for a in row.accuracies(stage)])]
            writer.writerow(
                [
                    rank,
                    *(shown(row.settings.get(key)) if row.settings else None for key in self.columns),
                    *(None if value is None else f"{value:.6f}" for value in values),
                    len(row.finished),
                    " ".join(str(run.results.get("seed")) for run in row.finished),
                    row.status,
                    None if row.seconds is None else f"{row.seconds:.3f}",
                    " ".join(str(run.directory) for run in row.runs),
                ]
            )
        return text.getvalue()

    def grid(self) -> tuple[list[Any], list[Any], list[list[float]]] | None:
        """Return values across, values down and mean accuracies where two settings were varied against each other."""
        if len(self.columns) != 2:
            return None
        ranked = [row for row in self.rows if row.accuracies(self.stage)]
        down, across = (sorted({row.settings[key] for row in ranked}, key=sortable) for key in self.columns)
        means = {
            tuple(row.settings[k] for k in self.columns): statistics.mean(row.accuracies(self.stage)) for row in ranked
        }
        if min(len(down), len(across)) < 2 or len(means) < len(down) * len(across):
            return None
        return across, down, [[means[y, x] for x in across] for y in down]


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the standard error of the difference of two means, and how likely chance alone makes one as large.

    The two-sided t-test of samples of unequal variance: Welch 1947. Each has at least two values.
    """
    from scipy.special import stdtr

    parts = [statistics.variance(values) / len(values) for values in (first, second)]
    error, ahead = math.sqrt(sum(parts)), abs(statistics.mean(first) - statistics.mean(second))
    if not error:
        return 0.0, 0.0 if ahead else 1.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)
    )
    return error, float(2 * stdtr(freedom, -ahead / error))


def find(places: Iterable[Path]) -> Leaderboard:
    """Read all runs below `places`.

    Raises:
        UsageError: there is none, or one is damaged.
    """
    runs: dict[Path, FoundRun] = {}
    jobs: dict[Path, Job] = {}
    for place in (place.parent.parent if place.suffix == ".ckpt" else place for place in places):
        if not place.exists():
            raise UsageError(f"{place} does not exist: name folders that hold runs")
        for file in sorted(place.rglob(SWEEP_FILE)):
            jobs |= {job.directory.resolve(): job for job in Sweep.open(file.parent).jobs}
        for file in sorted(place.rglob("results.json")):
            job = jobs.get(file.parent.resolve())
            try:
                runs[file.parent.resolve()] = read_run(file.parent, job is not None and job.pruned)
            except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
                why = " ".join(str(error).split())
                raise UsageError(f"{file.parent} can't be compared, its files are damaged: {why}") from error
    waiting = [job.directory for directory, job in jobs.items() if directory not in runs]
    if not runs and not waiting:
        raise UsageError(f"{', '.join(map(str, places))}: no run in there, that is no folder with a results.json")
    return Leaderboard(list(runs.values()), waiting)


def read_run(directory: Path, is_pruned: bool = False) -> FoundRun:
    """Read a run directory; any error means that one of its files is damaged."""
    results = read_results(directory)
    measured = [results[stage]["accuracy"] for stage in ("val", "test") if results.get(stage)]
    times = [results["total_seconds"]] if measured else []
    if not all(isinstance(value, int | float) for value in [*measured, *times]):
        raise TypeError("accuracies and times must be numbers")
    path = directory / "config.yaml"
    config = yaml.safe_load(path.read_text()) if path.exists() else {}  # it may end before it writes one
    if not isinstance(config, dict):
        raise TypeError("config.yaml holds no settings")
    status = results["status"]
    if status == "running" and not is_in_use(directory):
        status = "killed"
    if is_pruned and status != "finished":
        status = "pruned"
    return FoundRun(directory, results, experiment(config), status)


def moments(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation; the latter takes two values."""
    return (statistics.mean(values) if values else None, statistics.stdev(values) if len(values) > 1 else None)


def spread(percents: Sequence[float], with_count: bool = True) -> str:
    """Return mean ± sd (n)."""
    mean, deviation = moments(percents)
    if mean is None:
        return ""
    count = f" ({len(percents)})" if with_count else ""
    return f"{mean:.2f}{count}" if deviation is None else f"{mean:.2f} ± {deviation:.2f}{count}"


def shown(value: Any) -> str:
    """Return a setting as a cell of the table; one that a run has not is –."""
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def sortable(value: Any) -> tuple[bool, Any, str]:
    return (not isinstance(value, int | float), value if isinstance(value, int | float) else 0, str(value))


def escaped(cells: Iterable[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in cells]


def reason(run: FoundRun) -> str:
    return f": {run.results['error']}" if run.results.get("error") else ""
