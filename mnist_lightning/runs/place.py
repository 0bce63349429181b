"""Where a run or a sweep goes: a directory that no other process has."""

from pathlib import Path

from mnist_lightning.runs.commands import resume_command
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.files import is_scratch
from mnist_lightning.runs.processes import is_main_process
from mnist_lightning.runs.seal import SEAL_FILE


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


def check_free(given: str | None, setting: str = "output_dir") -> None:
    """Raise UsageError where the directory `given` by a setting holds something already; None: one of that moment."""
    if given is None or not is_main_process():
        return
    directory = Path(given)
    if any((directory / name).exists() for name in ("results.json", "config.yaml")):
        go_on = f"name another directory, or go on with this one: {resume_command(given)}"
        raise UsageError(f"{setting}={given} already holds a run: {go_on}")
    if directory.exists() and not (directory.is_dir() and all(map(is_left_over, directory.iterdir()))):
        raise UsageError(f"{setting}={given} exists and is not empty: name another")


def is_left_over(path: Path) -> bool:
    """Return whether a file is all that was left by a process that was killed when it had just made the directory."""
    return path.name in (".lock", SEAL_FILE) or is_scratch(path)
