"""Processes that are killed or told to end, at aimed moments and at any: the runs go on to the same end."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from itertools import count

from faults.lab import KINDS, Lab

Case = tuple[str, Callable[[], str | None]]  # what it is called, and what does it: it returns what came out wrong
numbers = count()


def killed(lab: Lab, kind: str, moments: list[int]) -> str | None:
    """Kill a run at a moment, the resumed one at the next, and so on; then let it end."""
    name = f"killed-{next(numbers)}"
    begin = [*KINDS[kind], f"output_dir={name}"]
    for moment in moments:
        is_there = (lab.folder / name / "config.yaml").exists()
        lab.run(*([f"resume={name}"] if is_there else begin), moment=moment)
    return lab.finished(name, kind)


def stopped(lab: Lab, kind: str, after: float, signals: tuple[signal.Signals, ...]) -> str | None:
    """Send signals to a run some seconds after its start; then let it end."""
    name = f"stopped-{next(numbers)}"
    process = lab.start(*KINDS[kind], f"output_dir={name}")
    time.sleep(after)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.01)
    _, said = process.communicate(100)
    status = process.wait()
    if "Traceback" in said:
        return f"traceback: {said[-500:]}"
    if status not in {0, *(-number for number in signals), *(128 + number for number in signals)}:
        return f"status {status}: {said[-500:]}"
    return lab.finished(name, kind)


def kills(lab: Lab, many: int, seed: int = 0) -> Iterator[Case]:
    """Kill at aimed moments, a third of them again within the resume."""
    draw = random.Random(seed)
    for number in range(many):
        kind = list(KINDS)[number % len(KINDS)]
        moments = [draw.randrange(1, lab.moments(kind) + 1)]
        while draw.random() < 0.33:
            moments.append(draw.randrange(1, lab.moments(kind) + 1))
        yield f"{kind}: killed at {moments}", lambda kind=kind, moments=moments: killed(lab, kind, moments)  # type: ignore[misc]


def signals(lab: Lab, many: int, seed: int = 0) -> Iterator[Case]:
    """Send a signal, or two, at any time."""
    draw = random.Random(seed)
    ones = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGKILL]
    for number in range(many):
        kind = list(KINDS)[number % len(KINDS)]
        sent = (draw.choice(ones), *draw.choices(ones, k=int(draw.random() < 0.3)))
        after = draw.uniform(0, lab.seconds(kind))
        name = f"{kind}: {'+'.join(one.name for one in sent)} after {after:.2f} s"
        yield name, lambda kind=kind, after=after, sent=sent: stopped(lab, kind, after, sent)  # type: ignore[misc]
