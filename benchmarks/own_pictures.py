"""How well a network reads pictures as a person would take them: `python benchmarks/own_pictures.py RUN`.

Test images are scaled up 5 to 20 times, rotated within 10 degrees, and laid with dark ink somewhere on a light sheet
whose paper is a gradient, noisy, or both; every fourth picture is light on dark. The network reads them as
`python -m mnist_lightning.predict` would. Then that command itself is timed on as many pictures of 400×400.

`--kinds` says it of one trouble at a time instead: a sheet on a desk, shadows, lines, ... `--doubt` says how often a
remark stands beside the answer, for digits and for what is none. Preparing is tuned by `--split train`, the images that
data.val_size held out from training, and never by the test images.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import picture_kinds
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lightning import load_run
from mnist_lightning.datasets import mnist
from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import SIZE, PictureError, prepare
from mnist_lightning.pictures.remark import remark_on
from mnist_lightning.runs.files import made_folder
from mnist_lightning.terminal.command import answered
from mnist_lightning.trained import TrainedRun

PROJECT = Path(__file__).parent.parent
SIDE = 400  # of the pictures that are timed

Grey = NDArray[np.uint8]
Share = NDArray[np.float64]  # how much of each pixel is ink or light, 0 to 1
Random = np.random.Generator


def render(digit: Grey, random: Random, side: int | None = None) -> Grey:
    """Return a picture of `digit`, a raw test image uint8 (28, 28), as uint8 (H, W).

    Args:
        side: of the picture; None: up to twice the digit's.
    """
    scale = int(random.integers(5, 21 if side is None else side // 28))
    ink = enlarged(digit, random, scale)
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


def enlarged(digit: Grey, random: Random, scale: int) -> Share:
    """Return a digit's ink, `scale` times as large and rotated within 10 degrees."""
    large = Image.fromarray(digit).resize((28 * scale, 28 * scale), Image.Resampling.BICUBIC)
    return np.asarray(large.rotate(random.uniform(-10, 10), Image.Resampling.BICUBIC), np.float64) / 255


