"""A trained network from its run directory. Nothing that stands in the files is ever executed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mnist_lightning import configuration
from mnist_lightning.checkpoint import read_checkpoint
from mnist_lightning.data import normalize
from mnist_lightning.errors import UsageError
from mnist_lightning.run import LAST_CHECKPOINT

PREFIX = "network."  # of the network's tensors in a checkpoint of the LightningModule


@dataclass
class TrainedNetwork:
    """A network with the configuration it was trained by."""

    network: nn.Module
    config: Any  # the resolved configuration, as config.model.channels

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return the probability of each class, float32 (N, classes), for raw images, uint8 (N, 28, 28)."""
        return self.network(normalize(images, self.config.data.mean, self.config.data.std)).softmax(dim=1)


def load_network(run: str | Path) -> TrainedNetwork:
    """Load the weights of `run`, a run directory (its last checkpoint) or one of its checkpoints, on the CPU.

    Raises:
        UsageError: there is no such run, it was stopped before its first checkpoint, or its files are damaged.
    """
    place = Path(run)
    path = place if place.suffix == ".ckpt" else place / LAST_CHECKPOINT
    config = configuration.load(path.parent.parent)
    state = read_checkpoint(path)["state_dict"]
    network = configuration.build(config.model)
    try:
        network.load_state_dict(
            {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
        )
    except (RuntimeError, AttributeError) as error:
        raise UsageError(f"{path} does not fit the network that {path.parent.parent}/config.yaml describes") from error
    return TrainedNetwork(network.eval(), config)
