"""A run is one directory: its configuration, its results, its log, and what became of it."""

import logging
import os
import shutil
import traceback
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from mnist_lightning.runs.commands import resume_command
from mnist_lightning.runs.errors import DivergedError, Interrupted, RunError, UsageError, one_line, reason
from mnist_lightning.runs.files import as_json, read_json, real, remove_scratch, write_atomically
from mnist_lightning.runs.place import make_directory
from mnist_lightning.runs.processes import DIRECTORY_VARIABLE, is_main_process
from mnist_lightning.runs.provenance import describe_process, process_seconds
from mnist_lightning.runs.seal import Seal, problem_with_key

log = logging.getLogger("mnist_lightning")

CONFIG_FILE = "config.yaml"  # everything resolved, enough to run it again
LAST_CHECKPOINT = Path("checkpoints") / "last.ckpt"
PREVIOUS_CHECKPOINT = LAST_CHECKPOINT.with_name("previous.ckpt")  # the one before, for when the last is damaged


class Run:
    """An open run directory. As a context manager it records how the run ended, and keeps other processes out.

    `results` is what results.json holds so far. A trusted run counts as the user's own, whoever made it.
    """

    def __init__(
        self, directory: Path, results: dict[str, Any], is_new: bool = False, is_trusted: bool = False
    ) -> None:
        self.directory, self.results = directory, results
        self.is_new, self.is_trusted = is_new, is_trusted
        self.is_under_way = False  # training has begun in this process
        self.was_finished = results.get("status") == "finished"
        self.named: Path | None = None  # the checkpoint that is to be gone on from, where one was named
        self.remarks: list[str] = []  # to be said before the run begins or goes on
        self.seal = Seal(directory)
        self.main_process, self.has_saved = is_main_process(), False
        self.seconds_before = results.get("total_seconds", 0.0)  # of the processes before a resume
        self._how_it_stood: bytes | None = None  # results.json, before this process wrote it
        self._lock = FileLock(directory / ".lock", blocking=False)

    @classmethod
    def create(cls, output_dir: str | None, name: str, seed: int = 0, experiment: str | None = None) -> Self:
        """Begin a new run in a directory of its own; in further processes of a multi-device run, join it."""
        results = {"status": "running", "name": name, "seed": seed, "experiment": experiment, "epochs": []}
        if not is_main_process():
            return cls(Path(os.environ.get(DIRECTORY_VARIABLE) or str(output_dir)), results)
        made = make_directory(output_dir, Path("runs", name, f"{datetime.now():%Y-%m-%d_%H-%M-%S}"))
        os.environ[DIRECTORY_VARIABLE] = str(made)
        return cls(made, results | describe_process(), is_new=True)

    @classmethod
    def open(cls, place: str | Path, is_trusted: bool = False) -> Self:
        """Open an existing run to go on with it: `place` is its directory or a checkpoint in it.

        Raises:
            UsageError: there is no run; or, unless it is trusted, it is somebody else's or was edited.
            RunError: its last checkpoint is damaged, and no earlier one is whole.
        """
        directory = directory_of(Path(place))
        results = results_so_far(directory)
        if results is None and (directory / CONFIG_FILE).exists():  # it was stopped at once
            results = {"status": "interrupted", "experiment": None, **describe_process()}
        results = {"epochs": []} | (results or read_results(directory))
        if not isinstance(results.get("total_seconds"), int | float):  # it is not sealed
            results["total_seconds"] = 0.0
        run = cls(directory, results, is_trusted=is_trusted)
        if not is_trusted:
            run.seal.check(CONFIG_FILE, resume_command(directory))
        if directory != Path(place):
            run.take_checkpoint(Path(place))
        elif (directory / LAST_CHECKPOINT).exists() and run.checkpoint is None:
            problem = f"{directory / LAST_CHECKPOINT} is damaged, and no earlier checkpoint is whole"
            raise RunError(f"{problem}. Delete it to start the run over, or use it as it is with trust=true")
        if run.checkpoint is None and not run.was_finished:
            run.results |= {"epochs": [], "test": None, "val": None, "weights_sha256": None}
        return run

    def take_checkpoint(self, named: Path) -> None:
        """Go on from the checkpoint that was named.

        Raises:
            UsageError: there is none, or it is damaged or, unless the run is trusted, none of its own.
        """
        if not named.is_file():
            names = sorted(file.name for file in named.parent.glob("*.ckpt"))
            raise UsageError(f"{named} does not exist. There are: {', '.join(names) or 'none'}")
        name = self.seal.name_of(named)
        if not self.is_trusted and (self.seal.is_damaged(name) or name not in self.seal.files):
            raise UsageError(f"{named} is damaged, or was not written by this run: name another, or add trust=true")
        if real(named) != real(self.directory / LAST_CHECKPOINT):
            self.named = named

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint to go on from: the one that was named, else the latest one that is whole, if there is any."""
        last = self.directory / LAST_CHECKPOINT
        return self.named or (last if self.is_trusted and last.exists() else checkpoint_of(self.directory))

    def __enter__(self) -> Self:
        if self.main_process:
            try:
                self._lock.acquire()
                remove_scratch(self.directory, self.directory / "checkpoints", self.directory / "figures")
                if self.is_trusted:
                    self.seal.renew()
                self._log_file = logging.FileHandler(self.directory / "train.log", encoding="utf-8", delay=True)
                log.addHandler(self._log_file)
                with suppress(FileNotFoundError):
                    self._how_it_stood = (self.directory / "results.json").read_bytes()
                self.results.update(status="running", error=None)
                if not self.is_new and not self.was_finished:  # a result stays until there is another
                    self.save()
            except Timeout as error:
                raise UsageError(f"{self.directory} is in use by another process: wait for it to end") from error
            except OSError as error:
                raise UsageError(f"{self.directory} can't be written: {error.strerror}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self.main_process:
            return
        log.removeHandler(self._log_file)
        self._log_file.close()
        error = reason(error)
        has_begun = not self.is_new or self.has_saved or (self.directory / CONFIG_FILE).exists()
        if error is None:
            self.results["status"] = "finished"
        elif self.was_finished and not self.has_saved:
            *lines, last = error.args or ("",)
            error.args = (*lines, f"{last}. {self.directory} stays what it was")
        elif has_begun:
            self._record_failure(error)
        is_empty = error is not None and not has_begun
        if is_empty or (self.is_new and isinstance(error, RunError) and not self.is_under_way):
            shutil.rmtree(self.directory)  # no step was taken: as if it had never been asked for
            if self.directory.parent.parent == Path("runs"):
                with suppress(OSError):  # other runs of that name are there
                    self.directory.parent.rmdir()
            return
        with suppress(OSError):  # a full disk: the message of the first failure is on its way
            if isinstance(error, UsageError) and self._how_it_stood:  # nothing was done to a run that was to be resumed
                write_atomically(self.directory / "results.json", self._how_it_stood)
            elif error is None or self.is_new or self.has_saved:
                self.save()
        self._lock.release()

    def _record_failure(self, error: BaseException) -> None:
        """Note in results and train.log how the run ended, and add to the error's message how to go on."""
        if isinstance(error, Interrupted | KeyboardInterrupt):
            self.results["status"] = "interrupted"
        else:
            is_disk = isinstance(error, OSError) or isinstance(error.__cause__, OSError)  # full, say: it can go on
            self.results["status"] = (
                "diverged" if isinstance(error, DivergedError) else "interrupted" if is_disk else "failed"
            )
            self.results["error"] = one_line(error) or type(error).__name__
        if isinstance(error, Interrupted):
            where = "Go on from its last checkpoint" if self.checkpoint else "It has no checkpoint yet. Start it again"
            error.args = (f"{error}. {where}: {resume_command(self.directory)}",)
        elif isinstance(error, DivergedError) and self.checkpoint:
            error.args = (f"{error}. The last good checkpoint is {self.checkpoint}",)
        with suppress(OSError), (self.directory / "train.log").open("a", encoding="utf-8") as file:
            file.write(f"{error}\n" if isinstance(error, RunError | Interrupted) else traceback.format_exc())

    def notes(self) -> list[str]:
        """Return what is to be said before the run begins or goes on."""
        found = [*self.remarks]
        if (problem := problem_with_key()) and self.main_process:
            found.append(f"{problem}. This run is not sealed: resume= will ask for trust=true")
        checkpoint = None if self.is_new else self.checkpoint
        if not checkpoint and not self.is_new:
            found.append("there is no checkpoint yet: the run starts from the beginning")
        if self.named:
            found.append(f"going on from {self.named}")
        elif checkpoint and (self.directory / LAST_CHECKPOINT).exists() and checkpoint.name != LAST_CHECKPOINT.name:
            found.append(f"{self.directory / LAST_CHECKPOINT} is damaged: going on from {checkpoint}")
        return found

    @property
    def total_seconds(self) -> float:
        """Seconds since the start of the process, and of those before a resume."""
        return self.seconds_before + process_seconds()

    def save(self) -> None:
        """Write results.json."""
        self.results["total_seconds"] = round(self.total_seconds, 3)
        if self.main_process:
            write_atomically(self.directory / "results.json", as_json(self.results))
            self.has_saved = True


