"""The fifteen corruptions of MNIST-C, on whole test sets as tensors.

Mu and Gilmer 2019, "MNIST-C: A Robustness Benchmark for Computer Vision", arXiv 1906.02337; parameters, severities and
the order of the steps are those of corruptions.py in its repository google-research/mnist-c. The random draws are our
own, so the images are not those of the published files, but of the same distribution.

Each function takes images float32 (N, 28, 28), 0 to 1, and a generator, and returns the same shape and range.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Generator, Tensor

SIZE = 28
CENTRE = (SIZE - 1) / 2
FOG_BATCH = 8  # plasma fractals at once: 256 × 256 each, so that they stay in the cache
Pair = tuple[Tensor | float, Tensor | float]  # of x and of y: one number for all images, or float32 (N,)


def shot_noise(images: Tensor, generator: Generator) -> Tensor:
    photons = 3  # of a white pixel
    return torch.poisson(images * photons, generator) / photons


def impulse_noise(images: Tensor, generator: Generator) -> Tensor:
    draw, amount = torch.rand(images.shape, generator=generator), 0.17  # of the pixels, half white and half black
    return images.where(draw >= amount, (draw < amount / 2).float())


def glass_blur(images: Tensor, generator: Generator) -> Tensor:
    """Blur, swap about half of the pixels with a neighbour one up or left, twice over, and blur again."""
    sigma, reach, rounds = 0.7, 1, 2
    blurred = gaussian_blur(images, sigma)
    every = torch.arange(len(images))
    places = [(y, x) for y in range(SIZE - reach, reach, -1) for x in range(SIZE - reach, reach, -1)]
    for y, x in places * rounds:
        is_swapped = torch.rand(len(images), generator=generator) < 0.5
        step = torch.randint(-reach, reach, (2, len(images)), generator=generator) * is_swapped
        here, there = blurred[:, y, x].clone(), (every, y + step[0], x + step[1])
        blurred[:, y, x] = blurred[there]
        blurred[there] = here
    return gaussian_blur(blurred, sigma)


def motion_blur(images: Tensor, generator: Generator) -> Tensor:
    """Average with a half Gaussian along a line of a random direction, as ImageMagick's MotionBlurImage does."""
    radius, sigma = 10, 3
    angle = (torch.rand(len(images), generator=generator) * 2 - 1) * math.radians(45)
    steps = torch.arange(2 * radius + 1)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    blurred = torch.zeros_like(images)
    every, pixels = torch.arange(len(images))[:, None, None], torch.arange(SIZE)
    for step, weight in zip(steps, weights, strict=True):
        down, right = (torch.ceil(step * part - 0.5).long() for part in (angle.sin(), angle.cos()))
        rows = (pixels[:, None] + down[:, None, None]).clamp(0, SIZE - 1)
        columns = (pixels[None, :] + right[:, None, None]).clamp(0, SIZE - 1)
        blurred += weight * images[every, rows, columns]
    return blurred


def shear(images: Tensor, generator: Generator) -> Tensor:
    angle = 0.4 * signs(len(images), generator)
    return warp(images, columns=(1.0, -angle.sin()), rows=(0.0, angle.cos()))


def scale(images: Tensor, generator: Generator) -> Tensor:
    return warp(images, columns=(1 / 0.7, 0.0), rows=(0.0, 1 / 0.7))


def rotate(images: Tensor, generator: Generator) -> Tensor:
    angle = 0.4 * signs(len(images), generator)  # radians
    return warp(images, columns=(angle.cos(), -angle.sin()), rows=(angle.sin(), angle.cos()))


def brightness(images: Tensor, generator: Generator) -> Tensor:
    return images + 0.5


def translate(images: Tensor, generator: Generator) -> Tensor:
    down, right = (3 * signs(len(images), generator) for _ in range(2))
    return warp(images, columns=(1.0, 0.0), rows=(0.0, 1.0), shift=(right, down))


def stripe(images: Tensor, generator: Generator) -> Tensor:
    """Invert the left and the right quarter."""
    is_outside = (torch.arange(SIZE) < 7) | (torch.arange(SIZE) >= 21)
    return torch.where(is_outside, 1 - images, images)


def fog(images: Tensor, generator: Generator) -> Tensor:
    thickness, decay = 3.0, 1.4
    brightest = images.amax(dim=(1, 2), keepdim=True)
    clouds = torch.cat([plasma_fractals(len(part), decay, generator) for part in images.split(FOG_BATCH)])
    return (images + thickness * clouds) * brightest / (brightest + thickness)


def spatter(images: Tensor, generator: Generator) -> Tensor:
    """Cover parts with drops of mud."""
    liquid = gaussian_blur(0.65 + 0.3 * torch.randn(images.shape, generator=generator), 1)
    drops = gaussian_blur((liquid > 0.65).float(), 1.5)
    drops = drops.where(drops >= 0.8, 0)
    return images * (1 - drops) + 63 / 255 * drops


