"""The tutorial's convolutional network."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

POOLINGS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class CNN(nn.Module):
    """Convolution, 2×2 pooling and ReLU, as often as `channels` has numbers; then one linear layer.

    With the default arguments: 8,490 parameters, 320 inputs to the linear layer.

    Args:
        channels: output channels of each convolution.
        kernel_size: side of the square kernels, in pixels.
        padding: pixels of zeros on each side before a convolution, or "same" to keep the size.
        pooling: "max" or "avg".
        channels_in, image_size: of the images; a side in pixels, or (H, W) where they are not square.
        classes: number of logits.
    """

    def __init__(
        self,
        channels: Sequence[Annotated[int, Field(ge=1, le=4096)]] = (10, 20),
        kernel_size: Annotated[int, Field(ge=1)] = 5,
        padding: Annotated[int, Field(ge=0)] | Literal["same"] = 0,
        pooling: Literal["max", "avg"] = "max",
        channels_in: Annotated[int, Field(ge=1)] = 1,
        image_size: Annotated[int, Field(ge=1)] | tuple[int, int] = 28,
        classes: Annotated[int, Field(ge=1)] = 10,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling!r}: must be one of {', '.join(POOLINGS)}")
        sides = (image_size, image_size) if isinstance(image_size, int) else image_size
        check_sizes(len(channels), kernel_size, padding, min(sides))
        layers: list[nn.Module] = []
        for depth, width in pairwise([channels_in, *channels]):
            layers += [nn.Conv2d(depth, width, kernel_size, padding=padding), POOLINGS[pooling](2), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        with torch.no_grad():  # one image is sent through the features: nobody computes the 320 by hand
            flattened = self.features(torch.zeros(1, channels_in, *sides)).numel()
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(flattened, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (N, classes), of normalized images, float (N, channels_in, H, W)."""
        return self.classifier(self.features(images))


def check_sizes(convolutions: int, kernel_size: int, padding: int | str, image_size: int) -> None:
    """Follow an image's shorter side through convolutions and 2×2 poolings, and refuse what does not fit a layer."""
    size = image_size
    for layer in range(1, convolutions + 1):
        padded = size + (2 * padding if isinstance(padding, int) else kernel_size - 1)  # of "same"
        if kernel_size > padded:
            raise ValueError(
                f"convolution {layer}: kernel_size={kernel_size} is larger than the {size}×{size} image that reaches "
                f"it (with padding={padding!r}: {padded}×{padded}); a smaller kernel, or padding='same', helps"
            )
        size = padded - kernel_size + 1
        if size < 2:
            raise ValueError(
                f"pooling {layer}: its 2×2 window is larger than the {size}×{size} that convolution {layer} leaves "
                f"(kernel_size={kernel_size}, padding={padding!r}); a smaller kernel, or padding='same', helps"
            )
        size //= 2