def directory_of(place: Path) -> Path:
    """Return the run directory that is meant by `place`: itself, or that of a checkpoint in it."""
    if place.suffix != ".ckpt" or place.is_dir():
        return place
    folder = place.parent
    return folder / ".." if folder.name in ("", "..") else folder.parent  # as seen from within checkpoints/


def checkpoint_of(directory: Path) -> Path | None:
    """Return the checkpoint that a run goes on from: the last one, else the latest that is as the run wrote it.

    That is another one where the last is damaged, or where the run's settings put its checkpoints elsewhere.
    """
    last, seal = directory / LAST_CHECKPOINT, Seal(directory)
    if last.exists() and not seal.is_damaged(str(LAST_CHECKPOINT)):
        return last
    return next(iter(seal.checkpoints()), None)


def is_begun(directory: Path) -> bool:
    """Return whether there is a run in `directory` already. All processes of one run find the same."""
    if is_main_process():
        return (directory / CONFIG_FILE).exists()
    return checkpoint_of(directory) is not None  # the main one may be writing the others now


def read_results(directory: Path) -> dict[str, Any]:
    """Return what results.json in `directory` holds."""
    path = directory / "results.json"
    try:
        results = read_json(path)
    except FileNotFoundError as error:
        raise UsageError(f"{directory} is not a run: there is no {path}{run_below(directory)}") from error
    epochs = results.get("epochs", [])
    if not isinstance(results.get("status"), str) or not isinstance(epochs, list):
        raise UsageError(f"{path} can't be read: it holds no results of a run")
    if not all(isinstance(epoch, dict) and isinstance(epoch.get("epoch"), int) for epoch in epochs):
        raise UsageError(f"{path} can't be read: its epochs are no results of a run")
    return results


def run_below(directory: Path) -> str:
    """Return a hint at the newest run below a directory that is none itself."""
    below = sorted(directory.glob(f"*/{CONFIG_FILE}")) or sorted(directory.glob(f"*/*/{CONFIG_FILE}"))
    return f"; {max(below, key=lambda file: file.stat().st_mtime).parent} is one" if below else ""


def results_so_far(directory: Path) -> dict[str, Any] | None:
    """Return what a run that is to go on has recorded, None where it has not begun to.

    Raises:
        UsageError: results.json can't be read.
    """
    path = directory / "results.json"
    try:
        return read_results(directory) if os.path.lexists(path) else None
    except UsageError as error:
        raise UsageError(f"{error}. Without this file a run goes on from its last checkpoint: delete it") from error


def peek(directory: Path) -> dict[str, Any] | None:
    """Return what results.json in `directory` holds, None where there is none or it is damaged."""
    try:
        return read_results(directory)
    except UsageError:
        return None


def is_in_use(directory: Path) -> bool:
    """Return whether a process holds the run in `directory` just now."""
    if not (directory / ".lock").exists():
        return False
    try:
        with FileLock(directory / ".lock", blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # nobody can write there
        return False
