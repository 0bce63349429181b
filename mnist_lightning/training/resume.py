"""Why a resumed run ends with the same bits: its position is kept exactly, and what is random is drawn by position."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer

from mnist_lightning.runs.errors import one_line
from mnist_lightning.runs.files import real
from mnist_lightning.runs.run import Run
from mnist_lightning.training.checkpoints import RunCheckpoint
from mnist_lightning.training.tensorboard import run_loggers

SPARE = 2  # seeds of an epoch beside those of its steps: its start's, and one for a callback that adds a step


def is_whole(trainer: Trainer) -> bool:
    """Return whether the epoch that is under way, or just over, has had all of its batches."""
    loop = trainer.fit_loop.epoch_loop
    batches: Any = loop.batch_progress.current
    all_ready = batches.ready >= trainer.num_training_batches or loop.batch_progress.is_last_batch
    return batches.processed == batches.ready and all_ready


def step_of(trainer: Trainer) -> str:
    """Return how many steps of the epoch are done, of how many: "30/90"."""
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return f"{batches.processed}/{trainer.num_training_batches}"


def run_checkpoints(trainer: Trainer) -> list[RunCheckpoint]:
    return [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, RunCheckpoint)]


def ended_by(trainer: Trainer) -> str:
    """Return what ends training: a setting of the trainer, or the class of the callback that does."""
    if trainer.should_stop:
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        timers = [callback for callback in callbacks if isinstance(callback, Timer)]
        stoppers = [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
        depleted = [timer for timer in timers if (left := timer.time_remaining()) is not None and left <= 0]
        return next((type(callback).__name__ for callback in [*depleted, *stoppers]), "a callback")
    is_by_steps = trainer.max_steps > -1 and trainer.global_step >= trainer.max_steps
    return "trainer.max_steps" if is_by_steps else "trainer.max_epochs"


def why_ended(trainer: Trainer) -> str | None:
    """Return in EarlyStopping's own words why it stopped training, if it did."""
    messages = (getattr(callback, "stopping_reason_message", None) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    return next((one_line(message) for message in messages if message and trainer.should_stop), None)


class Resume(Callback):
    """Goes on where a checkpoint was made, within an epoch too. The first of all callbacks.

    What is random in a step is a function of (seed, epoch, step, device), so that no generator's state is kept. Nothing
    of a step or an epoch is left to be done when a RunCheckpoint is written: it waits for the next one to begin. Its
    position is then an epoch and the number of batches that are done. Lightning is told that this epoch begins, and
    calls all hooks of its start; the batches that were done are left out.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.position: dict[str, Any] = {}  # of the checkpoint from which the run goes on
        self.logged: tuple[list[dict[str, int]] | None, int] | None = ([], 0)  # by then; None: the rest is taken back
        self.has_trained = False

    def on_load_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        self.logged = checkpoint.get("event_files"), checkpoint["global_step"]
        if not (position := checkpoint.get("position")):
            return  # of an earlier version, at the end of an epoch
        self.position = position
        loops = checkpoint["loops"]["fit_loop"]
        for progress in loops["epoch_progress"].values():
            progress.update(dict.fromkeys(progress, position["epoch"]))
        batches = loops["epoch_loop.batch_progress"]["total"]
        batches.update(dict.fromkeys(batches, batches["processed"]))
        trainer.datamodule.resumed_at = position["epoch"], position["batches"]  # type: ignore[attr-defined]
        if position["batches"]:
            module.go_on_within_epoch(position)

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        if not self.run.was_finished:
            self.take_back(trainer)

    def take_back(self, trainer: Trainer) -> None:
        """Take back what was logged after the checkpoint."""
        if self.logged is None:
            return
        (marks, step), self.logged = self.logged, None
        for place, logger in enumerate(run_loggers(trainer)):
            is_own = real(logger.root_dir).is_relative_to(real(self.run.directory))
            kept = None if marks is None or not is_own else marks[place] if place < len(marks) else {}
            logger.take_back(kept, 0 if self.run.was_finished else step)  # there is more by now, where it had finished

    def on_train_start(self, trainer: Trainer, module: Any) -> None:
        self.has_trained = True
        trainer.should_stop |= self.position.get("is_to_stop", False)
        loop = trainer.fit_loop.epoch_loop
        if self.position:  # with trainer.max_steps, Lightning takes any checkpoint for one within an epoch
            trainer.fit_loop._restarting = loop.restarting = False
            loop.reset_restart_stage()
        if self.position.get("batches"):
            on_run_start = loop.on_run_start

            def on_run_start_within_epoch(data_fetcher: Any) -> None:
                del loop.on_run_start
                done = self.position["batches"]
                loop.batch_progress.current.__dict__.update(ready=done, started=done, processed=done, completed=done)
                loop.batch_progress.is_last_batch = done >= trainer.num_training_batches
                on_run_start(data_fetcher)
                if self.position["is_open"]:
                    loop.on_advance_end(data_fetcher)

            loop.on_run_start = on_run_start_within_epoch  # type: ignore[method-assign]

    def on_train_epoch_start(self, trainer: Trainer, module: Any) -> None:
        self.write_due(trainer)
        numbers = (self.run.results["seed"], trainer.current_epoch, trainer.global_rank)
        count = int(trainer.num_training_batches) + SPARE
        self.seeds = np.random.SeedSequence(numbers).generate_state(count, np.uint64).tolist()
        draw_anew(self.seeds[-1], module.device)

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        self.write_due(trainer)
        draw_anew(self.seeds[batch_idx], module.device)

    def on_validation_start(self, trainer: Trainer, module: Any) -> None:
        draw_anew(self.run.results["seed"] + trainer.global_step, module.device)
        if trainer.validating and not trainer.sanity_checking:
            self.before_validation = [logger.mark() for logger in run_loggers(trainer)]
            if trainer.should_stop and trainer.fit_loop._can_stop_early and not is_whole(trainer):
                self.write_within_epoch(trainer)

    on_test_start = on_validation_start  # type: ignore[assignment]

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        if not is_whole(trainer):
            self.write_within_epoch(trainer)

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        self.write_due(trainer)

    def on_fit_end(self, trainer: Trainer, module: Any) -> None:
        if self.position and not self.has_trained:  # it was killed between its last checkpoint and its end
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                callback.on_train_end(trainer, module)

    def write_due(self, trainer: Trainer) -> None:
        for checkpoint in run_checkpoints(trainer):
            checkpoint.write_due()

    def write_within_epoch(self, trainer: Trainer) -> None:
        """Write the checkpoints that choose nothing, where a run stops within an epoch, before the callbacks see that.

        An undisturbed run would not have stopped, nor evaluated, there.
        """
        for checkpoint in run_checkpoints(trainer):
            checkpoint.write_within_epoch(trainer)

    def on_save_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        epochs: Any = trainer.fit_loop.epoch_progress.current
        batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        self.take_back(trainer)
        is_open = trainer.validating or batches.processed > batches.completed
        is_over = is_whole(trainer) and not is_open
        checkpoint["position"] = {
            "epoch": epochs.started if is_over else max(epochs.started - 1, 0),
            "batches": 0 if is_over else batches.processed,
            "is_open": is_open,  # it has still to be evaluated, or counted
            "is_to_stop": trainer.should_stop and ended_by(trainer) != "Timer",  # a timer knows by itself
            **({} if is_over else module.epoch_so_far()),
        }
        marks = [logger.mark() for logger in run_loggers(trainer)]
        checkpoint["event_files"] = self.before_validation if trainer.validating else marks


def draw_anew(seed: int, device: torch.device) -> None:
    """Seed all generators of this process. torch.manual_seed takes half a millisecond, most of it for other devices."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps", "xpu"):
        getattr(torch, device.type).manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
