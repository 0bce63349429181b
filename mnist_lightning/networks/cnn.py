"""The tutorial's convolutional network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist_lightning.networks.sizes import check_sizes

POOLINGS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class CNN(nn.Module):
    """Convolution, 2×2 pooling and ReLU, as often as `channels` has numbers; then one linear layer.

    With the default arguments: 8,490 parameters, 320 inputs to the linear layer.

    Args:
        channels: output channels of each convolution.
        kernel_size: side of the square kernels, in pixels.
        padding: pixels of zeros on each side before a convolution, or "same" to keep the size.
        pooling: "max" or "avg".
        image_size: side of the square input images, in pixels.
        classes: number of logits.

    Raises:
        ValueError: a kernel or a pooling window is larger than what reaches it.
    """

    def __init__(
        self,
        channels: Sequence[int] = (10, 20),
        kernel_size: int = 5,
        padding: int | str = 0,
        pooling: str = "max",
        image_size: int = 28,
        classes: int = 10,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling!r}: must be one of {', '.join(POOLINGS)}")
        check_sizes(len(channels), kernel_size, padding, image_size)
        layers: list[nn.Module] = []
        depth = 1  # MNIST is grey
        for width in channels:
            layers += [nn.Conv2d(depth, width, kernel_size, padding=padding), POOLINGS[pooling](2), nn.ReLU()]
            depth = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(self._flattened_size(image_size), classes))

    def _flattened_size(self, image_size: int) -> int:
        """Send one image through the features and count what comes out: nobody computes the 320 by hand."""
        with torch.no_grad():
            return self.features(torch.zeros(1, 1, image_size, image_size)).numel()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (N, classes), of normalized images, float (N, 1, image_size, image_size)."""
        return self.classifier(self.features(images))
