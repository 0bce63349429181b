"""(c) A bare Lightning Trainer: the tensors of the hand-tuned loop, `barebones=True`, nothing logged, nothing kept."""

import gc
import json
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F
from hand_loop import tensors
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mnist_lightning.datasets import mnist
from mnist_lightning.networks.cnn import CNN


class BareModule(LightningModule):
    """The loss of a batch, and a count of the test images that are read right."""

    def __init__(self) -> None:
        super().__init__()
        self.network = CNN().to(memory_format=torch.channels_last)
        self.correct = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.network(batch[0]), batch[1])

    def on_validation_epoch_start(self) -> None:
        self.correct = 0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.correct += int((self.network(batch[0]).argmax(dim=1) == batch[1]).sum())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.5)


class Shuffled:
    """The training images in another order in each epoch, as one index tensor per batch."""

    def __init__(self, images: int) -> None:
        self.images = images

    def __len__(self) -> int:
        return -(-self.images // 64)

    def __iter__(self) -> Any:
        return iter(torch.randperm(self.images).split(64))


def main(root: str, epochs: int) -> None:
    """Train on MNIST in `root` and print the mean seconds of an epoch, training and test, and the accuracy."""
    seed_everything(0, verbose=False)
    train_images, train_labels, test_images, test_labels = mnist.MNIST(root).read()
    train, test = (
        TensorDataset(*tensors(*pair)) for pair in ((train_images, train_labels), (test_images, test_labels))
    )
    del train_images, train_labels, test_images, test_labels
    in_order = [slice(first, first + 500) for first in range(0, len(test), 500)]
    loaders = [
        DataLoader(data, None, sampler=order) for data, order in ((train, Shuffled(len(train))), (test, in_order))
    ]
    module = BareModule()
    trainer = Trainer(max_epochs=epochs, barebones=True)
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    trainer.fit(module, loaders[0], loaders[1])
    seconds = time.perf_counter() - started
    print(json.dumps({"epoch_seconds": seconds / epochs, "accuracy": module.correct / len(test)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
