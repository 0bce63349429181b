"""What precision and compiling are worth on this machine, or how long recipes take: interleaved, as Markdown.

python benchmarks/options.py [--rounds N] [--epochs N] [override …]      overrides as for train.py
python benchmarks/options.py --recipes tutorial fast                     each as it is, to its last epoch
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from bench import mnist_folder, run

OPTIONS = {
    "default": (),
    "`trainer.precision=bf16-mixed`": ("trainer.precision=bf16-mixed",),
    "`callbacks=compile`": ("callbacks=compile",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=[], metavar="RECIPE", help="of conf/experiment")
    parser.add_argument("--root", default=mnist_folder(), help="a folder with MNIST/raw; default: as train.py")
    arguments, overrides = parser.parse_known_args()
    ways = OPTIONS
    if arguments.recipes:
        ways = {f"`experiment={recipe}`": (f"experiment={recipe}",) for recipe in arguments.recipes}
    else:
        overrides.append(f"trainer.max_epochs={arguments.epochs}")
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in ways}
    for number in range(arguments.rounds):
        for name, words in ways.items():
            print(f"round {number + 1}/{arguments.rounds}  {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                run("train.py", f"data.root={arguments.root}", f"output_dir={folder}/run", *overrides, *words)
                results = json.loads(Path(folder, "run", "results.json").read_text())
            epoch = statistics.median(epoch["seconds"] for epoch in results["epochs"][1:] or results["epochs"])
            times = (epoch, results["fit_seconds"], results["total_seconds"])
            found[name].append((*times, results["test"]["accuracy"]))
    first = next(iter(ways))
    print(f"\nMedians of {arguments.rounds} interleaved rounds; in seconds, and in times of the first row.\n")
    print("| | an epoch after the first | | all epochs | | whole run | | test accuracy |")
    print(f"| --- |{' ---: |' * 7}")
    for name, rounds in found.items():
        cells = []
        for figure in range(3):
            pairs = zip(rounds, found[first], strict=True)
            ratio = statistics.median(mine[figure] / its[figure] for mine, its in pairs)
            cells += [f"{statistics.median(one[figure] for one in rounds):.1f}", f"{ratio:.2f}"]
        print(f"| {name} | {' | '.join(cells)} | {statistics.median(one[3] for one in rounds):.2%} |")


if __name__ == "__main__":
    main()
