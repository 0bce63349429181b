"""Ten seeds of an experiment, for a number one can believe: mean ± sd of the last epoch's test accuracy.

python benchmarks/seeds.py [override …]        overrides as for train.py
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = range(10)


def main(overrides: list[str]) -> None:
    accuracies = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "train.py", f"seed={seed}", f"output_dir={folder}/run", *overrides]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
            results = json.loads(Path(folder, "run", "results.json").read_text())
        accuracies.append(100 * results["test"]["accuracy"])
        print(f"seed {seed}  {accuracies[-1]:.2f} %", flush=True)
    mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
    print(f"{mean:.2f} ± {deviation:.2f} % (mean ± sd of {len(accuracies)} seeds)")


if __name__ == "__main__":
    main(sys.argv[1:])
