"""Beginning from another run: the weights that fit, and the layers that stay as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.weights import fits, network_weights, weights_of, weights_sha256


def begin_from(place: str | Path, network: nn.Module, before: Any = None) -> tuple[dict[str, Any], str]:
    """Take the weights of another run that fit by name and shape; whoever made it, nothing else of it is obeyed.

    Args:
        before: what was recorded of it when this run was begun, if it was begun before.

    Returns:
        What results.json records of it, and a line for a person.

    Raises:
        UsageError: there is no such run, none of its weights fit, or they are others than before.
        RunError: its checkpoint is damaged.
    """
    checkpoint, content = weights_of(place)
    there, here = network_weights(content), network.state_dict()
    taken = {name: there[name] for name in here if name in there and fits(there[name], here[name])}
    if not taken:
        names = ", ".join([*there][:5]) or "none"
        raise UsageError(f"init_from={place}: none of its weights fit this network by name and shape: it has {names} …")
    sha256 = weights_sha256(there)
    if isinstance(before, dict) and before.get("weights_sha256") != sha256:
        raise UsageError(f"init_from={place}: its weights have changed since this run was begun with them")
    with torch.no_grad():
        for name, weight in taken.items():
            here[name].copy_(weight)
    missing = [f"{name} ({difference(name, here, there)})" for name in here if name not in taken]
    further = [f"{name} (not here)" for name in there if name not in here]
    line = f"begins with {len(taken)} of {len(here)} tensors of {checkpoint}"
    if missing or further:
        line += f"; not taken: {', '.join([*missing, *further])}"
    record = {"checkpoint": str(checkpoint), "weights_sha256": sha256, "taken": [*taken]}
    return record, line


def difference(name: str, here: Mapping[str, Tensor], there: Mapping[str, Any]) -> str:
    if name not in there:
        return "not there"
    shapes = ["×".join(map(str, one.shape)) if isinstance(one, Tensor) else "?" for one in (here[name], there[name])]
    return f"{shapes[0]} here, {shapes[1]} there"


def freeze(network: nn.Module, names: Sequence[str]) -> None:
    """Exclude the named layers and single parameters from training; a layer's dropout and statistics stay off too."""
    layers, parameters = dict(network.named_modules()), dict(network.named_parameters())
    for name in names:
        if not name or (name not in layers and name not in parameters):
            tops = ", ".join(dict.fromkeys(parameter.partition(".")[0] for parameter in parameters))
            raise UsageError(f"freeze=[{name}]: the network has no layer of that name. It has {tops}, and their parts")
        if name in layers:
            layers[name].eval().requires_grad_(False)
        else:
            parameters[name].requires_grad_(False)
    if names and not any(parameter.requires_grad for parameter in parameters.values()):
        raise UsageError(f"freeze=[{', '.join(names)}]: leaves nothing to train")
