"""The table of experiments: which was better, and how sure that is."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.experiment import short_names
from mnist_lightning.runs.files import read_end
from mnist_lightning.sweeps.found_runs import FoundRuns

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Leaderboard:
    """What was found, with a row for each experiment: runs that differ in nothing but the seed share it."""

    found: FoundRuns

    @cached_property
    def finished(self) -> "pd.DataFrame":
        """The finished runs, one for each seed: the same seed twice is no further evidence."""
        runs = self.found.runs
        runs = runs[(runs["status"] == "finished") & runs["test_accuracy"].notna()]
        newest = runs.sort_values("started", kind="stable").drop_duplicates(["experiment", "seed"], keep="last")
        return newest.sort_values("seed", kind="stable")

    @cached_property
    def stages(self) -> list[str]:
        """The images of which accuracies are shown. The first rank the rows: "val", where every finished run has it."""
        accuracies = self.finished["val_accuracy"]
        return ["val", "test"] if len(accuracies) and accuracies.notna().all() else ["test"]

    @cached_property
    def rows(self) -> "pd.DataFrame":
        """The experiments, best first within each data set; those without a finished run have no rank."""
        names = [(stage, *moment) for stage in self.stages for moment in (("mean", "mean"), ("sd", "std"))]
        moments = {f"{stage}_accuracy_{name}": (f"{stage}_accuracy", moment) for stage, name, moment in names}
        finished = self.finished.groupby("experiment").agg(
            n=("seed", "size"), seeds=("seed", joined), seconds=("seconds", "mean"), run=("directory", "first"),
            percents=(f"{self.stages[0]}_accuracy", lambda fractions: list(100 * fractions)), **moments,
        )  # fmt: skip
        rows = self.found.runs.groupby("experiment").agg(
            dataset=("dataset", "first"), status=("status", counted), first=("directory", "first"),
            runs=("directory", joined),
        )  # fmt: skip
        rows = rows.join(finished)
        rows["run"] = rows["run"].fillna(rows.pop("first"))
        mean = f"{self.stages[0]}_accuracy_mean"
        rows = rows.sort_values(["dataset", mean, "run"], ascending=[True, False, True])
        rows["rank"] = rows.groupby("dataset")[mean].rank(method="first", ascending=False)
        return rows.fillna({"n": 0}).astype({"rank": "Int64", "n": int})

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
            notes.append("Accuracies on different data sets do not compare: the rows are ranked within each.")
        if self.stages[0] == "val":
            notes.append("Ranked by the accuracy on held-out images; the test set chose nothing.")
        elif experiments.max() == 1:
            notes.append("Accuracy on the test set; with one finished experiment nothing was chosen by it.")
        else:
            notes.append(
                "Ranked by TEST accuracy, for want of held-out images in every run: the first row was chosen by the "
                "test set, so its accuracy is too good. To choose, hold images out: data.val_size=N."
            )
        for dataset, rows in self.ranked.groupby("dataset"):
            if len(rows) > 1:
                columns = [f"{self.stages[0]}_accuracy_mean", f"{self.stages[0]}_accuracy_sd", "n"]
                first, second = rows[columns].head(2).itertuples(index=False, name=None)
                which = f"On {dataset}, the first" if len(experiments) > 1 else "The first"
                notes.append(f"{which} is {lead(first, second)}")
        return notes

    @property
    def remarks(self) -> list[str]:
        """A line for each run without a result, each job that has not been run yet, and what can't be read."""
        is_unfinished = ~self.found.runs["status"].isin(["finished", "pruned"])
        ended = self.found.runs.loc[is_unfinished, ["directory", "status", "error"]].itertuples(index=False, name=None)
        lines = [": ".join(filter(None, run)) + log_end(Path(run[0]), run[1]) for run in ended]
        return [*lines, *(f"{directory}: not run yet" for directory in self.found.waiting), *self.found.skipped]

    def settings(self, digits: int = 4) -> "pd.DataFrame":
        """Return the settings of each row as texts, by their short names."""
        texts = self.found.settings.loc[self.rows.index].map(shown, digits=digits)
        texts[self.rows["dataset"].isna()] = "?"  # it ended before its configuration was written
        return texts.rename(columns=short_names(texts))

    def labels(self) -> "pd.Series":
        """Return the settings of each row in one text: "lr=0.1, momentum=0.5"."""
        rows = (row[row != "–"].items() for _, row in self.settings().iterrows())
        return self.rows.assign(settings=[", ".join(map("=".join, row)) for row in rows])["settings"]

    def cells(self) -> "pd.DataFrame":
        """Return the table as texts: rank, settings, accuracies, status, seconds, directory of the first run."""
        import pandas as pd

        rows = self.rows
        has_seeds = rows["n"].max() > 1
        measured = pd.DataFrame(index=rows.index)
        for stage in self.stages:
            moments = rows[[f"{stage}_accuracy_mean", f"{stage}_accuracy_sd", "n"]].itertuples(index=False, name=None)
            measured[f"{stage} accuracy %"] = [spread(mean, sd, n, has_seeds) for mean, sd, n in moments]
        measured["status"] = rows["status"]
        measured["seconds"] = rows["seconds"].map("{:.1f}".format, "ignore")
        measured["first run" if has_seeds else "run"] = rows["run"]
        cells = pd.concat([rows["rank"], self.settings(), measured], axis="columns").astype(object)
        return cells.map(str).where(cells.notna(), "")

    def markdown(self) -> str:
        """Return the table, how it is ranked, and the runs without a result."""
        cells = self.cells().replace(r"\|", r"\|", regex=True)
        alignment = ["---:" if is_number(name) else ":---" for name in cells]
        lines = [f"| {' | '.join(line)} |" for line in (cells, alignment, *cells.itertuples(index=False))]
        remarks = ["", *(f"- {line}" for line in self.remarks)] if self.remarks else []
        return "\n".join(["# Leaderboard", "", *lines, "", "\n\n".join(self.notes), *remarks, ""])

    def csv(self) -> str:
        """Return one line a row, with plain numbers: accuracies are fractions, times seconds."""
        import pandas as pd

        accuracies = self.rows.filter(like="_accuracy_").round(6)
        rest = self.rows[["n", "seeds", "status", "seconds", "runs"]].round({"seconds": 3})
        settings = self.settings(digits=15).set_axis(self.found.settings.columns, axis="columns")
        table = pd.concat([self.rows["rank"], settings, accuracies, rest], axis="columns")
        return table.to_csv(index=False, lineterminator="\n")

    def grid(self) -> "pd.DataFrame | None":
        """Return the mean accuracies in percent where two settings were varied against each other on one data set."""
        rows, values = self.ranked, self.found.settings
        if values.shape[1] != 2 or rows["dataset"].nunique() > 1:
            return None
        down, across = ([shown(value, 15) for value in in_order(values.loc[rows.index, key])] for key in values)
        texts = self.settings(digits=15).loc[rows.index]
        texts["accuracy %"] = 100 * rows[f"{self.stages[0]}_accuracy_mean"]
        grid = texts.pivot_table("accuracy %", *texts.columns[:2]).reindex(index=down, columns=across)
        return grid if min(grid.shape) > 1 and grid.size == len(rows) and grid.notna().all(axis=None) else None


