"""(b) A hand-tuned loop in plain PyTorch: tensors in memory, channels last, no bookkeeping."""

import gc
import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_lightning.datasets import mnist
from mnist_lightning.networks.cnn import CNN


def tensors(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Normalize in place, so that one copy is in memory."""
    x = torch.from_numpy(images).unsqueeze(1).float().div_(255).sub_(0.1370).div_(0.3081)
    return x.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels).long()


def main(root: str, epochs: int) -> None:
    """Train on MNIST in `root` and print the mean seconds of an epoch, training and test, and the accuracy."""
    torch.manual_seed(0)
    train_images, train_labels, test_images, test_labels = mnist.MNIST(root).read()
    (x, y), (test_x, test_y) = tensors(train_images, train_labels), tensors(test_images, test_labels)
    del train_images, train_labels, test_images, test_labels
    network: nn.Module = CNN().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.5)
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    for _ in range(epochs):
        network.train()
        for step, chosen in enumerate(torch.randperm(len(x)).split(64), start=1):
            loss = F.cross_entropy(network(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 300 == 0:
                print(f"step {step} loss {loss.item():.4f}", file=sys.stderr)
        network.eval()
        with torch.inference_mode():
            batches = zip(test_x.split(500), test_y.split(500), strict=True)
            correct = sum(int((network(images).argmax(dim=1) == labels).sum()) for images, labels in batches)
    gc.unfreeze()
    print(json.dumps({"epoch_seconds": (time.perf_counter() - started) / epochs, "accuracy": correct / 10_000}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
