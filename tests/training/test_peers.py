"""A run on several devices of which another process has gone, while this one waits where no signal reaches it."""

import inspect
import subprocess
from pathlib import Path

import pytest
from conftest import Program
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.strategies.launchers import subprocess_script

PROGRAM = """
import os, signal, subprocess, sys, threading
import torch
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.strategies.launchers import subprocess_script
from mnist_lightning.runs.run import Run
from mnist_lightning.terminal import console
from mnist_lightning.terminal.command import answered
from mnist_lightning.training import peers

_ChildProcessObserver.__init__.__defaults__ = (0.1,)
console.set_up()
peers.NOTICE_SECONDS = peers.SAVE_SECONDS = 0.3
with answered(), Run.create("run", "x") as run:
    peers.watch(run)
    subprocess_script._launch_process_observer([subprocess.Popen([sys.executable, "-c", "exit(3)"])])
    {before}
    {wait}
"""
FOR_ANOTHER = "torch.distributed.TCPStore('127.0.0.1', 0, is_master=True).wait(['never'])"
A_SIGNAL = "threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()"


@pytest.mark.parametrize(
    ("before", "wait", "status", "message"),
    [
        ("", FOR_ANOTHER, 1, "another process of this run has ended, or can't be reached. Start it again"),
        ("", "signal.pause()", 1, "another process of this run has ended, or can't be reached. Start it again"),
        (A_SIGNAL, FOR_ANOTHER, 130, "interrupted"),
    ],
)
def test_a_process_that_has_gone_ends_the_run_with_one_message(
    before: str, wait: str, status: int, message: str, program: Program, tmp_path: Path
) -> None:
    ended: subprocess.CompletedProcess[str] = program("-c", PROGRAM.format(before=before, wait=wait))
    assert (ended.returncode, ended.stderr) == (status, f"-c: {message}\n")
    assert not (tmp_path / "run").exists(), "no step was taken"


def test_what_is_replaced_of_lightning_is_still_there() -> None:
    launch = inspect.getsource(subprocess_script._SubprocessScriptLauncher.launch)
    assert "_launch_process_observer(self.procs)" in launch
    assert "self._terminate_all()" in inspect.getsource(_ChildProcessObserver._run)
