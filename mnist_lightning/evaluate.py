"""Evaluate a trained network on the test images of its run: `python -m mnist_lightning.evaluate RUN`."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_lightning.runs.errors import printable
from mnist_lightning.runs.files import folder_within
from mnist_lightning.runs.run import LAST_CHECKPOINT
from mnist_lightning.terminal.command import answered, parser_for_run, show

if TYPE_CHECKING:  # torch is imported only once the command line is understood
    from torch import Tensor

    from mnist_lightning.evaluation.measures import Evaluation
    from mnist_lightning.trained import TrainedRun


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the evaluation and draw it into the run's figures."""
    parser = parser_for_run("evaluate", __doc__, reads_data=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    also = "also under the fifteen corruptions of MNIST-C (half a minute)"
    parser.add_argument("--corrupted", action="store_true", help=also)
    options = parser.parse_args(arguments)

    from mnist_lightning.evaluation.measures import Evaluation
    from mnist_lightning.trained import load_run

    tell: Callable[[str], None] = (lambda line: None) if options.json else show
    trained = load_run(options.run)
    if options.corrupted:
        trained.must_be_28x28("--corrupted: MNIST-C's corruptions are")
    images, labels = trained.test_set(options.data)
    evaluation = Evaluation(trained.logits(images), labels)
    found = described(trained, evaluation)
    tell(printable(as_text(found), keep="\n"))
    if options.corrupted:
        found["corrupted"] = under_corruptions(trained, images, labels, tell)
    if options.json:
        print(json.dumps(found, indent=2, allow_nan=False), flush=True)
    folder = draw(trained, evaluation, images, found)
    tell(f"\nfigures in {folder}")
    return 0


def described(trained: "TrainedRun", evaluation: "Evaluation") -> dict[str, Any]:
    """Return all that is known of an evaluation, as plain values; shares are fractions."""
    bins = evaluation.reliability()
    rows = zip(bins.counts.tolist(), bins.confidence.tolist(), bins.accuracy.tolist(), strict=True)
    return {
        "run": str(trained.directory),
        "checkpoint": trained.checkpoint.name,
        "epochs": trained.epochs,
        "dataset": trained.config.data.dataset,
        "classes": [*trained.classes],
        "test": evaluation.counts,
        "per_class": evaluation.per_class(),
        "most_confused": evaluation.most_confused(),
        "expected_calibration_error": bins.expected_error,
        "reliability": [{"images": n, "confidence": c, "accuracy": a} for n, c, a in rows],
        "confusion_matrix": evaluation.confusion.tolist(),
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the evaluation as a person reads it."""
    from mnist_lightning.datasets.source import noun

    test, epochs = found["test"], "1 epoch" if found["epochs"] == 1 else f"{found['epochs']} epochs"
    names, wide = found["classes"], max(5, *map(len, found["classes"]))
    lines = [
        f"{found['run']}, {found['checkpoint']} after {epochs}: {found['dataset']}",
        "",
        f"test accuracy      {test['accuracy']:.2%}, {test['errors']:,} errors in {test['total']:,} images",
        f"loss               {test['loss']:.4f}",
        f"calibration error  {found['expected_calibration_error']:.2%} (expected, {len(found['reliability'])} bins)",
        "",
        f"{noun(names):<{wide}}{'images':>9}{'precision':>11}{'recall':>9}{'F1':>9}",
    ]
    for row in found["per_class"]:
        scores = f"{row['precision']:>11.2%}{row['recall']:>9.2%}{row['f1']:>9.2%}"
        lines.append(f"{names[row['class']]:>{wide}}{row['images']:>9,}{scores}")
    if found["most_confused"]:
        lines += ["", "most confused"]
    pairs = {f"{names[row['true']]} read as {names[row['predicted']]}": row["count"] for row in found["most_confused"]}
    wide = max(map(len, pairs), default=0)
    return "\n".join([*lines, *(f"  {pair:<{wide}}{count:>6,} ×" for pair, count in pairs.items())])


def under_corruptions(
    trained: "TrainedRun", images: "Tensor", labels: "Tensor", tell: Callable[[str], None]
) -> dict[str, Any]:
    """Evaluate under each corruption, and tell the result of each as soon as it is known."""
    from mnist_lightning.evaluation.corruptions import CORRUPTIONS, corrupted
    from mnist_lightning.evaluation.measures import Evaluation

    rows, seed = {}, 0
    tell("\nunder corruption  accuracy   errors")
    for name in CORRUPTIONS:
        rows[name] = Evaluation(trained.logits(corrupted(images, name, seed)), labels).counts
        tell(f"{name.replace('_', ' '):<16}{rows[name]['accuracy']:>10.2%}{rows[name]['errors']:>9,}")
    mean = sum(row["accuracy"] for row in rows.values()) / len(rows)
    tell(f"{'mean':<16}{mean:>10.2%}")
    return {"seed": seed, "mean_accuracy": mean, "corruptions": rows}


def draw(trained: "TrainedRun", evaluation: "Evaluation", images: "Tensor", found: dict[str, Any]) -> Path:
    """Write the figures, of another checkpoint than the last into a folder of its name, and return where."""
    from mnist_lightning.figures import of_run, report

    below = "" if trained.checkpoint.name == LAST_CHECKPOINT.name else trained.checkpoint.stem
    folder = folder_within(trained.directory, f"figures/{below}")
    title = report.title(trained.config, trained.epochs)
    drawn = report.of_evaluation(evaluation, images, title, trained.classes)
    if "corrupted" in found:
        drawn["corrupted"] = report.of_corruptions(images[0], found["corrupted"], title)
    for name, figure in drawn.items():
        of_run.save(figure, folder / name)
    return folder


if __name__ == "__main__":
    with answered():
        sys.exit(main())
