"""The LightningModule: how a network is trained and evaluated, whatever network it is."""

import inspect
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelPruning
from torch import Tensor, nn
from torchmetrics import MetricCollection, SumMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from mnist_lightning.data import ShuffledBatches
from mnist_lightning.evaluation.measures import counts
from mnist_lightning.runs.errors import DivergedError, RunError, UsageError
from mnist_lightning.runs.weights import network_weights
from mnist_lightning.training.checkpoints import RESUMED
from mnist_lightning.training.lean import LeanHooks, described_once, without_idle_hooks
from mnist_lightning.training.resume import is_whole

TUTORIALS_OPTIMIZER = partial(torch.optim.SGD, lr=0.01, momentum=0.5)
Batch = tuple[Tensor, Tensor]  # images float32 (N, C, H, W), labels int64 (N,)
OptimizerOf = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Classifier(LeanHooks, LightningModule):
    """Cross-entropy training of a network, with an exact count of errors on each evaluation set.

    Another loss is a subclass with another `training_loss`. A number that a subclass or a callback puts into `results`,
    as in `results["val"]["f1"] = 0.9` in its on_validation_epoch_end, is logged and recorded with the others.

    Args:
        network: images float32 (N, C, H, W) to logits float32 (N, classes).
        optimizer: called with the parameters that are trained.
        scheduler: called with the optimizer. One that takes `total_steps` gets the number of optimizer steps of the
            run and is stepped after each of them, any other after each epoch; one that has a `monitor`, the name of a
            metric, is given that. None: a constant learning rate.
        classes: number of classes; None: as many as the data module's source has, or else the network's logits.

    Attributes:
        lr: takes the place of the optimizer's own learning rate, unless it is None; Tuner.lr_find sets it.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerOf = TUTORIALS_OPTIMIZER,
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        # As in the hand-tuned loop of make bench: on a CPU this order is the faster one.
        self.network = network.to(memory_format=torch.channels_last)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.classes = classes
        self.lr: float | None = None
        self.metrics = nn.ModuleDict()  # by stage
        self.latest_loss = math.nan  # of the latest training step whose loss was read
        self.reported_lr = math.nan  # of the latest report, or at the ends of the epoch
        self._results: dict[str, dict[str, Any]] = {}
        self._confusion: dict[str, Tensor] = {}
        self._counted: list[str] = []  # the stages of an evaluation that is under way
        self._loss_sum, self._images = torch.zeros(()), 0  # of the epoch's training images so far
        self._is_within_epoch = False  # it goes on within an epoch
        without_idle_hooks(self)

    def setup(self, stage: str) -> None:
        """Make the weights contiguous where they are viewed as flat vectors: by pruning, and by L-BFGS."""
        is_pruned = any(isinstance(callback, ModelPruning) for callback in self.trainer.callbacks)  # type: ignore[attr-defined]
        if is_pruned or getattr(self.optimizer, "func", self.optimizer) is torch.optim.LBFGS:
            self.network.to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def training_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar, by which the network is trained."""
        return F.cross_entropy(self.network(images), labels)

    def configure_optimizers(self) -> Any:
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer = self.optimizer(trained, **({} if self.lr is None else {"lr": self.lr}))
        if self.scheduler is None:
            return optimizer
        kind, further = getattr(self.scheduler, "func", self.scheduler), dict(getattr(self.scheduler, "lightning", {}))
        given = {}
        if "total_steps" in inspect.signature(self.scheduler).parameters:
            given["total_steps"] = self._total_steps()
        if given or kind is torch.optim.lr_scheduler.CyclicLR:  # as torch documents these two
            further = {"interval": "step", **further}
        scheduler = self.scheduler(optimizer, **given)
        if hasattr(scheduler, "monitor"):
            further["monitor"] = scheduler.monitor
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **further}}

    def _total_steps(self) -> int:
        """Return how many steps the run has, for a schedule that is laid out over them."""
        if not math.isfinite(steps := self.trainer.estimated_stepping_batches):
            raise UsageError(
                "scheduler: needs to know the number of steps: set trainer.max_epochs or trainer.max_steps"
            )
        return int(steps)

    def on_train_epoch_start(self) -> None:
        if not self._is_within_epoch:
            self._loss_sum, self._images = torch.zeros(()), 0
        self._loss_sum, self._is_within_epoch = self._loss_sum.to(self.device), False
        self.reported_lr = self._current_learning_rate()
        self._results = {}

    @described_once
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        loss = self.training_loss(images, labels)
        counted, weight = self._share(batch_idx, len(labels))
        self._loss_sum += loss.detach() * counted
        self._images += counted
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        report = bool(every) and (self.global_step + 1) % every == 0
        if report or self.trainer.is_last_batch:
            self.reported_lr = self._current_learning_rate()
        if report:  # at every step it would cost more than the arithmetic
            self.log_dict({"train/loss": loss, "train/learning_rate": self.reported_lr})
        if report or self.device.type == "cpu":  # reading a loss makes a GPU wait, so there only at reports
            self.latest_loss = self.finite(loss.item(), "training")
        return loss if weight == 1 else loss * weight

    def _share(self, batch_idx: int, images: int) -> tuple[int, float]:
        """Return how many of this step's images count, and by what the loss is multiplied.

        The gradient is then that of the mean over the images of all devices, of which some may have fewer.
        """
        devices = self.trainer.world_size
        order = getattr(self.trainer.train_dataloader, "sampler", None) if devices > 1 else None
        if not isinstance(order, ShuffledBatches):
            return images, 1.0
        own, of_all = order.share(batch_idx)
        return own, own * devices / of_all

    def on_train_batch_end(self, *_: Any) -> None:
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.trainer.should_stop and self.global_step % (every or 1):
            for name in ("loss", "learning_rate"):  # Lightning would log those of the latest report at this step
                self.trainer._results.pop(f"training_step.train/{name}", None)  # type: ignore[union-attr]

    def on_train_epoch_end(self) -> None:
        if is_whole(self.trainer) and not getattr(self.trainer, "barebones", False):
            self.log("train/loss_epoch", self.train_loss(), sync_dist=True)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        images, labels = batch
        logits = self.network(images).float()
        metrics: Any = self._metrics(self._stages[dataloader_idx % len(self._stages)], logits.shape[1])
        metrics["loss"].update(F.cross_entropy(logits, labels) * len(labels))
        metrics["confusion"].update(logits, labels)

    test_step = validation_step

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the probabilities of a batch, float32 (N, classes), whether it comes with labels or without."""
        images = batch if isinstance(batch, Tensor) else batch[0]
        return self.network(images).softmax(dim=1)

    def on_validation_epoch_start(self) -> None:
        self._results, self._confusion, self._counted = {}, {}, list(dict.fromkeys(self._stages))
        source = getattr(self.trainer.datamodule, "source", None)  # type: ignore[attr-defined]
        if classes := self.classes or (source and len(source.classes)):
            for stage in self._counted:  # also where a device has no images of it: all take part in the count
                self._metrics(stage, classes)

    def _metrics(self, stage: str, classes: int) -> Any:
        if stage not in self.metrics:
            loss_sum = SumMetric(nan_strategy="disable")  # a NaN is to be seen, not left out
            confusion = MulticlassConfusionMatrix(classes, validate_args=False)
            both = MetricCollection({"loss": loss_sum, "confusion": confusion}, compute_groups=False)
            self.metrics[stage] = both.to(self.device)
        metrics: Any = self.metrics[stage]
        if (known := metrics["confusion"].num_classes) != classes:
            raise ValueError(f"classes={known}: must be {classes}, as many as the network has logits")
        return metrics

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.measured, sync_dist=True)

    on_test_epoch_end = on_validation_epoch_end

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Of the latest evaluation, by stage: accuracy (fraction), errors and total (exact), mean loss, and others.

        They are computed over all devices, when they are first read after an evaluation.
        """
        while self._counted:
            stage = self._counted.pop(0)
            if stage not in self.metrics:
                continue  # no batch of it was seen
            metrics: Any = self.metrics[stage]
            values = metrics.compute()
            metrics.reset()
            mean_loss = float(values["loss"] / values["confusion"].sum())
            self._results[stage] = counts(values["confusion"], self.finite(mean_loss, stage))
            self._confusion[stage] = values["confusion"]
        return self._results

    @property
    def confusion(self) -> dict[str, Tensor]:
        """Of the latest evaluation, by stage: images int64 (classes, classes), true by predicted class."""
        return self._confusion if self.results else {}

    @property
    def measured(self) -> dict[str, float]:
        """The results that are measures, by the names under which they are logged: "val/accuracy"."""
        found: dict[str, float] = {}
        for stage, of in self.results.items():
            names = ["loss", "accuracy", *(name for name in of if name not in ("loss", "accuracy", "errors", "total"))]
            for name in names:
                found[f"{stage}/{name}"] = of[name] = number(f'results["{stage}"]["{name}"]', of[name])
        return found

    @property
    def _stages(self) -> list[str]:
        """What is evaluated, in the order of the loaders: as the data module says, else what Lightning calls it."""
        if stages := getattr(self.trainer.datamodule, "evaluation_stages", None):  # type: ignore[attr-defined]
            return stages
        return ["test" if self.trainer.testing else "val"]

    def _current_learning_rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = checkpoint.get(RESUMED, checkpoint["state_dict"])
        if any(weight.dtype == torch.float64 for weight in network_weights(checkpoint).values()):
            self.network.double()  # with trainer.precision=64-true Lightning does so after it has loaded them

    def epoch_so_far(self) -> dict[str, Any]:
        """Return what a checkpoint within an epoch needs: each device's loss so far, and gradients that accumulate."""
        batches: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        is_open = batches.processed % self.trainer.accumulate_grad_batches
        named = self.network.named_parameters() if is_open else ()
        mean = partial(self.trainer.strategy.reduce, reduce_op="mean")  # each device has those of its own images
        gradients = {name: mean(parameter.grad.clone()) for name, parameter in named if parameter.grad is not None}
        images = self.all_gather(torch.tensor(self._images))
        return {"loss_sum": self.all_gather(self._loss_sum), "images": images, "gradients": gradients}

    def go_on_within_epoch(self, so_far: dict[str, Any]) -> None:
        rank, devices = self.trainer.global_rank, self.trainer.world_size
        sums, images = (torch.as_tensor(so_far[name]).reshape(-1) for name in ("loss_sum", "images"))
        if not len(sums) == len(images) == devices:  # there were more, or fewer: the first one takes all
            sums, images = (torch.cat([of.sum()[None], of.new_zeros(devices - 1)]) for of in (sums, images))
        self._loss_sum, self._images, self._is_within_epoch = sums[rank].clone(), int(images[rank]), True
        for name, gradient in so_far["gradients"].items():
            self.network.get_parameter(name).grad = gradient.to(self.device)

    def train_loss(self) -> float:
        """Return the mean loss over the images of this epoch so far, on all devices."""
        total = torch.stack([self._loss_sum, self._loss_sum.new_tensor(self._images)])
        loss, images = self.trainer.strategy.reduce(total, reduce_op="sum").tolist()
        return self.finite(loss / max(images, 1), "training")

    def finite(self, loss: float, stage: str) -> float:
        """Return `loss`, unless it is NaN or infinite: then training has diverged."""
        if math.isfinite(loss):
            return loss
        raise DivergedError(
            f"the {stage} loss became {loss} in epoch {self.current_epoch + 1}, step {self.global_step + 1:,}. "
            f"Usually the learning rate is too high: it was {self.reported_lr:g}; try a tenth of it"
        )


def number(name: str, value: Any) -> float:
    """Return a measure, which may be a tensor of one number."""
    try:
        found = float(value)
    except (TypeError, ValueError, RuntimeError):
        found = math.nan
    if not math.isfinite(found):
        raise RunError(f"{name}={value!r}: must be a finite number")
    return found
