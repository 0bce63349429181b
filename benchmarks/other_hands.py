"""How well a run reads what others wrote: `python benchmarks/other_hands.py RUN`.

That is scikit-learn's 1,797 digits, and the test images under MNIST-C's corruptions. The digits are scans of 8×8 by 43
people. Each is enlarged smoothly and prepared as any picture is.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning import load_run
from mnist_lightning.evaluate import under_corruptions
from mnist_lightning.pictures.prepare import prepare
from mnist_lightning.terminal.command import answered

TIMES = 20  # as large


def others_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the digits as a network is given them, uint8 (1797, 28, 28), and which they are, int64 (1797,)."""
    bundled = load_digits()
    scans = (bundled.images * (255 / 16)).round().astype(np.uint8)  # 17 greys, 0 to 16
    large = [Image.fromarray(scan).resize((8 * TIMES, 8 * TIMES), Image.Resampling.BICUBIC) for scan in scans]
    return np.stack([prepare(np.pad(np.asarray(one), 2 * TIMES)) for one in large]), bundled.target


def measured(run: str | Path) -> dict[str, float]:
    """Return the errors in the 1,797 digits, and the mean accuracy under MNIST-C's fifteen corruptions."""
    trained = load_run(run)
    digits, labels = others_digits()
    errors = int((trained.predict(digits).numpy() != labels).sum())
    corrupted = under_corruptions(trained, *trained.test_set(), tell=lambda line: None)
    return {"others_digits_errors": errors, "corrupted_accuracy": corrupted["mean_accuracy"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run directory, or a checkpoint in one")
    found = measured(parser.parse_args().run)
    print(f"others' digits  {found['others_digits_errors']} errors in 1,797")
    print(f"MNIST-C         {found['corrupted_accuracy']:.2%}, mean of fifteen")


if __name__ == "__main__":
    with answered():
        main()
