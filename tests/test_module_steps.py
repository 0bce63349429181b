"""What the module does at each step, with a stand-in for the Trainer: every number by hand."""

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnist_lightning.data import ShuffledBatches
from mnist_lightning.module import Classifier, number
from mnist_lightning.runs.errors import DivergedError, RunError
from mnist_lightning.training.checkpoints import RESUMED


class Stand(SimpleNamespace):
    """A Trainer of which only these attributes are looked at."""


def classifier(**settings: Any) -> tuple[Classifier, Stand, dict[str, float]]:
    """Return a classifier of 2 pixels into 3 classes, its Trainer, and what it logs."""
    module = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(2, 3)), **settings)
    data = SimpleNamespace(evaluation_stages=["val", "test"], source=SimpleNamespace(classes=("a", "b", "c")))
    trainer = Stand(
        log_every_n_steps=3, global_step=0, current_epoch=0, is_last_batch=False, datamodule=data, testing=False,
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.5}])], should_stop=False, _results={}, world_size=1,
        strategy=SimpleNamespace(reduce=lambda value, reduce_op: value), global_rank=0, estimated_stepping_batches=70.0,
    )  # fmt: skip
    module.trainer = trainer  # type: ignore[assignment]
    logged: dict[str, float] = {}

    def log(values: dict[str, Any], **_: Any) -> None:
        logged.update({name: torch.as_tensor(value).item() for name, value in values.items()})

    module.log_dict = log  # type: ignore[assignment, method-assign]
    return module, trainer, logged


def batch(size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 1, 1, 2, generator=generator), torch.arange(size) % 3


def test_every_third_step_is_reported_and_the_epochs_loss_is_a_mean_over_images() -> None:
    module, trainer, logged = classifier()
    module.on_train_epoch_start()
    assert module.reported_lr == 0.5
    losses = []
    for step, size in enumerate((4, 4, 4, 1)):
        trainer.global_step, trainer.optimizers[0].param_groups[0]["lr"] = step, 0.1 * step
        images, labels = batch(size, step)
        expected = F.cross_entropy(module.network(images), labels).item()
        losses += [expected] * size
        assert module.training_step((images, labels), step).item() == pytest.approx(expected)
        assert module.latest_loss == pytest.approx(expected), "on a CPU every loss is read"
        if step == 1:
            assert (logged, module.reported_lr) == ({}, 0.5)
        if step == 2:
            assert logged == {"train/loss": pytest.approx(expected), "train/learning_rate": pytest.approx(0.2)}
    assert module.reported_lr == pytest.approx(0.2)
    assert module.train_loss() == pytest.approx(sum(losses) / 13)
    trainer.is_last_batch = True
    module.training_step(batch(4), 4)
    assert module.reported_lr == pytest.approx(0.3), "also at the epoch's end"
    module.on_train_epoch_start()
    assert module.train_loss() == 0
    trainer.log_every_n_steps = 0
    logged.clear()
    module.training_step(batch(4), 0)
    assert not logged, "0 reports nothing"


@pytest.mark.parametrize(("images", "devices"), [(5, 2), (5, 3), (1, 2), (4, 2)])
def test_devices_with_unequal_shares_descend_the_mean_over_all_images(images: int, devices: int) -> None:
    """DistributedDataParallel takes the mean of the devices' gradients."""
    x, y = batch(images)
    whole, _, _ = classifier()
    F.cross_entropy(whole.network(x), y).backward()
    gradients, loss_sum, counted = torch.zeros(3, 2), 0.0, 0
    for rank in range(devices):
        module, trainer, _ = classifier()
        module.load_state_dict(whole.state_dict())
        trainer.world_size = devices
        order = ShuffledBatches(images, 6, 0, rank, devices)
        trainer.train_dataloader = SimpleNamespace(sampler=order)
        module.on_train_epoch_start()
        [chosen] = order
        module.training_step((x[chosen], y[chosen]), 0).backward()
        gradients += module.network[1].weight.grad / devices  # type: ignore[index]
        loss_sum, counted = loss_sum + float(module._loss_sum), counted + module._images
    torch.testing.assert_close(gradients, whole.network[1].weight.grad)  # type: ignore[index]
    assert (loss_sum / counted, counted) == (pytest.approx(F.cross_entropy(whole.network(x), y).item()), images)