def photo(
    digit: Grey,
    random: Random,
    light: Share | float = 1.0,
    scale: int | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
    pen: Callable[[Share], Share] = lambda ink: ink,
) -> Grey:
    """Return a photograph of a digit on a sheet, dark ink on light paper with a little grain, by a `light` of 0 to 1.

    The ink, enlarged 7 to 12 times or by `scale` and changed by `pen`, is 15% away from the borders where it can be.
    The picture is of `size` (H, W), or of the ink's where that is larger.
    """
    ink = enlarged(digit, random, scale or int(random.integers(7, 13)))
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 0.2) for axis in (1, 0))
    ink = pen(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    room = np.maximum(np.subtract(size, ink.shape), 0)
    margin = np.minimum(0.15 * np.array(size), room / 2)
    (top, left), (bottom, right) = (before := random.uniform(margin, room - margin).astype(int)), room - before
    sheet = np.pad(ink, ((top, bottom), (left, right)))
    picture = light * (random.uniform(190, 240) * (1 - sheet) + random.uniform(20, 70) * sheet)
    return (picture + random.normal(0, 3, sheet.shape)).clip(0, 255).round().astype(np.uint8)


def thin(ink: Share) -> Share:
    """Return the middle of the strokes, about a third of their width."""
    depth = ndimage.distance_transform_edt(np.pad(ink, 9) > 0.5)
    return ndimage.gaussian_filter((depth > 0.65 * ndimage.maximum_filter(depth, 31)).astype(float), 0.7)


def thick(ink: Share) -> Share:
    """Return the strokes 12 pixels wider."""
    return ndimage.maximum_filter(np.pad(ink, 6), footprint=np.hypot(*np.mgrid[-6:7, -6:7]) <= 6)


def away(random: Random, angle: float) -> Share:
    """Return by how many pixels each of 400×400 is away from a line at `angle` somewhere near the middle."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return x * np.cos(angle) + y * np.sin(angle) + random.uniform(-0.3, 0.3) * SIDE


def shadow(random: Random, darkest: float, width: int) -> Share:
    """Return the light of half a picture in a shadow, whose edge is so wide."""
    return darkest + (1 - darkest) * np.clip(away(random, random.uniform(0, 2 * np.pi)) / width + 0.5, 0, 1)


def lines(random: Random, both: bool) -> Share:
    """Return paper with lines 1 or 2 pixels wide that are 30% darker: ruled, or squared where `both` ways."""
    step, width, angle = random.uniform(25, 50), random.integers(1, 3), random.uniform(-0.05, 0.05)
    ways = (angle, angle + np.pi / 2) if both else (angle + np.pi / 2,)
    return 1 - 0.3 * np.any([away(random, way) % step < width for way in ways], axis=0)


def on_table(picture: Grey, random: Random, sides: int) -> Grey:
    """Return a picture with a dark table on so many sides of the sheet."""
    wood = random.normal(60, 6, picture.shape).astype(np.uint8)
    for turns in random.permutation(4)[:sides]:
        depth = SIDE * np.linspace(random.uniform(0.03, 0.1), random.uniform(0.03, 0.1), SIDE)
        picture = np.where(np.rot90(np.arange(SIDE)[:, None] < depth, turns), wood, picture)
    return picture


CORNERS = np.square(np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]).sum(axis=0) / 2  # 0 in the middle, 1 there
KINDS: dict[str, Callable[[Grey, Random], Grey]] = {
    "plain": photo,
    "marker": lambda digit, random: photo(digit, random, pen=thick),
    "soft shadow edge, 0.6": lambda digit, random: photo(digit, random, shadow(random, 0.6, width=60)),
    "hard shadow edge, 0.7": lambda digit, random: photo(digit, random, shadow(random, 0.7, width=6)),
    "vignette, 0.8": lambda digit, random: photo(digit, random, 1 - 0.8 * CORNERS),
    "dark table on 1 side": lambda digit, random: on_table(photo(digit, random), random, 1),
    "dark table on 4 sides": lambda digit, random: on_table(photo(digit, random), random, 4),
    "ruled paper, 30%": lambda digit, random: photo(digit, random, lines(random, both=False)),
    "squared paper, 30%": lambda digit, random: photo(digit, random, lines(random, both=True)),
    "thin pen in 1600×1200": lambda digit, random: photo(digit, random, scale=9, size=(1200, 1600), pen=thin),
    "1/12 of 1600×1200": lambda digit, random: photo(digit, random, scale=5, size=(1200, 1600)),
    "tight crop": lambda digit, random: photo(digit, random, size=(0, 0)),
    "tight crop, inverted": lambda digit, random: 255 - photo(digit, random, size=(0, 0)),
    "touching the border": lambda digit, random: photo(digit, random, pen=lambda ink: np.pad(ink, ((0, 400), (9, 9)))),
}


def reread(picture: Grey | Image.Image | bytes, kind: str = "JPEG") -> Grey:
    """Return what `prepare` makes of a picture that comes as a file; of a blank one, an empty image."""
    if not isinstance(picture, bytes):
        file = io.BytesIO()
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(file, kind, **({"quality": 85} if kind == "JPEG" else {}))
        picture = file.getvalue()
    try:
        return prepare(read_picture(io.BytesIO(picture)))
    except PictureError:
        return np.zeros((SIZE, SIZE), np.uint8)


def labelled(run: TrainedRun, split: str, seed: int) -> tuple[Grey, Grey]:
    """Return the test images, or by `seed` shuffled those held out from training (all, where none were), and labels."""
    if split == "test":
        tensors = run.test_set()
        return tensors[0].numpy(), tensors[1].numpy()
    from mnist_lightning.datasets.source import balanced_draw

    data = run.config.data
    images, labels, *_ = mnist.MNIST(data.root, data.search).read()
    order = np.random.default_rng(seed).permutation(balanced_draw(labels, data.val_size or len(labels), data.val_seed))
    return images[order], labels[order]


def print_kinds(run: TrainedRun, images: Grey, labels: Grey, seed: int, only: Sequence[str]) -> None:
    """Print the accuracy of `only` some kinds of pictures; one that is called blank counts as an error.

    Of the first kinds a picture is one of the images; of the others every second is drawn by code.
    """
    accuracies = []
    for kind, draw in KINDS.items():
        if kind not in only:
            continue
        random = np.random.default_rng(seed)
        accuracies.append(print_kind(kind, run, [reread(draw(image, random)) for image in images], labels))
    for number, (kind, sketch) in enumerate(picture_kinds.KINDS.items()):
        if kind not in only:
            continue
        prepared, digits = [], []
        for each, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            random = np.random.default_rng((seed, number, each))
            digits.append(each // 2 % 10 if each % 2 else label)
            points = picture_kinds.written(digits[-1], random) if each % 2 else picture_kinds.traced(image)
            prepared.append(reread(sketch(points, random), "PNG" if each % 4 < 2 else "JPEG"))
        accuracies.append(print_kind(kind, run, prepared, np.array(digits)))
    print(f"{'mean':<36} {np.mean(accuracies):.2%}")


def print_kind(kind: str, run: TrainedRun, prepared: Sequence[Grey], labels: NDArray[Any]) -> float:
    shown = np.stack(prepared)
    blank = shown.max(axis=(1, 2)) == 0
    right = (run.predict(shown).numpy() == labels) & ~blank
    print(f"{kind:<36} {right.sum():>4} of {len(labels)}, {blank.sum()} called blank", flush=True)
    return float(right.mean())


TITLES = ("the picture", "what stands out", "the digit", "its strokes", "28×28")
SHOWN = {"sheet on a desk": 4, "dark ruled lines": 2, "printed box": 3, "hollow": 5, "pale pencil": 7, "rainbow": 6}


def draw_steps(path: Path, seed: int) -> None:
    """Draw for six pictures what each step of the preparation makes of them."""
    from matplotlib.figure import Figure

    from mnist_lightning.pictures import paper, strokes
    from mnist_lightning.pictures import prepare as steps

    page = Figure(figsize=(7.5, 9.2), dpi=110, layout="constrained")
    grid = page.subplots(len(SHOWN), 5)
    for cells, (kind, digit) in zip(grid, SHOWN.items(), strict=True):
        random = np.random.default_rng((seed, digit))
        photo = picture_kinds.KINDS[kind](picture_kinds.written(digit, random), random)
        assert isinstance(photo, Image.Image)
        picture = steps.without_colours(np.asarray(photo))
        ink = steps.digit_in(picture)
        contrast = paper.contrast_of(picture)[0]
        digit_alone = steps.cropped(ink)
        wide = strokes.as_wide(strokes.filled_strokes(digit_alone))
        stages: Sequence[NDArray[Any]] = (np.asarray(photo), contrast, ink, wide, steps.fitted_to_box(wide))
        for cell, shown in zip(cells, stages, strict=True):
            cell.imshow(shown, cmap=None if shown.ndim == 3 else "gray", interpolation="nearest")
            cell.set(xticks=[], yticks=[])
        cells[0].set_ylabel(kind)
    for cell, title in zip(grid[0], TITLES, strict=True):
        cell.set_title(title, fontsize=10)
    page.savefig(path)


def print_doubt(run: TrainedRun, images: Grey, seed: int) -> None:
    """Print how often something is remarked about pictures of the images, and about what is no digit."""
    random = np.random.default_rng(seed)
    sets = {"digits": [reread(render(image, random)) for image in images]}
    for what, points in picture_kinds.NO_DIGITS.items():
        sets[what] = [reread(picture_kinds.plain(points(random), random)) for _ in range(200)]
    for what, prepared in sets.items():
        likely = run.probabilities(np.stack(prepared)).tolist()
        remarks = sum(remark_on(one, each) is not None for one, each in zip(prepared, likely, strict=True))
        print(f"{what:<12} {remarks:>4} remarks on {len(prepared)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run directory, or a checkpoint in one")
    parser.add_argument("--count", type=int, default=1000, help="of the first images (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures (default: 0)")
    parser.add_argument("--split", choices=("test", "train"), default="test", help="whose images (default: test)")
    kinds = [*KINDS, *picture_kinds.KINDS]
    troubles = "the accuracy of each kind of trouble, or of those named"
    parser.add_argument("--kinds", nargs="*", choices=kinds, metavar="KIND", help=troubles)
    parser.add_argument("--doubt", action="store_true", help="how often a remark stands beside the answer")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write the pictures there")
    parser.add_argument("--steps", type=Path, metavar="FILE", help="draw there what each step makes of six pictures")
    options = parser.parse_args()
    if options.steps:
        draw_steps(options.steps, options.seed)
        return
    run, random = load_run(options.run), np.random.default_rng(options.seed)
    images, labels = (part[: options.count] for part in labelled(run, options.split, options.seed))
    if options.doubt:
        print_doubt(run, images, options.seed)
        return
    if options.kinds is not None:
        print_kinds(run, images, labels, options.seed, options.kinds or kinds)
        return
    pictures = [render(image, random) for image in images]
    if options.save:
        made_folder("--save", options.save)
        for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
            Image.fromarray(picture).save(options.save / f"{number:04d}_{label}.png")
    started = time.perf_counter()
    prepared = np.stack([prepare(picture) for picture in pictures])
    seconds = time.perf_counter() - started
    accuracy = [float((run.predict(batch).numpy() == labels).mean()) for batch in (images, prepared)]
    print(f"the {len(images):,} {options.split} images as they are  {accuracy[0]:.2%}")
    print(f"as pictures                    {accuracy[1]:.2%}, {100 * (accuracy[1] - accuracy[0]):+.2f} points")
    print(f"to prepare one                 {1000 * seconds / len(images):.1f} ms")
    seconds = predicted([render(image, random, SIDE) for image in images], options.run)
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
    with answered():
        main()
