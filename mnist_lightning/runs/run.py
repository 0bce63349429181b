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
from mnist_lightning.runs.files import write_atomically
from mnist_lightning.runs.provenance import describe_process, process_seconds

log = logging.getLogger("mnist_lightning")

LAST_CHECKPOINT = Path("checkpoints") / "last.ckpt"
DIRECTORY_VARIABLE = "MNIST_LIGHTNING_RUN"  # tells the further processes of a multi-device run where it is


class Run:
    """An open run directory. As a context manager it records how the run ended, and holds it against other processes.

    Args:
        directory: the run directory; it exists.
        results: what results.json holds so far.
        is_new: this process made the directory.
    """

    def __init__(self, directory: Path, results: dict[str, Any], is_new: bool = False) -> None:
        self.directory = directory
        self.results = results
        self.is_new = is_new
        self.main_process = is_main_process()
        self.seconds_before = results.get("total_seconds", 0.0)  # of the processes before a resume
        self._how_it_stood = {key: results.get(key) for key in ("status", "error")}
        self._lock = FileLock(directory / ".lock", blocking=False)

    @classmethod
    def create(cls, output_dir: str | None, name: str, seed: int = 0) -> Self:
        """Begin a new run in a directory of its own; in further processes of a multi-device run, join it.

        Raises:
            UsageError: `output_dir` holds something already, or can't be made.
        """
        results = {"status": "running", "name": name, "seed": seed, "epochs": []}
        if not is_main_process():
            if directory := os.environ.get(DIRECTORY_VARIABLE, output_dir):
                return cls(Path(directory), results)
            raise UsageError("output_dir=null: must be given where something else than train.py starts its processes")
        made = make_directory(output_dir, Path("runs", name, f"{datetime.now():%Y-%m-%d_%H-%M-%S}"))
        os.environ[DIRECTORY_VARIABLE] = str(made)
        return cls(made, results | describe_process(), is_new=True)

    @classmethod
    def open(cls, place: str | Path) -> Self:
        """Open an existing run: `place` is its directory or a checkpoint in it.

        Raises:
            UsageError: there is no run, or a link in it leads out of it.
        """
        directory = directory_of(Path(place))
        check_contained(directory)
        return cls(directory, read_results(directory))

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint to go on from, if an epoch was ever completed."""
        path = self.directory / LAST_CHECKPOINT
        return path if path.exists() else None

    def __enter__(self) -> Self:
        if self.main_process:
            try:
                self._lock.acquire()
                self._log_file = logging.FileHandler(self.directory / "train.log", encoding="utf-8")
                log.addHandler(self._log_file)
                self.results.update(status="running", error=None)
                self.save()
            except Timeout as error:
                raise UsageError(f"{self.directory} is in use by another process: wait for it to end") from error
            except OSError as error:
                raise UsageError(f"{self.directory} can't be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.main_process:
            return
        if error is None:
            self.results["status"] = "finished"
        else:
            self._record_failure(error)
        log.removeHandler(self._log_file)
        self._log_file.close()
        if self.is_new and isinstance(error, RunError) and "startup_seconds" not in self.results:
            shutil.rmtree(self.directory)  # no step was taken: as if it had never been asked for
            return
        if isinstance(error, UsageError):
            self.results.update(self._how_it_stood)  # nothing was done to a run that was to be resumed
        with suppress(OSError):  # a full disk: the message of the first failure is on its way
            self.save()
        self._lock.release()

    def _record_failure(self, error: BaseException) -> None:
        """Note in results and train.log how the run ended, and add to the error's message how to go on."""
        self.results["status"] = status_of(error)
        if self.results["status"] != "interrupted":
            self.results["error"] = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, Interrupted):
            error.args = (f"{error}. Go on from the last completed epoch: {resume_command(self.directory)}",)
        elif isinstance(error, DivergedError) and self.checkpoint:
            error.args = (f"{error}. The last good checkpoint is {self.checkpoint}",)
        with suppress(OSError), (self.directory / "train.log").open("a", encoding="utf-8") as file:
            file.write(f"{error}\n" if isinstance(error, RunError | Interrupted) else traceback.format_exc())

    @property
    def is_finished(self) -> bool:
        """What results.json says, whatever an exit status said."""
        return self.results["status"] == "finished"

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


def check_contained(directory: Path) -> None:
    """Refuse a run whose files are links to elsewhere: what is written into a stranger's run must stay there.

    Raises:
        UsageError: a link in `directory` leads out of it.
    """
    for path in directory.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(directory.resolve()):
            raise UsageError(f"{path} is a link out of the run, to {path.resolve()}: put the file itself there")


def resume_command(directory: str | Path) -> str:
    return f"python train.py {shlex.quote(f'resume={directory}')}"


def read_results(directory: Path) -> dict[str, Any]:
    """Return what results.json in `directory` holds.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    path = directory / "results.json"
    try:
        results = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{directory} is not a run: there is no {path}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error
    if not isinstance(results, dict) or not isinstance(results.get("status"), str):
        raise UsageError(f"{path} can't be read: it holds no results of a run")
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
    """Make a directory that no other process has: the one that was `given` by `setting`, or else `default`.

    Raises:
        UsageError: it holds something already, or can't be made.
    """
    wanted = Path(given) if given else default
    directory, attempt = wanted, 1
    while True:
        try:
            directory.mkdir(parents=True)
            return directory
        except FileExistsError as error:
            if given is None:  # another one of the same second
                attempt += 1
                directory = wanted.with_name(f"{wanted.name}_{attempt}")
            elif directory.is_dir() and not any(directory.iterdir()):
                return directory
            elif (directory / "results.json").exists():
                raise UsageError(
                    f"{setting}={given} already holds a run: name another directory, or go on with this one: "
                    f"{resume_command(given)}"
                ) from error
            else:
                raise UsageError(f"{setting}={given} exists and is not empty: name another") from error
        except OSError as error:
            raise UsageError(
                f"{setting}={directory} can't be made: {error.strerror}. Name a directory that can be written, "
                f"as {setting}=PATH"
            ) from error


def is_main_process() -> bool:
    """Return False in the further processes of a multi-device run, which write nothing."""
    return all(os.environ.get(variable, "0") == "0" for variable in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def status_of(error: BaseException) -> str:
    """Return the word of results.json for how a run ended."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return "interrupted"
    return "diverged" if isinstance(error, DivergedError) else "failed"
