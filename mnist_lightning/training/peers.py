"""How a run on several devices ends when one of its processes has gone: within half a minute, with one message."""

import os
import re
import signal
import subprocess
import time
from contextlib import suppress

import torch.distributed as dist
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.strategies.launchers import subprocess_script

from mnist_lightning.runs.commands import resume_command
from mnist_lightning.runs.errors import Interrupted, RunError
from mnist_lightning.runs.run import Run
from mnist_lightning.terminal.command import interrupt, say

NOTICE_SECONDS = 5  # for this process to notice by itself, and to save what it has
SAVE_SECONDS = 10


def is_lost(error: Exception) -> bool:
    """Return whether torch raised it because another process can't be reached."""
    says_so = re.search(r"(?i)gloo|nccl|connection (closed|reset)", str(error))
    return isinstance(error, dist.DistError) or bool(dist.is_initialized() and says_so)


def gone(run: Run) -> RunError:
    go_on = f"Go on from its last checkpoint: {resume_command(run.directory)}" if run.checkpoint else "Start it again"
    return RunError(f"another process of this run has ended, or can't be reached. {go_on}")


def watch(run: Run) -> None:
    """Let this process end well when one that Lightning started has gone: Lightning would kill it by SIGKILL."""

    def launch(child_processes: list[subprocess.Popen]) -> None:
        signals, arriving = os.pipe()
        os.set_blocking(signals, False)
        os.set_blocking(arriving, False)
        signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)

        class Observer(_ChildProcessObserver):
            def _terminate_all(self) -> None:
                for process in child_processes:
                    process.kill()
                end(run, signals)

        Observer(main_pid=os.getpid(), child_processes=child_processes).start()

    subprocess_script._launch_process_observer = launch


def end(run: Run, signals: int) -> None:
    """End this process from a second thread: the main one may be waiting for the others, where no signal reaches it.

    Args:
        signals: a file descriptor from which the numbers of signals that arrived meanwhile are read.
    """
    time.sleep(NOTICE_SECONDS)
    error = Interrupted.arrived or gone(run)
    with suppress(BlockingIOError):
        error = Interrupted.arrived or Interrupted(os.read(signals, 1)[0])
    if Interrupted.arrived is None and signal.getsignal(signal.SIGTERM) == interrupt:
        Interrupted.arrived = error
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SAVE_SECONDS)
    with suppress(Exception):
        run.__exit__(type(error), error, None)
    say(error)
    os._exit(error.status)
