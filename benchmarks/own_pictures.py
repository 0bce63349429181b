"""How well a network reads pictures as a person would take them: `python benchmarks/own_pictures.py RUN`.

Test images are scaled up 5 to 20 times, rotated within 10 degrees, and laid with dark ink somewhere on a light sheet
whose paper is a gradient, noisy, or both; every fourth picture is light on dark. The network reads them as
`python -m mnist_lightning.predict` would.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning import load_run
from mnist_lightning.images import prepare


def render(digit: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture of `digit`, a raw test image uint8 (28, 28), as uint8 (H, W)."""
    scale = int(random.integers(5, 21))
    large = Image.fromarray(digit).resize((28 * scale, 28 * scale), Image.Resampling.BICUBIC)
    turned = large.rotate(random.uniform(-10, 10), Image.Resampling.BICUBIC)
    ink = np.asarray(turned, np.float64) / 255
    height, width = (int(random.integers(int(1.1 * side), 2 * side)) for side in ink.shape)
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


if __name__ == "__main__":
    main()
