"""The table of experiments: which was better, and how sure that is."""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_lightning.runs.errors import UsageError, printable
from mnist_lightning.runs.experiment import short_names
from mnist_lightning.runs.files import leads_nowhere, read_end
from mnist_lightning.sweeps.found_runs import FoundRuns

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Leaderboard:
    """What was found, with a row for each experiment: runs that differ in nothing but the seed share it.

    Rows are ranked by a `metric` of results.json; less of it is better where it is a loss or counts errors.
    """

    found: FoundRuns
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        known = [name.partition("_")[2] for name in self.found.runs if name.startswith(("val_", "test_"))]
        if self.metric not in known:
            there_are = ", ".join(dict.fromkeys(known))
            raise UsageError(f"metric={self.metric}: was measured in none of these runs. There are: {there_are}")
        self.scale, self.digits = as_read(self.metric)
        self.unit = " %" if self.scale > 1 else ""

    @cached_property
    def finished(self) -> "pd.DataFrame":
        """The finished runs, one for each seed: the same seed twice is no further evidence."""
        runs = self.found.runs
        measured = runs[[name for name in runs if name in (f"val_{self.metric}", f"test_{self.metric}")]]
        runs = runs[(runs["status"] == "finished") & measured.notna().any(axis="columns")]
        newest = runs.sort_values("started", kind="stable").drop_duplicates(["experiment", "seed"], keep="last")
        return newest.sort_values("seed", kind="stable")

    @cached_property
    def stages(self) -> list[str]:
        """The images of which the metric is shown. The first rank the rows: "val", where every finished run has it."""
        held_out = self.finished.get(f"val_{self.metric}")
        has_held_out = held_out is not None and len(held_out) > 0 and bool(held_out.notna().all())
        has_test = f"test_{self.metric}" in self.finished
        return [*(["val"] if has_held_out else []), *(["test"] if has_test or not has_held_out else [])]

    @cached_property
    def rows(self) -> "pd.DataFrame":
        """The experiments, best first within each data set; those without a finished run have no rank."""
        names = [(stage, *moment) for stage in self.stages for moment in (("mean", "mean"), ("sd", "std"))]
        moments = {self.column(stage, name): (self.column(stage), moment) for stage, name, moment in names}
        finished = self.finished.groupby("experiment").agg(
            n=("seed", "size"), seeds=("seed", joined), seconds=("seconds", "mean"), run=("directory", "first"),
            values=(self.column(self.stages[0]), lambda values: list(self.scale * values)), **moments,
        )  # fmt: skip
        rows = self.found.runs.groupby("experiment").agg(
            dataset=("dataset", "first"), status=("status", counted), first=("directory", "first"),
            runs=("directory", joined), count=("directory", "size"),
            recipe=("experiment_name", lambda names: joined(names.dropna().unique())),
        )  # fmt: skip
        rows = rows.join(finished)
        rows["run"] = rows["run"].fillna(rows.pop("first"))
        mean = self.column(self.stages[0], "mean")
        rows = rows.sort_values(["dataset", mean, "run"], ascending=[True, is_cost(self.metric), True])
        rows["rank"] = rows.groupby("dataset")[mean].rank(method="first", ascending=is_cost(self.metric))
        return rows.fillna({"n": 0}).astype({"rank": "Int64", "n": int})

    def column(self, stage: str, moment: str = "") -> str:
        return "_".join(filter(None, (stage, self.metric, moment)))

    @property
    def ranked(self) -> "pd.DataFrame":
        return self.rows.dropna(subset="rank")

    @property
    def notes(self) -> list[str]:
        """How the rows are ranked, what that is worth, and how sure it is that the first is better than the second."""
        experiments = self.ranked["dataset"].value_counts()
        if experiments.empty:
            return ["No run has finished yet."]
        notes = []
        if len(experiments) > 1:
            notes.append("Results on different data sets can't be compared: the rows are ranked within each data set.")
        if self.stages[0] == "val":
            notes.append(f"Ranked by the {self.metric} on held-out images; the test set chose nothing.")
        elif experiments.max() == 1:
            only = "with one finished experiment nothing was chosen by it"
            notes.append(f"{self.metric.capitalize()} on the test set; {only}.")
        else:
            held_out = self.finished.get(self.column("val"))
            which = "no" if held_out is None or held_out.isna().all() else "not every"
            notes.append(
                f"Ranked by TEST {self.metric}, because {which} run has held-out images: the first row was chosen by "
                "the test set, and looks better than it is. To choose fairly, hold images out: data.val_size=N."
            )
        for dataset, rows in self.ranked.groupby("dataset"):
            if len(rows) > 1:
                columns = [self.column(self.stages[0], "mean"), self.column(self.stages[0], "sd"), "n"]
                first, second = rows[columns].head(2).itertuples(index=False, name=None)
                which = f"On {dataset}, the first" if len(experiments) > 1 else "The first"
                notes.append(f"{which} is {lead(first, second, self.metric)}")
        return notes

    @property
    def remarks(self) -> list[str]:
        """A line for each run without a result, each job that has not been run yet, and what can't be read."""
        is_unfinished = ~self.found.runs["status"].isin(["finished", "pruned"])
        ended = self.found.runs.loc[is_unfinished, ["directory", "status", "error"]].itertuples(index=False, name=None)
        lines = [": ".join(filter(None, run)) for run in ended]
        why = {True: "a link that leads nowhere", False: "not run yet"}
        waiting = [f"{directory}: {why[leads_nowhere(directory)]}" for directory in self.found.waiting]
        return [*lines, *waiting, *self.found.skipped]

    @property
    def logs(self) -> list[str]:
        """The end of the log of each run that failed or was killed."""
        failed = self.found.runs.loc[self.found.runs["status"].isin(["failed", "killed"]), "directory"]
        return [end for directory in failed if (end := log_end(Path(directory)))]

    def settings(self, digits: int = 4) -> "pd.DataFrame":
        """Return the settings of each row as texts, by their short names."""
        texts = self.found.settings.loc[self.rows.index].map(shown, digits=digits)
        texts[self.rows["dataset"].isna()] = "?"  # it ended before its configuration was written
        return texts.rename(columns=short_names(texts)).rename(columns=printable)

    def labels(self) -> "pd.Series":
        """Return the settings of each row in one text: "lr=0.1, momentum=0.5"."""
        rows = (row[row != "–"].items() for _, row in self.settings().iterrows())
        return self.rows.assign(settings=[", ".join(map("=".join, row)) for row in rows])["settings"]

    def cells(self) -> "pd.DataFrame":
        """Return the table as texts: rank, recipe, settings, the metric, status, seconds, where the runs are."""
        import pandas as pd

        rows = self.rows
        has_seeds = rows["n"].max() > 1
        measured = pd.DataFrame(index=rows.index)
        for stage in self.stages:
            columns = [self.column(stage, "mean"), self.column(stage, "sd"), "n"]
            moments = rows[columns].itertuples(index=False, name=None)
            texts = [spread(self.scale * mean, self.scale * sd, n, has_seeds, self.digits) for mean, sd, n in moments]
            measured[f"{stage} {self.metric}{self.unit}"] = texts
        measured["status"] = rows["status"]
        measured["seconds"] = rows["seconds"].map("{:.1f}".format, "ignore")
        others = rows["count"].sub(1).map(lambda more: f" and {more} more" * (more > 0))
        measured["first run" if others.any() else "run"] = rows["run"] + others
        recipes = rows[["recipe"]].set_axis(["experiment"], axis="columns") if rows["recipe"].any() else None
        cells = pd.concat([rows["rank"], recipes, self.settings(), measured], axis="columns").astype(object)
        return cells.map(lambda cell: printable(str(cell))).where(cells.notna(), "")

    def markdown(self) -> str:
        """Return the table, how it is ranked, and the runs without a result."""
        cells = self.cells().replace(r"\|", r"\|", regex=True)
        alignment = ["---:" if self.is_number(name) else ":---" for name in cells]
        lines = [f"| {' | '.join(line)} |" for line in (cells, alignment, *cells.itertuples(index=False))]
        remarks = ["", *(f"- {line}" for line in self.remarks)] if self.remarks else []
        return "\n".join(["# Leaderboard", "", *lines, "", "\n\n".join(self.notes), *remarks, ""])

    def csv(self) -> str:
        """Return one line a row, with plain numbers: accuracies are fractions, times seconds."""
        import pandas as pd

        measured = self.rows.filter(like=f"_{self.metric}_").round(6)
        rest = self.rows[["n", "seeds", "status", "seconds", "runs"]].round({"seconds": 3})
        settings = self.settings(digits=15).set_axis(self.found.settings.columns, axis="columns")
        table = pd.concat([self.rows["rank"], settings, measured, rest], axis="columns")
        return table.to_csv(index=False, lineterminator="\n")

    def grid(self) -> "pd.DataFrame | None":
        """Return the means where two settings were varied against each other on one data set, accuracies in percent."""
        rows, values = self.ranked, self.found.settings
        if values.shape[1] != 2 or rows["dataset"].nunique() > 1:
            return None
        down, across = ([shown(value, 15) for value in in_order(values.loc[rows.index, key])] for key in values)
        texts = self.settings(digits=15).loc[rows.index]
        means = self.scale * rows[self.column(self.stages[0], "mean")]
        grid = means.groupby([column for _, column in texts.items()]).mean().unstack()
        grid = grid.reindex(index=down, columns=across)
        return grid if min(grid.shape) > 1 and grid.size == len(rows) and grid.notna().all(axis=None) else None

    def is_number(self, column: str) -> bool:
        return column in ("rank", "seconds") or column.endswith(f" {self.metric}{self.unit}")


