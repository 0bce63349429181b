"""What went wrong, said to a person: one message instead of a traceback."""

from typing import ClassVar


def printable(text: str, keep: str = "") -> str:
    """Return `text` with what a terminal can't show, or would obey, as an escape sequence of Python's."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def one_line(error: object, most: int | None = None) -> str:
    """Return what an error says as one line, of at most so many characters."""
    return " ".join(str(error).split())[:most]


class RunError(Exception):
    """The work failed, and the message, a line for each argument, says what to do about it. Exit status 1."""

    status = 1

    def __str__(self) -> str:
        return "\n".join(printable(str(line)) for line in self.args)


class UsageError(RunError):
    """Something was asked for that can't be done; nothing was read or written. Exit status 2."""

    status = 2


class DivergedError(RunError):
    """The loss became NaN or infinite. The last good checkpoint is kept. Exit status 1."""


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived, or SLURM's SIGUSR1. Exit status 128 + signal number."""

    arrived: ClassVar["Interrupted | RunError | None"] = None  # what was raised may be lost in a library

    def __init__(self, signal_number: int) -> None:
        words = {1: "hung up", 2: "interrupted", 10: "asked to make room", 15: "terminated"}
        super().__init__(words.get(signal_number, f"signal {signal_number}"))
        self.status = 128 + signal_number


def reason(error: BaseException | None) -> BaseException | None:
    """Return the signal that arrived instead of the error that a library made of it; a full disk's error stays."""
    if error is None or isinstance(error, OSError):
        return error
    return Interrupted.arrived or error
