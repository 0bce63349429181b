"""A network of fully connected layers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import nn


class MLP(nn.Sequential):
    """Linear layer, ReLU and dropout, as often as `hidden` has numbers; then one linear layer.

    Of normalized images, float (N, channels_in, H, W), it makes logits, float (N, classes).

    Args:
        hidden: outputs of each hidden layer.
        dropout: the probability that an output of a hidden layer is left out while training.
        channels_in, image_size: of the images; a side, or (H, W) where they are not square.
        classes: number of logits.
    """

    def __init__(
        self,
        hidden: Sequence[Annotated[int, Field(ge=1)]] = (128,),
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        *,
        channels_in: int,
        image_size: int | tuple[int, int],
        classes: int,
    ) -> None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        layers: list[nn.Module] = [nn.Flatten()]
        sizes = [channels_in * height * width, *hidden]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers, nn.Linear(sizes[-1], classes))
