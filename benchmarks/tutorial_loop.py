"""(a) The tutorial's training loop as it is usually written: torchvision, a transform per image, a DataLoader."""

import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from mnist_lightning.networks.cnn import CNN


def main(root: str, epochs: int) -> None:
    """Train on MNIST in `root` and print the mean seconds of an epoch, training and test, and the accuracy."""
    torch.manual_seed(0)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1370,), (0.3081,))])
    train_loader = DataLoader(datasets.MNIST(root, train=True, transform=transform), batch_size=64, shuffle=True)
    test_loader = DataLoader(datasets.MNIST(root, train=False, transform=transform), batch_size=64)
    network: nn.Module = CNN()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.5)
    started = time.perf_counter()
    for _ in range(epochs):
        network.train()
        for step, (images, labels) in enumerate(train_loader, start=1):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            if step % 300 == 0:
                print(f"step {step} loss {loss.item():.4f}", file=sys.stderr)
        network.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in test_loader:
                correct += (network(images).argmax(dim=1) == labels).sum().item()
    print(json.dumps({"epoch_seconds": (time.perf_counter() - started) / epochs, "accuracy": correct / 10_000}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
