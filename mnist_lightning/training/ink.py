"""Images with other pens, in other light: strokes thicker or thinner, paper that is not black, grain."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from mnist_lightning.training.augmentation import Augmentation

Share = Annotated[float, Field(ge=0, le=1)]


class Ink(Augmentation):
    """Changes how each image was drawn and lit, each by a strength of its own between none and the limit.

    Args:
        width: how far strokes grow into, or give way to, the pixels beside them; 1: by a whole pixel.
        light: how far the darkest is raised to the brightest, at most; the same all over the image.
        shade: as `light`, on one side of the image, and not at all on the other.
        noise: of each pixel, at most, either way, as a share of the range from the darkest to the brightest.
    """

    def __init__(self, width: Share = 0.0, light: Share = 0.0, shade: Share = 0.0, noise: Share = 0.0) -> None:
        self.width, self.light, self.shade, self.noise = width, light, shade, noise

    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        def draw(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=images.device)

        number, _, height, width = images.shape
        darkest, brightest = images.aminmax()
        if self.width:
            half, share = number // 2, draw(number, 1, 1, 1) * self.width  # they are in random order
            thick = F.max_pool2d(images[half:], 3, stride=1, padding=1)
            thin = -F.max_pool2d(-images[:half], 3, stride=1, padding=1)
            images = images.lerp(torch.cat([thin, thick]), share)
        if self.light or self.shade:
            across, down = (torch.linspace(-1, 1, size, device=images.device) for size in (width, height))
            x, y = (draw(2, number, 1, 1, 1) * 2 - 1).unbind(0)
            slope = (x * across + y * down[:, None] + x.abs() + y.abs()) / 4  # 0 to 1
            raised = draw(number, 1, 1, 1) * self.light + slope * self.shade
            images = images + (brightest - images) * raised.clamp(max=1)
        if self.noise:
            amount = draw(number, 1, 1, 1) * (self.noise * (brightest - darkest))
            images = images + (draw(*images.shape) * 2 - 1) * amount
        return images
