"""How a command ends: with the right exit status, and with one message where a person can mend it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mnist_lightning.runs.errors import Interrupted, RunError
from mnist_lightning.runs.files import printable
from mnist_lightning.runs.run import is_main_process


@contextmanager
def answered(ends_process: bool = True) -> Iterator[None]:
    """End the process with status 1 where the work failed, 2 where it was asked wrongly, 128 + its number by a signal.

    Args:
        ends_process: else errors are left to what called this, as a launcher that does several jobs in one process.
    """
    if not ends_process:
        yield
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it, and means it
            signal.signal(number, interrupt)
    threading.excepthook = quiet_about_disks
    try:
        try:
            yield
        finally:
            if sys.stdout:  # it is None where a shell closed it: >&-
                sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, as after `| head`: no error, but not the whole job either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except RunError as error:
        say(error)
        sys.exit(error.status)
    except OSError as error:  # a full or failing disk; train.log has the traceback where there is room for it
        say(f"{error.filename or 'a file'} can't be read or written: {error.strerror or error}")
        sys.exit(1)
    except Interrupted as stop:
        say(stop)
        sys.exit(stop.status)


def quiet_about_disks(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writing thread hands a full disk on to the main thread, which says so: once is enough."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)


def say(error: object) -> None:
    """Print what went wrong, after the name of the command as it was typed."""
    program = Path(sys.argv[0])
    name = (
        f"python -m {program.parent.name}.{program.stem}" if program.parent.name == "mnist_lightning" else program.name
    )
    if is_main_process():
        print(f"{name}: {printable(str(error))}", file=sys.stderr)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Stop at the first signal with everything saved; a second one ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted(number)
