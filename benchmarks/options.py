"""What precision and compiling are worth on this machine: `python benchmarks/options.py`, interleaved, as Markdown.

python benchmarks/options.py [--rounds N] [--epochs N] [override …]      overrides as for train.py
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from bench import run

OPTIONS = {
    "default": (),
    "`trainer.precision=bf16-mixed`": ("trainer.precision=bf16-mixed",),
    "`callbacks=compile`": ("callbacks=compile",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--root", default="../shared/mnist", help="a folder with MNIST/raw")
    arguments, overrides = parser.parse_known_args()
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in OPTIONS}
    for number in range(arguments.rounds):
        for name, words in OPTIONS.items():
            print(f"round {number + 1}/{arguments.rounds}  {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                common = (f"trainer.max_epochs={arguments.epochs}", f"data.root={arguments.root}", *overrides)
                run("train.py", *common, f"output_dir={folder}/run", *words)
                results = json.loads(Path(folder, "run", "results.json").read_text())
            epoch = statistics.median(epoch["seconds"] for epoch in results["epochs"][1:] or results["epochs"])
            found[name].append((epoch, results["total_seconds"], results["test"]["accuracy"]))
    print(f"\nMedians of {arguments.rounds} interleaved rounds of {arguments.epochs} epochs.\n")
    print("| | seconds of an epoch after the first | of the default | whole run | of the default | test accuracy |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, rounds in found.items():
        cells = []
        for figure in (0, 1):
            pairs = zip(rounds, found["default"], strict=True)
            ratio = statistics.median(mine[figure] / default[figure] for mine, default in pairs)
            cells += [f"{statistics.median(one[figure] for one in rounds):.1f}", f"{ratio:.2f}"]
        print(f"| {name} | {' | '.join(cells)} | {statistics.median(one[2] for one in rounds):.2%} |")


if __name__ == "__main__":
    main()
