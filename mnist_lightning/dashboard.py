"""What a run writes for TensorBoard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from mnist_lightning import hparams
from mnist_lightning.checkpoint import read_checkpoint
from mnist_lightning.run import LAST_CHECKPOINT
from mnist_lightning.settings import experiment, fingerprint


class RunLogger(TensorBoardLogger):
    """TensorBoard's event file directly in the run directory: then the run's name is its path under runs/.

    Args:
        directory: the run directory. Of a resumed run, what was logged after its checkpoint is taken back.
        hparams: the settings that are columns of the HPARAMS tab; those that a run has not are left out.
    """

    NAME_HPARAMS_FILE = "config.yaml"  # stands there already, so Lightning writes no second, empty one

    def __init__(self, directory: str, hparams: Sequence[str] = ()) -> None:
        checkpoint = Path(directory) / LAST_CHECKPOINT
        purge_step = read_checkpoint(checkpoint)["global_step"] + 1 if checkpoint.exists() else None
        super().__init__(directory, name="", version="", default_hp_metric=False, purge_step=purge_step)
        self.columns = hparams

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Write the row of the HPARAMS tab for a run of the resolved configuration `params`."""
        settings = experiment(params)
        chosen = {key: settings[key] for key in self.columns if key in settings}
        row = {key: value if isinstance(value, bool | int | float) else str(value) for key, value in chosen.items()}
        hparams.write_start(Path(self.root_dir), row, hparams.group_name(params["name"], fingerprint(settings)))

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log `metrics` without the "epoch" that Lightning adds to each of them."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file, and write how the run ended: "success", or "failed" where it was interrupted too."""
        super().finalize(status)
        hparams.write_end(Path(self.root_dir), status)
