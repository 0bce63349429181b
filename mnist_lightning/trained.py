"""A trained network, from its run directory. Nothing that stands in the files is ever executed."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from mnist_lightning.config import build, check, compose
from mnist_lightning.datasets import mnist, sources
from mnist_lightning.networks.layers import normalize
from mnist_lightning.pictures.prepare import SIZE, Picture, PictureError, prepare, read_picture
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.experiment import flatten
from mnist_lightning.runs.run import CONFIG_FILE, LAST_CHECKPOINT, checkpoint_of, directory_of
from mnist_lightning.runs.seal import Seal
from mnist_lightning.runs.weights import read_checkpoint

PREFIX = "network."  # of the network's tensors in a checkpoint of the LightningModule
MOST_SECONDS = (
    20  # of processor time, to make a network without memory; the tutorial's takes one, mostly torch's imports
)
LOOKED_AT = {  # what is taken from the configuration beside the network
    "seed": Annotated[int, Field(ge=0, le=2**32 - 1)],
    "data.dataset": Literal["mnist", "digits"],
    "data.mean": float,
    "data.std": Annotated[float, Field(gt=0)],
    "data.test_batch_size": Annotated[int, Field(ge=1, le=2**20)],
}

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
        logits = torch.cat([self.network(normalize(batch, data.mean, data.std)) for batch in batches])
        if not logits.isfinite().all():
            raise RunError(f"{self.checkpoint} answers with numbers that are not finite")
        return logits

    def test_set(self, folder: str | Path | None = None) -> tuple[Tensor, Tensor]:
        """Return the raw test images, uint8 (N, 28, 28), and labels, int64 (N,), of the data that the run names.

        Args:
            folder: holds MNIST/raw as torchvision lays it out; None: where the run looks for it.

        Raises:
            RunError: MNIST is not there (nothing is downloaded), or a file is damaged.
        """
        data = self.config.data
        is_own = Seal(self.directory).state(CONFIG_FILE) == "own"  # a stranger's is read from one's own places
        root, search = (data.get("root") or "data", data.get("search") or ()) if is_own else mnist.places()
        if folder:
            root, search = str(folder), ()
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
    """Load a run's network, on the CPU, whoever made the run: its network is described by it, and nothing else obeyed.

    Args:
        path: a run directory, for its last checkpoint, or a checkpoint in one.

    Raises:
        UsageError: there is no such run, it was stopped before its first checkpoint, or its files don't fit together.
        RunError: the checkpoint is damaged, or holds anything else than plain values and tensors.
    """
    place = Path(path)
    directory = directory_of(place)
    config = compose.read(directory)
    settings = flatten(check.plain(config))
    check.check_name(settings.get("name"))
    check.check_value("model", check.plain(config.get("model")), dict)
    for setting, kind in LOOKED_AT.items():
        check.check_value(setting, settings.get(setting), kind)
    checkpoint = place if directory != place else checkpoint_of(directory) or directory / LAST_CHECKPOINT
    content = read_checkpoint(checkpoint)
    state = content["state_dict"] if isinstance(content["state_dict"], dict) else {}
    weights = {key.removeprefix(PREFIX): value for key, value in state.items() if str(key).startswith(PREFIX)}
    epoch = content.get("epoch")
    if not isinstance(epoch, int) or epoch < 0:
        raise RunError(f"{checkpoint} is not a checkpoint of this project")
    if (network := network_of(config.model, weights)) is None:
        raise UsageError(f"{checkpoint} does not fit the network that {directory}/config.yaml describes")
    if not all(weight.isfinite().all() for weight in weights.values()):
        raise RunError(f"{checkpoint} has weights that are no finite numbers: nothing can be read with them")
    network = network.eval().to(memory_format=torch.channels_last)  # as it was evaluated in training
    return TrainedRun(directory, checkpoint, epoch + 1, network, config)


def network_of(description: Any, weights: Mapping[str, Any]) -> nn.Module | None:
    """Return the network that a configuration describes, with its weights; None where they do not fit each other.

    It is made without memory and in short time, and sees one image without memory: a stranger's may be vast.
    """
    with torch.device("meta"), seconds(MOST_SECONDS):
        network = build.make("model", description, trial=build.takes_the_images)
    expected = network.state_dict()
    if expected.keys() != weights.keys() or not all(fits(weights[key], expected[key]) for key in expected):
        return None
    network.load_state_dict({key: weight.to(expected[key].dtype) for key, weight in weights.items()}, assign=True)
    return network


def fits(weight: Any, expected: Tensor) -> bool:
    """Return whether what a checkpoint holds is in memory, and of the shape and kind that a network expects."""
    return (
        isinstance(weight, Tensor)
        and weight.layout == torch.strided
        and weight.device.type == "cpu"
        and weight.shape == expected.shape
        and weight.is_floating_point() == expected.is_floating_point()
        and not weight.is_complex()
        and weight.untyped_storage().nbytes() >= weight.nbytes
    )


class TooLong(BaseException):
    """What is done takes longer than it may; nothing on the way takes it for a fault of its own."""


@contextmanager
def seconds(most: int) -> Iterator[None]:
    """Raise UsageError where what is done takes more of the processor, in the main thread: no other can be stopped."""

    def stop(*_: Any) -> None:
        raise TooLong

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    except TooLong as error:
        raise UsageError(f"the network takes more than {most} seconds of processor time to be made") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
