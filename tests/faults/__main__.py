"""make fault-test: try everything, show what came of it, and write the table into docs/reliability.md."""

import argparse
import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

from conftest import PROJECT

from faults import kills, others
from faults.lab import Lab

PARTS = {
    "kills": "killed by SIGKILL at an aimed moment, a third of them again within the resume",
    "signals": "stopped by SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGKILL at any time, a third twice",
    "disks": "no room: a file can't grow beyond 300 bytes to 350 kB",
    "damage": "a bit of last.ckpt flipped, or its end cut off",
    "surroundings": "two resumes at once, the clock put back, locale, streams, a directory moved, a finished run asked",
    "ranks": "one process of a run on two devices signalled or killed",
    "sweeps": "a sweep killed as a whole, its running job alone, or what its jobs are forked from",
    "searches": "a search killed as a whole, or its running job alone",
}


def cases(lab: Lab, part: str, share: float, seed: int) -> Iterator[kills.Case]:
    def many(whole: int) -> int:
        return max(1, round(whole * share))

    return {
        "kills": lambda: kills.kills(lab, many(200), seed),
        "signals": lambda: kills.signals(lab, many(60), seed),
        "disks": lambda: others.disks(lab, 12),
        "damage": lambda: others.damage(lab, many(300), many(40), seed=seed),
        "surroundings": lambda: others.surroundings(lab),
        "ranks": lambda: others.ranks(lab, many(16), seed),
        "sweeps": lambda: others.sweeps(lab, many(9), seed),
        "searches": lambda: others.searches(lab, many(6), seed),
    }[part]()


def tried(part: str, worker: int, workers: int, share: float, seed: int) -> list[tuple[str, str | None]]:
    """Do every so-many-th case of a part, in a folder of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever this was begun by
    logging.disable(logging.WARNING)  # each damaged checkpoint is one
    done: list[tuple[str, str | None]] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.environ["MNIST_LIGHTNING_KEY"] = f"{folder}/key"
        for number, (name, do) in enumerate(cases(Lab(Path(folder)), part, share, seed)):
            if number % workers == worker:
                try:
                    problem = do()
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"
                done.append((name, problem))
                if problem:
                    print(f"{part}: {name}: {problem}", file=sys.stderr, flush=True)
    return done


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fault-test", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="one of them; all, if none is named")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    options = parser.parse_args()
    workers, rows, problems = max(1, (os.cpu_count() or 2)), [], 0
    for part in options.part or PARTS:
        with ProcessPoolExecutor(workers) as pool:
            parts = [
                pool.submit(tried, part, number, workers, options.share, options.seed) for number in range(workers)
            ]
            done = [one for future in parts for one in future.result()]
        bad = sum(problem is not None for _, problem in done)
        problems += bad
        rows.append(f"| {PARTS[part]} | {len(done)} | {len(done) - bad} | {bad} |")
        print(rows[-1], flush=True)
    if len(rows) == len(PARTS):
        arguments = f' ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else ""
        write(rows, f"make fault-test{arguments}")
    return int(problems > 0)


def write(rows: list[str], command: str) -> None:
    """Put the table into docs/reliability.md."""
    page = PROJECT / "docs" / "reliability.md"
    head = [f"{date.today():%Y-%m-%d}, by `{command}`:", "", "| what was done | times | as undisturbed | otherwise |"]
    table = "\n".join([*head, "| --- | ---: | ---: | ---: |", *rows])
    pattern = r"(?s)(<!-- faults -->\n).*?(<!-- end -->)"
    page.write_text(re.sub(pattern, lambda found: f"{found[1]}{table}\n{found[2]}", page.read_text()))


if __name__ == "__main__":
    sys.exit(main())
