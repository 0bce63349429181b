"""How a command ends: with the right exit status, and with one message where a person can mend it."""

import argparse
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from mnist_lightning.runs import processes
from mnist_lightning.runs.commands import install_command, requirements
from mnist_lightning.runs.errors import Interrupted, RunError, UsageError, printable, reason

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are said in lines broken between words."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        show(f"{self.prog}: error: {message}", sys.stderr)
        sys.exit(UsageError.status)


def parser_for_run(name: str, description: str | None, reads_data: bool = False) -> Parser:
    """Return the command line of a command on a trained run, to which the command adds its own options."""
    purpose = (description or "").partition(": `")[0]  # the command itself stands above
    parser = Parser(prog=f"python -m mnist_lightning.{name}", description=f"{purpose}.")
    parser.add_argument("run", metavar="RUN", help="a run directory, or a checkpoint in one")
    if reads_data:
        parser.add_argument("--data", metavar="FOLDER", help="where the data is, instead of data.root")
    return parser


def check_extra(extra: str) -> None:
    """Refuse what needs an extra that is not installed, naming all that it consists of."""
    for requirement in requirements(extra):
        name = requirement.partition(">")[0]
        try:
            import_module(name)
        except ImportError as error:
            raise UsageError(f"{name} can't be imported ({error}): {install_command(extra)}") from error


@contextmanager
def answered(ends_process: bool = True) -> Iterator[None]:
    """End the process with status 1 where the work failed, 2 where it was asked wrongly, 128 + its number by a signal.

    With `ends_process=False` errors are left to the caller, such as a launcher that does several jobs in one process.
    """
    if not ends_process:
        yield
        return
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it, and means it
            signal.signal(number, interrupt)
    if processes.can_be_requeued():
        signal.signal(signal.SIGUSR1, interrupt)
    processes.join_others()
    threading.excepthook = quiet_about_disks
    try:
        try:
            yield
        finally:
            let_signals_end_it()  # nothing is left to be saved
            if sys.stdout:  # it is None where a shell closed it: >&-
                sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, as after `| head`: no error, but not the whole job either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # a full or failing disk; train.log has the traceback where there is room for it
        say(f"{error.filename or 'a file'} can't be read or written: {error.strerror or error}")
        sys.exit(1)
    except (Exception, Interrupted) as error:
        why = reason(error)
        if not isinstance(why, RunError | Interrupted):
            raise
        say(why)
        if why.status == 128 + signal.SIGUSR1 and processes.is_main_process():
            say(processes.requeue())
        sys.exit(why.status)


def quiet_about_disks(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writing thread hands a full disk on to the main thread, which says so: once is enough."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)


def say(error: object) -> None:
    """Print what went wrong, after the name of the command as it was typed."""
    program = Path(sys.argv[0])
    name, folder = program.name, program.parent.name
    if folder == "mnist_lightning":
        name = f"python -m {folder}.{program.stem}"
    if processes.is_first_of_machine():
        with suppress(OSError):  # its terminal was closed
            show(f"{name}: {printable(str(error), keep=chr(10))}", sys.stderr)


def show(text: str, file: TextIO | None = None) -> None:
    """Print a text at once, on a terminal in lines broken between words."""
    file = file or sys.stdout
    width = shutil.get_terminal_size().columns if file and file.isatty() else sys.maxsize
    print(wrapped(text, width), file=file, flush=True)


def wrapped(text: str, width: int) -> str:
    """Break lines longer than a terminal between words; a command to type stays whole, on a line of its own."""
    lines, on_their_own = [], []
    for line in text.split("\n"):
        if len(line) <= width:
            lines.append(line)
            continue
        words, *commands = re.split(r"(?=PYTHONPATH=|python (?!-m \S+: )|tensorboard --logdir )", line, maxsplit=1)
        words = re.sub(r"(?<=\d) (?=s\b)", "\xa0", words)  # a number keeps its unit
        broken = textwrap.wrap(words, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        lines += [part.replace("\xa0", " ") for part in broken]
        on_their_own += [(len(lines), command) for command in commands]
        lines += commands
    indent = min((width - len(command) for _, command in on_their_own if len(command) <= width), default=4)
    for place, command in on_their_own:
        lines[place] = " " * min(indent, 4) + command
    return "\n".join(lines)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Stop at the first signal with everything saved; a second one ends the process at once."""
    let_signals_end_it()
    sys.unraisablehook = not_ignored
    Interrupted.arrived = Interrupted.arrived or Interrupted(number)
    raise Interrupted.arrived


def not_ignored(report: "sys.UnraisableHookArgs") -> None:
    """Let a signal end it that Python would only report as ignored.

    It came before the first one was handled, or while an object was taken down, where nothing can be raised.
    """
    message = re.fullmatch(r"Signal (\d+) ignored due to race condition", str(report.exc_value))
    if message:
        signal.raise_signal(int(message[1]))
    elif isinstance(report.exc_value, Interrupted):
        number = report.exc_value.status - 128
        signal.signal(number, interrupt)
        threading.Timer(0.01, signal.raise_signal, [number]).start()  # once more, a little later
    else:
        sys.__unraisablehook__(report)


def let_signals_end_it() -> None:
    for number in (*SIGNALS, signal.SIGUSR1):
        if signal.getsignal(number) == interrupt:
            signal.signal(number, signal.SIG_DFL)
