"""Jobs side by side: each is a process of its own, `python train.py <overrides>`, and loses only itself."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_lightning.runs.files import as_json, read_end, write_atomically
from mnist_lightning.runs.processes import cores
from mnist_lightning.runs.run import peek
from mnist_lightning.sweeps import warm
from mnist_lightning.sweeps.display import Board
from mnist_lightning.terminal.command import SIGNALS
from mnist_lightning.terminal.console import say

if TYPE_CHECKING:  # optuna is an extra
    from mnist_lightning.sweeps.search import Search

POLL_SECONDS = 0.02
LOOK_SECONDS = 0.5  # between two looks at what the jobs have written
PATIENCE_SECONDS = 30  # for a job to save what it has after a signal; then it is killed


class Process:
    """A job that is running: train.py, out of reach of the terminal's Ctrl-C, which goes to this process."""

    def __init__(self, directory: Path, arguments: list[str], slot: int, slots: int) -> None:
        self.directory = directory  # train.py makes it itself
        self.slot = slot  # which of the places side by side it has
        directory.parent.mkdir(parents=True, exist_ok=True)
        log = directory / "train.log"
        self.log_before = read_end(log) if log.exists() else ""  # in a resumed run
        self.output_file = directory.with_name(f".{directory.name.partition('_')[0]}.output")
        with self.output_file.open("wb") as output:
            self.process = warm.start(
                [sys.argv[0], *arguments], share_of_machine(slot, slots), output, name=directory.name
            )
        self.started = time.perf_counter()
        self.is_told_to_stop = False

    def stop(self) -> None:
        """Tell the job, all processes of a multi-device one, to save what it needs to go on, and to end."""
        self.is_told_to_stop = True
        with suppress(ProcessLookupError):
            try:
                os.killpg(self.process.pid, signal.SIGTERM)
            except ProcessLookupError:  # it has ended, or begins and has no session of its own yet
                if self.process.poll() is None:
                    os.kill(self.process.pid, signal.SIGTERM)

    def close(self) -> dict[str, Any]:
        """Return the results of the job that has ended, or is ended here, and record what only this process knows.

        That is the whole output of a job that did not finish, and that it ended before it could say so itself.
        """
        with suppress(ProcessLookupError):  # also what a multi-device job that was killed left behind
            os.killpg(self.process.pid, signal.SIGKILL)
        status, output = self.process.wait(), read_end(self.output_file)
        self.output_file.unlink()
        results = peek(self.directory)
        if results and results["status"] == "finished":
            return results
        if results and results["status"] == "running":
            from mnist_lightning.training import hparams

            hparams.write_killed(self.directory)
        if results is None and self.is_told_to_stop:
            return {"status": "interrupted", "epochs": []}  # before it had begun: as if it had not been started
        if status < 0:
            output += f"ended by {signal.Signals(-status).name}\n"
        self.directory.mkdir(parents=True, exist_ok=True)
        write_atomically(self.directory / "train.log", (self.log_before + output).encode())
        if results is None:
            lines = [line for line in output.splitlines() if line.strip()] or [f"ended with status {status}"]
            said = [line.removeprefix("train.py: ") for line in lines if line.startswith("train.py: ")]
            results = {"status": "failed", "epochs": [], "error": (said or lines)[-1]}
            write_atomically(self.directory / "results.json", as_json(results))
        return results


def run_side_by_side(
    jobs: Iterable[tuple[Path, list[str]]], slots: int, total: int,
    flags: Sequence[str] = (), watcher: "Search | None" = None,
) -> None:  # fmt: skip
    """Run each job in a process of its own, `slots` of them at a time, and stop them all when this process is stopped.

    Of `jobs`, directory and overrides, the next one is asked for only when a slot is free. `flags` are further options
    of train.py, for each. The watcher hears of each epoch, and of each end.
    """
    waiting, free = iter(jobs), list(range(slots))
    running: list[Process] = []
    looked = 0.0
    try:
        with Board(total) as board:
            while True:
                for directory, overrides in islice(waiting, len(free)):
                    with signals_put_off():
                        words = [*flags, *overrides, "hydra.mode=RUN"]  # whatever the configuration says
                        running.append(Process(directory, words, free.pop(0), slots))
                if not running:
                    break
                time.sleep(POLL_SECONDS)
                if time.perf_counter() - looked > LOOK_SECONDS:
                    looked = time.perf_counter()
                    look(running, board, watcher)
                for one in [one for one in running if one.process.poll() is not None]:
                    with signals_put_off():
                        running.remove(one)
                        free.append(one.slot)
                        results = one.close()
                        word = "killed" if results["status"] == "running" else results["status"]
                        if watcher:
                            word = watcher.ended(one.directory, results)
                    board.ended(one.directory.name, word, results, time.perf_counter() - one.started)
    finally:
        stop(running)


@contextmanager
def signals_put_off() -> Iterator[None]:
    """Hold back a signal that would end the sweep until a step that must not be interrupted is done."""
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for put_off, handler in before.items():
            signal.signal(put_off, handler)
        for late in arrived[:1]:
            signal.raise_signal(late)


def look(running: Iterable[Process], board: Board, watcher: "Search | None") -> None:
    """Show how far the jobs are, and stop those that a search gives up."""
    for one in running:
        results = peek(one.directory)
        if results and watcher and watcher.gives_up(one.directory, results):
            one.stop()
        board.show(one.directory.name, read_end(one.output_file, most=2000), results)
    board.refresh()


def stop(running: Sequence[Process]) -> None:
    """Stop jobs with SIGTERM, which saves what they need to go on; those running after half a minute are killed."""
    for one in running:
        one.stop()
    if running:
        say("stopping, after saving what is needed to resume …")
    deadline = time.monotonic() + PATIENCE_SECONDS
    for one in running:
        with suppress(subprocess.TimeoutExpired):
            one.process.wait(max(0.1, deadline - time.monotonic()))
        one.close()


def share_of_machine(slot: int, slots: int) -> dict[str, str]:
    """Return the environment for a job: its share of the CPU's threads, and of the GPUs where there are any.

    An OMP_NUM_THREADS that is set already is left as it is. Where there are more slots than GPUs, some share one.
    """
    environment = dict(os.environ)
    if slots > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // slots)))
        if gpus := visible_gpus():
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[slot::slots] or [gpus[slot % len(gpus)]])
    return environment


def visible_gpus() -> list[str]:
    """Return the names of the NVIDIA GPUs that this process may use, without starting CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return re.findall(r"^GPU (\d+):", listed.stdout, re.MULTILINE)
