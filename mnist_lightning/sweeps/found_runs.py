"""All runs below some folders, as a table with a row for each."""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_lightning.runs.earlier import in_todays_words
from mnist_lightning.runs.errors import UsageError, one_line
from mnist_lightning.runs.experiment import experiment, fingerprint, is_class, short_names, varied
from mnist_lightning.runs.files import read_settings, real
from mnist_lightning.runs.run import CONFIG_FILE, directory_of, is_in_use, read_results
from mnist_lightning.sweeps.sweep import SWEEP_FILE, Job, Sweep

if TYPE_CHECKING:  # pandas takes a third of a second: it is imported once there is something to show
    import pandas as pd

ReadRun = tuple[dict[str, Any], dict[str, Any]]  # its row of the table, and its settings
MOST = 200  # characters of a setting's name, and numbers of an evaluation: ours have far fewer
COLUMNS = {
    "directory": str, "name": str, "dataset": object, "seed": "Int64", "status": str, "val_accuracy": float,
    "val_errors": "Int64", "test_accuracy": float, "test_errors": "Int64", "epochs": "Int64", "seconds": float,
    "started": str, "error": str, "experiment_name": object, "experiment": object,
}  # fmt: skip


@dataclass(frozen=True)
class FoundRuns:
    """What was found below some folders.

    Attributes:
        runs: a row for each, with COLUMNS. "status" is that of results.json; or "killed", where that says "running" and
            nothing runs; or "pruned", where a search gave the run up. Runs of the same "experiment", a number, differ
            in nothing but their seeds; "experiment_name" is the file of conf/experiment that was taken. Of whatever
            else was measured there are columns too, as "val_f1".
        settings: a row for each experiment, a column for each setting that was varied, by its dotted name.
        waiting: directories of jobs that have not been run yet.
        skipped: what can't be read, and why.
    """

    runs: "pd.DataFrame"
    settings: "pd.DataFrame"
    waiting: Sequence[Path]
    skipped: Sequence[str]


def load_runs(*places: str | Path) -> "pd.DataFrame":
    """Return all runs below some folders, a row each: COLUMNS, and the settings in which the runs differ.

    Accuracies are fractions. What can't be read is left out with a warning; it is a UsageError if nothing can.
    """
    found = find(map(Path, places))
    for line in found.skipped:
        warnings.warn(line, stacklevel=2)
    settings = found.settings.infer_objects()
    return found.runs.merge(settings, "left", left_on="experiment", right_index=True, suffixes=("", "_setting"))


