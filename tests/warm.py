"""Programs that start warm: a server has imported torch and what else a run needs, and forks a child for each of them.

`python train.py …` imports for seconds before it does anything. Here each process of pytest has one server, which
begins with the first use and imports once. In place of subprocess.Popen and subprocess.run with text=True, these take
the words after `python`:

    process = warm.start(["train.py", "data=digits"], cwd=folder, env=environment())
    ended = warm.run(["-m", "mnist_lightning.evaluate", "RUN"], cwd=folder, env=environment(), timeout=250)

A Process has pid, poll, wait, send_signal, terminate, kill, communicate, returncode, stdout and stderr; run gives a
CompletedProcess. Both take stdin (empty unless given), stdout and stderr (pipes unless given), and limits, such as
{resource.RLIMIT_FSIZE: 1000}. The child has this folder, environment, sys.path and command line, a session of its own,
and the project's modules still to import. It ends as Python ends, so its status is the program's, negative by a signal.

What it can't show is start-up itself, so these stay with subprocess: what is imported and how fast, streams that are
closed, options of the interpreter but -W ACTION, variables that are read while libraries are loaded (START_UP, refused
where they differ from the server's), and programs that start themselves again, as DDP does. /proc/PID/cmdline is the
server's, and the seed of hashes is the same in all children.
"""

import atexit
import gc
import importlib
import json
import os
import resource
import runpy
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, NoReturn, cast

LIBRARIES = (
    "torch", "torch.utils.tensorboard", "torchvision", "lightning.pytorch", "torchmetrics.classification", "hydra",
    "hydra.core.plugins", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "sklearn.datasets",
    "pandas", "pydantic.type_adapter", "rich.console", "PIL.Image", "filelock",
)  # fmt: skip
START_UP = ("OMP_", "MKL_", "OPENBLAS_", "LD_", "LANG", "LC_", "COLUMNS", "PYTHON", "MPL")
LOOK_SECONDS = 0.01  # between two looks at the children
NUMBER = struct.Struct("=i")
Stream = int | IO[Any]


class Process:
    """A program that was started warm: what tests need of subprocess.Popen."""

    def __init__(self, args: list[str], told: int, stdout: int | None, stderr: int | None) -> None:
        self.args, self._told = args, told  # where the server tells the program's number, and its status at the end
        self.pid, self.returncode = self._number(), cast("int | None", None)
        self.stdout, self.stderr = (None if end is None else os.fdopen(end) for end in (stdout, stderr))
        self._said = {"stdout": b"", "stderr": b""}

    def _number(self) -> int:
        if not (told := os.read(self._told, NUMBER.size)):
            raise RuntimeError(f"the server of warm programs has died: {self.args}")
        return NUMBER.unpack(told)[0]

    def wait(self, timeout: float | None = None) -> int:
        if (status := self.returncode) is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            status = self.returncode = self._number()
            os.close(self._told)
        return status

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

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


class Server:
    """The process that forks, as this one sees it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {key: value for key, value in env.items() if key != "PYTHONPATH"}  # each child has its own
        self.control, other = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(other.fileno())], env=self.env, pass_fds=[other.fileno()], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        other.close()
        atexit.register(self.close)
        with cast(IO[bytes], self.process.stdout) as said:
            if not self.control.recv(1) or select.select([said], [], [], 0)[0]:  # each program would say it
                raise RuntimeError(f"importing {', '.join(LIBRARIES)} says: {os.read(said.fileno(), 2**16).decode()}")

    def close(self) -> None:
        """End it, and so what still runs."""
        self.control.close()
        self.process.wait()

    def differs(self, env: Mapping[str, str]) -> str:
        """Return a variable that is read while libraries are loaded and that would be another one."""
        names = [name for name in {*env, *self.env} - {"PYTHONPATH"} if name.startswith(START_UP)]
        return next((name for name in names if env.get(name) != self.env.get(name)), "")


servers: list[Server] = []  # none or one


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
        servers.append(Server(env))
    if name := servers[0].differs(env):
        raise ValueError(f"{name} is read while libraries are loaded: start this with subprocess")
    request = {"words": words, "cwd": str(cwd or Path.cwd()), "env": env, "limits": [*(limits or {}).items()]}
    with tempfile.TemporaryFile() as file, ExitStack() as ends:  # of the child
        file.write(json.dumps(request).encode())
        file.seek(0)
        own: list[Any] = []
        theirs = [file.fileno()]
        for stream in (subprocess.PIPE, stdin, stdout, stderr):
            mine, other = opened(stream, theirs[-1])
            own.append(mine)
            theirs.append(other)
            ends.callback(os.close, other)
        socket.send_fds(servers[0].control, [b"x"], theirs)
    return Process([sys.executable, *words], own[0], own[2], own[3])


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


def serve(control: socket.socket) -> list[str]:
    """Fork a child for each request until nobody can ask any more; return only in a child, its words."""
    running: dict[int, int] = {}  # and where to tell how it ended
    while True:
        if select.select([control], [], [], LOOK_SECONDS if running else None)[0]:
            asked, fds, *_ = socket.recv_fds(control, 1, 5)
            if not asked:
                for pid in running:
                    os.kill(pid, signal.SIGTERM)
                os._exit(0)
            if not (pid := os.fork()):
                control.close()
                for told in running.values():
                    os.close(told)
                return become(*fds)
            running[pid] = fds.pop(1)
            tell(running[pid], pid)
            for fd in fds:
                os.close(fd)
        for pid in [*running]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                tell(running[pid], os.waitstatus_to_exitcode(status))
                os.close(running.pop(pid))


def tell(where: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it
        os.write(where, NUMBER.pack(number))


def become(request: int, told: int, *streams: int) -> list[str]:
    """Make this child what a new process would be, and return its words."""
    os.setsid()
    with os.fdopen(request) as file:
        wanted = json.load(file)
    os.close(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [str(Path(path).absolute()) for path in paths if path]
    for limit, values in wanted["limits"]:
        resource.setrlimit(limit, tuple(values))
    return wanted["words"]


def execute(words: list[str]) -> None:
    """Run a program as Python's main module."""
    sys.orig_argv = [sys.executable, *words]
    if words[0] == "-W":
        warnings.simplefilter(words[1])  # type: ignore[arg-type]
        words = words[2:]
    sys.argv[:] = words[1:] if words[0] == "-m" else words
    if words[0] == "-m":
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        del sys.argv[1]
        sys.path.insert(0, "")
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")


def end(error: BaseException | None) -> NoReturn:
    """End as Python does, except that what is left is not taken down: that takes longer than many a program."""
    status = 1
    if error is None or isinstance(error, SystemExit):
        code = error.code if error else 0
        status = code if isinstance(code, int) else int(code is not None)
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
    else:
        sys.excepthook(type(error), error, error.__traceback__)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for them
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream and not stream.closed:
                stream.flush()
        except OSError:
            status = 120
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status & 0xFF)


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy all that it looks at
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.send(b"x")
    words = serve(channel)
    try:
        execute(words)
    except BaseException as error:
        end(error)
    end(None)