def is_cost(metric: str) -> bool:
    """Return whether less of a metric is better."""
    return "loss" in metric or "error" in metric


def as_read(metric: str) -> tuple[int, int]:
    """Return the factor by which a metric is shown, 100 for percent, and its number of decimals."""
    return {"accuracy": (100, 2), "errors": (1, 1)}.get(metric, (1, 4))


def rounded(number: float, digits: int) -> str:
    return f"{number:.{digits}f}".removesuffix(".0")  # of a count


def lead(first: tuple[float, float, int], second: tuple[float, float, int], metric: str = "accuracy") -> str:
    """Return how far the first of two experiments is ahead; each is given as mean, sd and n of the metric."""
    from scipy.stats import ttest_ind_from_stats

    scale, digits = as_read(metric)
    difference = rounded(scale * (first[0] - second[0]) * (-1 if is_cost(metric) else 1), digits)
    points = " points" if scale > 1 else ""
    if min(first[2], second[2]) < 2:
        told = f"{difference}{points} ahead" if first[0] != second[0] else "as good as the second"
        return f"{told}; more seeds would show whether that is chance: -m seed=0,1,2"
    error = scale * math.hypot(*(sd / math.sqrt(n) for _, sd, n in (first, second)))
    if not error:
        return f"{difference}{points} ahead; the seeds of each do not differ, so there is nothing to test."
    chance = ttest_ind_from_stats(*first, *second, equal_var=False).pvalue
    sure = "more than chance" if chance < 0.05 else "that may be chance; more seeds would tell"
    how = f"difference of means ± its standard error; Welch's t-test, p = {chance:.2g}"
    return f"{difference} ± {rounded(error, digits)}{points} ahead ({how}): {sure}."


