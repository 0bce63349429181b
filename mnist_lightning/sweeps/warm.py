"""Python programs that start warm: forked from a server that has imported the libraries of a run.

`python train.py …` imports for seconds before it does anything. The server, Python's own of multiprocessing, imports
once. Each program is a process of its own, in a session of its own, with its own environment, folder, streams and
command line, and the project's modules still to import. It ends as Python ends, with the same statuses.

What it can't have anew is what libraries read as they are loaded. Of that, OMP_NUM_THREADS is made good here.
"""

import atexit
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver, reduction, resource_tracker
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

LIBRARIES = (
    "torch", "torch._dynamo", "torch.utils.tensorboard", "torchvision", "lightning.pytorch",
    "torchmetrics.classification", "hydra", "hydra.core.plugins", "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg", "sklearn.datasets", "pydantic.type_adapter", "rich.console",
    "rich.progress", "PIL.Image", "filelock",
)  # fmt: skip
CAN_FORK = sys.platform == "linux"  # elsewhere libraries of the system don't bear it, or there is no fork


def begin() -> None:
    """Let the server begin to import, so that it is ready when the first program is wanted."""
    if CAN_FORK:
        server: Any = forkserver._forkserver
        if server._forkserver_alive_fd is not None and server._forkserver_pid is None:  # this process has begun warm
            server.ensure_running = lambda: None  # its server serves here too; Python would begin another one
            return
        server.set_forkserver_preload([*LIBRARIES])
        resource_tracker.ensure_running()  # or it is begun by the next, which then lets signals through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is not for the server
        try:
            with suppress(OSError):  # TMPDIR is too long a name for a socket: programs start cold
                server.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(
    words: Sequence[str], env: Mapping[str, str], output: IO[bytes], name: str
) -> "Program | subprocess.Popen[bytes]":
    """Start `python SCRIPT …` in a session of its own, writing into a file: warm, or cold where that can't be had."""
    if CAN_FORK and sys.stdin and sys.stdout and sys.stderr:  # else new descriptors would get their numbers
        with Path(os.devnull).open() as nothing, suppress(OSError, EOFError):  # the server was killed
            return Program(words, env, Streams(nothing.fileno(), output.fileno(), output.fileno()), name)
    return subprocess.Popen(
        [sys.executable, *words], env=env, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
    )  # fmt: skip


class Streams:
    """Descriptors of this process that become those of a program: standard input, output and errors."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __getstate__(self) -> list[Any]:
        return [reduction.DupFd(number) for number in self.numbers]

    def __setstate__(self, duplicates: list[Any]) -> None:
        self.numbers = tuple(duplicate.detach() for duplicate in duplicates)


class Program:
    """`python SCRIPT …` in this folder, started warm, with what is needed of subprocess.Popen.

    Args:
        words: what follows `python`.
        env: its environment.
        streams: its standard input, output and errors.
        name: what top and pgrep call it; its command line is that of the server.

    Raises:
        OSError, EOFError: the server has died.
    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str], streams: Streams, name: str) -> None:
        begin()
        work = (list(words), dict(env), streams, str(Path.cwd()), name)
        self.process = multiprocessing.get_context("forkserver").Process(target=become, args=work)
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")  # the child would run it first
        try:
            self.process.start()
        finally:
            sys.modules["__main__"] = main
        self.pid: int = self.process.pid  # type: ignore[assignment]

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if (status := self.process.exitcode) is None:
            raise subprocess.TimeoutExpired(str(self.process), timeout or 0)
        return status


def become(words: list[str], env: dict[str, str], streams: Streams, cwd: str, name: str) -> NoReturn:
    """Make this child what a new process would be, and run the program as Python's main module."""
    os.setsid()
    Path("/proc/self/comm").write_text(name[:15])
    on_ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets one that was meant for the session before
    signal.signal(signal.SIGINT, on_ctrl_c)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    for number, own in enumerate(streams.numbers):
        os.dup2(own, number)
        os.close(own)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  multiprocessing has closed it
    os.chdir(cwd)
    threads = env.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and threads != os.environ.get("OMP_NUM_THREADS"):
        sys.modules["torch"].set_num_threads(int(threads))
    os.environ.clear()
    os.environ.update(env)
    project = __name__.partition(".")[0]
    for module in [module for module in sys.modules if module.partition(".")[0] == project]:
        del sys.modules[module]  # the program may have its own
    gc.freeze()  # collecting would copy all that was inherited, by looking at it
    sys.orig_argv, sys.argv[:] = [sys.executable, *words], words
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    try:
        runpy.run_path(words[0], run_name="__main__")
    except BaseException as error:
        end(error)
    end(None)


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
