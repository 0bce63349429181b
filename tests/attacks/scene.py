"""A scratch home with a stranger's run and sweep in it, watched while a command of the project meets them."""

import hashlib
import json
import os
import re
import resource
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import conftest
import warm

from mnist_lightning.runs.seal import mac

PROJECT = Path(__file__).parents[2]
KEY = Path(".local", "share", "mnist-lightning", "key")  # below a home
QUICK = ("data=digits", "trainer=smoke", "trainer.limit_train_batches=5", "logger=none", "data.val_size=100")
JOBS = ("0_seed=0", "1_seed=1")
ADDRESS_SPACE = 8 * 2**30  # bytes; so that a payload that works does not end the machine
LARGEST_FILE = 2**30  # bytes that a command may write
MOST_OUTPUT = 2**20  # bytes that are looked through

State = dict[str, tuple[int, int, int, str]]


@dataclass
class Ended:
    """A process that has ended: its status, negative for a signal, and what it took and said."""

    status: int
    seconds: float
    megabytes: float
    output: str
    errors: str
    is_late: bool


@dataclass
class Material:
    """What every scene begins with: two honest runs and a sweep of both, under the victim's own key.

    Args:
        folder: holds run, other and sweep.
        key: the victim's.
    """

    folder: Path
    key: bytes
    strangers_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @classmethod
    def make(cls, folder: Path) -> "Material":
        """Train both runs, and make the sweep."""
        (folder / "home" / KEY).parent.mkdir(parents=True)
        (folder / "tmp").mkdir()
        material = cls(folder, secrets.token_bytes(32))
        (folder / "home" / KEY).write_bytes(material.key)
        env = environment(folder / "home", folder / "tmp", folder)
        for seed, name in enumerate(("run", "other")):
            words = [str(PROJECT / "train.py"), *QUICK, f"seed={seed}", f"output_dir={name}"]
            ended = warm.run(words, cwd=folder, env=env)
            assert ended.returncode == 0, ended.stderr
        material.make_sweep()
        return material

    def make_sweep(self) -> None:
        """Make the sweep of both runs, as train.py would have left it; its second job was interrupted."""
        sweep = self.folder / "sweep"
        for job, run in zip(JOBS, ("run", "other"), strict=True):
            shutil.copytree(self.folder / run, sweep / job)
        edit_json(sweep / JOBS[1] / "results.json", status="interrupted")
        jobs = [
            {"directory": job, "overrides": [*QUICK, f"seed={seed}"], "pruned": False} for seed, job in enumerate(JOBS)
        ]
        command = ["train.py", "-m", *QUICK, "seed=0,1"]
        (sweep / "sweep.json").write_text(json.dumps({"command": command, "jobs": jobs}))
        seal(sweep, self.key, ["sweep.json"])


