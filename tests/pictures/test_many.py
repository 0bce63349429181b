"""Many pictures: several processes prepare them as one would, and none of them is left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import environment, ring
from PIL import Image

from mnist_lightning.pictures import many
from mnist_lightning.pictures.many import each_seen
from mnist_lightning.pictures.prepare import prepare
from mnist_lightning.runs.errors import RunError

FIRST_OF_MANY = """
import multiprocessing, sys
from mnist_lightning.pictures.many import each_seen
found = each_seen(sys.argv[1:] * 400, None, 2)
next(found)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
for _ in found:
    pass
"""


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


@pytest.mark.parametrize("killed", ["first", "further"])
def test_a_killed_process_leaves_none_behind(killed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FIRST_OF_MANY, *pictures(tmp_path)]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        children = [int(pid) for pid in first.stdout.readline().split()]
        assert len(children) == 2
        os.kill(first.pid if killed == "first" else children[0], signal.SIGKILL)
        _, errors = first.communicate(timeout=30)
    assert killed == "first" or f"{RunError.__name__}: a process that prepared pictures was killed" in errors
    ends = time.monotonic() + 20
    while children and time.monotonic() < ends:
        for child in [*children]:
            with suppress(ProcessLookupError):
                os.kill(child, 0)
                continue
            children.remove(child)
        time.sleep(0.05)
    assert not children
