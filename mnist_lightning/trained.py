"""A trained network, from its run directory. Nothing that stands in the files is ever executed."""

import math
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mnist_lightning.config import build, check, compose
from mnist_lightning.datasets.source import DIGITS, data_sha256, raw_shape
from mnist_lightning.networks.layers import normalize
from mnist_lightning.pictures.many import seen
from mnist_lightning.pictures.picture_files import Picture
from mnist_lightning.pictures.prepare import PictureError
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.files import MOST_OF_WEIGHTS
from mnist_lightning.runs.run import CONFIG_FILE, directory_of
from mnist_lightning.runs.seal import Seal
from mnist_lightning.runs.weights import fits, network_weights, weights_of

MOST_SECONDS = 20  # of processor time, to make a network without memory; the tutorial's takes one, mostly imports
MOST_PIXELS = 2**22  # times channels, of an image of a stranger's run
MOST_REAL = 2**8  # numbers in a tensor that is made for real where a network is made without memory
Positive = Annotated[float, Field(gt=0)]
LOOKED_AT = {  # what is taken from the configuration beside the network
    "seed": Annotated[int, Field(ge=0, le=2**32 - 1)],
    "data.mean": float | list[float],
    "data.std": Positive | list[Positive],
    "data.test_batch_size": Annotated[int, Field(ge=1, le=2**20)],
}

Names = Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=2**16)]
Shape = Annotated[list[Annotated[int, Field(ge=1, le=2**12)]], Field(min_length=3, max_length=3)]
OF_THE_DATA: dict[str, tuple[Any, Any]] = {  # what is taken from the checkpoint; those of earlier versions have digits
    "classes": (Names, [*DIGITS]),
    "shape": (Shape, [1, 28, 28]),
    "is_handwriting": (bool, True),
    "test_sha256": (str | None, None),
}

Images = Tensor | NDArray[np.uint8] | Sequence[Picture]


