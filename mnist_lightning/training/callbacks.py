"""What a person sees of a run: the layer table, the progress bar, and the figures at its end."""

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelSummary, ProgressBar
from rich.progress import BarColumn
from rich.progress import Progress as RichProgress

from mnist_lightning.evaluation.measures import Evaluation
from mnist_lightning.networks.layers import layer_table, logits_of
from mnist_lightning.runs.errors import Interrupted, UsageError, one_line
from mnist_lightning.runs.run import log
from mnist_lightning.terminal import console
from mnist_lightning.terminal.epochs import shown
from mnist_lightning.training.recorder import Recorder, position
from mnist_lightning.training.tensorboard import run_loggers


class LayerTable(ModelSummary):
    """Shows the network before training: each layer's type, output shape and parameters."""

    def __init__(self) -> None:
        super().__init__()

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        if not trainer.is_global_zero:
            return
        image = trainer.datamodule.splits["test"].tensors[0][:1]  # type: ignore[attr-defined]
        layers = [("input", "", image.shape[1:], 0), *layer_table(module.network, image)]
        rows = [(name, kind, "×".join(map(str, shape)), f"{n:,}" if n else "") for name, kind, shape, n in layers]
        rows = [("layer", "type", "output", "parameters"), *rows]
        rows.append(("total", "", "", f"{sum(p.numel() for p in module.network.parameters()):,}"))
        a, b, c, d = (max(map(len, column)) + 2 for column in zip(*rows, strict=True))
        lines = [f"{name:<{a}}{kind:<{b}}{shape:>{c}}{count:>{d}}".rstrip() for name, kind, shape, count in rows]
        table = "\n".join([*lines, ""])
        log.info(table)
        for logger in run_loggers(trainer):
            logger.log_text("layers", table)


class Progress(ProgressBar):
    """On a terminal, a bar for each epoch with its loss, its speed and the time left in the run."""

    SECONDS_BETWEEN_UPDATES = 0.25

    def __init__(self) -> None:
        super().__init__()
        self.enable()

    def enable(self) -> None:
        self.enabled = console.CONSOLE.is_terminal

    def disable(self) -> None:
        self.enabled = False  # Lightning says so in all but the main process

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.begun, self.steps_before = time.perf_counter(), trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if not self.enabled:
            return
        self.bar = RichProgress(
            "{task.description}", BarColumn(bar_width=None), "{task.fields[said]}",
            console=console.CONSOLE,
            transient=True,  # the line of the epoch takes its place
            auto_refresh=False,  # a refreshing thread would take a core from the arithmetic
            expand=True,
        )  # fmt: skip
        self.bar.start()
        self.task = self.bar.add_task(f"{position(trainer):>5}", total=trainer.num_training_batches, said="")
        self.started = self.updated = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.enabled and (now := time.perf_counter()) - self.updated > self.SECONDS_BETWEEN_UPDATES:
            self.updated = now
            speed = f"{(batch_idx + 1) / (now - self.started):,.0f} steps/s"
            said = [f"loss {shown('loss', module.latest_loss)}", *([speed] if console.CONSOLE.width >= 60 else [])]
            done = trainer.global_step - self.steps_before  # in this process
            ahead = trainer.estimated_stepping_batches - trainer.global_step
            if done and 0 < ahead < math.inf:
                said.append(f"{console.clock((now - self.begun) / done * ahead)} left")
            self.bar.update(self.task, completed=batch_idx + 1, said="  ".join(said), refresh=True)

    def on_train_epoch_end(self, *_: Any, **__: Any) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()

    on_exception = on_train_epoch_end


class MonitorsExist(Callback):
    """Looks whether the metrics that settings name, {path: monitor}, are measured, before training begins."""

    def __init__(self, monitors: Mapping[str, str]) -> None:
        self.monitors = monitors

    def on_sanity_check_end(self, trainer: Trainer, module: Any) -> None:
        there = [name for name in {**module.measured, **trainer.callback_metrics} if not re.match("test[/_]", name)]
        for path, monitor in self.monitors.items():
            if monitor not in there:
                raise UsageError(f"{path}.monitor={monitor}: there is no such metric. There are: {', '.join(there)}")


class Figures(Callback):
    """Draws the run at its end: as files, and in TensorBoard."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def on_fit_end(self, trainer: Trainer, module: Any) -> None:
        try:
            self.draw(trainer, module)
        except Exception as error:  # the weights and the numbers are safe
            if not Interrupted.arrived:  # of which a library made another error
                log.warning(f"some figures could not be drawn: {one_line(error, 300)}")
        if Interrupted.arrived:
            raise Interrupted.arrived  # also where a library went on all the same

    def draw(self, trainer: Trainer, module: Any) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        data.let_go_of_training_images()
        recorder = next(callback for callback in trainer.callbacks if isinstance(callback, Recorder))  # type: ignore[attr-defined]
        epochs = recorder.run.results["epochs"]
        if not trainer.is_global_zero or not epochs:
            return
        from mnist_lightning.figures import of_run, report

        title = report.title(recorder.run.results, len(epochs))
        images, labels = data.splits["test"].tensors
        evaluation = Evaluation(logits_of(module.network, images, data.test_batch_size).float().cpu(), labels.cpu())
        drawn = report.of_evaluation(evaluation, images.float().cpu(), title, data.source.classes)
        drawn |= report.of_network(module.network, images[:1], title)
        accuracies = [epoch["test_accuracy"] for epoch in epochs]
        if None not in accuracies:
            drawn["accuracy"] = of_run.accuracy_curve(accuracies, title)
        folder = self.directory
        saved = {name: of_run.save(figure, folder / name, name == "accuracy") for name, figure in drawn.items()}
        for logger in run_loggers(trainer):
            logger.log_figures(saved, trainer.global_step)
            logger.log_precision_recall(evaluation, data.source.classes, trainer.global_step)
            logger.log_network(module.network, images[:1])
