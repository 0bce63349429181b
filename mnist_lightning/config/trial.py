"""First uses of what has been made: each raises what would otherwise come only when training begins."""

from collections.abc import Sequence
from typing import Any


def takes_a_step(optimizer: Any) -> None:
    """Let an optimizer make a step by gradients of zero: one that needs others, as sparse ones, refuses these."""
    import torch

    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def loss() -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        return torch.zeros(())

    if optimizer.defaults.get("capturable") and torch.cuda.is_available():
        return  # for parameters on a GPU, and these are not there yet
    loss()
    optimizer.step(loss)


def sets_a_rate(scheduler: Any) -> None:
    """Let a scheduler set the next learning rate, as it would after a step or an epoch."""
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    scheduler.step(*[1.0] * isinstance(scheduler, ReduceLROnPlateau))


def takes_the_images(network: Any, shape: Sequence[int], classes: int, device: str) -> None:
    """Raise ValueError where a network takes images of another shape, or has another number of classes."""
    import torch

    from mnist_lightning.networks.layers import evaluating

    shown_shape = "×".join(map(str, shape))
    try:
        with torch.device(device), evaluating(network.to(device)):
            logits = network(torch.zeros(1, *shape))
    except Exception as error:
        raise ValueError(f"it does not take the data's images of {shown_shape}: {error}") from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (1, classes):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"it must give logits of shape (1, {classes}) for an image of the data, but gives {got}")


def trains(module: Any, images: Any) -> None:
    """Raise ValueError where a module gives no loss of a batch that can be descended."""
    import torch

    try:
        loss = module.training_loss(images, torch.zeros(len(images), dtype=torch.int64))
    except Exception as error:
        raise ValueError(f"its training_loss does not take a batch of the data: {error}") from error
    if not isinstance(loss, torch.Tensor) or loss.ndim or not loss.requires_grad:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise ValueError(f"its training_loss must return a scalar that depends on the weights, but gives {got}")
