"""Many pictures: several processes prepare them as one would, and none of them is left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import environment, ring
from PIL import Image

from mnist_lightning.pictures import many
from mnist_lightning.pictures.many import each_seen
from mnist_lightning.pictures.prepare import prepare

FIRST_OF_MANY = """
import multiprocessing, sys
from contextlib import closing
from mnist_lightning.pictures.many import each_seen
from mnist_lightning.terminal.command import answered
with answered(), closing(each_seen(sys.argv[1:], None, 2)) as found:
    next(found)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    for _ in found:
        pass
"""


@contextmanager
def two_processes(names: list[str]) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Start a first process, in a session of its own, that has two others prepare pictures."""
    command = [sys.executable, "-c", FIRST_OF_MANY, *names]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment(), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as first:
        try:
            assert first.stdout
            children = [int(pid) for pid in first.stdout.readline().split()]
            assert len(children) == 2
            yield first, children
        finally:
            with suppress(ProcessLookupError):
                os.killpg(first.pid, signal.SIGKILL)


def has_open(process: int, file: Path) -> bool:
    return any(one.resolve() == file for one in Path(f"/proc/{process}/fd").iterdir())


def check_that_all_end(children: list[int]) -> None:
    ends = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < ends
        time.sleep(0.05)


def pictures(folder: Path) -> list[str]:
    """Write rings of different sizes, and what is no picture."""
    for number in range(12):
        Image.fromarray(ring(120, 20 + 2 * number, (60, 60), 20, 240)).save(folder / f"{number}.png")
    (folder / "5.png").write_text("no picture")
    return [str(folder / f"{number}.png") for number in range(12)]


def test_several_processes_do_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "WORTH", 6)
    names = pictures(tmp_path)
    with closing(each_seen(names, None, 1)) as by_one, closing(each_seen(names, None, 2)) as by_two:
        for number, (one, other) in enumerate(zip(by_one, by_two, strict=True)):
            if number == 5:
                assert one == other
                assert one == "not a picture that can be read"
            else:
                expected = prepare(ring(120, 20 + 2 * number, (60, 60), 20, 240))
                assert np.array_equal(one, expected)
                assert np.array_equal(other, expected)


def test_a_killed_process_leaves_none_behind(tmp_path: Path) -> None:
    with two_processes(pictures(tmp_path) * 400) as (first, children):
        first.kill()
        first.communicate(timeout=30)
        check_that_all_end(children)


@pytest.mark.parametrize("killed", ["waits", "works"])
def test_the_first_process_says_that_one_was_killed(killed: str, tmp_path: Path) -> None:
    """Also where the other one works for a long time, and where the killed one holds the lock of the work to come."""
    os.mkfifo(endless := tmp_path / "endless.png")
    with two_processes([*(pictures(tmp_path) * 20)[:239], str(endless)]) as (first, children):
        with endless.open("wb"):  # one process reads it, while the other one has nothing left to do
            while len(at_work := [child for child in children if has_open(child, endless)]) != 1:
                time.sleep(0.05)
            time.sleep(0.2)
            os.kill(next(child for child in children if (child in at_work) == (killed == "works")), signal.SIGKILL)
            _, errors = first.communicate(timeout=30)
        assert first.returncode == 1
        assert errors.startswith("-c: a process that prepared pictures was killed")
        check_that_all_end(children)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_all_processes_is_answered_by_the_first(number: int, status: int, tmp_path: Path) -> None:
    with two_processes(pictures(tmp_path) * 400) as (first, children):
        os.killpg(first.pid, number)
        _, errors = first.communicate(timeout=30)
        assert first.returncode == status
        assert re.fullmatch(r"-c: \w+( up)?\n", errors)
        check_that_all_end(children)
