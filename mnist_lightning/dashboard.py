"""What a run writes for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from mnist_lightning.checkpoint import read_checkpoint
from mnist_lightning.run import LAST_CHECKPOINT


class RunLogger(TensorBoardLogger):
    """TensorBoard's event file directly in the run directory: then the run's name is its path under runs/."""

    NAME_HPARAMS_FILE = "config.yaml"  # stands there already, so Lightning writes no second, empty one

    def __init__(self, directory: str) -> None:
        """Log to `directory`. Of a resumed run, what was logged after its checkpoint is taken back and written anew."""
        checkpoint = Path(directory) / LAST_CHECKPOINT
        purge_step = read_checkpoint(checkpoint)["global_step"] + 1 if checkpoint.exists() else None
        super().__init__(directory, name="", version="", default_hp_metric=False, purge_step=purge_step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log `metrics` without the "epoch" that Lightning adds to each of them."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)
