"""Edges as Canny 1986 finds them, "A Computational Approach to Edge Detection", on a batch of images."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SIGMA, LOW, HIGH = 1.0, 0.1, 0.2  # scikit-image's defaults, with which MNIST-C was made


def canny_edges(images: Tensor, generator: Generator | None = None) -> Tensor:
    """Return 1 at the edges of images float32 (N, H, W), 0 elsewhere; a corruption without anything random."""
    ones = torch.ones_like(images[:1])
    smooth = gaussian_blur(images, SIGMA, "constant") / gaussian_blur(ones, SIGMA, "constant")
    down, right = sobel(smooth)
    strength = torch.hypot(down, right)
    thin = strength.where(is_ridge(strength, down, right) & (strength >= LOW), 0)
    thin[:, [0, -1]] = 0
    thin[:, :, [0, -1]] = 0
    return connected(thin >= HIGH, thin > 0).float()


def gaussian_blur(images: Tensor, sigma: float, border: str = "replicate") -> Tensor:
    """Return images float32 (N, H, W) blurred by `sigma` pixels, beyond the border as `border` says."""
    radius = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = F.pad(images[:, None], (radius, radius, radius, radius), mode=border)
    return F.conv2d(F.conv2d(padded, kernel[None, None, :, None]), kernel[None, None, None, :])[:, 0]


def sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes downwards and to the right of images float32 (N, H, W), each of the same shape."""
    smooth, slope = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0])
    padded = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")
    kernels = torch.stack([slope[:, None] * smooth, smooth[:, None] * slope])
    down, right = F.conv2d(padded, kernels[:, None]).unbind(dim=1)
    return down, right


def is_ridge(strength: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Return where no slope is steeper one pixel on and one back in the slope's direction, bool (N, H, W)."""

    def beside(rows: int, columns: int) -> Tensor:
        return strength.roll((-rows, -columns), (1, 2))  # the borders, where this wraps around, are no edges anyway

    is_steep = down.abs() > right.abs()
    share = torch.where(is_steep, right.abs() / down.abs(), down.abs() / right.abs())  # of the diagonal neighbour
    same_sign = down * right >= 0
    ridge = torch.ones_like(strength, dtype=torch.bool)
    for way in (1, -1):
        straight = torch.where(is_steep, beside(way, 0), beside(0, way))
        aslant = torch.where(is_steep, beside(way, -way), beside(-way, way))
        diagonal = torch.where(same_sign, beside(way, way), aslant)
        ridge &= share * diagonal + (1 - share) * straight <= strength
    return ridge


def connected(seeds: Tensor, through: Tensor) -> Tensor:
    """Return the pixels of `through` that a path of neighbours within it joins to one of `seeds`, bool (N, H, W)."""
    while True:
        grown = (F.max_pool2d(seeds.float(), 3, stride=1, padding=1) > 0) & through
        if torch.equal(grown, seeds):
            return grown
        seeds = grown
