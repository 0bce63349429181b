"""A sweep is a directory of runs: what was asked for, which run answers it, and what is still to be done."""

import re
import secrets
import shutil
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from mnist_lightning.runs.commands import resume_command
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.experiment import short_names
from mnist_lightning.runs.files import as_json, leads_nowhere, read_json, real, remove_scratch
from mnist_lightning.runs.place import make_directory
from mnist_lightning.runs.run import checkpoint_of, is_in_use, peek, results_so_far
from mnist_lightning.runs.seal import Seal

SWEEP_FILE = "sweep.json"
STUDY_FILE = "study.journal"  # of a search; optuna-dashboard opens it too
SEARCH_LOCK = ".search.lock"  # of a search: held for a moment by the process that asks for a trial, or writes
NAME_BYTES = 120  # of a job's directory; file systems take 255


@dataclass
class Job:
    """One run of a sweep: its overrides as typed for train.py, its directory, and whether a search gave it up."""

    directory: Path
    overrides: list[str]
    pruned: bool = False

    @property
    def is_done(self) -> bool:
        """Return whether results.json says "finished", whatever an exit status said; or the job was given up."""
        results = peek(self.directory)
        return self.pruned or (results is not None and results["status"] == "finished")

    def arguments(self, is_trusted: bool = False) -> list[str]:
        """Return what train.py is called with: on from a checkpoint, or anew without what failed there."""
        results = results_so_far(self.directory)
        assert not self.is_done
        has_failed = results is not None and results["status"] in ("failed", "diverged")
        if not has_failed and checkpoint_of(self.directory):
            return [f"resume={quoted(str(self.directory))}", *(["trust=true"] if is_trusted else [])]
        if self.directory.is_symlink():
            self.directory.unlink()  # what it leads to may be anybody's, and stays
        for path in self.directory.glob("*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return [*self.overrides, f"output_dir={quoted(str(self.directory))}"]


class Sweep:
    """A sweep's directory, the command as it was typed, and its jobs. A context manager holds it against others.

    A search is shared: processes on several machines may work on it, each on jobs of its `own`.
    """

    def __init__(self, directory: Path, command: list[str], jobs: list[Job]) -> None:
        self.directory, self.command, self.jobs = directory, command, jobs
        self.seal, self.is_trusted = Seal(directory), False
        self.is_shared, self.own = False, set[Path]()
        self.study: str | None = None  # its name in a database, if this is a search
        self.shared_lock = FileLock(directory / SEARCH_LOCK)
        self._lock = FileLock(directory / ".lock", blocking=False)

    @classmethod
    def create(cls, directory: str | None, name: str, is_trusted: bool = False, is_shared: bool = False) -> Self:
        """Begin a sweep in `directory`, or go on with the one that is there; None: runs/<name>-sweep/<date>_<time>."""
        default = Path("runs", f"{name}-sweep", f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
        if directory and is_shared and Path(directory).exists():
            wait_for_sweep(directory)
        if directory and is_sweep(directory):
            sweep = cls.open(directory, is_trusted)
        else:
            sweep = cls(make_directory(directory, default, setting="hydra.sweep.dir"), sys.argv, [])
            sweep.study = f"{sweep.directory.name}-{secrets.token_hex(4)}"
            sweep.save()
        sweep.is_shared = is_shared
        return sweep

    @classmethod
    def open(cls, place: str | Path, is_trusted: bool = False) -> Self:
        """Open an existing sweep to go on with it."""
        sweep = cls.read(place)
        sweep.is_trusted = is_trusted
        if not is_trusted:
            sweep.seal.check(SWEEP_FILE, resume_command(sweep.directory))
        return sweep

    @classmethod
    def read(cls, place: str | Path) -> Self:
        """Look at an existing sweep, whoever made it."""
        directory = Path(place)
        try:
            state = read_json(directory / SWEEP_FILE)
            command = [str(word) for word in state["command"]]
            jobs = [
                Job(directory / job["directory"], [str(word) for word in job["overrides"]], bool(job["pruned"]))
                for job in state["jobs"]
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{directory / SWEEP_FILE} can't be read: {error!r}") from error
        for job in jobs:  # the file may be a stranger's
            if job.directory.parent != directory or not re.fullmatch(r"\d+(_.+)?", job.directory.name):
                raise UsageError(f"{directory / SWEEP_FILE} names {job.directory}, which is no job of this sweep")
        sweep = cls(directory, command, jobs)
        sweep.study = str(state.get("study", real(directory)))  # as earlier versions named it
        return sweep

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
        except Timeout as error:
            if self.is_shared:
                return self
            raise UsageError(f"{self.directory} is in use by another process: wait for it to end") from error
        if self.is_trusted:
            self.seal.renew()
        if self.is_shared and list(self.directory.glob(claim_file("*"))):
            return self
        remove_scratch(self.directory, self.directory / "figures")
        if lost := [job.directory for job in self.jobs if leads_nowhere(job.directory)]:
            again = "Restore what it leads to, or delete it to run the job again"
            raise UsageError(f"{lost[0]} is a link that leads nowhere. {again}")
        if busy := [job.directory for job in self.jobs if is_in_use(job.directory)]:
            raise UsageError(f"{busy[0]} is still running: wait for it to end, or stop it")
        for left in self.directory.glob(".*.output"):  # of a sweep that was killed
            left.unlink()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._lock.release()
        if error is not None and not isinstance(error, Exception):  # a signal
            error.args = (f"{error}. Go on with the rest of the sweep: {resume_command(self.directory)}",)

    def plan(self, overrides: Sequence[Sequence[str]]) -> list[Job]:
        """Return one job for each different set of overrides: the one that is there already, or a new one."""
        there = {frozenset(job.overrides): job for job in self.jobs}
        wanted = {frozenset(one): (one, as_mapping(one)) for one in overrides}  # in whatever order they were typed
        counts = Counter(item for _, settings in wanted.values() for item in settings.items())
        for key, (one, settings) in wanted.items():
            if key not in there:
                varied = {name: value for name, value in settings.items() if counts[name, value] < len(wanted)}
                there[key] = self.add(list(one), varied)
        self.save()
        return [there[key] for key in wanted]

    def add(self, overrides: list[str], varied: Mapping[str, str], number: int | None = None) -> Job:
        """Add a job, named by its number, else the next one, and what is `varied`."""
        job = Job(self.directory / job_name(len(self.jobs) if number is None else number, varied), overrides)
        self.jobs.append(job)
        self.own.add(job.directory)
        return job

    def save(self) -> None:
        with self.shared_lock if self.is_shared else nullcontext():
            self.take_in()
            jobs = [asdict(job) | {"directory": job.directory.name} for job in self.jobs]
            self.seal.write(
                self.directory / SWEEP_FILE, as_json({"command": self.command, "study": self.study, "jobs": jobs})
            )

    def take_in(self) -> None:
        """Take in what other processes know of a search that is shared."""
        if self.is_shared:
            others = [job for job in Sweep.read(self.directory).jobs if job.directory not in self.own]
            own = [job for job in self.jobs if job.directory in self.own]
            self.jobs = sorted([*others, *own], key=lambda job: int(job.directory.name.partition("_")[0]))

    def check_answered(self, left: int, jobs: int) -> None:
        """Raise RunError if any jobs, `left` of them, are without an answer."""
        if left:
            again = resume_command(self.directory)
            raise RunError(f"{left} of {jobs} jobs did not finish. To run only those again: {again}")


def claim_file(trial: int | str) -> str:
    """Return the name of the file that a process holds while it works on a trial."""
    return f".{trial}.trial"


def wait_for_sweep(directory: str) -> None:
    """Wait a moment for a sweep that another process is just making."""
    for _ in range(20):
        if is_sweep(directory):
            return
        time.sleep(0.05)


def is_sweep(place: str | Path) -> bool:
    return (Path(place) / SWEEP_FILE).exists()


def is_search(place: str | Path) -> bool:
    """Return whether a sweep is a search, wherever its study is kept."""
    return any((Path(place) / name).exists() for name in (STUDY_FILE, SEARCH_LOCK))


def as_mapping(overrides: Sequence[str]) -> dict[str, str]:
    """Return {key: value} of overrides of the form key=value."""
    return {key.lstrip("+"): value for key, _, value in (override.partition("=") for override in overrides)}


def job_name(number: int, varied: Mapping[str, str]) -> str:
    """Return a name like 3_lr=0.03,seed=1 that every file system takes, whatever the values are."""
    names = short_names(varied)
    text = ",".join(f"{in_a_path(names[key])}={in_a_path(value)}" for key, value in varied.items())
    whole = f"{number}_{text}" if text else str(number)
    return whole.encode()[:NAME_BYTES].decode(errors="ignore").rstrip("-.,")


def in_a_path(value: str) -> str:
    """Return `value` with one - in place of each stretch of what is not a letter, a digit or one of . _ +"""
    characters = [c if c.isalnum() or c in "._+" else "-" for c in unicodedata.normalize("NFC", value)]
    minus = "-" if re.match(r"-\d", value) else ""
    return minus + re.sub("-+", "-", "".join(characters)).strip("-.")


def quoted(value: str) -> str:
    """Return `value` as Hydra reads it back: in quotes where its grammar would see more than a text in it."""
    if re.fullmatch(r"[A-Za-z0-9_./\-]+", value):
        return value
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"