def find(places: Iterable[Path]) -> FoundRuns:
    """Read all runs below `places`, also behind links, but for the unreadable, and trials by trainer.fast_dev_run."""
    places = [directory_of(place) for place in places]
    seen: set[Path] = set()
    jobs: dict[Path, Job] = {}
    read: dict[Path, ReadRun] = {}
    skipped: list[str] = []
    for folder in [folder for place in places for folder in folders_below(place, seen, skipped)]:
        here = real(folder)
        try:
            if (folder / SWEEP_FILE).exists():
                jobs |= {real(job.directory): job for job in Sweep.read(folder).jobs}
            if (folder / "results.json").exists():
                row, settings = read_run(folder, here in jobs and jobs[here].pruned)
                if not settings.get("trainer.fast_dev_run"):  # which is no more than a trial of the program
                    read[here] = row, settings
        except (UsageError, OSError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            skipped.append(f"{folder} is skipped: {one_line(error)}")
    waiting = [job.directory for job in jobs.values() if not os.path.lexists(job.directory / "results.json")]
    if not read and not waiting:
        why = " that can be read:" if skipped else ": no folder there has a results.json"
        raise UsageError(f"{', '.join(map(str, places))}: there is no run{why}", *skipped)
    return FoundRuns(*tables(with_fixed_order(list(read.values()))), waiting, skipped)


def with_fixed_order(read: Sequence[ReadRun]) -> list[ReadRun]:
    """Let data.seed=0 be a setting in a run with seed=0, too, where other seeds of its experiment have it fixed."""
    seeds: dict[str, set[Any]] = {}
    for row, _ in read:
        seeds.setdefault(row["experiment"], set()).add(row["seed"])
    found = []
    for row, settings in read:
        fixed = settings | {"data.seed": row["seed"]}
        if len(seeds[row["experiment"]]) == 1 and (name := fingerprint(fixed)) in seeds:
            row, settings = row | {"experiment": name}, fixed
        found.append((row, settings))
    return found


def folders_below(place: Path, seen: set[Path], skipped: list[str]) -> Iterator[Path]:
    """Yield a folder and all below it, runs behind links too, but none that is in `seen`, and none above it.

    A line is added to `skipped` for each that can't be read.
    """
    if not place.exists():
        raise UsageError(f"{place} does not exist: name folders that hold runs")
    seen |= {real(place), *real(place).parents}

    def skip(error: OSError) -> None:
        skipped.append(f"{error.filename} is skipped: {error.strerror}")

    for folder, names, _ in os.walk(place, onerror=skip, followlinks=True):
        yield Path(folder)
        below = {real(Path(folder, name)): name for name in sorted(names, reverse=True)}
        names[:] = sorted(name for path, name in below.items() if path not in seen and leads_on(Path(folder, name)))
        seen |= set(below)


def leads_on(folder: Path) -> bool:
    """Return whether runs are looked for below a folder: of links, only in those to runs, or a folder of such."""
    names = [f"{'*/' * depth}{name}" for depth in range(3) for name in ("results.json", SWEEP_FILE)]
    return not folder.is_symlink() or any(any(folder.glob(name)) for name in names)


def read_run(directory: Path, is_pruned: bool = False) -> ReadRun:
    """Return a run's row of the table, and its settings; any error means that one of its files is damaged."""
    results, path = read_results(directory), directory / CONFIG_FILE
    settings = experiment(in_todays_words(read_settings(path))) if path.exists() else {}  # it may end before that
    if any(len(name) > MOST for name in settings):
        raise ValueError(f"a name in {path.name} has more than {MOST} characters")
    status = results["status"]
    if is_pruned and status != "finished":
        status = "pruned"
    elif status == "running" and not is_in_use(directory):
        status = "killed"
    dataset = settings.get("data.dataset") or results.get("dataset")
    if status == "finished" and not dataset:
        raise ValueError("nothing in it says on what data it was trained")
    if dataset and (root := settings.get("data.root")):  # pictures of another folder are another data set
        dataset = f"{dataset} in {root}"
    row = {
        "directory": str(directory),
        "dataset": str(dataset) if dataset else None,
        "seed": number(results.get("seed"), int),
        "status": status,
        "epochs": len(results.get("epochs", [])),
        "seconds": number(results.get("total_seconds")),
        "experiment_name": str(name) if (name := results.get("experiment")) else None,
        "experiment": fingerprint(settings) if settings else str(directory),
    }
    for stage in ("val", "test"):
        measured = results.get(stage) or {"accuracy": None}
        if not isinstance(measured, dict) or "accuracy" not in measured:
            raise ValueError(f"{stage} in results.json holds no accuracy")
        if len(measured) > MOST:
            raise ValueError(f"{stage} in results.json holds more than {MOST} numbers")
        for name, value in measured.items():
            kinds = {"accuracy": {"most": 1}, "errors": {"kind": int}}
            row[f"{stage}_{name}"] = number(value, **kinds.get(name, {"least": -(2**53)}))  # type: ignore[arg-type]
    return row | {key: str(results.get(key) or "") for key in ("name", "started", "error")}, settings


def number(value: Any, kind: Any = int | float, least: float = 0, most: float = 2**53) -> Any:
    """Return a number of results.json, or None where there is none; raise ValueError for anything else, as NaN."""
    if value is not None and not (isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most):
        limits = f" from {least} to {most}" if most < 2**53 else " of at least 0" if least == 0 else ""
        raise ValueError(f"{value!r} in results.json must be a {'whole' if kind is int else 'finite'} number{limits}")
    return value


def tables(read: Sequence[ReadRun]) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return the table of runs, and of each experiment the settings that were varied."""
    import pandas as pd

    further = dict.fromkeys(name for row, _ in read for name in row if name not in COLUMNS)
    runs = pd.DataFrame([row for row, _ in read], columns=[*COLUMNS, *further])
    runs = runs.astype(COLUMNS | dict.fromkeys(further, float))
    runs["experiment"] = pd.factorize(runs["experiment"])[0]
    settings = dict(zip(runs["experiment"], (settings for _, settings in read), strict=True))
    keys = varied([one for one in settings.values() if one])
    values = [[hashable(one.get(key)) for key in keys] for one in settings.values()]
    table = pd.DataFrame(values, index=list(settings), columns=keys, dtype=object)
    return runs, table.apply(lambda column: column.replace(short_names(filter(is_class, column))))


def hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(hashable, value))
    return str(value) if isinstance(value, dict) else value
