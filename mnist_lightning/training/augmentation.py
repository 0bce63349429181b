"""Augmentation: the images of a batch changed at random, on their device, while training."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import Generator, Tensor

from mnist_lightning.runs.errors import UsageError, one_line


class Augmentation(Callback):
    """Changes each batch before its training step. Your own is a subclass with `augment`.

    What it draws is a function of (seed, epoch, step), so a resumed run draws the same.
    """

    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the changed images; normalized float32 (N, C, H, W), on their device, as is the generator."""
        raise NotImplementedError

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        numbers = (torch.initial_seed(), trainer.current_epoch, batch_idx)  # the first is of (seed, epoch, device)
        self.change(batch[0], int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))

    def try_on(self, images: Tensor) -> None:
        """Raise UsageError where `augment` fails on images of the data."""
        try:
            self.change(images, seed=0)
        except Exception as error:
            reason = one_line(error)
            raise UsageError(f"callbacks: {type(self).__name__} does not take the data's images: {reason}") from error

    def change(self, images: Tensor, seed: int) -> None:
        """Put the changed images in the place of `images`."""
        changed: Any = self.augment(images, Generator(images.device).manual_seed(seed))
        if not isinstance(changed, Tensor) or changed.shape != images.shape:
            got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            must_be = f"must return images of the same shape, {tuple(images.shape)}"
            raise ValueError(f"{type(self).__name__}.augment {must_be}, but gives {got}")
        images.copy_(changed)
