"""A run is one directory: its configuration, its results, its log, and what became of it."""

import json
import logging
import os
import shlex
import shutil
import traceback
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from mnist_lightning.runs.errors import DivergedError, Interrupted, RunError, UsageError
from mnist_lightning.runs.files import read_json, write_atomically
from mnist_lightning.runs.provenance import describe_process, process_seconds
from mnist_lightning.runs.seal import Seal, problem_with_key

log = logging.getLogger("mnist_lightning")

CONFIG_FILE = "config.yaml"  # everything resolved, enough to run it again
LAST_CHECKPOINT = Path("checkpoints") / "last.ckpt"
DIRECTORY_VARIABLE = "MNIST_LIGHTNING_RUN"  # tells the further processes of a multi-device run where it is


class Run:
    """An open run directory. As a context manager it records how the run ended, and holds it against other processes.

    `results` is what results.json holds so far. One that is trusted is taken as one's own, whoever made it.
    """

    def __init__(
        self, directory: Path, results: dict[str, Any], is_new: bool = False, is_trusted: bool = False
    ) -> None:
        self.directory, self.results = directory, results
        self.is_new, self.is_trusted = is_new, is_trusted
        self.is_under_way = False  # training has begun in this process
        self.began_with: str | None = None  # which weights of another run it took, in words
        self.seal = Seal(directory)
        self.main_process = is_main_process()
        self.seconds_before = results.get("total_seconds", 0.0)  # of the processes before a resume
        self._how_it_stood = {key: results.get(key) for key in ("status", "error")}
        self._lock = FileLock(directory / ".lock", blocking=False)

    @classmethod
    def create(cls, output_dir: str | None, name: str, seed: int = 0, experiment: str | None = None) -> Self:
        """Begin a new run in a directory of its own; in further processes of a multi-device run, join it."""
        results = {"status": "running", "name": name, "seed": seed, "experiment": experiment, "epochs": []}
        if not is_main_process():
            if directory := os.environ.get(DIRECTORY_VARIABLE, output_dir):
                return cls(Path(directory), results)
            raise UsageError("output_dir=null: must be given where something else than train.py starts its processes")
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
        results = {"epochs": []} | read_results(directory)
        if not isinstance(results.get("total_seconds"), int | float):  # it is not sealed
            results["total_seconds"] = 0.0
        run = cls(directory, results, is_trusted=is_trusted)
        if not is_trusted:
            run.seal.check(CONFIG_FILE, resume_command(directory))
            if (directory / LAST_CHECKPOINT).exists() and run.checkpoint is None:
                problem = f"{directory / LAST_CHECKPOINT} is damaged, and no earlier checkpoint is whole"
                raise RunError(f"{problem}. Delete it to begin the run anew, or take it as it is by trust=true")
        return run

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint to go on from, if an epoch was ever completed: the latest one that is whole."""
        return checkpoint_of(self.directory)

    def __enter__(self) -> Self:
        if self.main_process:
            try:
                self._lock.acquire()
                if self.is_trusted:
                    self.seal.renew()
                self._log_file = logging.FileHandler(self.directory / "train.log", encoding="utf-8")
                log.addHandler(self._log_file)
                self.results.update(status="running", error=None)
                self.save()
            except Timeout as error:
                raise UsageError(f"{self.directory} is in use by another process: wait for it to end") from error
            except OSError as error:
                raise UsageError(f"{self.directory} can't be written: {error.strerror}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self.main_process:
            return
        if error is None:
            self.results["status"] = "finished"
        else:
            self._record_failure(error)
        log.removeHandler(self._log_file)
        self._log_file.close()
        if self.is_new and isinstance(error, RunError) and not self.is_under_way:
            shutil.rmtree(self.directory)  # no step was taken: as if it had never been asked for
            if self.directory.parent.parent == Path("runs"):
                with suppress(OSError):  # other runs of that name are there
                    self.directory.parent.rmdir()
            return
        if isinstance(error, UsageError):
            self.results.update(self._how_it_stood)  # nothing was done to a run that was to be resumed
        with suppress(OSError):  # a full disk: the message of the first failure is on its way
            self.save()
        self._lock.release()

    def _record_failure(self, error: BaseException) -> None:
        """Note in results and train.log how the run ended, and add to the error's message how to go on."""
        if isinstance(error, Interrupted | KeyboardInterrupt):
            self.results["status"] = "interrupted"
        else:
            self.results["status"] = "diverged" if isinstance(error, DivergedError) else "failed"
            self.results["error"] = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, Interrupted):
            error.args = (f"{error}. Go on from the last completed epoch: {resume_command(self.directory)}",)
        elif isinstance(error, DivergedError) and self.checkpoint:
            error.args = (f"{error}. The last good checkpoint is {self.checkpoint}",)
        with suppress(OSError), (self.directory / "train.log").open("a", encoding="utf-8") as file:
            file.write(f"{error}\n" if isinstance(error, RunError | Interrupted) else traceback.format_exc())

    def notes(self) -> list[str]:
        """Return what is to be said before the run begins or goes on."""
        found = [self.began_with] if self.began_with else []
        if (problem := problem_with_key()) and self.main_process:
            found.append(f"{problem}. This run is not sealed: resume= will ask for trust=true")
        checkpoint = None if self.is_new else self.checkpoint
        if checkpoint and (self.directory / LAST_CHECKPOINT).exists() and checkpoint.name != LAST_CHECKPOINT.name:
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
            text = json.dumps(self.results, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            write_atomically(self.directory / "results.json", lambda file: file.write(text.encode()))


def directory_of(place: Path) -> Path:
    """Return the run directory that is meant by `place`: itself, or that of a checkpoint in it."""
    if place.suffix != ".ckpt":
        return place
    folder = place.parent
    return folder / ".." if folder.name in ("", "..") else folder.parent  # as seen from within checkpoints/


def checkpoint_of(directory: Path) -> Path | None:
    """Return the checkpoint that a run goes on from: the last one, else the latest that is as the run wrote it.

    That is another one where the last is damaged, or where the run's settings put its checkpoints elsewhere.
    """
    last, seal = directory / LAST_CHECKPOINT, Seal(directory)
    if last.exists() and seal.state(str(LAST_CHECKPOINT)) != "changed":
        return last
    return next(iter(seal.checkpoints()), None)


def resume_command(directory: str | Path) -> str:
    return f"python train.py {shlex.quote(f'resume={directory}')}"


def read_results(directory: Path) -> dict[str, Any]:
    """Return what results.json in `directory` holds."""
    path = directory / "results.json"
    try:
        results = read_json(path)
    except FileNotFoundError as error:
        raise UsageError(f"{directory} is not a run: there is no {path}") from error
    epochs = results.get("epochs", [])
    if not isinstance(results.get("status"), str) or not isinstance(epochs, list):
        raise UsageError(f"{path} can't be read: it holds no results of a run")
    if not all(isinstance(epoch, dict) and isinstance(epoch.get("epoch"), int) for epoch in epochs):
        raise UsageError(f"{path} can't be read: its epochs are no results of a run")
    return results


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


def make_directory(given: str | None, default: Path, setting: str = "output_dir") -> Path:
    """Make a directory that no other process has: the one that was `given` by `setting`, or else `default`."""
    wanted = Path(given) if given else default
    directory, attempt = wanted, 1
    while True:
        try:
            directory.mkdir(parents=True)
            return directory
        except FileExistsError:
            if given is not None:
                check_free(given, setting)
                return directory
            attempt += 1  # it is another one of the same second
            directory = wanted.with_name(f"{wanted.name}_{attempt}")
        except OSError as error:
            another = f"Name a directory that can be written: {setting}=PATH"
            raise UsageError(f"{setting}={directory} can't be made: {error.strerror}. {another}") from error


def check_free(given: str, setting: str = "output_dir") -> None:
    """Raise UsageError where the directory `given` by a setting holds something already."""
    directory = Path(given)
    if (directory / "results.json").exists():
        go_on = f"name another directory, or go on with this one: {resume_command(given)}"
        raise UsageError(f"{setting}={given} already holds a run: {go_on}")
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise UsageError(f"{setting}={given} exists and is not empty: name another")


def is_main_process() -> bool:
    """Return False in the further processes of a multi-device run, which write nothing."""
    return all(os.environ.get(variable, "0") == "0" for variable in ("RANK", "LOCAL_RANK", "NODE_RANK"))
