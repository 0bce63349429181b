"""Programs that start warm are to a test what `python` would have started: each is held against that."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import warm
from conftest import environment

SHOWN = """
import json, os, signal, sys, threading
json.dump({
    "main": sys.modules["__main__"].__name__, "name": __name__, "argv": sys.argv, "path": sys.path[:3],
    "cwd": os.getcwd(), "environment": sorted(os.environ.items()), "read": sys.stdin.read(),
    "streams": [[s.encoding, s.errors, s.line_buffering, s.isatty()] for s in (sys.stdout, sys.stderr)],
    "signals": [str(signal.getsignal(n)) for n in (2, 10, 13, 15, 17)], "threads": threading.active_count(),
    "limit": str(sys.getrecursionlimit()),
}, sys.stdout)
"""
ENDS = {
    "pass": 0, "import sys; sys.exit(3)": 3, "import sys; sys.exit('why')": 1, "import sys; sys.exit(256 + 4)": 4,
    "import os; os._exit(5)": 5, "import os; os.kill(os.getpid(), 9)": -9, "raise KeyboardInterrupt": -2,
    "1 / 0": 1, "import atexit; atexit.register(print, 'late')": 0,
    "import threading, time; threading.Timer(0.1, print, ['later']).start()": 0,
    "def f(:": 1,
}  # fmt: skip


def cold(*words: str, cwd: Path, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # type: ignore[call-overload]
        [sys.executable, *words], cwd=cwd, env=environment(), capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("words", [["-c", SHOWN, "a", "-b"], ["shown.py", "a", "-b"], ["-m", "shown", "a", "-b"]])
def test_a_program_finds_what_python_gives_it(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(SHOWN)
    with (tmp_path / "input").open("w+") as file:
        file.write("two\nlines")
        file.seek(0)
        mine = warm.run(words, cwd=tmp_path, env=environment(), stdin=file)
        file.seek(0)
        other = cold(*words, cwd=tmp_path, stdin=file)
    assert (mine.returncode, mine.stderr, mine.stdout) == (other.returncode, other.stderr, other.stdout)


@pytest.mark.parametrize("code", ENDS)
def test_a_program_ends_as_python_ends(code: str, tmp_path: Path) -> None:
    mine, other = warm.run(["-c", code], cwd=tmp_path, env=environment()), cold("-c", code, cwd=tmp_path)
    assert (mine.returncode, mine.stdout) == (other.returncode, other.stdout) == (ENDS[code], mine.stdout)
    last = [ended.stderr.splitlines()[-1:] for ended in (mine, other)]
    assert last[0] == last[1]


def test_a_child_can_calculate(tmp_path: Path) -> None:
    code = (
        "import torch; a = torch.rand(300, 300); (a @ a).sum(); print(torch.get_num_threads(), 'matplotlib' in dir())"
    )
    other = cold("-c", code, cwd=tmp_path)
    assert warm.run(["-c", code], cwd=tmp_path, env=environment()).stdout == other.stdout
    code = "import torch, sys; print(torch.cuda._is_in_bad_fork(), 'mnist_lightning.runs' in sys.modules)"
    assert warm.run(["-W", "ignore", "-c", code], cwd=tmp_path, env=environment()).stdout == "False False\n"


def test_a_running_program_is_talked_to(tmp_path: Path) -> None:
    code = "import sys, time; print('begun', flush=True); print('x' * 300_000, 'ü', file=sys.stderr); time.sleep(100)"
    process = warm.start(["-c", code], cwd=tmp_path, env=environment())
    assert process.stdout and process.stdout.readline() == "begun\n"
    assert process.poll() is None and os.getsid(process.pid) == process.pid
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.2)
    process.terminate()
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (-signal.SIGTERM, "", "x" * 300_000 + " ü\n")
    process.kill()  # it has ended: nothing happens
    assert process.wait() == process.poll() == -signal.SIGTERM


def test_programs_run_side_by_side_within_their_limits(tmp_path: Path) -> None:
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('x' * 2000)"
    limits = {resource.RLIMIT_FSIZE: (1000, 1000)}
    both = [
        warm.start(["-c", code, name], cwd=tmp_path, env=environment(), stderr=subprocess.STDOUT, limits=only)
        for name, only in (("whole", None), ("cut", limits))
    ]
    said = [process.communicate(timeout=20)[0] for process in both]
    assert [process.returncode for process in both] == [0, 1]
    assert (said[0], said[1].splitlines()[-1]) == ("", "OSError: [Errno 27] File too large")
    assert [(tmp_path / name).stat().st_size for name in ("whole", "cut")] == [2000, 1000]


def test_what_is_about_start_up_is_refused() -> None:
    for words in (["-X", "importtime", "train.py"], ["-m"], ["-W", "ignore"], []):
        with pytest.raises(ValueError, match="start this with subprocess"):
            warm.start(words)
    with pytest.raises(ValueError, match="OMP_NUM_THREADS is read while libraries are loaded"):
        warm.start(["-c", "pass"], env=environment(OMP_NUM_THREADS="3"))


@pytest.mark.parametrize("can_fork", [True, False])
def test_a_job_has_its_threads_its_name_and_its_session(
    can_fork: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing can be forked."""
    monkeypatch.setattr(warm.jobs, "CAN_FORK", can_fork)
    warm.run(["-c", "pass"], env=environment()) if can_fork else None  # the server begins
    code = (
        "import os, torch; print(torch.get_num_threads(), os.getsid(0) == os.getpid(), open('/proc/self/comm').read())"
    )
    (script := tmp_path / "job.py").write_text(code)
    with (tmp_path / "output").open("wb") as output:
        job = warm.jobs.start([str(script)], environment(OMP_NUM_THREADS="2"), output, name="2_experiment=long")
    assert job.wait(60) == 0
    said = (tmp_path / "output").read_text().split()
    assert said == ["2", "True", "2_experiment=lo" if can_fork else "python"]
    assert isinstance(job, subprocess.Popen) != can_fork