@dataclass(frozen=True)
class TrainedRun:
    """A run's network with the configuration it was trained by. `load_run` makes one.

    Attributes:
        directory: the run directory.
        checkpoint: the file that the weights come from.
        epochs: how many it had completed then.
        network: normalized images float32 (N, C, H, W) to logits float32 (N, classes); on the CPU, in evaluation mode.
        config: every setting of the run, as in `run.config.optimizer.lr`.
        is_own: it was made by this user, and not edited since.
        classes: their names, in the order of the logits.
        shape: of an image, (C, H, W).
        test_sha256: of the images that it was tested on, and their labels; None: of an earlier version, unknown.
        is_handwriting: pictures are prepared as MNIST was; otherwise they are resized and cropped.
    """

    directory: Path
    checkpoint: Path
    epochs: int
    network: nn.Module
    config: Any
    is_own: bool
    classes: Sequence[str]
    shape: tuple[int, int, int]
    is_handwriting: bool
    test_sha256: str | None

    def predict(self, images: Images) -> Tensor:
        """Return the class on each image, int64 (N,), for MNIST the digit; the images as for `probabilities`."""
        return self.probabilities(images).argmax(dim=1)

    def probabilities(self, images: Images) -> Tensor:
        """Return how likely each image shows each class, float32 (N, classes), 0 to 1.

        Args:
            images: as in the data, for MNIST light ink on black: uint8 (N, H, W) of grey ones, else (N, C, H, W), or
                one without N; or a list of files that hold a person's own pictures, which are prepared.

        Raises:
            ValueError: another shape or type.
            PictureError: a file that can't be read, or with nothing on it.
        """
        return self.logits(self.as_batch(images)).softmax(dim=1)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Return the logits float32 (N, classes) of raw images uint8, in the batches of the run's evaluation."""
        batches = images.split(self.config.data.test_batch_size)
        logits = torch.cat([self.network(normalize(batch, *self.scale)) for batch in batches])
        if not logits.isfinite().all():
            raise RunError(f"{self.checkpoint} answers with numbers that are not finite")
        return logits

    @property
    def scale(self) -> tuple[Any, Any]:
        """Mean and standard deviation by which images are normalized: numbers, or lists with one for each channel."""
        data = check.plain(self.config.data)
        return data["mean"], data["std"]

    def test_set(self, folder: str | Path | None = None) -> tuple[Tensor, Tensor]:
        """Return the raw test images, uint8, and labels, int64 (N,), of the data that the run names.

        Args:
            folder: takes the place of data.root; None: where the run looks for it.

        Raises:
            UsageError: it names data that only its owner has, or there are other classes.
            RunError: the data is not there (nothing is downloaded), or a file is damaged.
        """
        data = self.config.data if self.is_own else compose.own_data(str(self.config.data.dataset))
        source = build.source(data, folder)
        if [*source.classes] != [*self.classes] or tuple(source.shape) != self.shape:
            here, there = (f"{'×'.join(map(str, one.shape))}, {len(one.classes)} classes" for one in (source, self))
            raise UsageError(f"{self.directory} was trained on other images: {there}; the data has {here}")
        *_, images, labels = source.checked(may_download=False)
        if self.test_sha256 not in (None, data_sha256(images, labels)):
            raise UsageError(
                f"{self.directory} was tested on other images than are there now: data.root or its files changed"
            )
        return torch.from_numpy(images), torch.from_numpy(labels)

    def must_be_28x28(self, what: str) -> None:
        """Raise UsageError where the images are others than `what` is for."""
        if self.shape != (1, 28, 28):
            its = "×".join(map(str, self.shape))
            raise UsageError(f"{self.directory}: {what} for grey images of 28×28, and this run's are {its}")

    def as_batch(self, images: Images) -> Tensor:
        """Return raw images uint8 (N, …) of all that `probabilities` takes."""
        if isinstance(images, str | Path):
            raise ValueError(f"images={images!r}: must be a list, as in [{str(images)!r}]")
        shape = raw_shape(self.shape)
        if not isinstance(images, Tensor | np.ndarray):
            images = np.array([self.prepared(picture) for picture in images], np.uint8).reshape(-1, *shape)
        batch = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
        if batch.ndim == len(shape):
            batch = batch.unsqueeze(0)
        if batch.dtype != torch.uint8 or batch.shape[1:] != shape or not len(batch):
            raise ValueError(
                f"images of type {batch.dtype} and shape {tuple(batch.shape)}: must be uint8, "
                f"(N, {', '.join(map(str, shape))}), at least one, or a list of files"
            )
        return batch

    def prepared(self, picture: Picture) -> NDArray[np.uint8]:
        """Return a picture as the data would show it, uint8 (H, W) or (C, H, W)."""
        if not isinstance(picture, str | Path) and not hasattr(picture, "read"):
            raise ValueError(f"{type(picture).__name__} in a list of pictures: must be a file, by its name or open")
        try:
            return seen(picture, None if self.is_handwriting else self.shape)
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
    directory = directory_of(Path(path))
    config = compose.read(directory)
    settings = check.flat(config)
    for setting in ("name", "data.dataset"):
        check.check_name(settings.get(setting), setting)
    check.check_value("model", check.plain(config.get("model")), dict)
    for setting, kind in LOOKED_AT.items():
        check.check_value(setting, settings.get(setting), kind)
    checkpoint, content = weights_of(path)
    weights, epoch = network_weights(content), content.get("epoch")
    if not isinstance(epoch, int) or epoch < 0:
        raise RunError(f"{checkpoint} is not a checkpoint of this project")
    about = {name: content.get(name, default) for name, (_, default) in OF_THE_DATA.items()}
    for name, (kind, _) in OF_THE_DATA.items():
        parts = about[name] if isinstance(about[name], list) else [about[name]]
        if not all(isinstance(part, str | int | None) for part in parts):  # lists in lists may be vast
            raise RunError(f"{checkpoint} is not a checkpoint of this project: its {name} can't be read")
        check.check_value(f"{checkpoint}: {name}", about[name], kind)
    about["shape"] = tuple(about["shape"])
    about["is_handwriting"] &= about["shape"] == (1, 28, 28)
    is_own = Seal(directory).state(CONFIG_FILE) == "own"
    if not is_own and math.prod(about["shape"]) > MOST_PIXELS:
        raise UsageError(
            f"{checkpoint} is for images of {about['shape']}: a stranger's may have {MOST_PIXELS:,} numbers"
        )
    network = network_of(config.model, SimpleNamespace(**about), weights, is_own)
    if network is None:
        raise UsageError(f"{checkpoint} does not fit the network that {directory}/config.yaml describes")
    if not all(weight.isfinite().all() for weight in weights.values()):
        raise RunError(f"{checkpoint} has weights that are no finite numbers: nothing can be read with them")
    network = network.eval().to(memory_format=torch.channels_last)  # as it was evaluated in training
    position = content.get("position")
    epochs = position["epoch"] if isinstance(position, dict) and isinstance(position.get("epoch"), int) else epoch + 1
    return TrainedRun(directory, checkpoint, epochs, network, config, is_own, **about)


def network_of(description: Any, about: Any, weights: Mapping[str, Any], is_own: bool) -> nn.Module | None:
    """Return the network that a configuration describes, with its weights; None where they do not fit each other.

    A stranger's may be vast: it is first made, and sees one image, without memory and in short time.
    """
    real: tuple[AbstractContextManager[Any], str] = (nullcontext(), "cpu")
    modes = [real] if is_own else [(WithoutMemory(), "meta"), real]
    with nullcontext() if is_own else seconds(MOST_SECONDS), torch.random.fork_rng(devices=[]):
        for mode, device in modes:
            with mode:
                network = build.network(description, about, device=device)
            expected = network.state_dict()
            if expected.keys() != weights.keys() or not all(fits(weights[key], expected[key]) for key in expected):
                return None
            if sum(buffer.nbytes for buffer in network.buffers()) > MOST_OF_WEIGHTS:  # some stand in no checkpoint
                return None
    network.load_state_dict({key: weight.to(expected[key].dtype) for key, weight in weights.items()}, assign=True)
    return network


class WithoutMemory(TorchFunctionMode):
    """Makes tensors without memory, on the device "meta"; small ones for real: they may shape the network."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch.device("meta"):
            made = function(*args, **(kwargs or {}))
        is_made_here = isinstance(made, Tensor) and made.is_meta and not any(isinstance(one, Tensor) for one in args)
        if is_made_here and 0 < made.numel() <= MOST_REAL:
            return function(*args, **(kwargs or {}))
        return made


class TooLong(BaseException):
    """The time is up. It is no Exception, so that nothing on the way handles it as an error of its own."""


@contextmanager
def seconds(most: int) -> Iterator[None]:
    """Raise UsageError after so many seconds of processor time; in the main thread only: no other can be stopped."""

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
