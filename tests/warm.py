"""Programs that start warm in tests, as the jobs of a sweep do: mnist_lightning/sweeps/warm.py.

In place of subprocess.Popen and subprocess.run with text=True, these take the words after `python`:

    process = warm.start(["train.py", "data=digits"], cwd=folder, env=environment())
    ended = warm.run(["-m", "mnist_lightning.evaluate", "RUN"], cwd=folder, env=environment(), timeout=250)

A Process has pid, poll, wait, send_signal, terminate, kill, communicate, returncode, stdout and stderr; run gives a
CompletedProcess. Both take stdin (empty unless given), stdout and stderr (pipes unless given), and limits, such as
{resource.RLIMIT_FSIZE: (1000, 1000)}.

What it can't show is start-up itself, so these stay with subprocess: what is imported and how fast, streams that are
closed, options of the interpreter but -W ACTION, and variables that are read while libraries are loaded (START_UP,
refused where they differ from the server's). /proc/PID/cmdline is the server's, and the seed of hashes is the same in
all children.
"""

import atexit
import json
import multiprocessing
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

from mnist_lightning.sweeps import warm as jobs

AS_PYTHON = str(Path(__file__).with_name("as_python.py"))
START_UP = ("OMP_", "MKL_", "OPENBLAS_", "LD_", "LANG", "LC_", "COLUMNS", "PYTHON", "MPL")
Stream = int | IO[Any]


class Process:
    """A program that was started warm: what tests need of subprocess.Popen."""

    def __init__(self, args: list[str], program: jobs.Program, stdout: int | None, stderr: int | None) -> None:
        self.args, self.program, self.pid = args, program, program.pid
        self.stdout, self.stderr = (None if end is None else os.fdopen(end) for end in (stdout, stderr))
        self._said = {"stdout": b"", "stderr": b""}

    @property
    def returncode(self) -> int | None:
        return self.program.poll()

    def poll(self) -> int | None:
        return self.program.poll()

    def wait(self, timeout: float | None = None) -> int:
        return self.program.wait(timeout)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end, and return what was written and not read yet; after a timeout it may be called again."""
        deadline = time.monotonic() + (timeout or 1e6)
        with selectors.DefaultSelector() as selector:
            for name in self._said:
                if (stream := getattr(self, name)) and not stream.closed:
                    selector.register(stream, selectors.EVENT_READ, name)
            while selector.get_map():
                if not (ready := selector.select(max(0, deadline - time.monotonic()))):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
                for key, _ in ready:
                    self._said[key.data] += (piece := os.read(key.fd, 2**16))
                    if not piece:
                        selector.unregister(key.fileobj)
                        getattr(self, key.data).close()
        self.wait(max(0, deadline - time.monotonic()))
        output, errors = (said.decode().replace("\r\n", "\n").replace("\r", "\n") for said in self._said.values())
        return output, errors


servers: list[dict[str, str]] = []  # none or one: its environment


def begin(env: Mapping[str, str]) -> None:
    """Let the server begin, with what it is to have of the environment: each child has its own."""
    servers.append({key: value for key, value in env.items() if key != "PYTHONPATH"})
    atexit.register(kill_all)
    with patch.dict(os.environ, servers[0], clear=True):
        jobs.begin()
        code = "import json, sys; print(json.dumps(sys.path[1:]))"
        path = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    PATH.extend(json.loads(path))


def kill_all() -> None:
    for child in multiprocessing.active_children():
        child.kill()


PATH: list[str] = []  # of a new process, without PYTHONPATH


def differs(env: Mapping[str, str]) -> str:
    """Return a variable that is read while libraries are loaded and that would be another one."""
    [own] = servers
    names = [name for name in {*env, *own} - {"PYTHONPATH"} if name.startswith(START_UP)]
    return next((name for name in names if env.get(name) != own.get(name)), "")


def start(
    args: Sequence[str | Path], cwd: str | Path | None = None, env: Mapping[str, str] | None = None, *,
    stdin: Stream = subprocess.DEVNULL, stdout: Stream = subprocess.PIPE, stderr: Stream = subprocess.PIPE,
    limits: Mapping[int, tuple[int, int]] | None = None,
) -> Process:  # fmt: skip
    """Start a program of these words after `python`, as subprocess.Popen does."""
    words, env = [str(word) for word in args], dict(os.environ if env is None else env)
    first = words[2:] if words[:1] == ["-W"] else words
    if not first or (first[0].startswith("-") and (first[0] not in ("-m", "-c") or len(first) < 2)):
        raise ValueError(f"{words}: not [-W ACTION] and -m MODULE, -c CODE or SCRIPT: start this with subprocess")
    if not servers:
        begin(env)
    if name := differs(env):
        raise ValueError(f"{name} is read while libraries are loaded: start this with subprocess")
    further = [str(Path(one).absolute()) for one in env.get("PYTHONPATH", "").split(os.pathsep) if one]
    with ExitStack() as ends, patch.object(sys, "path", [*further, *PATH]):
        own, theirs = [], [-1]
        for stream in (stdin, stdout, stderr):
            mine, other = opened(stream, theirs[-1])
            own.append(mine)
            theirs.append(other)
            ends.callback(os.close, other)
        script = [AS_PYTHON, str(cwd or Path.cwd()), json.dumps(limits or {}), *words]
        program = jobs.Program(script, env, jobs.Streams(*theirs[1:]), name="python")
    return Process([sys.executable, *words], program, own[1], own[2])


def opened(stream: Stream, before: int) -> tuple[int | None, int]:
    """Return this process's end of a stream, if it has one, and the child's; `before` is that of the one before."""
    if stream == subprocess.PIPE:
        return os.pipe()
    if stream == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_RDWR)
    number = before if stream == subprocess.STDOUT else stream
    return None, os.dup(number if isinstance(number, int) else number.fileno())


def run(args: Sequence[str | Path], *, timeout: float = 250, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, as subprocess.run does; it is killed when the time is over. Options as for start."""
    process = start(args, **options)
    try:
        output, errors = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.wait(), output, errors)
