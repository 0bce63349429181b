"""How well a network reads pictures as a person would take them: `python benchmarks/own_pictures.py RUN`.

Test images are scaled up 5 to 20 times, rotated within 10 degrees, and laid with dark ink somewhere on a light sheet
whose paper is a gradient, noisy, or both; every fourth picture is light on dark. The network reads them as
`python -m mnist_lightning.predict` would. Then that command itself is timed on as many pictures of 400×400.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning import load_run
from mnist_lightning.images import prepare

PROJECT = Path(__file__).parent.parent
SIDE = 400  # of the pictures that are timed


def render(digit: NDArray[np.uint8], random: np.random.Generator, side: int | None = None) -> NDArray[np.uint8]:
    """Return a picture of `digit`, a raw test image uint8 (28, 28), as uint8 (H, W).

    Args:
        side: of the picture; None: up to twice the digit's.
    """
    scale = int(random.integers(5, 21 if side is None else side // 28))
    large = Image.fromarray(digit).resize((28 * scale, 28 * scale), Image.Resampling.BICUBIC)
    turned = large.rotate(random.uniform(-10, 10), Image.Resampling.BICUBIC)
    ink = np.asarray(turned, np.float64) / 255
    height, width = (side or int(random.integers(int(1.1 * length), 2 * length)) for length in ink.shape)
    top, left = int(random.integers(0, height - len(ink))), int(random.integers(0, width - len(ink)))
    sheet = np.zeros((height, width))
    sheet[top : top + len(ink), left : left + len(ink)] = ink
    kind = random.integers(3)  # 0: gradient, 1: noise, 2: both
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    angle = random.uniform(0, 2 * np.pi)
    paper = random.uniform(170, 240) + (kind != 1) * random.uniform(20, 70) * (x * np.cos(angle) + y * np.sin(angle))
    grain = (kind != 0) * random.normal(0, random.uniform(2, 10), sheet.shape)
    picture = paper * (1 - sheet) + random.uniform(10, 70) * sheet + grain
    if random.integers(4) == 0:
        picture = 255 - picture
    return picture.clip(0, 255).round().astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run directory, or a checkpoint in one")
    parser.add_argument("--count", type=int, default=1000, help="of the first test images (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures (default: 0)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write the pictures there")
    options = parser.parse_args()
    run, random = load_run(options.run), np.random.default_rng(options.seed)
    images, labels = run.test_set()
    images, labels = images[: options.count], labels[: options.count]
    pictures = [render(image, random) for image in images.numpy()]
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
            Image.fromarray(picture).save(options.save / f"{number:04d}_{label}.png")
    started = time.perf_counter()
    prepared = np.stack([prepare(picture) for picture in pictures])
    seconds = time.perf_counter() - started
    accuracy = [float((run.predict(batch) == labels).float().mean()) for batch in (images, prepared)]
    print(f"the {len(images):,} test images as they are  {accuracy[0]:.2%}")
    print(f"as pictures                    {accuracy[1]:.2%}, {100 * (accuracy[1] - accuracy[0]):+.2f} points")
    print(f"to prepare one                 {1000 * seconds / len(images):.1f} ms")
    seconds = predicted([render(image, random, SIDE) for image in images.numpy()], options.run)
    print(f"predict, {len(images):,} of {SIDE}×{SIDE}     {seconds:.1f} s from its start to its end")


def predicted(pictures: Sequence[NDArray[np.uint8]], run: str) -> float:
    """Return how many seconds `python -m mnist_lightning.predict` takes for `pictures`."""
    with tempfile.TemporaryDirectory() as folder:
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(Path(folder, f"{number:04d}.png"))
        command = [sys.executable, "-m", "mnist_lightning.predict", str(Path(run).resolve()), folder]
        started = time.perf_counter()
        ended = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - started
    assert len(ended.stdout.splitlines()) == len(pictures)
    return seconds


if __name__ == "__main__":
    main()