def test_the_loss_of_an_epoch_goes_on_where_it_was() -> None:
    module, trainer, _ = classifier()
    module.on_train_epoch_start()
    trainer.accumulate_grad_batches, trainer.global_rank = 2, 1
    trainer.fit_loop = SimpleNamespace(
        epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(processed=3)))
    )
    module.all_gather = lambda value: torch.stack([value, value + 8])  # type: ignore
    module.training_step(batch(4), 0).backward()
    so_far = module.epoch_so_far()
    assert (so_far["images"].tolist(), set(so_far["gradients"])) == ([4, 12], {"1.weight", "1.bias"})
    loss_sum = 4 * module.train_loss()
    for rank, devices, expected in (
        (0, 2, loss_sum / 4), (1, 2, (loss_sum + 8) / 12), (0, 1, (2 * loss_sum + 8) / 16), (1, 3, 0),
    ):  # fmt: skip
        other, its_trainer, _ = classifier()
        its_trainer.global_rank, its_trainer.world_size = rank, devices
        other.go_on_within_epoch(so_far)
        other.on_train_epoch_start()
        assert other.train_loss() == pytest.approx(expected), "one on other devices begins with the sums of all"
    for name, parameter in module.network.named_parameters():
        torch.testing.assert_close(other.network.get_parameter(name).grad, parameter.grad)
    other.on_train_epoch_start()
    assert other.train_loss() == 0, "the next epoch begins anew"
    trainer.fit_loop.epoch_loop.batch_progress.current.processed = 4
    assert module.epoch_so_far()["gradients"] == {}, "a step has just been taken"


def test_evaluation_counts_each_stage_over_all_its_batches() -> None:
    module, _, logged = classifier()
    module.on_validation_epoch_start()
    sets = {0: [batch(5, 1), batch(2, 2)], 1: [batch(3, 3)]}
    for loader, batches in sets.items():
        for index, one in enumerate(batches):
            module.validation_step(one, index, loader)
    module.on_validation_epoch_end()
    assert set(module.results) == {"val", "test"}
    for stage, batches in zip(("val", "test"), sets.values(), strict=True):
        images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        logits = module.network(images)
        errors = int((logits.argmax(1) != labels).sum())
        loss = F.cross_entropy(logits, labels).item()
        accuracy = (len(labels) - errors) / len(labels)
        expected = {"accuracy": accuracy, "errors": errors, "total": len(labels), "loss": pytest.approx(loss)}
        assert module.results[stage] == expected
        assert (logged[f"{stage}/accuracy"], logged[f"{stage}/loss"]) == pytest.approx((accuracy, loss))
        assert int(module.confusion[stage].trace()) == len(labels) - errors
    assert set(logged) == {"val/accuracy", "val/loss", "test/accuracy", "test/loss"}
    module.results["val"]["f1"] = torch.tensor(0.5)
    assert module.measured["val/f1"] == 0.5 and list(module.measured)[:2] == ["val/loss", "val/accuracy"]
    module.on_train_epoch_start()
    assert module.results == {} and module.confusion == {}


def test_the_next_evaluation_counts_anew_and_a_set_without_batches_is_left_out() -> None:
    module, trainer, _ = classifier()
    for _ in range(2):
        module.on_validation_epoch_start()
        module.validation_step(batch(4), 0)
        module.validation_step(batch(2), 0, 1)
        assert [of["total"] for of in module.results.values()] == [4, 2]
    trainer.datamodule = None
    for testing, stage in ((True, "test"), (False, "val")):
        trainer.testing = testing
        module.on_validation_epoch_start()
        module.validation_step(batch(4), 0, 0)
        assert list(module.results) == [stage]
    fresh, its_trainer, _ = classifier()
    its_trainer.datamodule = SimpleNamespace(evaluation_stages=["val", "test"])
    fresh.on_validation_epoch_start()
    fresh.validation_step(batch(4), 0, 1)
    assert list(fresh.results) == ["test"]


