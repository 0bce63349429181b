"""Full disks, damaged files, two at once, clocks, locales, streams, directories that vanish, and sweeps."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from conftest import processes_in

from faults.kills import Case, numbers
from faults.lab import KINDS, PLAIN, Facts, Lab, litter
from mnist_lightning.runs.run import LAST_CHECKPOINT, Run
from mnist_lightning.runs.weights import weights_of

KIND = "BatchNorm and dropout, Adam, one-cycle"
CLOCK = "import runpy, sys, time; real = time.time; time.time = lambda: real() - 3600; runpy.run_path(sys.argv[0], run_name='__main__')"  # noqa: E501


def interrupted(lab: Lab, kind: str = KIND) -> Path:
    """Return a run that was killed in its third epoch."""
    name = f"interrupted-{next(numbers)}"
    template = lab.folder / "interrupted"
    if not template.exists():
        lab.run(*KINDS[kind], "output_dir=interrupted", moment=lab.moments(kind) * 2 // 3)
    return shutil.copytree(template, lab.folder / name)


def disks(lab: Lab, many: int) -> Iterator[Case]:
    """Let files grow to some size only, as a full disk does; then there is room again."""

    def full(kind: str, most: int) -> str | None:
        name = f"full-{next(numbers)}"
        limit = {resource.RLIMIT_FSIZE: (most, resource.RLIM_INFINITY)}
        status, said = lab.run(*KINDS[kind], f"output_dir={name}", limits=limit)
        if "Traceback" in said or status not in (0, 1):
            return f"status {status}: {said[-500:]}"
        return lab.finished(name, kind)

    for number in range(many):
        kind, most = list(KINDS)[number % len(KINDS)], int(300 * 1.9**number)
        yield f"{kind}: {most:,} bytes a file", lambda kind=kind, most=most: full(kind, most)  # type: ignore[misc]


def damage(lab: Lab, flips: int, cuts: int, resumes: int = 4, seed: int = 0) -> Iterator[Case]:
    """Flip bits of the last checkpoint, and cut it off: the one before is taken, saying so."""
    draw = random.Random(seed)

    def damaged(is_cut: bool, goes_on: bool) -> str | None:
        run = interrupted(lab)
        last = run / LAST_CHECKPOINT
        content = bytearray(last.read_bytes())
        if is_cut:
            del content[draw.randrange(len(content)) :]
        else:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        last.write_bytes(content)
        if goes_on:
            status, said = lab.run(f"resume={run.name}")
            if "last.ckpt is damaged: going on from" not in said:
                return f"status {status}, not said: {said[-300:]}"
            return lab.finished(run.name, KIND)
        taken = Run.open(run).checkpoint
        if taken is None or taken == last or weights_of(run)[0] == last:
            return "it was not noticed"
        shutil.rmtree(run)
        return None

    for number in range(flips + cuts):
        is_cut, goes_on = number >= flips, number % (flips + cuts) < resumes or number >= flips + cuts - resumes
        name = "cut off" if is_cut else "a bit flipped"
        yield name, lambda is_cut=is_cut, goes_on=goes_on: damaged(is_cut, goes_on)  # type: ignore[misc]


def two_at_once(lab: Lab) -> str | None:
    run = interrupted(lab)
    both = [lab.start(f"resume={run.name}") for _ in range(2)]
    ends = sorted((process.communicate(100)[1], process.wait()) for process in both)
    statuses = sorted(status for _, status in ends)
    return None if statuses in ([0, 2], [0, 0]) and not lab.finished(run.name, KIND) else f"{ends}"[-500:]


def clock(lab: Lab) -> str | None:
    run = interrupted(lab)
    status, said = lab.program("-c", CLOCK, f"resume={run.name}", script=str(lab.folder / "train.py"))
    return said[-500:] if status else lab.finished(run.name, KIND)


def cold(lab: Lab, shell: str, **env: str) -> str | None:
    run = interrupted(lab)
    command = f"{sys.executable} {lab.folder / 'train.py'} resume={run.name} {shell}"
    ended = subprocess.run(command, shell=True, cwd=lab.folder, env=lab.env | env, capture_output=True, text=True)
    return ended.stderr[-500:] if ended.returncode else lab.finished(run.name, KIND)


def vanished(lab: Lab) -> str | None:
    name = f"vanished-{next(numbers)}"
    process = lab.start(*KINDS[KIND], f"output_dir={name}")
    while not (lab.folder / name / LAST_CHECKPOINT).exists():
        time.sleep(0.005)
    (lab.folder / name).rename(lab.folder / f"{name}-elsewhere")
    said = process.communicate(100)[1]
    shutil.rmtree(lab.folder / name, ignore_errors=True)
    (lab.folder / f"{name}-elsewhere").rename(lab.folder / name)
    return said[-500:] if "Traceback" in said else lab.finished(name, KIND)


def refused(lab: Lab, *words: str) -> str | None:
    """A finished run stays what it was, whatever is asked of it."""
    lab.undisturbed(KIND)
    run = shutil.copytree(lab.folder / f"whole-{list(KINDS).index(KIND)}", lab.folder / f"asked-{next(numbers)}")
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file() and file.suffix != ".log"}
    status, said = lab.run(*(word.format(run=run.name) for word in words))
    after = {file: file.read_bytes() for file in run.rglob("*") if file.is_file() and file.suffix != ".log"}
    changed = [file.name for file in before.keys() | after.keys() if before.get(file) != after.get(file)]
    changed = [name for name in changed if name != ".lock"]
    return f"status {status}, changed {changed}: {said[-300:]}" if changed or "Traceback" in said else None


def surroundings(lab: Lab) -> Iterator[Case]:
    """What is around a run: other processes, the clock, the locale, the streams, its directory, and what is tried."""
    yield "two resumes at once", partial(two_at_once, lab)
    yield "the clock is put back an hour", partial(clock, lab)
    yield "a locale without UTF-8", partial(cold, lab, "", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    yield "streams that are closed", partial(cold, lab, ">&- 2>&-")
    yield "no terminal and no reader", partial(cold, lab, "</dev/null | cat > /dev/null")
    yield "its directory is moved away while it runs", partial(vanished, lab)
    for words in (
        ("resume={run}",), ("resume={run}", "trainer.max_epochs=9"), ("resume={run}", "trainer.max_epochs=1"),
        ("resume={run}", "optimizer.lr=1"), ("output_dir={run}", *PLAIN), ("resume={run}/checkpoints/none.ckpt",),
        ("resume={run}", "trainer.limit_train_batches=0.00001"), ("resume={run}", "trainer.accelerator=gpu"),
    ):  # fmt: skip
        yield f"a finished run: {' '.join(words[:2])}", partial(refused, lab, *words)


def sweeps(lab: Lab, many: int, seed: int = 0) -> Iterator[Case]:
    """Kill a sweep with its jobs, its jobs alone, or what they are forked from: the same command goes on with it."""
    draw = random.Random(seed)
    words = ("-m", *PLAIN, "model=small", "seed=0,1", "trainer.max_epochs=2")

    def killed(after: float, what: str) -> str | None:
        name = f"sweep-{next(numbers)}"
        goes_on(lab, name, words, after, what)
        problems = []
        for number in (0, 1):
            single = lab.folder / f"single-{number}"
            if not single.exists():
                lab.run(*words[1:-2], f"seed={number}", words[-1], f"output_dir={single.name}")
            problems.append(Facts(single).differences(Facts(lab.folder / name / f"{number}_seed={number}")))
        return "; ".join(filter(None, problems)) or None

    for number in range(many):
        after, what = draw.uniform(1, 20), ("all of it", "its jobs", "the server of its jobs")[number % 3]
        yield f"{what} after {after:.1f} s", lambda a=after, w=what: killed(a, w)  # type: ignore[misc]


def searches(lab: Lab, many: int, seed: int = 0) -> Iterator[Case]:
    """Kill a search, with its jobs or without: the same command does what is left of its trials, none twice."""
    draw = random.Random(seed)
    words = ("sweep=search", *PLAIN, "trainer.max_epochs=2", "hydra.sweeper.trials=4", "hydra.sweeper.startup_trials=4")

    def killed(after: float, what: str) -> str | None:
        name = f"search-{next(numbers)}"
        goes_on(lab, name, words, after, what)
        runs = [json.loads(path.read_text()) for path in (lab.folder / name).glob("*/results.json")]
        ends = [run["status"] for run in runs]
        fine = ends.count("finished") == 4 and set(ends) <= {"finished", "failed", "running"} and len(ends) <= 5
        return None if fine and not litter(lab.folder / name) else f"{ends}, {litter(lab.folder / name)}"

    for number in range(many):
        after, what = draw.uniform(1, 25), ("all of it", "its jobs")[number % 2]
        yield f"{what} after {after:.1f} s", lambda a=after, w=what: killed(a, w)  # type: ignore[misc]


def goes_on(lab: Lab, name: str, words: Sequence[str], after: float, what: str) -> None:
    """Start a sweep, kill what was named some seconds later, and type its command again until it has ended well."""
    command = [sys.executable, str(lab.folder / "train.py"), *words, f"hydra.sweep.dir={name}"]
    quiet = {"cwd": lab.folder, "env": lab.env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet)  # type: ignore[call-overload]
    time.sleep(after)
    server = [int(number) for number in children(process.pid)]
    jobs = [number for called, number in processes_in(lab.folder).items() if re.match(r"\d_", called)]
    for number in {"all of it": [process.pid, *jobs, *server], "its jobs": jobs}.get(what, server):
        os.kill(number, signal.SIGKILL)
    process.wait()
    for _ in range(3):
        again = [*command[:2], f"resume={name}"] if (lab.folder / name / "sweep.json").exists() else command
        if subprocess.run(again, **quiet).returncode == 0:  # type: ignore[call-overload]
            break


def ranks(lab: Lab, many: int, seed: int = 0) -> Iterator[Case]:
    """Signal one process of a run on two devices: it ends within half a minute, with one message, and goes on.

    After 0 epochs it is within the start, where one process may wait for the other.
    """
    draw = random.Random(seed)
    words = (*PLAIN, "trainer=ddp", "trainer.devices=2", "model=mlp", "trainer.max_epochs=4")

    def signalled(number: signal.Signals, is_first: bool, epochs: int, after: float) -> str | None:
        name = f"ranks-{next(numbers)}"
        process = lab.start(*words, f"output_dir={name}", "trainer.max_epochs=400")
        while process.poll() is None and (epochs_of(lab.folder / name) < epochs or not ranks_of(process.pid)):
            time.sleep(0.01)
        [other] = ranks_of(process.pid)
        time.sleep(0 if epochs else after)
        os.kill(process.pid if is_first else other, number)
        try:
            said = process.communicate(30)[1]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "no end within half a minute"
        if "Traceback" in said or len(said.splitlines()) != (number != signal.SIGKILL or not is_first):
            return said[-500:]
        done = epochs_of(lab.folder / name)
        again = [f"resume={name}"] if (lab.folder / name).exists() else [*words, f"output_dir={name}"]
        status, said = lab.run(*again, f"trainer.max_epochs={done + 2}")
        whole = f"{name}-whole"
        lab.run(*words, f"output_dir={whole}", f"trainer.max_epochs={done + 2}")
        return Facts(lab.folder / whole).differences(Facts(lab.folder / name)) if not status else said[-500:]

    for number in range(many):
        sent, epochs = draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]), draw.randrange(5)
        after = draw.uniform(0, 6)
        name = f"{sent.name} to {'the other' if number % 2 else 'the first'} process after epoch {epochs}"
        yield name, lambda s=sent, f=not number % 2, e=epochs, a=after: signalled(s, f, e, a)  # type: ignore[misc]


def epochs_of(run: Path) -> int:
    return len(json.loads(path.read_text())["epochs"]) if (path := run / "results.json").exists() else 0


def ranks_of(pid: int) -> list[int]:
    """Return the further processes of a run, but not git, say."""
    lines = {number: Path(f"/proc/{number}/cmdline") for number in children(pid)}
    return [int(number) for number, line in lines.items() if line.exists() and b"train.py" in line.read_bytes()]


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if Path(f"/proc/{pid}").exists() else []
