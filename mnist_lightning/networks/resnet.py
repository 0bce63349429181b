"""A small residual network: He and others 2015, arXiv:1512.03385."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn


class ResNet(nn.Module):
    """A convolution, residual blocks of which all but the first halve the image, and one linear layer of the means.

    Args:
        channels: of each block's output.
        dropout: the probability that a mean is left out while training.
        channels_in: of the images.
        classes: number of logits.
    """

    def __init__(
        self,
        channels: Sequence[Annotated[int, Field(ge=1)]] = (16, 32, 64),
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        *,
        channels_in: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(channels_in, channels[0]), nn.ReLU())
        pairs = pairwise([channels[0], *channels])
        self.blocks = nn.Sequential(*(Block(*pair, stride=1 + bool(index)) for index, pair in enumerate(pairs)))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (N, classes), of normalized images, float (N, channels_in, H, W) of any size."""
        return self.classifier(self.blocks(self.stem(images)).mean(dim=(2, 3)))


class Block(nn.Module):
    """Two convolutions, and what went in is added to what comes out."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(inputs, outputs, stride=stride), nn.ReLU(), convolution(outputs, outputs)
        )
        is_same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if is_same else convolution(inputs, outputs, kernel_size=1, stride=stride)

    def forward(self, images: Tensor) -> Tensor:
        return (self.residual(images) + self.shortcut(images)).relu()


def convolution(inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size but for its stride, with batch normalization."""
    layer = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))
