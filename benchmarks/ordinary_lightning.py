"""(e) An ordinary Lightning program: torchvision's data set, a DataLoader, accuracy and logging at every step."""

import json
import sys
import tempfile
import time
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy
from torchvision import datasets, transforms

from mnist_lightning.networks.cnn import CNN


class OrdinaryModule(LightningModule):
    """The tutorial's network, trained the way most Lightning examples are written."""

    def __init__(self) -> None:
        super().__init__()
        self.network = CNN()
        self.train_accuracy = MulticlassAccuracy(10, average="micro")
        self.test_accuracy = MulticlassAccuracy(10, average="micro")

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels)
        self.train_accuracy(logits, labels)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/accuracy", self.train_accuracy, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        logits = self.network(images)
        self.test_accuracy(logits, labels)
        self.log("test/loss", F.cross_entropy(logits, labels), prog_bar=True)
        self.log("test/accuracy", self.test_accuracy, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.5)


def main(root: str, epochs: int) -> None:
    """Train on MNIST in `root` and print the mean seconds of an epoch, training and test, and the accuracy."""
    seed_everything(0)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1370,), (0.3081,))])
    train_loader = DataLoader(datasets.MNIST(root, train=True, transform=transform), batch_size=64, shuffle=True)
    test_loader = DataLoader(datasets.MNIST(root, train=False, transform=transform), batch_size=64)
    module = OrdinaryModule()
    with tempfile.TemporaryDirectory() as directory:
        trainer = Trainer(
            max_epochs=epochs,
            num_sanity_val_steps=0,
            logger=TensorBoardLogger(directory),
            default_root_dir=directory,
        )
        started = time.perf_counter()
        trainer.fit(module, train_loader, test_loader)
        seconds = time.perf_counter() - started
    accuracy = trainer.callback_metrics["test/accuracy"].item()
    print(json.dumps({"epoch_seconds": seconds / epochs, "accuracy": accuracy}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
