"""The accuracy of several runs' averaged probabilities on their test images: `python benchmarks/ensemble.py RUN RUN …`.

Name the members beforehand: to choose among them by this number would be to choose by the test set.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning import load_run
from mnist_lightning.terminal.command import answered


def errors_of(runs: Sequence[str | Path]) -> tuple[int, int]:
    """Return how many test images the runs read wrongly together, and how many there are."""
    members = [load_run(run) for run in runs]
    images, labels = members[0].test_set()
    if len({member.test_sha256 for member in members}) > 1:
        raise ValueError("the runs were not tested on the same images")
    mean = torch.stack([member.probabilities(images) for member in members]).mean(dim=0)  # (N, classes)
    return int((mean.argmax(dim=1) != labels).sum()), len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run directories")
    errors, total = errors_of(parser.parse_args().runs)
    print(f"{1 - errors / total:.2%}, {errors} errors in {total:,} images")


if __name__ == "__main__":
    with answered():
        main()