@pytest.mark.parametrize("classes", [2, 4])
def test_as_many_classes_as_logits(classes: int) -> None:
    module, _, _ = classifier(classes=classes)
    module.on_validation_epoch_start()
    with pytest.raises(ValueError, match=f"classes={classes}: must be 3, as many as the network has logits"):
        module.validation_step(batch(4), 0)


def test_probabilities_come_with_labels_or_without() -> None:
    module, _, _ = classifier()
    images, labels = batch(4)
    expected = F.softmax(module.network(images), dim=1)
    torch.testing.assert_close(module.predict_step((images, labels), 0), expected)
    torch.testing.assert_close(module.predict_step(images, 0), expected)
    torch.testing.assert_close(module(images), module.network(images))


class Monitored(torch.optim.lr_scheduler.StepLR):
    monitor = "val/loss"


def test_optimizer_and_schedule_get_what_they_take() -> None:
    sgd = partial(torch.optim.SGD, lr=0.1)
    module, *kept = classifier(optimizer=sgd)
    module.network.get_parameter("1.bias").requires_grad = False
    optimizer = module.configure_optimizers()
    assert [parameter.shape for parameter in optimizer.param_groups[0]["params"]] == [(3, 2)]
    assert optimizer.param_groups[0]["lr"] == 0.1
    module.lr = 0.25
    assert module.configure_optimizers().param_groups[0]["lr"] == 0.25
    stepped, *kept = classifier(optimizer=sgd, scheduler=partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1))
    found = stepped.configure_optimizers()["lr_scheduler"]
    assert (found["interval"], found["scheduler"].total_steps) == ("step", 70)
    for kind, monitor in ((Monitored, {"monitor": "val/loss"}), (torch.optim.lr_scheduler.StepLR, {})):
        plain, *kept = classifier(optimizer=sgd, scheduler=partial(kind, step_size=1))
        configured = plain.configure_optimizers()
        assert configured["lr_scheduler"].pop("scheduler").optimizer is configured["optimizer"]
        assert configured["lr_scheduler"] == monitor
    assert kept


def test_a_stop_between_reports_logs_nothing_of_the_report_before() -> None:
    module, trainer, _ = classifier()
    names = ("training_step.train/loss", "training_step.train/learning_rate", "other")
    for should_stop, step, left in ((True, 4, 1), (True, 6, 3), (False, 4, 3)):
        trainer._results = dict.fromkeys(names, 0)
        trainer.should_stop, trainer.global_step = should_stop, step
        module.on_train_batch_end()
        assert len(trainer._results) == left
    trainer.should_stop, trainer.log_every_n_steps = True, 0
    module.on_train_batch_end()
    assert len(trainer._results) == 3


def test_weights_from_which_training_goes_on_are_taken() -> None:
    module, *kept = classifier()
    for checkpoint in ({"state_dict": 1}, {"state_dict": 0, RESUMED: 1}):
        module.on_load_checkpoint(checkpoint)
        assert checkpoint["state_dict"] == 1
    assert kept


def test_a_loss_that_is_no_number_says_where_and_why() -> None:
    module, trainer, _ = classifier()
    assert module.finite(0.5, "training") == 0.5
    trainer.current_epoch, trainer.global_step = 2, 1233
    module.reported_lr = 0.25
    for loss in (math.nan, math.inf):
        with pytest.raises(DivergedError, match=rf"the val loss became {loss} in epoch 3, step 1,234\. .* was 0\.25;"):
            module.finite(loss, "val")


def test_measures_are_finite_numbers() -> None:
    assert (number("x", torch.tensor(0.5)), number("x", "3"), number("x", 2)) == (0.5, 3, 2)
    for value in (math.nan, math.inf, None, "much", torch.zeros(2)):
        with pytest.raises(RunError, match=r"^x=.*: must be a finite number$"):
            number("x", value)


def test_before_training_nothing_was_measured() -> None:
    module, *kept = classifier()
    assert math.isnan(module.latest_loss) and math.isnan(module.reported_lr) and module.lr is None
    assert module.results == {} and module.confusion == {} and kept
