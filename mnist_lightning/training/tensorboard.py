"""What a run writes for TensorBoard."""

import io
import os
import re
import shlex
import sys
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor, nn

from mnist_lightning.datasets.source import noun
from mnist_lightning.evaluation.measures import Evaluation
from mnist_lightning.runs.experiment import experiment, is_class
from mnist_lightning.runs.processes import is_main_process
from mnist_lightning.runs.run import log
from mnist_lightning.training import hparams

CARD_WIDTH = 350  # pixels: as wide as TensorBoard shows pictures; it drops pixels of larger ones
CHARTS = {  # of the tab CUSTOM SCALARS: what belongs together in one chart
    "training and test": {
        "loss": ["Multiline", ["train/loss_epoch", "val/loss", "test/loss"]],
        "accuracy": ["Multiline", ["val/accuracy", "test/accuracy"]],
    }
}


def shown(value: Any) -> str:
    return str(value).rpartition(".")[2] if is_class(value) else str(value)


def run_loggers(trainer: Trainer) -> "list[RunLogger]":
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]


class RunLogger(TensorBoardLogger):
    """TensorBoard's event file directly in the run directory: then the run's name is its path under runs/.

    Of a resumed run, what was logged after its checkpoint can be taken back. The settings `hparams` are columns of the
    HPARAMS tab; those that a run lacks are left out.
    """

    NAME_HPARAMS_FILE = "config.yaml"  # stands there already, so Lightning writes no second, empty one

    def __init__(self, directory: str, hparams: Sequence[str] = ()) -> None:
        super().__init__(directory, name="", version="", default_hp_metric=False)
        self.columns = hparams
        self.earlier: list[Path] = []  # event files of the processes before a resume

    def event_files(self) -> list[Path]:
        """Return the event files, in the order in which TensorBoard reads them."""
        files = sorted(Path(self.root_dir).glob("events.out.tfevents.*"))
        return [file for file in files if not file.name.endswith((hparams.START, hparams.END))]

    def mark(self) -> dict[str, int]:
        """Return how many bytes each event file has."""
        if not is_main_process():
            return {}
        self.experiment.flush()
        return {file.name: file.stat().st_size for file in self.event_files()}

    @rank_zero_only
    def take_back(self, kept: Mapping[str, int] | None, step: int) -> None:
        """Take back what earlier processes logged beyond the bytes that are `kept`; None: beyond a `step`."""
        for file in self.earlier if kept is not None else ():
            if (size := kept.get(file.name, 0)) and size <= file.stat().st_size:  # type: ignore[union-attr]
                os.truncate(file, size)
            else:
                file.unlink()
        if step:  # a TensorBoard that is running has read it already
            restart = SessionLog(status=SessionLog.START)
            self.experiment.file_writer.add_event(Event(step=step + 1, session_log=restart))

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Write the row of the HPARAMS tab for a run of the resolved configuration `params`."""
        self.earlier = self.event_files()
        self.experiment.add_custom_scalars(CHARTS)
        self.experiment.flush()
        own = next(file for file in self.event_files() if file not in self.earlier)
        if self.earlier and own < self.earlier[-1]:  # the clock was put back
            seconds = int(self.earlier[-1].name.split(".")[3]) + 1
            own.rename(own.with_name(re.sub(r"(?<=tfevents\.)\d+", f"{seconds:010}", own.name)))
        settings = experiment(params)
        chosen = {key: settings[key] for key in self.columns if key in settings}
        if params.get("experiment"):
            chosen["experiment"] = params["experiment"]
        row = {key: value if isinstance(value, bool | int | float) else shown(value) for key, value in chosen.items()}
        hparams.write_start(Path(self.root_dir), row)
        self.log_text("command", shlex.join(["python", *sys.argv]))
        self.log_text("configuration", yaml.safe_dump(params, sort_keys=False, allow_unicode=True))

    @rank_zero_only
    def log_text(self, tag: str, text: str) -> None:
        """Show `text`, as it is, in the tab TEXT under run/."""
        self.experiment.add_text(f"run/{tag}", textwrap.indent(text, "    "))  # indented: code, in Markdown

    @rank_zero_only
    def log_figures(self, files: Mapping[str, bytes], step: int) -> None:
        """Show pictures, each the content of a PNG file, in the tab IMAGES under visual/, below the curves."""
        for name, png in files.items():
            picture = Image.open(io.BytesIO(png))
            height, small = round(picture.height * CARD_WIDTH / picture.width), io.BytesIO()
            picture.resize((CARD_WIDTH, height), Image.Resampling.LANCZOS).save(small, "PNG")
            content = small.getvalue()
            shown = Summary.Image(height=height, width=CARD_WIDTH, colorspace=3, encoded_image_string=content)
            value = Summary.Value(tag=f"visual/{name}", image=shown)
            self.experiment.file_writer.add_summary(Summary(value=[value]), step)

    @rank_zero_only
    def log_precision_recall(self, evaluation: Evaluation, classes: Sequence[str], step: int) -> None:
        """Show each class against all others in the tab PR CURVES."""
        for label, probabilities in enumerate(evaluation.probabilities.T):
            tag = f"{noun(classes)}/{classes[label].replace('/', ' ')}"
            self.experiment.add_pr_curve(tag, evaluation.labels == label, probabilities, step)

    @rank_zero_only
    def log_network(self, network: nn.Module, images: Tensor) -> None:
        """Show the graph of `network` in the tab GRAPHS; normalized `images` (N, 1, H, W) are sent through it."""
        try:  # TensorBoard's graphs are made by torch.jit.trace, which warns of its end, and prints what it can't take
            with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
                self.experiment.add_graph(network, images)
        except Exception:
            log.warning("TensorBoard's GRAPHS tab stays empty: torch.jit.trace can't follow this network")

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log `metrics` without the "epoch" that Lightning adds to each of them."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file, and write how the run ended: "success", or "failed" where it was interrupted too."""
        super().finalize(status)
        hparams.write_end(Path(self.root_dir), status)
