"""Images in memory as tensors, served by the standard DataLoader a batch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, SequentialSampler, TensorDataset

from mnist_lightning.datasets.source import Arrays, Source, balanced_draw, data_sha256
from mnist_lightning.networks.layers import normalize
from mnist_lightning.runs.errors import UsageError


class ImageDataModule(LightningDataModule):
    """The images of a source: read once, normalized once, kept on the device that trains.

    A batch is a pair: images float32 (N, C, H, W), labels int64 (N,).

    Args:
        source: where they come from.
        dataset: their name in results and tables; None: that of the source's class.
        batch_size: images per optimizer step, over all devices.
        test_batch_size: images per evaluation step on one device.
        val_size: training images held out for validation, as equally many of each class as can be.
        val_seed: which ones.
        mean, std: pixels are scaled to 0..1, then (x - mean) / std; numbers, or one for each channel.
        seed: with the epoch, the order of the training images.
    """

    def __init__(
        self,
        source: Source,
        dataset: Annotated[str, Field(min_length=1)] | None = None,
        batch_size: Annotated[int, Field(ge=1)] = 64,
        test_batch_size: Annotated[int, Field(ge=1)] = 500,
        val_size: Annotated[int, Field(ge=0)] = 0,
        val_seed: Annotated[int, Field(ge=0)] = 0,
        mean: float | Sequence[float] = 0.0,
        std: Annotated[float, Field(gt=0)] | Sequence[Annotated[float, Field(gt=0)]] = 1.0,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # of fewer held-out images than devices
        self.source, self.dataset = source, dataset or type(source).__name__.lower()
        if source.train_size and val_size >= source.train_size:
            raise ValueError(self.too_many(val_size, source.train_size))
        for name, numbers in (("mean", mean), ("std", std)):
            if not isinstance(numbers, int | float) and len(numbers) != (channels := source.shape[0]):
                raise ValueError(f"{name}={list(numbers)}: must be a number, or one for each of {channels} channels")
        self.batch_size, self.test_batch_size = batch_size, test_batch_size
        self.val_size, self.val_seed, self.seed = val_size, val_seed, seed
        self.mean, self.std = mean, std
        self.arrays: Arrays | None = None
        self.splits: dict[str, TensorDataset] = {}
        self.test_sha256: str | None = None  # of the raw test images and their labels
        self.resumed_at = (0, 0)  # an epoch, and how many batches of it were done before

    def prepare_data(self) -> None:
        """Read the files, and download them first where they are missing."""
        if self.arrays is None and not self.splits:
            self.arrays = self.source.checked()
            if self.val_size >= len(self.arrays[0]):
                raise UsageError(f"data.{self.too_many(self.val_size, len(self.arrays[0]))}")

    def too_many(self, val_size: int, images: int) -> str:
        return f"val_size={val_size}: must be from 0 to {images - 1:,}: {self.dataset} has {images:,} images to train"

    def setup(self, stage: str | None = None) -> None:
        if self.splits and (stage != "fit" or "train" in self.splits):
            return
        self.splits = {}
        self.prepare_data()
        assert self.arrays is not None
        train_images, train_labels, test_images, test_labels = self.arrays
        self.test_sha256 = data_sha256(test_images, test_labels)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self.val_size:
            held_out = self.held_out(train_labels)
            self.splits["val"] = self._tensors(train_images[held_out], train_labels[held_out], device)
            train_images = np.delete(train_images, held_out, axis=0)
            train_labels = np.delete(train_labels, held_out)
        self.splits["train"] = self._tensors(train_images, train_labels, device)
        self.splits["test"] = self._tensors(test_images, test_labels, device)
        self.arrays = None

    def held_out(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Return which of the training images are held out, by their labels (N,)."""
        drawn = balanced_draw(labels, self.val_size, self.val_seed)
        if lost := np.setdiff1d(labels, np.delete(labels, drawn)).tolist():
            rarest = self.source.classes[lost[0]]
            raise UsageError(f"data.val_size={self.val_size}: holds out every image of class {rarest}; take fewer")
        return drawn

    def _tensors(self, images: NDArray[np.uint8], labels: NDArray[Any], device: torch.device) -> TensorDataset:
        normalized = normalize(torch.from_numpy(images).to(device), self.mean, self.std)
        if self.trainer:  # with trainer.precision=16-true, say, the network takes others
            normalized = self.trainer.precision_plugin.convert_input(normalized)
        return TensorDataset(normalized, torch.from_numpy(labels).to(device))

    def let_go_of_training_images(self) -> None:
        """Free the memory of the training images, once they have been seen for the last time."""
        self.splits.pop("train").tensors = ()  # the loaders of a Trainer still hold the data set

    def size(self, split: str) -> int:
        """Return the number of images in "train", "val" or "test"."""
        return len(self.splits[split]) if split in self.splits else 0

    def train_dataloader(self) -> DataLoader:
        rank, devices = self._place
        if self.batch_size % devices:
            raise UsageError(f"data.batch_size={self.batch_size} can't be divided among {devices} devices")
        device = self.splits["train"].tensors[0].device
        kind = RepeatedBatches if self._overfits else ShuffledBatches
        order = kind(self.size("train"), self.batch_size, self.seed, rank, devices, device, self.resumed_at)
        return BatchLoader(self.splits["train"], batch_size=None, sampler=order)

    def val_dataloader(self) -> list[DataLoader]:
        """One loader for each of `evaluation_stages`: they are all evaluated after every epoch."""
        splits = [self.splits[stage] for stage in self.evaluation_stages]
        batches = [sequential_batches(len(split), self.test_batch_size, *self._place) for split in splits]
        orders: list[Any] = [FixedBatches(of) if self._overfits else of for of in batches]
        return [BatchLoader(split, batch_size=None, sampler=order) for split, order in zip(splits, orders, strict=True)]

    test_dataloader = val_dataloader

    def predict_dataloader(self) -> DataLoader:
        """The test images."""
        return self.val_dataloader()[-1]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # it is there already

    @property
    def _place(self) -> tuple[int, int]:
        """Which device this process is, of how many."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    @property
    def _overfits(self) -> bool:
        return bool(getattr(self.trainer, "overfit_batches", 0))

    @property
    def evaluation_stages(self) -> list[str]:
        """What is evaluated after every epoch, in the order of the loaders."""
        return ["val", "test"] if self.val_size else ["test"]


class BatchLoader(DataLoader):
    """A DataLoader that takes each batch by the sampler's index, in this process, and draws nothing at random.

    torch's own is slower with a batch in memory, and draws a seed for workers: dropout would be another one in a
    resumed run.
    """

    def __iter__(self) -> Any:
        return map(self.dataset.__getitem__, self.sampler)


@dataclass(eq=False)
class ShuffledBatches(Sampler[Tensor]):
    """The training images in an order that is a function of (seed, epoch), as one index tensor per batch.

    An index tensor makes TensorDataset return a whole batch by one indexing operation. Of each global batch, every
    device takes its share. One without a share gets the first image, which then counts for nothing: see `share`.
    """

    images: int
    batch_size: int
    seed: int
    rank: int = 0
    devices: int = 1
    device: str | torch.device = "cpu"  # the images': nothing has to be copied when they are indexed
    resumed_at: tuple[int, int] = (0, 0)  # an epoch, and how many of its batches are done and skipped
    epoch: int = 0

    @property
    def drawn_by(self) -> tuple[int, int]:
        return self.seed, self.epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.images // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        order = np.random.default_rng(self.drawn_by).permutation(self.images)
        epoch, done = self.resumed_at
        for batch in torch.from_numpy(order).to(self.device).split(self.batch_size)[done * (epoch == self.epoch) :]:
            yield batch[self.rank :: self.devices] if self.rank < len(batch) else batch[:1]

    def share(self, batch: int) -> tuple[int, int]:
        """Return how many images of an epoch's batch of this number are this device's, and how many it has in all."""
        images = min(self.batch_size, self.images - batch * self.batch_size)
        return len(range(self.rank, images, self.devices)), images


class RepeatedBatches(ShuffledBatches, SequentialSampler):  # type: ignore[misc]
    """The order of the first epoch in each, for trainer.overfit_batches: Lightning would replace any other sampler."""

    @property
    def drawn_by(self) -> tuple[int, int]:
        return self.seed, 0


class FixedBatches(list[slice], SequentialSampler):  # type: ignore[misc]
    """The same batches every time, for trainer.overfit_batches alone: on several devices Lightning may divide it."""


def sequential_batches(images: int, batch_size: int, rank: int = 0, devices: int = 1) -> list[slice]:
    """Return each image exactly once, in order, as one slice per batch; every device takes a contiguous part."""
    start, stop = (images * place // devices for place in (rank, rank + 1))
    return [slice(first, min(first + batch_size, stop)) for first in range(start, stop, batch_size)]