def spread(mean: float, deviation: float, count: int, with_count: bool, digits: int) -> str:
    """Return mean ± sd (n), without the sd of a single value."""
    sd = f"± {rounded(deviation, digits)}" if count > 1 else ""
    parts = [rounded(mean, digits), sd, f"({count})" if with_count else ""]
    return " ".join(filter(None, parts)) if count else ""


def joined(values: Iterable[Any]) -> str:
    return " ".join(map(str, values))


def counted(statuses: "pd.Series") -> str:
    """Return "finished", or where they differ "1 failed, 2 finished"."""
    counts = statuses.value_counts(sort=False)
    return ", ".join(f"{count} {status}" for status, count in counts.items()) if len(counts) > 1 else counts.index[0]


def log_end(directory: Path, lines: int = 12) -> str:
    """Return where the log of a run is, and its last lines; nothing where there is none."""
    log = directory / "train.log"
    with suppress(FileNotFoundError, UsageError):
        end = [line for line in read_end(log, most=10_000).split("\n") if line.strip()]
        return "\n    ".join([f"{log} ends:", *end[-lines:]])
    return ""


def shown(value: Any, digits: int = 4) -> str:
    """Return a setting as it is typed; one that a run does not have is –."""
    if isinstance(value, tuple):
        return "[" + ",".join(shown(one, digits) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return "–" if value is None else printable(str(value))


def in_order(values: "pd.Series") -> list[Any]:
    """Return the distinct values in order; as texts where they can't be compared."""
    try:
        return sorted(set(values))
    except TypeError:
        return sorted(set(values), key=str)
