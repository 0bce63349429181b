"""Files that are written whole, whatever happens, and read with care, whoever made them."""

import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from mnist_lightning.runs.errors import UsageError, one_line

MOST_BYTES = 2**24  # of a file of text; ours have some thousand
MOST_OF_WEIGHTS = 2**30  # of a checkpoint; ours have 110,000
MOST_BRACKETS = 200  # of a YAML file: for nested ones, its reader takes minutes


def real(path: str | Path) -> Path:
    """Return where a path leads. Path.resolve, in some versions of Python, raises where a link leads to itself."""
    return Path(os.path.realpath(path))


def leads_nowhere(path: Path) -> bool:
    """Return whether a path is a link to what is not there: a disk that is not mounted, say."""
    return path.is_symlink() and not path.exists()


def as_json(content: Any) -> bytes:
    """Return a file of JSON that a person may read too. ValueError: a number in it is not finite."""
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_atomically(
    path: Path, content: bytes, before_renaming: Callable[[Path], None] = lambda scratch: None
) -> None:
    """Write a file beside `path` and rename it: whatever happens, `path` is the old content or the new, whole.

    Args:
        before_renaming: called with the new file, under its passing name.

    Raises:
        OSError: it can't be written; it names `path`.
    """
    scratch = scratch_of(path)
    try:
        with scratch.open("xb") as file:  # never through a link that is there already
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        before_renaming(scratch)
        scratch.replace(path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        scratch.unlink(missing_ok=True)


def keep(path: Path, place: Path) -> None:
    """Link or copy a file to another place: whatever happens, that has the file or what was there before."""
    scratch = scratch_of(place)
    try:
        os.link(path, scratch)
    except OSError:  # the file system has no links
        shutil.copyfile(path, scratch)
    scratch.replace(place)
    scratch.unlink(missing_ok=True)  # it stays where both are the same file already


def scratch_of(path: Path) -> Path:
    """Return a name beside `path` that no other process has."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")


def remove_scratch(*folders: Path) -> None:
    """Remove what killed processes left of files in folders into which nobody else writes now."""
    for folder in folders:
        for file in folder.glob(".*"):
            if is_scratch(file):
                file.unlink(missing_ok=True)


def is_scratch(path: Path) -> bool:
    return bool(re.fullmatch(r"\..+\.\d+\.[0-9a-f]{8}", path.name))


@contextmanager
def open_regular(path: Path, most: int | None = MOST_BYTES) -> Iterator[BufferedReader]:
    """Open a file to read it. Pipes and devices are not waited for.

    Raises:
        FileNotFoundError: there is none.
        UsageError: it is not a regular file, has more than `most` bytes, or can't be read.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{path} is not a regular file")
            if most is not None and status.st_size > most:
                raise UsageError(f"{path} has {status.st_size:,} bytes: files of more than {most:,} are not read")
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return what a file holds. Raises as `open_regular`."""
    with open_regular(path, most) as file:
        return file.read(most)


def read_end(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text at the end of a file, at most so many bytes. Raises as `open_regular`."""
    with open_regular(path, most=None) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return file.read(most).decode(errors="replace")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises as `open_regular`, and UsageError where it holds none."""
    try:
        content = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} can't be read: it holds no JSON object")
    return content


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, as plain values.

    Raises as `open_regular`, and UsageError where it holds none, is larger than ours, or repeats itself by aliases.
    """
    import yaml

    try:
        text = read_bytes(path, most=2**16).decode()  # ours have 3,000
        if len(re.findall(r"[\[{]", text)) > MOST_BRACKETS:
            raise UsageError(f"{path} can't be read: it is nested too deeply")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise UsageError(f"{path} can't be read: it uses YAML aliases")
        content = yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{path} can't be read: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} can't be read: it holds no settings")
    return content


def folder_within(directory: Path, name: str) -> Path:
    """Return a folder of a directory to write into, made where it is missing.

    Raises:
        UsageError: it is a link out of `directory`, which may be somebody else's.
        OSError: it can't be made.
    """
    folder = directory / name
    if leads_nowhere(folder) or not real(folder).is_relative_to(real(directory)):  # nowhere: to itself, say
        raise UsageError(f"{folder} is a link that leads out of {directory}: put the folder itself there")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made_folder(option: str, folder: Path) -> Path:
    """Make the folder that an option of a command names, where it is missing.

    Raises:
        UsageError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {folder}: can't be made: {error.strerror}. Name another folder") from error
    return folder
