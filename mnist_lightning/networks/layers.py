"""What a network is given, and what its layers make of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def normalize(images: Tensor, mean: float | Sequence[float], std: float | Sequence[float]) -> Tensor:
    """Return uint8 images (N, H, W) or (N, C, H, W) as float32 (N, C, H, W): scaled to 0..1, then (x - mean) / std.

    `mean` and `std` are numbers, or have one for each channel.
    """
    images = images.unsqueeze(1) if images.ndim == 3 else images
    scaled = images.to(torch.float32).div_(255)  # in place from here on: one copy in memory

    def by_channel(numbers: float | Sequence[float]) -> Any:
        return numbers if isinstance(numbers, int | float) else scaled.new_tensor(list(numbers))[:, None, None]

    return scaled.sub_(by_channel(mean)).div_(by_channel(std))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Use a network as in an evaluation, without gradients; then each of its layers is in the mode it was in."""
    modes = {layer: layer.training for layer in network.modules()}
    try:
        with torch.no_grad():
            yield network.eval()
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def logits_of(network: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Return what `network` answers to normalized images float (N, C, H, W), in batches, as in an evaluation."""
    with evaluating(network):
        return torch.cat([network(batch) for batch in images.split(batch_size)])


def layer_table(network: nn.Module, image: Tensor) -> list[tuple[str, str, tuple[int, ...], int]]:
    """Send one image (1, C, H, W) through `network`; return each layer's name, type, output shape and parameters.

    The shapes are without the batch dimension: (C, H, W) or (features,).
    """
    return [
        (name, type(layer).__name__, tuple(output.shape[1:]), sum(p.numel() for p in layer.parameters()))
        for name, layer, output in layer_outputs(network, image)
    ]


def layer_outputs(network: nn.Module, images: Tensor) -> list[tuple[str, nn.Module, Tensor]]:
    """Send images float (N, C, H, W) through `network` and return each layer's name, itself and its first output."""
    rows: list[tuple[str, nn.Module, Tensor]] = []

    def note(name: str, layer: nn.Module, output: Any) -> None:
        while isinstance(output, Sequence | Mapping) and output:  # of a recurrent layer, output and state
            output = next(iter(output.values() if isinstance(output, Mapping) else output))
        if isinstance(output, Tensor):
            rows.append((name, layer, output.clone().float() if output.is_floating_point() else output.clone()))

    hooks = [
        layer.register_forward_hook(lambda layer, _, output, name=name: note(name, layer, output))
        for name, layer in network.named_modules()
        if not list(layer.children())
    ]
    try:
        with evaluating(network):
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return rows
