"""What a step takes, several ways in one process, by turns: steadier than whole runs where the machine is not.

python benchmarks/steps.py [--rounds N] [--root FOLDER]

In each round a hand-tuned loop, a bare Trainer and this project, without augmentation and with, take 150 steps each.
A round's figure is the median of the times from one step's beginning to the next; the figures of all rounds, and their
ratios within a round, are reduced to their medians.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parent.parent))
from bare_lightning import BareModule, Shuffled
from bench import mnist_folder
from hand_loop import tensors

import train
from mnist_lightning.config import build, check, compose
from mnist_lightning.datasets import mnist
from mnist_lightning.module import Classifier
from mnist_lightning.networks.cnn import CNN
from mnist_lightning.runs.run import Run

STEPS, LEFT_OUT = 150, 20  # the first ones are slower
begun: list[float] = []


def noting(training_step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a training_step of the same arguments that notes when it begins."""

    def noted(self: Any, batch: Any, batch_idx: int) -> Any:
        begun.append(time.perf_counter())
        return training_step(self, batch, batch_idx)

    if hasattr(training_step, "__signature__"):
        noted.__signature__ = training_step.__signature__  # type: ignore[attr-defined]
    return noted


def by_hand(images: Tensor, labels: Tensor, root: str) -> None:
    network = CNN().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.5)
    for chosen in torch.randperm(len(images)).split(64)[:STEPS]:
        begun.append(time.perf_counter())
        loss = F.cross_entropy(network(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bare_trainer(images: Tensor, labels: Tensor, root: str) -> None:
    loader = DataLoader(TensorDataset(images, labels), None, sampler=Shuffled(len(images)))
    Trainer(max_epochs=1, barebones=True, limit_train_batches=STEPS).fit(BareModule(), loader)


def this_project(images: Tensor, labels: Tensor, root: str, callbacks: str = "default") -> None:
    """With everything on but the figures at its end."""
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(check.CONFIG_FOLDER), version_base="1.3"):
        words = ["trainer.max_epochs=1", f"trainer.limit_train_batches={STEPS}", "trainer.limit_val_batches=1"]
        words += [f"data.root={Path(root).absolute()}", "~callbacks.figures", f"output_dir={folder}/run"]
        words += [f"callbacks={callbacks}"]
        config = hydra_compose("config", overrides=words)
        build.everything(config)
        with Run.create(config.output_dir, config.name, config.seed) as run:
            compose.save(config, run)
            train.train(config, run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--root", default=mnist_folder(), help="a folder with MNIST/raw; default: as train.py")
    arguments = parser.parse_args()
    train_images, train_labels, *_ = mnist.MNIST(arguments.root).read()
    images, labels = tensors(train_images, train_labels)
    for kind in (Classifier, BareModule):
        setattr(kind, "training_step", noting(kind.training_step))  # noqa: B010
    ways = {"hand-tuned loop": by_hand, "bare Lightning Trainer": bare_trainer, "this project": this_project}
    ways |= {f"`callbacks={name}`": partial(this_project, callbacks=name) for name in ("warp", "warp_ink")}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(arguments.rounds):
        print(f"round {number + 1}/{arguments.rounds}", file=sys.stderr)
        for name, way in [*ways.items()][:: 1 if number % 2 else -1]:
            begun.clear()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                way(images, labels, arguments.root)
            times = [after - before for before, after in zip(begun[LEFT_OUT:], begun[LEFT_OUT + 1 :], strict=False)]
            found[name].append(statistics.median(times))
    print("\n| | milliseconds a step | this project takes |\n| --- | ---: | ---: |")
    for name, figures in found.items():
        ratio = statistics.median(ours / one for ours, one in zip(found["this project"], figures, strict=True))
        print(f"| {name} | {statistics.median(figures) * 1000:.2f} | {ratio:.2f} of it |")


if __name__ == "__main__":
    main()
