"""The record of a run: results.json after every epoch, and a line of the table on the terminal."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mnist_lightning.runs.errors import Interrupted, UsageError, one_line
from mnist_lightning.runs.files import real
from mnist_lightning.runs.provenance import process_seconds
from mnist_lightning.runs.run import LAST_CHECKPOINT, Run, log
from mnist_lightning.runs.weights import network_weights, weights_sha256
from mnist_lightning.terminal import console
from mnist_lightning.terminal.epochs import EpochTable
from mnist_lightning.training.resume import ended_by, is_whole, step_of, why_ended


def position(trainer: Trainer) -> str:
    """Return which epoch it is, of how many: "2/10", or "2" where other settings end the run."""
    epochs = trainer.max_epochs
    return f"{trainer.current_epoch + 1}/{epochs}" if epochs and epochs > 0 else str(trainer.current_epoch + 1)


def check_smallest_batch(data: Any, network: nn.Module, trainer: Trainer) -> None:
    """Raise UsageError where an epoch ends with one image on a device, and a network needs two, as BatchNorm1d does."""
    last = data.size("train") % data.batch_size or data.batch_size
    if last >= 2 * trainer.world_size or trainer.limit_train_batches != 1.0:
        return
    image = torch.zeros(1, *data.source.shape)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            deepcopy(network).cpu()(image)  # with layers that are frozen as they are
        except (RuntimeError, TypeError):  # images of another precision, say: that is no answer
            return
        except ValueError as error:
            raise UsageError(
                f"data.batch_size={data.batch_size}: leaves one image for a device at the end of an epoch, which this "
                f"network can't be trained with: {one_line(error)}"
            ) from error


class Recorder(Callback):
    """Keeps results.json, written at each epoch's end and at the end. Its state goes with the weights.

    `when_accepted` is called when training begins, as all settings are right by then; for a run that had finished, only
    once it has more than it had.
    """

    def __init__(self, run: Run, when_accepted: Callable[[], None] = lambda: None) -> None:
        self.run, self.when_accepted = run, when_accepted
        self.fit_seconds_before = 0.0  # of the epochs before a resume
        self.evaluated: str | None = None  # SHA-256 of the weights of this step, where they were evaluated
        self.has_ended = False
        self.started = time.perf_counter()

    def setup(self, trainer: Trainer, module: Any, stage: str) -> None:
        self.on_sigterm = signal.getsignal(signal.SIGTERM)
        trainer.strategy.checkpoint_io.when_saved = partial(self.on_saved, trainer, module)  # type: ignore[attr-defined]

    def on_sanity_check_start(self, trainer: Trainer, module: Any) -> None:
        """Take SIGTERM back from Lightning, whose handler waits for all processes: it may have reached only one."""
        if callable(self.on_sigterm):
            signal.signal(signal.SIGTERM, self.on_sigterm)

    on_train_start = on_sanity_check_start  # type: ignore[assignment]

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        self.started = time.perf_counter()
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        part: Any = trainer.limit_test_batches
        if isinstance(part, float) and 0 < part < 1 and min(int(part * len(of)) for of in data.test_dataloader()) == 0:
            raise UsageError(f"trainer.limit_test_batches={part}: leaves no batch of the few in the test set")
        device, before = trainer.strategy.root_device, dict(self.run.results)
        self.run.results |= {
            "dataset": data.dataset,
            **{f"{split}_size": data.size(split) for split in ("train", "val", "test")},
            "image_shape": [*data.source.shape],
            "is_handwriting": data.source.is_handwriting,
            "parameters": sum(parameter.numel() for parameter in module.network.parameters()),
            "batch_size": data.batch_size * trainer.accumulate_grad_batches,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "devices": trainer.world_size,
            "threads": torch.get_num_threads(),
        }
        kinds = ("device", "devices", "threads")
        now, then = ({kind: of.get(kind) for kind in kinds} for of in (self.run.results, before))
        if self.run.checkpoint and (other := [kind for kind in kinds if now[kind] != then[kind]]):
            changes = ", ".join(f"{kind} {then[kind]} before, {now[kind]} now" for kind in other)
            self.run.remarks.append(f"{changes}: some bits may differ from those of an undisturbed run")
        has_norms = any(isinstance(layer, _BatchNorm) for layer in module.network.modules())
        is_synced = getattr(trainer.strategy, "_layer_sync", None)  # by trainer.sync_batchnorm
        if has_norms and trainer.world_size > 1 and not is_synced:
            self.run.remarks.append("batch normalization sees the images of one device at a time")
        check_smallest_batch(data, module.network, trainer)
        log.info(console.opening(self.run))
        stages = ["val", "test"] if self.run.results["val_size"] else ["test"]
        measures = [f"{stage}/{name}" for stage in stages for name in ("loss", "accuracy")]
        self.table = EpochTable(["train/loss", *measures])

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.epoch_started = time.perf_counter()
        if not self.run.is_under_way:
            self.run.is_under_way = True
            if not self.run.was_finished:
                self.when_accepted()
        self.run.results.setdefault("startup_seconds", round(process_seconds(), 3))
        if not self.table.is_headed:
            log.info(self.table.header())

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.evaluated = None
        step = batch_idx + 1
        if step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            steps = f"step {step}/{trainer.num_training_batches}"
            log.debug(self.table.report(position(trainer), module.latest_loss, steps))

    def on_validation_epoch_end(self, trainer: Trainer, module: Any) -> None:
        self.evaluated = weights_sha256(module.network.state_dict())  # averaged ones are put back then
        if not trainer.sanity_checking and not is_whole(trainer):  # as trainer.val_check_interval has it
            log.info(self.table.line(position(trainer), module.measured, note=f"step {step_of(trainer)}"))

    def on_test_epoch_end(self, trainer: Trainer, module: Any) -> None:
        self.evaluated = weights_sha256(module.network.state_dict())

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        seconds = time.perf_counter() - self.epoch_started
        measured = {"train/loss": module.train_loss(), **(module.measured if self.evaluated else {})}
        note = "" if is_whole(trainer) else f"stopped after step {step_of(trainer)}"
        if not note:
            self.run.results["epochs"].append(self.row(trainer, module, measured, seconds))
        self._record(trainer, module)
        log.info(self.table.line(position(trainer), measured, seconds, note))

    def row(self, trainer: Trainer, module: Any, measured: dict[str, float], seconds: float) -> dict[str, Any]:
        always = [f"{stage}_{name}" for stage in ("test", "val") for name in ("loss", "accuracy")]
        return {
            "epoch": trainer.current_epoch + 1,
            **dict.fromkeys(always),
            **{name.replace("/", "_"): number for name, number in measured.items()},
            "learning_rate": module.reported_lr,
            "seconds": round(seconds, 3),
        }

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.fit_seconds_before = self.fit_seconds  # the time of the figures is not counted
        self.run.results["ended_by"], self.has_ended = ended_by(trainer), True
        self.run.results["ended_why"] = why_ended(trainer)
        tuners = (BatchSizeFinder, LearningRateFinder)  # of training; the former refuses to test on two loaders
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        trainer.callbacks = [one for one in callbacks if not isinstance(one, tuners)]  # type: ignore[attr-defined]

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.on_sanity_check_start(trainer, module)
        self.started = time.perf_counter()

    @contextmanager
    def late_failures_as_warnings(self) -> Iterator[None]:
        """Turn what fails once training has ended, as a figure or a logger, into a warning: the weights are kept."""
        try:
            yield
        except Exception as error:
            if not self.has_ended or Interrupted.arrived:  # of which a library made another error
                raise
            log.warning(f"after training: {one_line(error, 300)}")

    def on_test_end(self, trainer: Trainer, module: Any) -> None:
        self._record(trainer, module)

    def _record(self, trainer: Trainer, module: Any, saved: str | None = None) -> None:
        """Write results.json; `saved` is the SHA-256 of the weights that have just got into the last checkpoint."""
        if self.run.was_finished and not self.run.has_saved:
            self.when_accepted()
        before, sha256 = self.run.results, saved or self.evaluated or weights_sha256(module.network.state_dict())
        found = module.results if self.evaluated == sha256 else {}
        if before.get("weights_sha256") == sha256:  # what else was measured of these weights stays
            stages = [stage for stage in ("test", "val") if found.get(stage) or before.get(stage)]
            found = {stage: {**(before.get(stage) or {}), **found.get(stage, {})} for stage in stages}
        of_weights = {"test": found.get("test"), "val": found.get("val"), "weights_sha256": sha256}
        self.run.results |= {**of_weights, "steps": trainer.global_step, "fit_seconds": round(self.fit_seconds, 3)}
        self.run.save()

    def on_saved(self, trainer: Trainer, module: Any, path: Path, checkpoint: dict[str, Any]) -> None:
        """Let results.json describe the weights in the last checkpoint, which averaging may have changed."""
        if real(path) == real(self.run.directory / LAST_CHECKPOINT):
            sha256 = weights_sha256(network_weights(checkpoint))
            if sha256 != self.run.results.get("weights_sha256"):
                self._record(trainer, module, saved=sha256)

    @property
    def fit_seconds(self) -> float:
        return self.fit_seconds_before + time.perf_counter() - self.started

    def on_save_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        """Note beside the weights what they are for, so that they can be used without the data."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        checkpoint |= {
            "classes": [*data.source.classes],
            "shape": [*data.source.shape],
            "is_handwriting": data.source.is_handwriting,
            "test_sha256": data.test_sha256,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.run.results["epochs"], "fit_seconds": self.fit_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.run.results["epochs"] = state_dict["epochs"]
        self.fit_seconds_before = state_dict["fit_seconds"]
