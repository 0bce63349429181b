"""The LightningModule: how a network is trained and evaluated, whatever network it is."""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import MetricCollection, SumMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from mnist_lightning.data import ImageDataModule
from mnist_lightning.evaluation.measures import counts
from mnist_lightning.runs.errors import DivergedError
from mnist_lightning.training.lean import QuickAttributes

EVALUATION_STAGES = ("val", "test")
Batch = tuple[Tensor, Tensor]  # images float32 (N, 1, H, W), labels int64 (N,)


class Classifier(QuickAttributes, LightningModule):
    """Cross-entropy training of a network, with an exact count of errors on each evaluation set.

    Args:
        network: images float32 (N, 1, H, W) to logits float32 (N, classes).
        optimizer: called with the parameters.
        scheduler: called with the optimizer. One that takes `total_steps` gets the number of optimizer steps of the
            run and is stepped after each of them, any other after each epoch. None: a constant learning rate.
        classes: number of classes.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        classes: int = 10,
    ) -> None:
        super().__init__()
        # As in the hand-tuned loop of make bench: on a CPU this order is the faster one.
        self.network = network.to(memory_format=torch.channels_last)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.metrics = nn.ModuleDict({stage: evaluation_metrics(classes) for stage in EVALUATION_STAGES})
        self.latest_loss = math.nan  # of the latest training step whose loss was read
        self.learning_rate = math.nan  # of the latest report, or at the ends of the epoch
        self.results: dict[str, dict[str, Any]] = {}  # of the latest evaluation, by stage

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.network.parameters())
        if self.scheduler is None:
            return optimizer
        if "total_steps" in inspect.signature(self.scheduler).parameters:
            scheduler = self.scheduler(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}

    def _step(self, batch: Batch, stage: str) -> Tensor:
        """Return the mean loss of a batch; evaluation stages are counted as well."""
        images, labels = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels)
        if stage in EVALUATION_STAGES:
            metrics: Any = self.metrics[stage]
            metrics["loss"].update(loss * len(labels))
            metrics["confusion"].update(logits, labels)
        return loss

    def on_train_epoch_start(self) -> None:
        self._loss_sum = torch.zeros((), device=self.device)
        self._images = 0
        self.learning_rate = self._current_learning_rate()
        self.results = {}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self._step(batch, "train")
        self._loss_sum += loss.detach() * len(batch[1])
        self._images += len(batch[1])
        report = (self.global_step + 1) % self.trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if report or self.trainer.is_last_batch:
            self.learning_rate = self._current_learning_rate()
        if report:  # at every step it would cost more than the arithmetic
            self.log_dict({"train/loss": loss, "train/learning_rate": self.learning_rate})
        if report or self.device.type == "cpu":  # reading a loss makes a GPU wait, so there only at reports
            self.latest_loss = self.finite(loss.item(), "training")
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._step(batch, self._data.evaluation_stages[dataloader_idx])

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        self.on_test_epoch_end()
        for stage, result in self.results.items():
            self.log_dict({f"{stage}/{name}": result[name] for name in ("loss", "accuracy")}, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.results = {stage: self._evaluation(stage) for stage in self._data.evaluation_stages}

    def _evaluation(self, stage: str) -> dict[str, Any]:
        """Count over all devices, and begin anew: accuracy (fraction), errors and total (exact), mean loss."""
        metrics: Any = self.metrics[stage]
        values = metrics.compute()
        metrics.reset()
        mean_loss = float(values["loss"] / values["confusion"].sum())
        return counts(values["confusion"], self.finite(mean_loss, stage))

    @property
    def _data(self) -> ImageDataModule:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _current_learning_rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def train_loss(self) -> float:
        """Return the mean loss over the images of this epoch so far, on all devices."""
        mean = self.trainer.strategy.reduce(self._loss_sum / max(self._images, 1), reduce_op="mean")
        return self.finite(float(mean), "training")

    def finite(self, loss: float, stage: str) -> float:
        """Return `loss`, unless it is NaN or infinite: then training has diverged."""
        if math.isfinite(loss):
            return loss
        raise DivergedError(
            f"the {stage} loss became {loss} in epoch {self.current_epoch + 1}, step {self.global_step + 1:,}. "
            f"Mostly the learning rate is too high: it was {self.learning_rate:g}, try a tenth"
        )


def evaluation_metrics(classes: int) -> MetricCollection:
    """Return the sum of the losses of all images, and counts int64 (classes, classes) of true by predicted class."""
    loss = SumMetric(nan_strategy="disable")  # a NaN is to be seen, not left out
    confusion = MulticlassConfusionMatrix(classes, validate_args=False)
    return MetricCollection({"loss": loss, "confusion": confusion}, compute_groups=False)