class Scene:
    """A person's home, folder of work and temporary folder, with the stranger's things in `runs`.

    Attributes:
        run, sweep: the stranger's, to be spoiled; what they are called is what is typed.
        canary: does not exist as long as nothing of the stranger's was executed.
        port: of this machine, that nothing may connect to.
    """

    def __init__(self, folder: Path, material: Material) -> None:
        self.folder, self.material = folder, material
        self.home, self.work, self.temporary = folder / "home", folder / "work", folder / "tmp"
        self.run, self.sweep, self.canary = self.work / "runs" / "evil", self.work / "runs" / "sweep", folder / "canary"
        (self.home / KEY).parent.mkdir(parents=True)
        self.temporary.mkdir()
        (self.home / KEY).write_bytes(material.key)
        shutil.copytree(material.folder / "run", self.run)
        shutil.copytree(material.folder / "sweep", self.sweep)
        shutil.copy(self.run / "figures" / "filters.png", self.make(self.work / "picture.png"))
        for place in (self.home, self.work):
            for name in ("thesis.txt", "metrics.csv", "thesis/chapter.txt", "figures/filters.png", "model.ckpt"):
                self.make(place / name).write_bytes(b"years of work\n")
            for name in ("last", "best"):
                self.make(place / "checkpoints" / f"{name}.ckpt").write_bytes(b"days of training\n")
        for directory in (self.run, self.sweep, *(self.sweep / job for job in JOBS)):
            seal(directory, material.strangers_key)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]

    def make(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def is_connected(self) -> bool:
        """Return whether anything has connected to the port since it was last asked."""
        found = False
        with suppress(BlockingIOError):
            while True:
                self.listener.accept()[0].close()
                found = True
        return found

    def close(self) -> None:
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def state(self, but: Sequence[Path] = ()) -> State:
        """Return of everything there, without what is below `but`: kind, size, time of change, and content."""
        found: State = {}
        for root, folders, files in os.walk(self.folder):
            here = Path(root)
            folders[:] = [name for name in folders if here / name not in but]
            found |= {os.fsencode(here / name).hex(): look(here / name) for name in [*folders, *files]}
        temporary = os.fsencode(self.temporary).hex()
        found[temporary] = (*found[temporary][:2], 0, "")  # files may come there, if they go again
        return found

    def start(self, words: Sequence[str], limit: float) -> Ended:
        """Run a command of the project as this person would, to its end or to the limit in seconds."""
        words = [str(PROJECT / word) if word == "train.py" else word for word in words]
        output, errors = self.folder.with_suffix(".output"), self.folder.with_suffix(".errors")
        limits = {resource.RLIMIT_AS: (ADDRESS_SPACE,) * 2, resource.RLIMIT_FSIZE: (LARGEST_FILE,) * 2}
        env, memory, begun = environment(self.home, self.temporary, self.material.folder), 0, time.monotonic()
        with output.open("wb") as out, errors.open("wb") as err:
            process = warm.start(words, cwd=self.work, env=env, stdout=out, stderr=err, limits=limits)
        while process.poll() is None and time.monotonic() < begun + limit:
            memory = max(memory, most_memory(process.pid))
            time.sleep(0.01)
        is_late, seconds = process.poll() is None, time.monotonic() - begun
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        return Ended(process.wait(), seconds, memory / 1024, text(output), text(errors), is_late)


def most_memory(session: int) -> int:
    """Return the most kB of memory that any process of a session has had up to now."""
    found = [0]
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(place.name)) == session:
                found += map(int, re.findall(r"VmHWM:\s+(\d+)", (place / "status").read_text()))
    return max(found)


def environment(home: Path, temporary: Path, shared: Path) -> dict[str, str]:
    """Return the environment of a command; what libraries keep for themselves, as fonts that they found, is shared."""
    own = conftest.environment(
        HOME=str(home), XDG_DATA_HOME=str(home / ".local" / "share"), TMPDIR=str(temporary),
        TORCHINDUCTOR_CACHE_DIR=str(shared / "torch"), XDG_CACHE_HOME=str(shared / "cache"),
        XDG_CONFIG_HOME=str(shared / "cache"),
    )  # fmt: skip
    return {name: value for name, value in own.items() if name != "MNIST_LIGHTNING_KEY"}


def text(path: Path) -> str:
    """Return what a process said; what is no UTF-8 is not printable."""
    with path.open("rb") as file:
        said = file.read(MOST_OUTPUT).decode(errors="surrogateescape")
    path.unlink()
    return said


def look(path: Path) -> tuple[int, int, int, str]:
    status = path.lstat()
    if path.is_symlink():
        content = str(path.readlink())
    elif stat.S_ISREG(status.st_mode) and status.st_size < LARGEST_FILE:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        content = ""
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return status.st_mode, size, status.st_mtime_ns, content


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def seal(directory: Path, key: bytes, names: Iterable[str] = ()) -> None:
    """Put a directory under a key: what its seal names already, or these files as they are."""
    digests = {name: [hashlib.sha256((directory / name).read_bytes()).hexdigest()] for name in names}
    files = digests or json.loads((directory / "seal.json").read_text())["files"]
    (directory / "seal.json").write_text(json.dumps({"files": files, "hmac": mac(key, files)}))