def lead(first: tuple[float, float, int], second: tuple[float, float, int]) -> str:
    """Return how far the first of two experiments is ahead; each is given as mean, sd and n of its accuracies."""
    from scipy.stats import ttest_ind_from_stats

    ahead = 100 * (first[0] - second[0])
    if min(first[2], second[2]) < 2:
        return f"{ahead:.2f} points ahead; whether by chance, more seeds would say: seed=0,1,2."
    error = 100 * math.hypot(*(sd / math.sqrt(n) for _, sd, n in (first, second)))
    chance = ttest_ind_from_stats(*first, *second, equal_var=False).pvalue if ahead or error else 1.0
    sure = "more than chance" if chance < 0.05 else "that may be chance: more seeds would say"
    return (
        f"{ahead:.2f} ± {error:.2f} points ahead (difference of means ± its standard error; Welch's t-test, "
        f"p = {chance:.2g}): {sure}."
    )


def spread(mean: float, deviation: float, count: int, with_count: bool) -> str:
    """Return mean ± sd (n) in percent, without the sd of a single value."""
    parts = [f"{100 * mean:.2f}", f"± {100 * deviation:.2f}" if count > 1 else "", f"({count})" if with_count else ""]
    return " ".join(filter(None, parts)) if count else ""


def joined(values: "pd.Series") -> str:
    return " ".join(map(str, values))


def counted(statuses: "pd.Series") -> str:
    """Return "finished", or where they differ "1 failed, 2 finished"."""
    counts = statuses.value_counts(sort=False)
    return ", ".join(f"{count} {status}" for status, count in counts.items()) if len(counts) > 1 else counts.index[0]


def log_end(directory: Path, status: str) -> str:
    """Return on a line of its own where the log of a failed run is, and its last line."""
    log = directory / "train.log"
    if status not in ("failed", "killed") or not log.exists():
        return ""
    try:
        lines = read_end(log, most=10_000).split("\n")
    except UsageError:
        return ""
    return f"\n    {log} ends: {' '.join(next(filter(str.strip, reversed(lines)), '').split())}"


def shown(value: Any, digits: int = 4) -> str:
    """Return a setting as it is typed; one that a run has not is –."""
    if isinstance(value, tuple):
        return "[" + ",".join(shown(one, digits) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return "–" if value is None else str(value)


def in_order(values: "pd.Series") -> list[Any]:
    """Return the different values: numbers, and lists of numbers, by size; what does not compare, as texts do."""
    try:
        return sorted(set(values))
    except TypeError:
        return sorted(set(values), key=str)


def is_number(column: str) -> bool:
    return column in ("rank", "seconds") or column.endswith("accuracy %")
