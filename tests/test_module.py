"""Training and evaluation against plain PyTorch written by hand."""

import math
from functools import partial
from pathlib import Path

import pytest
import test_train
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import nn

from mnist_lightning.data import ImageDataModule
from mnist_lightning.datasets.digits import Digits
from mnist_lightning.module import Classifier
from mnist_lightning.networks.cnn import CNN
from mnist_lightning.runs.errors import DivergedError
from mnist_lightning.terminal import console
from mnist_lightning.trained import load_run


@pytest.fixture
def data() -> ImageDataModule:
    console.set_up()
    return ImageDataModule(Digits(), batch_size=16, val_size=100, mean=0.1555, std=0.2772, seed=4)


def fit(module: Classifier, data: ImageDataModule, folder: Path, **settings: object) -> Trainer:
    arguments: dict = {
        "max_epochs": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
    }
    arguments |= {
        "enable_checkpointing": False,
        "accelerator": "cpu",
        "devices": 1,
        "use_distributed_sampler": False,
    }
    trainer = Trainer(**(arguments | {"num_sanity_val_steps": 0, "default_root_dir": folder} | settings))
    trainer.fit(module, datamodule=data)
    return trainer


def test_steps_equal_hand_written_pytorch(data: ImageDataModule, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Classifier(CNN(), partial(torch.optim.SGD, lr=0.01, momentum=0.5))
    torch.manual_seed(0)
    by_hand = CNN()
    fit(module, data, tmp_path, limit_train_batches=5)
    velocity = {name: torch.zeros_like(p) for name, p in by_hand.named_parameters()}
    for _, (x, y) in zip(range(5), data.train_dataloader(), strict=False):
        log_p = by_hand(x).log_softmax(1)
        loss = -log_p[torch.arange(len(y)), y].mean()
        gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
        for (name, p), gradient in zip(by_hand.named_parameters(), gradients, strict=True):
            velocity[name] = 0.5 * velocity[name] + gradient  # SGD with momentum, as Sutskever et al. 2013 in PyTorch
            p.data -= 0.01 * velocity[name]
    for (name, trained), expected in zip(module.network.named_parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(trained, expected, rtol=1e-4, atol=1e-6, msg=name)


def test_evaluation_is_an_exact_count(data: ImageDataModule, tmp_path: Path) -> None:
    module = Classifier(CNN(), partial(torch.optim.SGD, lr=0.05, momentum=0.9))
    trainer = fit(module, data, tmp_path)
    for stage, total in (("val", 100), ("test", 360)):
        images, labels = data.splits[stage].tensors
        with torch.no_grad():
            logits = module.network(images)
        errors = int((logits.argmax(1) != labels).sum())
        assert 0 < errors < total
        result = module.results[stage]
        assert (result["errors"], result["total"], result["accuracy"]) == (
            errors,
            total,
            (total - errors) / total,
        )
        assert result["loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
        assert trainer.callback_metrics[f"{stage}/accuracy"].item() == pytest.approx(result["accuracy"])


@pytest.mark.parametrize("test_batch_size", [360, 359, 300, 7])
def test_evaluation_loss_is_a_mean_over_images(test_batch_size: int, tmp_path: Path) -> None:
    """Whatever the batches: the last one is smaller where their size does not divide 360."""
    size = f"data.test_batch_size={test_batch_size}"
    results = test_train.fit(tmp_path / "run", "data=digits", "trainer=smoke", "logger=none", size)
    network = load_run(tmp_path / "run").network
    images, labels = test_train.digits_test_set()
    with torch.inference_mode():
        expected = float(F.cross_entropy(network(images), labels))
    assert results["test"]["loss"] == pytest.approx(expected, rel=1e-5)
    assert results["epochs"][0]["test_loss"] == results["test"]["loss"]


def test_scheduler_with_total_steps_is_stepped_each_step(data: ImageDataModule, tmp_path: Path) -> None:
    scheduler = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1)
    module = Classifier(CNN(), partial(torch.optim.SGD, lr=0.1, momentum=0.9), scheduler)
    trainer = fit(module, data, tmp_path, max_epochs=2)
    [config] = trainer.lr_scheduler_configs
    assert isinstance(config.scheduler, torch.optim.lr_scheduler.OneCycleLR)
    assert config.scheduler.total_steps == 2 * 84  # batches of 16 in 1,337 images
    assert config.interval == "step"
    assert module.reported_lr == pytest.approx(0.1 / 25 / 1e4)


def test_scheduler_without_is_stepped_each_epoch(data: ImageDataModule, tmp_path: Path) -> None:
    scheduler = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    module = Classifier(CNN(), partial(torch.optim.SGD, lr=0.1), scheduler)
    fit(module, data, tmp_path, max_epochs=2, limit_train_batches=2)
    assert module.reported_lr == pytest.approx(0.01)


def test_loss_that_is_not_finite_stops_at_once(data: ImageDataModule, tmp_path: Path) -> None:
    module = Classifier(CNN(), partial(torch.optim.SGD, lr=1e30))
    with pytest.raises(
        DivergedError, match=r"loss became (nan|inf) in epoch 1, step [23]\. .* it was 1e\+30; try a tenth"
    ):
        fit(module, data, tmp_path)


def test_nan_in_evaluation_is_seen(data: ImageDataModule, tmp_path: Path) -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(784, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = self.layer(x.flatten(1))
            return logits if self.training else logits * math.nan

    module = Classifier(Fails(), partial(torch.optim.SGD, lr=0.01))
    with pytest.raises(DivergedError, match="the val loss became nan in epoch 1"):
        fit(module, data, tmp_path, limit_train_batches=2)
