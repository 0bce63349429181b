"""What a run writes for TensorBoard."""

import io
import shlex
import sys
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_lightning.evaluation.measures import Evaluation, noun
from mnist_lightning.runs.experiment import experiment, fingerprint, is_class
from mnist_lightning.runs.run import checkpoint_of, log
from mnist_lightning.runs.weights import read_checkpoint
from mnist_lightning.training import hparams

CHARTS = {  # of the tab CUSTOM SCALARS: what belongs together in one chart
    "training and test": {
        "loss": ["Multiline", ["train/loss", "val/loss", "test/loss"]],
        "accuracy": ["Multiline", ["val/accuracy", "test/accuracy"]],
    }
}


def shown(value: Any) -> str:
    return str(value).rpartition(".")[2] if is_class(value) else str(value)


class RunLogger(TensorBoardLogger):
    """TensorBoard's event file directly in the run directory: then the run's name is its path under runs/.

    Of a resumed run, what was logged after its checkpoint is taken back. The settings `hparams` are columns of the
    HPARAMS tab; those that a run has not are left out.
    """

    NAME_HPARAMS_FILE = "config.yaml"  # stands there already, so Lightning writes no second, empty one

    def __init__(self, directory: str, hparams: Sequence[str] = ()) -> None:
        checkpoint = checkpoint_of(Path(directory))
        purge_step = read_checkpoint(checkpoint)["global_step"] + 1 if checkpoint else None
        super().__init__(directory, name="", version="", default_hp_metric=False, purge_step=purge_step)
        self.columns = hparams

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Write the row of the HPARAMS tab for a run of the resolved configuration `params`."""
        settings = experiment(params)
        chosen = {key: settings[key] for key in self.columns if key in settings}
        if params.get("experiment"):
            chosen["experiment"] = params["experiment"]
        row = {key: value if isinstance(value, bool | int | float) else shown(value) for key, value in chosen.items()}
        hparams.write_start(Path(self.root_dir), row, params["name"], fingerprint(settings))
        self.experiment.add_custom_scalars(CHARTS)
        self.log_text("command", shlex.join(["python", *sys.argv]))
        self.log_text("configuration", yaml.safe_dump(params, sort_keys=False, allow_unicode=True))

    @rank_zero_only
    def log_text(self, tag: str, text: str) -> None:
        """Show `text`, as it is, in the tab TEXT under run/."""
        self.experiment.add_text(f"run/{tag}", textwrap.indent(text, "    "))  # indented: code, in Markdown

    @rank_zero_only
    def log_figures(self, pixels: Mapping[str, NDArray[np.uint8]], step: int) -> None:
        """Show pictures, uint8 (H, W, 3), in the tab IMAGES under figures/."""
        for name, picture in pixels.items():
            self.experiment.add_image(f"figures/{name}", picture, step, dataformats="HWC")

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
            log.warning("GRAPHS of TensorBoard stays empty: torch.jit.trace can't follow this network")

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log `metrics` without the "epoch" that Lightning adds to each of them."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file, and write how the run ended: "success", or "failed" where it was interrupted too."""
        super().finalize(status)
        hparams.write_end(Path(self.root_dir), status)
