"""What a network is given, and what its layers make of it."""

import torch
from torch import Tensor, nn


def normalize(images: Tensor, mean: float, std: float) -> Tensor:
    """Return uint8 images (N, H, W) as float32 (N, 1, H, W): scaled to 0..1, then (x - mean) / std."""
    return images.unsqueeze(1).to(torch.float32).div_(255).sub_(mean).div_(std)  # in place: one copy in memory


def layer_table(network: nn.Module, image_size: int) -> list[tuple[str, str, tuple[int, ...], int]]:
    """Send one image through `network` and return each layer's name, type, output shape and parameters.

    The shapes are without the batch dimension: (C, H, W) or (features,).
    """
    blank = torch.zeros(1, 1, image_size, image_size, device=next(network.parameters()).device)
    return [
        (name, type(layer).__name__, tuple(output.shape[1:]), sum(p.numel() for p in layer.parameters()))
        for name, layer, output in layer_outputs(network, blank)
    ]


def layer_outputs(network: nn.Module, images: Tensor) -> list[tuple[str, nn.Module, Tensor]]:
    """Send images float (N, 1, H, W) through `network` and return each layer's name, itself and its output."""
    rows: list[tuple[str, nn.Module, Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, _, output, name=name: rows.append((name, layer, output.clone())))
        for name, layer in network.named_modules()
        if not list(layer.children())
    ]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(images)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return rows
