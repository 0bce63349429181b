"""A trained network, from its run directory. Nothing that stands in the files is ever executed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_lightning.config import build, compose
from mnist_lightning.datasets import sources
from mnist_lightning.networks.layers import normalize
from mnist_lightning.pictures.prepare import SIZE, Picture, PictureError, prepare, read_picture
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.run import LAST_CHECKPOINT, check_contained, directory_of
from mnist_lightning.runs.weights import read_checkpoint

PREFIX = "network."  # of the network's tensors in a checkpoint of the LightningModule

Images = Tensor | NDArray[np.uint8] | Sequence[Picture]


@dataclass(frozen=True)
class TrainedRun:
    """A run's network with the configuration it was trained by. `load_run` makes one.

    Attributes:
        directory: the run directory.
        checkpoint: the file that the weights come from.
        epochs: how many it had completed then.
        network: normalized images float32 (N, 1, 28, 28) to logits float32 (N, 10); on the CPU, in evaluation mode.
        config: every setting of the run, as in `run.config.optimizer.lr`.
    """

    directory: Path
    checkpoint: Path
    epochs: int
    network: nn.Module
    config: Any

    def predict(self, images: Images) -> Tensor:
        """Return the digit on each image, int64 (N,); the images as for `probabilities`."""
        return self.probabilities(images).argmax(dim=1)

    def probabilities(self, images: Images) -> Tensor:
        """Return how likely each image shows each digit, float32 (N, 10), 0 to 1.

        Args:
            images: as in MNIST, light ink on black, uint8 (N, 28, 28), or (28, 28) for one; or a list of files that
                hold a person's own pictures: they are prepared as MNIST was.

        Raises:
            ValueError: another shape or type.
            PictureError: a file that can't be read, or with nothing on it.
        """
        return self.logits(as_batch(images)).softmax(dim=1)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Return the logits float32 (N, 10) of raw images uint8 (N, 28, 28), in the batches of the run's evaluation."""
        data = self.config.data
        batches = images.split(data.test_batch_size)
        return torch.cat([self.network(normalize(batch, data.mean, data.std)) for batch in batches])

    def test_set(self, folder: str | Path | None = None) -> tuple[Tensor, Tensor]:
        """Return the raw test images, uint8 (N, 28, 28), and labels, int64 (N,), of the data that the run names.

        Args:
            folder: holds MNIST/raw as torchvision lays it out; None: where the run looks for it.

        Raises:
            RunError: MNIST is not there (nothing is downloaded), or a file is damaged.
        """
        data = self.config.data
        root, search = (folder, ()) if folder else (data.get("root") or "data", data.get("search") or ())
        *_, images, labels = sources.load(data.dataset, root, search, may_download=False)
        return torch.from_numpy(images), torch.from_numpy(labels).long()


def as_batch(images: Images) -> Tensor:
    """Return raw images uint8 (N, 28, 28) of all that `TrainedRun.probabilities` takes."""
    if isinstance(images, str | Path):
        raise ValueError(f"images={images!r}: must be a list, as in [{str(images)!r}]")
    if not isinstance(images, Tensor | np.ndarray):
        images = np.array([prepared(picture) for picture in images], np.uint8).reshape(-1, SIZE, SIZE)
    batch = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    if batch.ndim == 2:
        batch = batch.unsqueeze(0)
    if batch.dtype != torch.uint8 or batch.shape[1:] != (SIZE, SIZE) or not len(batch):
        raise ValueError(
            f"images of type {batch.dtype} and shape {tuple(batch.shape)}: must be uint8, (N, {SIZE}, {SIZE}), "
            "at least one, or a list of files"
        )
    return batch


def prepared(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture as MNIST would show it, uint8 (28, 28)."""
    if not isinstance(picture, str | Path) and not hasattr(picture, "read"):
        raise ValueError(f"{type(picture).__name__} in a list of pictures: must be a file, by its name or open")
    try:
        return prepare(read_picture(picture))
    except PictureError as error:
        raise PictureError(f"{picture}: {error}") from error


def load_run(path: str | Path) -> TrainedRun:
    """Load a run's network, on the CPU.

    Args:
        path: a run directory, for its last checkpoint, or a checkpoint in one.

    Raises:
        UsageError: there is no such run, it was stopped before its first checkpoint, or its files don't fit together.
        RunError: the checkpoint is damaged, or holds anything else than plain values and tensors.
    """
    place = Path(path)
    directory = directory_of(place)
    checkpoint = directory / LAST_CHECKPOINT if directory == place else place
    check_contained(directory)
    config = compose.load(directory)
    content = read_checkpoint(checkpoint)
    try:
        weights = {k.removeprefix(PREFIX): v for k, v in content["state_dict"].items() if k.startswith(PREFIX)}
        if not all(weight.is_floating_point() and weight.isfinite().all() for weight in weights.values()):
            raise RunError(f"{checkpoint} has weights that are no finite numbers: nothing can be read with them")
        with torch.device("meta"):  # without memory: a stranger's configuration may ask for more than there is
            network = build.build(config.model)
        network.load_state_dict({key: weight.float() for key, weight in weights.items()}, assign=True)
    except (RuntimeError, AttributeError) as error:
        raise UsageError(f"{checkpoint} does not fit the network that {directory}/config.yaml describes") from error
    network = network.eval().to(memory_format=torch.channels_last)  # as it was evaluated in training
    return TrainedRun(directory, checkpoint, epochs_of(content, checkpoint), network, config)


def epochs_of(content: dict[str, Any], checkpoint: Path) -> int:
    """Return how many epochs a checkpoint has behind it."""
    epoch = content.get("epoch")
    if not isinstance(epoch, int) or epoch < 0:
        raise RunError(f"{checkpoint} is not a checkpoint of this project")
    return epoch + 1
