"""The record of a run: results.json after every epoch, and a line for the terminal."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mnist_lightning.runs.provenance import process_seconds
from mnist_lightning.runs.run import Run, log
from mnist_lightning.runs.weights import weights_sha256
from mnist_lightning.terminal import console


def position(trainer: Trainer) -> str:
    """Return which epoch it is, of how many: " 2/10"."""
    return f"{trainer.current_epoch + 1:>{len(str(trainer.max_epochs))}}/{trainer.max_epochs}"


class Recorder(Callback):
    """Keeps results.json, written at each epoch's end and at the end. Its state goes with the weights.

    When training begins, all settings are right: then `when_accepted` is called.
    """

    def __init__(self, run: Run, when_accepted: Callable[[], None] = lambda: None) -> None:
        self.run, self.when_accepted = run, when_accepted
        self.fit_seconds_before = 0.0  # of the epochs before a resume
        self.evaluated: str | None = None  # SHA-256 of the weights that were evaluated: averaged ones are put back then

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        self.started = time.perf_counter()
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        device = trainer.strategy.root_device
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
        log.info(console.opening(self.run))

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        # Everything random in an epoch is a function of (seed, epoch, device): so a resumed run goes on bit for bit.
        numbers = (self.run.results["seed"], trainer.current_epoch, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))
        self.epoch_started, self.evaluated = time.perf_counter(), None
        if not self.run.is_under_way:
            self.run.is_under_way = True
            self.when_accepted()
        self.run.results.setdefault("startup_seconds", round(process_seconds(), 3))

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = batch_idx + 1
        if step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            steps = f"{step}/{trainer.num_training_batches}"
            log.debug(f"epoch {position(trainer)}  step {steps}  loss {module.latest_loss:.4f}")

    def on_validation_epoch_end(self, trainer: Trainer, module: Any) -> None:
        self.evaluated = weights_sha256(module.network.state_dict())

    on_test_epoch_end = on_validation_epoch_end  # type: ignore[assignment]

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        seconds = time.perf_counter() - self.epoch_started
        measured = {"train/loss": module.train_loss(), **module.measured}
        always = [f"{stage}_{name}" for stage in ("test", "val") for name in ("loss", "accuracy")]
        epoch = {
            "epoch": trainer.current_epoch + 1,
            **dict.fromkeys(always),
            **{name.replace("/", "_"): number for name, number in measured.items()},
            "learning_rate": module.reported_lr,
            "seconds": round(seconds, 3),
        }
        self.run.results["epochs"].append(epoch)
        self._record(module)
        parts = [f"{name.replace('/', ' ')} {console.shown(name, number)}" for name, number in measured.items()]
        log.info("  ".join([f"epoch {position(trainer)}", *parts, f"{seconds:.1f} s"]))

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.fit_seconds_before = self.fit_seconds  # the time of the figures is not counted

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_test_end(self, trainer: Trainer, module: Any) -> None:
        self._record(module)

    def _record(self, module: Any) -> None:
        self.run.results["fit_seconds"] = round(self.fit_seconds, 3)
        before, sha256 = self.run.results, self.evaluated or weights_sha256(module.network.state_dict())
        if before.get("weights_sha256") == sha256:  # what else was measured of these weights stays
            found = {stage: {**(before.get(stage) or {}), **of} for stage, of in module.results.items()}
        else:
            found = module.results
        self.run.results |= {"test": found.get("test"), "val": found.get("val"), "weights_sha256": sha256}
        self.run.save()

    @property
    def fit_seconds(self) -> float:
        return self.fit_seconds_before + time.perf_counter() - self.started

    def on_save_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        """Note beside the weights what they are for, so that they can be used without the data."""
        source: Any = trainer.datamodule.source  # type: ignore[attr-defined]
        checkpoint |= {"classes": [*source.classes], "shape": [*source.shape], "is_handwriting": source.is_handwriting}

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.run.results["epochs"], "fit_seconds": self.fit_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.run.results["epochs"] = state_dict["epochs"]
        self.fit_seconds_before = state_dict["fit_seconds"]