def dotted_line(images: Tensor, generator: Generator) -> Tensor:
    start, end = torch.randint(0, 27, (2, len(images)), generator=generator)
    dots = torch.arange(SIZE) // 2 % 2  # two columns off, two on
    return images + line(torch.zeros(len(images)), start, torch.full((len(images),), 27.0), end) * dots


def zigzag(images: Tensor, generator: Generator) -> Tensor:
    """Draw a line that swings two pixels up and down around a straight one, from column 2 to column 25."""
    left, right, swing = 2, 25, 2
    start = torch.randint(0, 27, (len(images),), generator=generator)
    slope = torch.randint(-5, 5, (len(images),), generator=generator) / (right - left)
    angle = slope.atan()
    length = (right - left) / angle.cos()
    turns = [(swing * (2 * i + 1), swing * (-1) ** i) for i in range(6)]  # as many as fit, whatever the slope
    along = torch.stack([0 * length, *(0 * length + x for x, _ in turns), length])
    across = torch.stack([0 * length, *(0 * length + y for _, y in turns), turns[-1][1] / (2 * (length - 20))])
    columns = along * angle.cos() - across * angle.sin() + left
    rows = along * angle.sin() + across * angle.cos() + start
    for i in range(len(columns) - 1):
        images = (images + line(columns[i], rows[i], columns[i + 1], rows[i + 1])).clamp(0, 1)
    return images


def canny_edges(images: Tensor, generator: Generator) -> Tensor:
    """Keep the edges alone, as Canny 1986 finds them."""
    from skimage.feature import canny

    return torch.stack([torch.from_numpy(canny(image)) for image in images.numpy()]).float()


CORRUPTIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    corruption.__name__: corruption
    for corruption in (
        shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, rotate, brightness, translate, stripe, fog,
        spatter, dotted_line, zigzag, canny_edges,
    )
}  # fmt: skip


def corrupted(images: Tensor, name: str, seed: int = 0) -> Tensor:
    """Return `images`, uint8 (N, 28, 28), under the corruption `name`: the same images for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return (CORRUPTIONS[name](images / 255, generator).clamp(0, 1) * 255).round().to(torch.uint8)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Return images float32 (N, H, W) blurred by `sigma` pixels; beyond the border the outermost pixels go on."""
    return torch.from_numpy(gaussian_filter(images.numpy(), sigma, mode="nearest", axes=(1, 2)))


def signs(count: int, generator: Generator) -> Tensor:
    """Return -1 or 1 with equal chances, float32 (count,)."""
    return torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1


def warp(images: Tensor, columns: Pair, rows: Pair, shift: Pair = (0.0, 0.0)) -> Tensor:
    """Fetch each pixel (x, y), seen from the centre, from (columns · (x, y), rows · (x, y)) + shift, bilinearly.

    The shift is in pixels, to the right and down. Outside of the images it is black.
    """
    right, down = (by / CENTRE for by in shift)
    parts = [torch.as_tensor(part).expand(len(images)) for part in (*columns, right, *rows, down)]
    matrices = torch.stack(parts, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrices, [len(images), 1, SIZE, SIZE], align_corners=True)
    return F.grid_sample(images[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)[:, 0]


def line(left: Tensor, start: Tensor, right: Tensor, end: Tensor) -> Tensor:
    """Draw lines that fade within 2.3 rows, float32 (N, 28, 28): from row `start`, column `left` to `end`, `right`."""
    left, start, right, end = (value.float()[:, None, None] for value in (left, start, right, end))
    pixels = torch.arange(SIZE)
    height = start + (end - start) / (right - left) * (pixels - left)
    distance = (pixels[:, None] - height).abs().clamp(max=2.3 - 1e-6)
    ink = (torch.log(1 - distance / 2.3) + 1).clamp(0, 1)
    return ink * ((pixels >= left.floor()) & (pixels < right.ceil()))


def plasma_fractals(count: int, decay: float, generator: Generator, size: int = 256) -> Tensor:
    """Return the upper left corners of clouds, float32 (count, 28, 28), 0 to 1 over the whole cloud.

    The diamond-square algorithm: Fournier, Fussell and Carpenter 1982.
    """
    clouds = torch.zeros(count, size, size)
    wobble, step = 100.0, size

    def wobbled(sums: Tensor) -> Tensor:
        return sums / 4 + wobble**2 * (torch.rand(sums.shape, generator=generator) * 2 - 1)

    while step >= 2:
        half = step // 2
        corners = clouds[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        clouds[:, half::step, half::step] = wobbled(pairs + pairs.roll(-1, 2))
        middles = clouds[:, half::step, half::step]
        clouds[:, ::step, half::step] = wobbled(middles + middles.roll(1, 1) + corners + corners.roll(-1, 2))
        clouds[:, half::step, ::step] = wobbled(middles + middles.roll(1, 2) + corners + corners.roll(-1, 1))
        step, wobble = half, wobble / decay
    lowest, highest = clouds.amin(dim=(1, 2), keepdim=True), clouds.amax(dim=(1, 2), keepdim=True)
    return ((clouds - lowest) / (highest - lowest))[:, :SIZE, :SIZE]
