"""Eight jobs of one epoch each, run three ways, interleaved. `make bench` prints the README's table.

python benchmarks/sweeps.py [--rounds N] [--cold] [override …]        overrides as for train.py
"""

import argparse
import re
import statistics
import sys
import tempfile

from bench import mnist_folder, run

JOBS = 8
COLD = """import runpy, sys
from mnist_lightning.sweeps import warm
warm.CAN_FORK = False
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="also by jobs that import everything anew")
    parser.add_argument("--root", default=mnist_folder(), help="a folder with MNIST/raw; default: as train.py")
    parser.add_argument("--epochs", help="not for these jobs: make bench hands it to bench.py too")
    arguments, overrides = parser.parse_known_args()
    root = () if "data=digits" in overrides else (f"data.root={arguments.root}",)
    job = (*root, "trainer.max_epochs=1", *overrides)
    ways = {
        "one after another": (),
        **({"the same, each job started cold": ()} if arguments.cold else {}),
        "`hydra.launcher.jobs=2`": ("hydra.launcher.jobs=2",),
        "`hydra/launcher=joblib hydra.launcher.n_jobs=2`": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    costs = []
    for number in range(arguments.rounds):
        for name, launcher in ways.items():
            print(f"round {number + 1}/{arguments.rounds}  {name}", file=sys.stderr)
            program = ("-c", COLD) if "cold" in name else ("train.py",)
            with tempfile.TemporaryDirectory() as folder:
                words = ("-m", f"seed=range({JOBS})", f"hydra.sweep.dir={folder}/sweep")
                finished = run(*program, *words, *job, *launcher)
            seconds[name].append(finished.seconds)
            if name == next(iter(ways)):
                costs.append((finished.seconds - sum(job_seconds(finished.output))) / JOBS)
    report(seconds, costs)


def job_seconds(output: str) -> list[float]:
    """Return how long each job's process lived, as the sweep says at its end."""
    found = re.findall(rf"\d/{JOBS}  \S+  finished  [^\n]*  ([0-9.]+) s\s*\n", output)
    assert len(found) == JOBS, output[-2000:]
    return [float(seconds) for seconds in found]


def report(seconds: dict[str, list[float]], costs: list[float]) -> None:
    """Print the medians as Markdown. A ratio is the median of the ratios within each round."""
    serial = next(iter(seconds.values()))
    print(f"\nMedians of {len(serial)} interleaved rounds.\n")
    print(f"| `make bench`: {JOBS} jobs of one epoch | seconds | ratio |\n| --- | ---: | ---: |")
    for name, times in seconds.items():
        ratio = statistics.median(one / other for one, other in zip(times, serial, strict=True))
        print(f"| {name} | {statistics.median(times):.1f} | {ratio:.2f} |")
    print(f"| the sweep's own part of the first, a job | {statistics.median(costs):.2f} | |")


if __name__ == "__main__":
    main()
