"""What each recipe of conf/experiment reaches: `make results` runs what is missing, and writes docs/results.md.

python benchmarks/results.py [RECIPE …] [--seeds N] [--jobs N] [--write]

Each recipe is a sweep over seeds in runs/results/. What each finished run reached is kept in docs/results/RECIPE.json,
so that the same command goes on where it was stopped, also on another machine. A recipe that was changed since counts
as missing. A seed is run once, and every seed counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ensemble
import other_hands
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning.config import check
from mnist_lightning.figures.of_run import ACCENT, INK, MUTED, one_chart, save
from mnist_lightning.runs.experiment import experiment, fingerprint

PROJECT = Path(__file__).parent.parent
STORED, PAGE = PROJECT / "docs" / "results", PROJECT / "docs" / "results.md"
PUBLIC = {  # the public figure that each stands against; nearly all are single runs, chosen by the test set
    "tutorial": "98% (the tutorial)",
    "tuned": "none found for this network",
    "hands": "none found",
    "compact": "99.57%, 8,172 parameters, one run (dine1717/ERA2)",
    "fast": "99.04 ± 0.07%, 0.76 s on a GTX 1660 Ti, 215,194 parameters (tuomaso/train_mnist_fast)",
    "tiny": "99.1%, 1,936 parameters (ruslangrimov/mnist-minimal-model); 99.03%, 697, the best of some 700",
    "best": "99.83%, 300 epochs (AdamByerly/BMCNNwHFCs); 99.72%, 310,000 parameters (Coderx7/SimpleNet)",
    "ensemble": "99.91 and 99.87%, nine and three networks, chosen by the test set (ansh941/MnistSimpleCNN)",
}
ALONE = ("fast", "best")  # their time is what is claimed: one at a time, with all cores
MEMBERS = [range(5), range(5, 10)]  # of `best`, by their seeds: fixed before any was trained
OF_PARAMETERS = {"ERA2": (8172, 99.57), "EVA6": (7496, 99.56), "ERA2, small": (6750, 99.50), "minimal": (1936, 99.1),
                 "697": (697, 99.03), "SimpleNet": (310000, 99.72), "train_mnist_fast": (215194, 99.04)}  # fmt: skip
OF_TIME = {"train_mnist_fast (GPU)": (0.76, 99.04), "PyTorch's\nexample (GPU)": (172, 99.19)}
ABOVE: dict[str, Any] = {"xytext": (6, 4)}  # where a name stands beside its point; LABELS: where another would be there
BELOW: dict[str, Any] = {"xytext": (6, -12)}
LEFT: dict[str, Any] = {"xytext": (-6, 4), "ha": "right"}
LABELS = {
    "tuned": BELOW,
    "697": BELOW,
    "ERA2": BELOW,
    "train_mnist_fast (GPU)": BELOW,
    "ensemble": {"xytext": (-8, -4), "ha": "right"},
}
Runs = Sequence[Mapping[str, Any]]


def settings_of(recipe: str) -> dict[str, Any]:
    """Return the settings that make the recipe, without its seed."""
    with initialize_config_dir(str(check.CONFIG_FOLDER), version_base="1.3"):
        return experiment(check.plain(compose("config", overrides=[f"experiment={recipe}", "output_dir=RUN"])))


def stored(recipe: str) -> list[dict[str, Any]]:
    """Return what is known of the recipe's runs, in the order of their seeds; of a recipe that has changed, nothing."""
    path = STORED / f"{recipe}.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    is_todays = recipe == "ensemble" or found.get("settings") == json.loads(fingerprint(settings_of(recipe)))
    return found["runs"] if is_todays else []


def store(recipe: str, runs: Runs, settings: Mapping[str, Any] | None = None) -> None:
    text = json.dumps({"settings": settings or {}, "runs": sorted(runs, key=lambda run: run["seed"])}, indent=1)
    STORED.mkdir(exist_ok=True)
    (STORED / f"{recipe}.json").write_text(text + "\n")


def run_missing(recipe: str, seeds: int, jobs: int) -> int:
    """Run the seeds that are not there yet, as a sweep, keep what each reached, and return the sweep's status."""
    settings = settings_of(recipe)
    known = {run["seed"]: run for run in stored(recipe)}
    missing = [seed for seed in range(seeds) if seed not in known]
    if not missing:
        return 0
    folder = PROJECT / "runs" / "results" / f"{recipe}-{zlib.crc32(fingerprint(settings).encode()):08x}"
    sweep = [f"experiment={recipe}", f"seed={','.join(map(str, missing))}", f"hydra.sweep.dir={folder}"]
    side_by_side = f"hydra.launcher.jobs={1 if recipe in ALONE else jobs}"
    command = [sys.executable, "train.py", "-m", *sweep, side_by_side, "~callbacks.figures"]
    ended = subprocess.run(command, cwd=PROJECT)
    for path in folder.glob("*/results.json"):
        results = json.loads(path.read_text())
        if results["status"] == "finished":
            further = other_hands.measured(path.parent) if recipe in ("tutorial", "hands") else {}
            known.setdefault(results["seed"], essential(results, path.parent) | further)
    store(recipe, [*known.values()], settings)
    return ended.returncode


