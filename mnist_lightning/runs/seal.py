"""Whose a run is: going on with one obeys all that stands in it, so it is sealed with a key of the user's own.

seal.json in a run's or a sweep's directory holds the SHA-256 of what a resume obeys, and their HMAC (RFC 2104).
"""

import errno
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any, Literal

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.files import (
    MOST_OF_WEIGHTS,
    keep,
    open_regular,
    read_bytes,
    read_json,
    real,
    write_atomically,
)

SEAL_FILE = "seal.json"
KEY_VARIABLE = "MNIST_LIGHTNING_KEY"  # names another file for the key
KEY_BYTES = 32

State = Literal["own", "changed", "foreign"]


class Seal:
    """The seal of the directory of a run or a sweep."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._written: dict[str, str] = {}  # the digests of what this process wrote

    def write(self, path: Path, content: bytes, before: Path | None = None) -> None:
        """Write a file whole, and seal it. Whenever the process is killed, the seal fits the file, old or new.

        Args:
            before: where the file that is replaced is kept, unless it is damaged.
        """
        name, digest = self.name_of(path), hashlib.sha256(content).hexdigest()

        def seal_first(scratch: Path) -> None:
            if digest_of(scratch) != digest:
                raise OSError(errno.EIO, "what is read back is not what was written")
            files = self.files
            old = [self._written[name]] if name in self._written else files.get(name, [])
            files[name] = list(dict.fromkeys([digest, *old]))
            keeps = before and path.exists() and not self.is_damaged(name)
            if before and keeps:
                kept = self.name_of(before)
                files[kept] = list(dict.fromkeys([*old, *files.get(kept, [])[:1]]))
            self._save(files)
            if before and keeps:
                keep(path, before)
            self._written[name] = digest

        write_atomically(path, content, before_renaming=seal_first)

    def renew(self) -> None:
        """Seal what is there now as the user's own."""
        names = [*self.files, *(self.name_of(path) for path in self.directory.glob("checkpoints/*.ckpt"))]
        names += [name for name in ("config.yaml", "sweep.json") if (self.directory / name).exists()]
        self._save({name: [digest_of(self.directory / name)] for name in names if (self.directory / name).is_file()})

    def state(self, name: str) -> State:
        """Return whether a file is as this user's own program wrote it, was changed since, or is somebody else's."""
        if not self.is_own:
            return "foreign"
        if not (self.directory / name).is_file():
            return "changed"
        return "own" if digest_of(self.directory / name) in self.files.get(name, []) else "changed"

    @property
    def is_own(self) -> bool:
        """Whether this user's own program sealed the directory."""
        given, key = str(self._content.get("hmac")).encode(), own_key()
        return key is not None and hmac.compare_digest(given, mac(key, self.files).encode())

    def is_damaged(self, name: str) -> bool:
        """Return whether a file is another than the seal says, whoever's seal it is."""
        path, digests = self.directory / name, self.files.get(name, [])
        return bool(digests) and path.is_file() and digest_of(path) not in digests

    def check(self, name: str, resume: str) -> None:
        """Raise UsageError, with what to type, unless a file is as this user's own program wrote it."""
        if (state := self.state(name)) == "own":
            return
        foreign = f"is somebody else's: {self.directory / SEAL_FILE} is missing, or was not made with your key"
        why = "was changed since it was written" if state == "changed" else foreign
        no_key = f" ({problem})" if (problem := problem_with_key()) else ""
        go_on = f"Resuming obeys everything in it. If you trust it: {resume} trust=true"
        raise UsageError(f"{self.directory / name} {why}{no_key}. {go_on}")

    def checkpoints(self) -> list[Path]:
        """Return the sealed checkpoints that are as they were written, the latest first.

        A stranger's seal may name any file: of those, only files in the directory's checkpoints/ count.
        """
        sealed, among = self.files, self.directory.glob("checkpoints/*.ckpt")
        names = sealed if self.is_own else [name for path in among if (name := self.name_of(path)) in sealed]
        there = [name for name in names if name.endswith(".ckpt") and (self.directory / name).is_file()]
        names = [name for name in there if not self.is_damaged(name)]
        return sorted((self.directory / name for name in names), key=lambda path: path.stat().st_mtime_ns, reverse=True)

    @property
    def files(self) -> dict[str, list[str]]:
        """The digests that are right for each sealed file."""
        files = self._content.get("files")
        return files if isinstance(files, dict) and all(isinstance(some, list) for some in files.values()) else {}

    @property
    def _content(self) -> dict[str, Any]:
        try:
            return read_json(self.directory / SEAL_FILE)
        except (FileNotFoundError, UsageError):
            return {}

    def _save(self, files: dict[str, list[str]]) -> None:
        key = own_key(may_make=True)
        content = {"files": files, "hmac": key and mac(key, files)}
        write_atomically(self.directory / SEAL_FILE, json.dumps(content, indent=2).encode())

    def name_of(self, path: Path) -> str:
        """Return the name of a file in the seal: relative where it can be, so that the directory can be moved."""
        path, directory = real(path), real(self.directory)
        return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)


def digest_of(path: Path) -> str:
    with open_regular(path, MOST_OF_WEIGHTS) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mac(key: bytes, files: dict[str, list[str]]) -> str:
    return hmac.new(key, json.dumps(files, sort_keys=True).encode(), "sha256").hexdigest()


def own_key(may_make: bool = False) -> bytes | None:
    """Return this user's key; None where there is none, or none can be kept."""
    try:
        path = key_file()
        if may_make and not path.exists():
            make_key(path)
        key = read_bytes(path, most=1024)
    except (OSError, RuntimeError, UsageError):
        return None
    return key if len(key) >= KEY_BYTES else None


def problem_with_key() -> str | None:
    """Say why no key can be kept, if that is so."""
    if own_key(may_make=True):
        return None
    try:
        return f"no key can be kept in {key_file()}: {KEY_VARIABLE}=FILE names another place"
    except RuntimeError:
        return f"there is no home directory to keep a key in: {KEY_VARIABLE}=FILE names a place"


def key_file() -> Path:
    """Return where the key is kept, by the XDG Base Directory Specification; RuntimeError where there is no home."""
    if named := os.environ.get(KEY_VARIABLE):
        return Path(named)
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".local" / "share") / "mnist-lightning" / "key"


def make_key(path: Path) -> None:
    """Make a key that no other process has made, whole from the moment it is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        os.link(scratch, path)
    except FileExistsError:
        pass  # another process was faster
    finally:
        scratch.unlink(missing_ok=True)
