"""How every command ends: when it is asked how it is used, asked wrongly, and no longer read."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
import warm
from conftest import PROJECT, Program, environment, ring, scontrol
from PIL import Image
from test_train import fit

from mnist_lightning.runs.errors import RunError, printable
from mnist_lightning.terminal.command import parser_for_run, show

IN_A_LIBRARY = """
import os, signal
from omegaconf.errors import OmegaConfBaseException
from mnist_lightning.config.explain import explained
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


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_into_sixty_columns(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        import_module(f"mnist_lightning.{command}").main(["--help"])
    helped = capsys.readouterr().out
    assert max(map(len, helped.splitlines())) <= 60
    usage, _, options = helped.partition("\n\n")
    assert [option for option in re.findall(r"^  (--[\w-]+)", options, re.MULTILINE) if option not in usage] == []


def test_what_is_said_on_a_terminal_is_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit, match="2"):
        parser_for_run("evaluate", None).parse_args(["RUN", "--corupted"])
    show("and where there is more to say than one line of it can hold", terminal)
    assert terminal.getvalue().split("\n")[1:] == [
        "python -m mnist_lightning.evaluate: error: unrecognized",
        "    arguments: --corupted",
        "and where there is more to say than one line of it can hold",
        "",
    ]


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


TWO_AT_ONCE = """
import os, signal
from mnist_lightning.terminal.command import answered
both = [signal.SIGHUP, signal.SIGINT]
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
with answered():
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for number in both:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    print("not reached")
"""


def test_two_signals_at_once_are_a_first_and_a_second() -> None:
    ended = warm.run(["-c", TWO_AT_ONCE], env=environment())
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("words", [["train.py"], ["-m", "mnist_lightning.evaluate"]])
@pytest.mark.parametrize("seconds", [0, 0.1, 0.3])
def test_ctrl_c_during_the_imports_is_quiet(words: list[str], seconds: float) -> None:
    process = subprocess.Popen([sys.executable, *words, "RUN"], cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    for is_python in (True, False):  # the interpreter catches SIGINT when it has started, and our first line lets it go
        while process.poll() is None and catches(process.pid, signal.SIGINT) != is_python:
            pass  # a busy machine may not run this before the program has ended
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert process.returncode in (-signal.SIGINT, 130, 1, 2)  # the last two where it was quicker


def catches(pid: int, number: int) -> bool:
    [caught] = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(caught, 16) >> (number - 1) & 1)


IN_A_DESTRUCTOR = """
import os, signal, time
from mnist_lightning.terminal.command import answered

class Library:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

with answered():
    Library()
    time.sleep(60)
"""


def test_a_signal_that_arrives_while_an_object_is_taken_down_ends_it(program: Program) -> None:
    """Python raises nothing there."""
    ended = program("-c", IN_A_DESTRUCTOR)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "-c: terminated\n")


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


def test_a_job_of_slurm_makes_room_and_its_command_goes_on(tmp_path: Path, run: Path) -> None:
    """One command both begins and goes on: SLURM types it again."""
    scontrol(tmp_path)
    variables = {**environment(), "SLURM_JOB_ID": "7", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = ["data=digits", "model=mlp", "callbacks=none", "logger=none", "output_dir=run", "resume=auto"]

    def typed(*further: str) -> warm.Process:
        return warm.start([str(PROJECT / "train.py"), *words, *further], cwd=tmp_path, env=variables)

    process = typed("callbacks=default", "~callbacks.figures", "trainer.max_epochs=300")
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGUSR1
    assert said == (
        f"train.py: asked to make room. Go on from its last checkpoint: python {PROJECT}/train.py resume=run\n"
        "train.py: SLURM starts job 7 again\n"
    )
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    again = ("callbacks=default", "~callbacks.figures")
    refused = typed(*again, "optimizer.lr=0.5").communicate()[1]
    assert refused == (
        "train.py: optimizer.lr=0.5: run was started with optimizer.lr=0.01; "
        "for another experiment, name another output_dir\n"
    )
    done = len(json.loads((tmp_path / "run" / "results.json").read_text())["epochs"])
    process = typed(*again, f"trainer.max_epochs={done + 1}")
    assert (process.communicate()[1], process.returncode) == ("", 0)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["status"], len(results["epochs"])) == ("finished", done + 1)
    output, said = typed(*again, f"trainer.max_epochs={done + 1}").communicate()
    assert (said, f"finished all {done + 1} epochs" in output or "finished" in output) == ("", True)
