"""Side by side: the same experiment written five ways, interleaved in one run. `make bench` prints the README's tables.

Every program runs in a process of its own on a pseudo-terminal, so that progress bars are drawn as for a person.
"""

import argparse
import json
import os
import pty
import re
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning.datasets import mnist

PROJECT = Path(__file__).parent.parent
IMPORTED = {"evaluate": "mnist_lightning.trained, mnist_lightning.figures.report", "predict": "mnist_lightning.trained"}


@dataclass
class Finished:
    """A program that ran to its end: what it wrote, wall-clock seconds, peak resident memory in MiB."""

    output: str
    seconds: float
    peak: float


def run(*command: str) -> Finished:
    """Run a command on a pseudo-terminal and wait for it."""
    started = time.perf_counter()
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(PROJECT)
        os.environ["PYTHONPATH"] = str(PROJECT)
        os.execv(sys.executable, [sys.executable, *command])
    chunks: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(terminal, 65536):
                chunks.append(chunk)
        except OSError:
            return  # the terminal of a process that has ended

    reader = threading.Thread(target=read)
    reader.start()
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    reader.join()
    os.close(terminal)
    output = b"".join(chunks).decode(errors="replace")
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{output}")
    return Finished(output, seconds, usage.ru_maxrss / 1024)


def mnist_folder() -> str:
    """Return the folder in which train.py finds MNIST."""
    found, _ = (data := mnist.of_conf()).find()
    return str(found.parent.parent) if found else data.root


def program(name: str, root: str, epochs: int) -> dict[str, float]:
    """Run one of the programs beside this file: seconds per epoch, accuracy, peak memory."""
    finished = run(f"benchmarks/{name}.py", root, str(epochs))
    found = re.search(r'\{"epoch_seconds".*\}', finished.output)
    if not found:
        sys.exit(f"{name} printed no result:\n{finished.output}")
    return {**json.loads(found[0]), "peak": finished.peak}


def project(root: str, epochs: int) -> dict[str, float]:
    """Run train.py with its defaults: all of what it does between the first step and the last result is counted."""
    with tempfile.TemporaryDirectory() as folder:
        finished = run("train.py", f"trainer.max_epochs={epochs}", f"output_dir={folder}/run", f"data.root={root}")
        results = json.loads(Path(folder, "run", "results.json").read_text())
        picture = Image.new("L", (200, 200), 255)
        picture.paste(0, (90, 40, 110, 160))  # a one
        picture.save(f"{folder}/one.png")
        commands = {"evaluate": (f"{folder}/run",), "predict": (f"{folder}/run", f"{folder}/one.png")}
        times = {
            name: run("-m", f"mnist_lightning.{name}", *words).seconds / run("-c", f"import {IMPORTED[name]}").seconds
            for name, words in commands.items()
        }
    return {
        "epoch_seconds": results["fit_seconds"] / epochs,
        "accuracy": results["test"]["accuracy"],
        "peak": finished.peak,
        "startup": results["startup_seconds"],
        "total": results["total_seconds"],
        "end": results["total_seconds"] - results["startup_seconds"] - results["fit_seconds"],
        **times,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10, help="of the three fast programs; the slow ones run one")
    parser.add_argument("--root", default=mnist_folder(), help="a folder with MNIST/raw; default: as train.py")
    arguments = parser.parse_args()
    programs = {
        "(a) the tutorial's loop": lambda: program("tutorial_loop", arguments.root, 1),
        "(b) hand-tuned loop": lambda: program("hand_loop", arguments.root, arguments.epochs),
        "(c) bare Lightning Trainer": lambda: program("bare_lightning", arguments.root, arguments.epochs),
        "(d) **this project**": lambda: project(arguments.root, arguments.epochs),
        "(e) ordinary Lightning": lambda: program("ordinary_lightning", arguments.root, 1),
    }
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    imports, helps = [], []
    for number in range(arguments.rounds):
        for name, measure in programs.items():
            print(f"round {number + 1}/{arguments.rounds}  {name}", file=sys.stderr)
            measured[name].append(measure())
        imports.append(run("-c", "import torch, lightning, torchvision").seconds)
        helps.append(run("train.py", "--help").seconds)
    report(measured, imports, helps)


def report(measured: dict[str, list[dict[str, float]]], imports: list[float], helps: list[float]) -> None:
    """Print the medians as Markdown. A ratio is the median of the ratios within each round."""
    names = list(measured)
    ours = measured[names[3]]

    def median(name: str, figure: str) -> float:
        return statistics.median(one[figure] for one in measured[name])

    def ratio(name: str, figure: str) -> float:
        return statistics.median(mine[figure] / one[figure] for mine, one in zip(ours, measured[name], strict=True))

    print(f"\nMedians of {len(imports)} interleaved rounds, {os.cpu_count()} cores.\n")
    print("| | seconds per epoch (training + test) | this project takes | peak memory | this project takes |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in names:
        cells = [f"{median(name, 'epoch_seconds'):.2f}", f"{ratio(name, 'epoch_seconds'):.2f} of it"]
        cells += [f"{median(name, 'peak'):,.0f} MiB", f"{ratio(name, 'peak'):.2f} of it"]
        print(f"| {name} | {' | '.join(cells)} |")
    startup = statistics.median(one["startup"] for one in ours)
    bare = statistics.median(imports)
    pairs = statistics.median(one["startup"] / other for one, other in zip(ours, imports, strict=True))
    print("\n| | seconds |\n| --- | ---: |")
    print(f"| `import torch, lightning, torchvision` | {bare:.1f} |")
    print(
        f"| `train.py` from the start of the process to the first training step | {startup:.1f} ({pairs:.2f} of it) |"
    )
    print(f"| `train.py --help` | {statistics.median(helps):.1f} |")
    end = statistics.median(one["end"] for one in ours)
    print(f"| from the last epoch to the last result: the test, the figures | {end:.1f} |")
    for command in IMPORTED:
        times = statistics.median(one[command] for one in ours)
        print(f"| `{command}`, in times of what it imports | {times:.2f} |")
    print(f"| the whole default run, start to end | {statistics.median(one['total'] for one in ours):.1f} |")


if __name__ == "__main__":
    main()
