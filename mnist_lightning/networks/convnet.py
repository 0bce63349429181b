"""Networks of 3×3 convolutions that end in the mean of each channel, so that few weights are needed."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnist_lightning.networks.cnn import POOLINGS

Width = Annotated[int, Field(ge=1, le=4096)]


class ConvNet(nn.Module):
    """Stages of 3×3 convolutions, each with ReLU, batch normalization and dropout, and 2×2 pooling between the stages.

    Pooling comes right after the convolution, so that less is left to normalize: half of the time, at this size. Then
    the mean of each channel (Lin and others 2013, arXiv:1312.4400) and one linear layer.

    Args:
        stages: output channels of each convolution of each stage.
        dropout: the probability that a number is left out while training, after each convolution but the last.
        padding: pixels of zeros on each side before a convolution; 1 keeps the size.
        pooling: "max" or "avg".
        stride: of the first convolution, in pixels.
        separable: all convolutions but the first are one of 3×3 in each channel and one of 1×1 across the channels
            (Howard and others 2017, arXiv:1704.04861).
        shared: convolutions between the same numbers of channels have the same weights; only batch normalization is
            each layer's own.
        residual: what goes in is added to what comes out (He and others 2015, arXiv:1512.03385), where it has the
            same shape.
        test_time_rotation: degrees. In an evaluation the logits are the mean of three: of the image as it is, turned
            by so much to the left, and to the right. 0: of the image as it is alone.
        channels_in: of the images.
        classes: number of logits.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Width]] = ((12, 12), (12, 12, 12, 12, 12)),
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05,
        padding: Annotated[int, Field(ge=0, le=1)] = 1,
        pooling: Literal["max", "avg"] = "max",
        stride: Annotated[int, Field(ge=1)] = 1,
        separable: bool = False,
        shared: bool = False,
        residual: bool = False,
        test_time_rotation: Annotated[float, Field(ge=0, lt=90)] = 0.0,
        *,
        channels_in: int,
        classes: int,
    ) -> None:
        super().__init__()
        layers: list[Layer] = []
        known: dict[tuple[int, int], nn.Module] = {}
        depth = channels_in
        for number, stage in enumerate(stages, start=1):
            for place, width in enumerate(stage, start=1):
                is_first, is_pooled = not known, place == len(stage) and number < len(stages)
                made = convolution(depth, width, padding, separable and not is_first, stride if is_first else 1)
                kept = known.setdefault((depth, width), made)
                is_added = residual and depth == width and padding == 1 and not is_first and not is_pooled
                pool = POOLINGS[pooling](2) if is_pooled else nn.Identity()
                layers.append(Layer(kept if shared else made, pool, width, dropout, is_added))
                depth = width
        layers[-1].dropout.p = 0.0
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(depth, classes)
        self.angles = (0.0, test_time_rotation, -test_time_rotation) if test_time_rotation else (0.0,)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (N, classes), of normalized images, float (N, channels_in, H, W)."""
        is_turned = len(self.angles) > 1 and not self.training
        views = torch.cat([turned(images, angle) for angle in self.angles]) if is_turned else images
        logits = self.classifier(self.features(views).mean(dim=(2, 3)))
        return logits.unflatten(0, (len(self.angles), -1)).mean(dim=0) if is_turned else logits


class Layer(nn.Module):
    """Convolution, pooling, ReLU, batch normalization, dropout; what went in is added at the end where `is_added`."""

    def __init__(self, convolution: nn.Module, pool: nn.Module, width: int, dropout: float, is_added: bool) -> None:
        super().__init__()
        self.convolution, self.pool, self.is_added = convolution, pool, is_added
        self.relu, self.norm, self.dropout = nn.ReLU(), nn.BatchNorm2d(width), nn.Dropout(dropout)

    def forward(self, images: Tensor) -> Tensor:
        changed = self.dropout(self.norm(self.relu(self.pool(self.convolution(images)))))
        return images + changed if self.is_added else changed


def convolution(inputs: int, outputs: int, padding: int, separable: bool, stride: int) -> nn.Module:
    if not separable:
        return nn.Conv2d(inputs, outputs, 3, stride, padding, bias=False)
    in_each = nn.Conv2d(inputs, inputs, 3, stride, padding, groups=inputs, bias=False)
    return nn.Sequential(in_each, nn.Conv2d(inputs, outputs, 1, bias=False))


def turned(images: Tensor, degrees: float) -> Tensor:
    """Return images (N, C, H, W) turned about their middle, to the left where `degrees` > 0; borders are continued."""
    if not degrees:
        return images
    height, width = images.shape[2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    from_where = images.new_tensor([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]])
    grid = F.affine_grid(from_where[None], [1, 1, height, width], align_corners=False)
    return F.grid_sample(images, grid.expand(images.shape[0], -1, -1, -1), padding_mode="border", align_corners=False)
