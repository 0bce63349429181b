"""Images turned, scaled, sheared, shifted and bent at random, as other hands would have written them."""

import math
from functools import cache
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from mnist_lightning.training.augmentation import Augmentation

HIGHEST = 4  # frequency of the bending: half waves along a side
Limit = Annotated[float, Field(ge=0)]


class Warp(Augmentation):
    """Draws for each image where each of its pixels comes from, and interpolates once; borders are continued.

    The elastic part is a smooth random field, as in Simard and others 2003, "Best practices for convolutional neural
    networks applied to visual document analysis", here a sum of low frequencies: that is one product of matrices.

    Args:
        rotation: degrees, at most, either way.
        shift: pixels, at most, either way, along each side.
        scale: at most exp(scale) times as large or as small, along each side by itself.
        shear: pixels sideways for each pixel down, at most, either way.
        elastic: root mean square of the bending, in pixels along each side.
    """

    def __init__(
        self,
        rotation: Annotated[float, Field(ge=0, le=180)] = 0.0,
        shift: Limit = 0.0,
        scale: Limit = 0.0,
        shear: Limit = 0.0,
        elastic: Limit = 0.0,
    ) -> None:
        self.limits = (math.radians(rotation), shear, scale, scale, shift, shift)
        self.elastic = elastic

    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        number, _, height, width = images.shape
        basis = pixels(height, width, HIGHEST if self.elastic else 0, images.device)
        bends = len(basis) - 3
        draw = torch.rand(number, 6 + 2 * bends, generator=generator, device=images.device).mul_(2).sub_(1)
        angle, shear, wide, high, right, down = (draw[:, :6] * draw.new_tensor(self.limits)).unbind(1)
        cos, sin, wide, high = angle.cos(), angle.sin(), wide.exp(), high.exp()
        x = (cos * wide, (cos * shear - sin) * high, right)  # of column, row and 1: where a pixel comes from
        y = (sin * wide, (sin * shear + cos) * high, down)
        weights = torch.stack([*x, *y], 1).view(number, 2, 3)
        if bends:
            bent = draw[:, 6:].reshape(number, 2, bends) * (self.elastic * math.sqrt(3 / bends))  # rms of a draw: √⅓
            weights = torch.cat([weights, bent], 2)
        grid = (weights * draw.new_tensor([2 / width, 2 / height])[:, None]) @ basis  # (N, 2, H·W), -1 to 1
        grid = grid.view(number, 2, height, width).permute(0, 2, 3, 1)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


@cache
def pixels(height: int, width: int, highest: int, device: torch.device) -> Tensor:
    """Return float32 (3 + (highest + 1)² - 1, H·W): of each pixel its column and row from the middle, 1, and the waves.

    The waves are products of cosines along both sides, each with root mean square 1.
    """
    rows, columns = (torch.arange(size, device=device) + 0.5 for size in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    found = [x - width / 2, y - height / 2, torch.ones_like(x)]
    for down in range(highest + 1):
        for right in range(highest + 1):
            if down or right:
                wave = (math.pi * right / width * x).cos() * (math.pi * down / height * y).cos()
                found.append(wave / wave.square().mean().sqrt())
    return torch.stack(found).flatten(1)
