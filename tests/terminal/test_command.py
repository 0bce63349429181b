"""How every command ends: when it is asked how it is used, asked wrongly, and no longer read."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm
from conftest import PROJECT, Program, environment, ring
from PIL import Image
from test_train import fit

from mnist_lightning.runs.errors import RunError, printable

IN_A_LIBRARY = """
import os, signal
from omegaconf.errors import OmegaConfBaseException
from mnist_lightning.config.compose import explained
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.terminal.command import answered

with answered(), explained([]):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        raise {error}
"""

COMMANDS = ("evaluate", "predict", "export", "serve", "compare")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("commands") / "run"
    fit(directory, "data=digits", "trainer=smoke", "logger=none")
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(directory.parent / "zero.png")
    return directory


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_given_and_a_wrong_option_is_named(command: str, program: Program) -> None:
    helped = program("-X", "importtime", "-m", f"mnist_lightning.{command}", "--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith(f"usage: python -m mnist_lightning.{command}")
    assert "| torch\n" not in helped.stderr, "answered before torch is imported"
    wrong = program("-m", f"mnist_lightning.{command}", "run", *["zero.png"][: command == "predict"], "--wrong")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "unrecognized arguments: --wrong" in wrong.stderr


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_no_such_run_is_said_in_one_line(command: str, program: Program) -> None:
    ended = program("-m", f"mnist_lightning.{command}", "nowhere", *["zero.png"][: command == "predict"])
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"python -m mnist_lightning.{command}: nowhere is not a run: there is no nowhere/config.yaml\n"
    )


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("evaluate {run}", 141),
        ("predict {run} {zero}", 141),
        ("export {run}", 141),
        ("compare {run}", 0),  # as at the end of a sweep, its table is written into files all the same
    ],
)
def test_output_that_nobody_reads_ends_it_quietly(command: str, status: int, run: Path) -> None:
    """As `| head` does once it has seen enough."""
    words = command.format(run=run, zero=run.parent / "zero.png").split()
    reader, writer = os.pipe()
    os.close(reader)
    typed = ["-m", f"mnist_lightning.{words[0]}", *words[1:]]
    if words[0] != "compare":
        ended = warm.run(typed, stdout=writer, env=environment())
    else:
        whole = [sys.executable, *typed]
        ended = subprocess.run(whole, stdout=writer, stderr=subprocess.PIPE, env=environment(), text=True)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (status, "")


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert printable("größer\n→ \x1b[31mred\r\udcff") == "größer\\n→ \\x1b[31mred\\r\\udcff"
    assert printable("two\nlines\r", keep="\n") == "two\nlines\\r"
    assert str(RunError("one\x1b", "two\n")) == "one\\x1b\ntwo\\n", "a line for each argument"


@pytest.mark.parametrize("words", [["train.py"], ["-m", "mnist_lightning.evaluate"]])
@pytest.mark.parametrize("seconds", [0.06, 0.15, 0.3])
def test_ctrl_c_during_the_imports_is_quiet(words: list[str], seconds: float) -> None:
    process = subprocess.Popen([sys.executable, *words, "RUN"], cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert process.returncode in (-signal.SIGINT, 130, 1, 2)  # the last two where it was quicker


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        ("AttributeError('a flag of None')", 143, "terminated"),
        ("OmegaConfBaseException('a flag of None')", 143, "terminated"),
        ("UsageError('the other process has gone')", 143, "terminated"),
        ("OSError(28, 'No space left on device', 'last.ckpt')", 1, "last.ckpt can't be read or written: No space"),
    ],
)
def test_a_signal_is_answered_as_one_whatever_a_library_makes_of_it(
    error: str, status: int, message: str, program: Program
) -> None:
    """OmegaConf and torch.distributed tidy up in `finally`, which may fail halfway; a full disk is said as such."""
    ended = program("-c", IN_A_LIBRARY.format(error=error))
    assert (ended.returncode, ended.stdout) == (status, "")
    assert ended.stderr.startswith(f"-c: {message}")
    assert ended.stderr.count("\n") == 1
