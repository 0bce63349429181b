"""Images with other pens, in other light: strokes thicker or thinner or blurred, paper that is not black, grain."""

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from mnist_lightning.training.augmentation import Augmentation

Share = Annotated[float, Field(ge=0, le=1)]


class Ink(Augmentation):
    """Changes the pen and the light of each image; each change has a random strength between none and its limit.

    Args:
        width: how far strokes grow into, or give way to, the pixels beside them; 1: by a whole pixel.
        blur: how much of each pixel is the mean of its neighbourhood, by the weights 1 2 1 across and down.
        light: how far the darkest is raised to the brightest, at most; the same all over the image.
        shade: as `light`, on one side of the image, and not at all on the other.
        noise: of each pixel, at most, either way, as a share of the range from the darkest to the brightest.
    """

    def __init__(
        self, width: Share = 0.0, blur: Share = 0.0, light: Share = 0.0, shade: Share = 0.0, noise: Share = 0.0
    ) -> None:
        self.width, self.blur, self.light, self.shade, self.noise = width, blur, light, shade, noise

    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        def draw(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=images.device)

        number, _, height, width = images.shape
        darkest, brightest = images.aminmax()
        if self.width:
            half, share = (number + 1) // 2, draw(number, 1, 1, 1) * self.width  # they are in random order
            parts = zip(images.split(half), (torch.minimum, torch.maximum), strict=False)  # one image is one part
            images = images.lerp(torch.cat([of_three(part, combined) for part, combined in parts]), share)
        if self.blur:
            mean = of_three(images, lambda one, other: (one + other) / 2)
            images = images.lerp(mean, draw(number, 1, 1, 1) * self.blur)
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


def of_three(images: Tensor, combined: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine the two neighbours of each pixel, and the pixel with the result: within its row, then within its column.

    The borders of the images (N, C, H, W) are continued. For one channel, many times as fast as torch's pooling.
    """
    images = F.pad(images, (1, 1, 1, 1), mode="replicate")
    images = combined(combined(images[..., :-2], images[..., 2:]), images[..., 1:-1])
    return combined(combined(images[..., :-2, :], images[..., 2:, :]), images[..., 1:-1, :])