def essential(results: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return of results.json what a claim rests on."""
    names = ("seed", "parameters", "fit_seconds", "device", "threads", "versions", "git", "started", "weights_sha256")
    kept: dict[str, Any] = {name: results[name] for name in names}
    run = str(directory.relative_to(PROJECT))
    return kept | {"epochs": len(results["epochs"]), "test": results["test"], "run": run}


def average_members() -> None:
    """Evaluate the ensembles whose members are there, and keep their errors."""
    best = {run["seed"]: run for run in stored("best")}
    found = []
    for seeds in MEMBERS:
        members = [best[seed] for seed in seeds if seed in best and (PROJECT / best[seed]["run"]).exists()]
        if len(members) == len(seeds):
            errors, total = ensemble.errors_of([PROJECT / member["run"] for member in members])
            test = {"accuracy": 1 - errors / total, "errors": errors, "total": total}
            summed = {name: sum(member[name] for member in members) for name in ("parameters", "fit_seconds")}
            found.append({**members[0], **summed, "seed": min(seeds), "test": test, "members": [*seeds]})
    if found:
        store("ensemble", found)


def claim(runs: Runs, key: str = "accuracy") -> str:
    """Return mean ± sd and n of the test accuracies: "99.25 ± 0.05% (n = 10)"."""
    values = [100 * run["test"][key] for run in runs]
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}% (n = {len(values)})"


def row(recipe: str, runs: Runs) -> str:
    """Return the recipe's line of the table."""
    errors = statistics.mean(run["test"]["errors"] for run in runs)
    seconds = statistics.median(run["fit_seconds"] for run in runs)
    command = f"`python train.py experiment={recipe}`" if recipe != "ensemble" else "five `best`, averaged"
    devices = sorted({f"{run['device']}, {run['threads']} thread{'s' * (run['threads'] > 1)}" for run in runs})
    cells = [command, f"{runs[0]['parameters']:,}", f"{runs[0]['epochs']}", claim(runs), f"{errors:.1f}",
             f"{seconds:,.0f}", "; ".join(devices), PUBLIC[recipe]]  # fmt: skip
    return f"| {' | '.join(cells)} |"


INTRODUCTION = """# What the recipes reach

Written by `make results` from the files of docs/results/. Test accuracy: mean ± sd of n seeds, 0 to n - 1, after the
fixed last epoch, trained on all 60,000 images. Nothing was chosen by the test set. Seconds: training, and the
evaluation after each epoch, the median of the runs; runs on one thread shared a busy machine, two at a
time, so that their times mean little. How each was found: [how-it-was-found.md](how-it-was-found.md).

| command | parameters | epochs | test accuracy | errors of 10,000 | seconds | on | public figure |
| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"""
OTHERS = """
Other people's digits, and MNIST's under corruptions, by the same ten runs each:

| `python benchmarks/other_hands.py RUN` | errors in scikit-learn's 1,797 digits | MNIST-C, mean |
| --- | ---: | ---: |"""


def page(known: Mapping[str, Runs]) -> str:
    """Return docs/results.md."""
    every = [run["versions"] for runs in known.values() for run in runs]
    versions = {", ".join(f"{name} {number}" for name, number in one.items()) for one in every}
    figures = [f"![Accuracy against {what}](results_{what}.png)\n" for what in ("parameters", "time")]
    rows = [row(recipe, runs) for recipe, runs in known.items()]
    others = [others_row(recipe, known[recipe]) for recipe in ("tutorial", "hands") if recipe in known]
    lines = [INTRODUCTION, *rows, *([OTHERS, *others] if others else []), "", *sorted(versions), "", *figures]
    return "\n".join(lines)


def others_row(recipe: str, runs: Runs) -> str:
    """Return what a recipe reads of other people's digits."""
    errors = statistics.mean(run["others_digits_errors"] for run in runs)
    corrupted = statistics.mean(100 * run["corrupted_accuracy"] for run in runs)
    return f"| {recipe} | {errors:.1f} | {corrupted:.2f}% |"


def chart(known: Mapping[str, Runs], key: str, across: str, public: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw accuracy against parameters or time: ours as means ± sd in colour, public single runs in grey."""
    figure, axes = one_chart("", across, "test accuracy (%)", size=(7, 4.4))
    for name, runs in known.items():
        values = [100 * run["test"]["accuracy"] for run in runs]
        place = statistics.median(run[key] for run in runs), statistics.mean(values)
        deviation = statistics.stdev(values) if len(values) > 1 else 0
        axes.errorbar(*place, deviation, color=ACCENT, marker="o", capsize=3)
        axes.annotate(name, place, textcoords="offset points", color=INK, fontsize=10, **LABELS.get(name, ABOVE))
    for name, place in public.items():
        axes.plot(*place, "x", color=MUTED)
        axes.annotate(name, place, textcoords="offset points", color=MUTED, fontsize=8, **LABELS.get(name, LEFT))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="of conf/experiment (default: all)")
    parser.add_argument("--seeds", type=int, default=10, help="0 to N - 1 (default: 10)")
    parser.add_argument(
        "--jobs", type=int, default=2, help="side by side, where time is not what is claimed (default: 2)"
    )
    parser.add_argument("--write", action="store_true", help="run nothing, only write the page from what is there")
    options = parser.parse_args()
    recipes = [recipe for recipe in PUBLIC if (check.CONFIG_FOLDER / "experiment" / f"{recipe}.yaml").exists()]
    status = 0
    for recipe in [] if options.write else options.recipes or recipes:
        status = status or run_missing(recipe, options.seeds, options.jobs)  # what was stopped is not gone on with here
    average_members()
    known = {recipe: runs for recipe in PUBLIC if (runs := stored(recipe))}
    PAGE.write_text(page(known), "utf-8")
    save(chart(known, "parameters", "parameters", OF_PARAMETERS), PAGE.with_name("results_parameters"))
    save(chart(known, "fit_seconds", "seconds of training", OF_TIME), PAGE.with_name("results_time"))
    sys.exit(status)


if __name__ == "__main__":
    main()
