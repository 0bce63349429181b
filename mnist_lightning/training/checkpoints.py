"""How Lightning's checkpoints get to disk: between two steps or epochs, and whole or not at all."""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mnist_lightning.runs.commands import resume_command
from mnist_lightning.runs.errors import RunError
from mnist_lightning.runs.files import real
from mnist_lightning.runs.run import LAST_CHECKPOINT, PREVIOUS_CHECKPOINT
from mnist_lightning.runs.seal import Seal
from mnist_lightning.runs.weights import network_weights, read_checkpoint, weights_sha256

RESUMED = "state_dict_to_resume"  # the weights to resume from, where state_dict has other, final ones


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, but what it decides to save is written when the next step or epoch begins.

    Lightning saves midway through the end of a step or an epoch: what is still to be logged, and which callbacks and
    schedules have seen the metrics by then, depends on their order, and a resumed run can't make up for it.
    Where the run directory was moved, this one still knows the best epoch.
    """

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.due: list[Callable[[], Any]] = []
        if not self._every_n_train_steps and self._train_time_interval is None:
            self.on_train_batch_end = None  # type: ignore[assignment, method-assign]  # Lightning skips it

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self._last_global_step_saved, self._last_checkpoint_saved = trainer.global_step, filepath
        self.due.append(partial(super()._save_checkpoint, trainer, filepath))

    def _remove_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self.due.append(partial(super()._remove_checkpoint, trainer, filepath))

    def write_due(self) -> None:
        due, self.due = self.due, []
        for do in due:
            do()

    def write_within_epoch(self, trainer: Trainer) -> None:
        """Write what is due, and also this step's checkpoint, unless a metric chooses the checkpoints."""
        if self.monitor is None and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
        self.write_due()
        self._last_global_step_saved = trainer.global_step  # the evaluation of such a stop chooses nothing

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Give the last checkpoint the final weights, which a callback may have changed at the end of training.

        It also keeps the weights from which training would go on.
        """
        super().on_train_end(trainer, pl_module)
        path = Path(self.best_model_path)
        is_last = self.monitor is None and path.parts[-2:] == LAST_CHECKPOINT.parts
        if is_last and self._last_global_step_saved != trainer.global_step:
            self._save_checkpoint(trainer, str(path))
        self.write_due()
        if is_last:
            saved, final = read_checkpoint(path), pl_module.state_dict()
            if weights_sha256(network_weights(saved)) != weights_sha256(network_weights({"state_dict": final})):
                saved = {RESUMED: saved["state_dict"], **saved, "state_dict": final}
                if trainer.is_global_zero:
                    trainer.strategy.checkpoint_io.save_checkpoint(saved, path)

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        if getattr(self, "due", None):  # before setup there is none; of this step nothing was written
            self._last_global_step_saved = 0
        self.due = []
        super().on_exception(trainer, pl_module, exception)
        self.write_due()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        old, new = state_dict["dirpath"], str(self.dirpath)

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): moved(item) for key, item in value.items()}
            return new + value.removeprefix(old) if isinstance(value, str) and value.startswith(old) else value

        super().load_state_dict(moved(state_dict))


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under another name, reads it back, seals and renames it: until then the old one stays whole.

    The last checkpoint's predecessor is kept. Lightning's own class goes through the system's temporary directory, from
    which a move to another disk is a copy. The `directory` is the run's, wherever the checkpoints are.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.seal = directory, Seal(directory)
        self.when_saved: Callable[[Path, dict[str, Any]], None] = lambda path, checkpoint: None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path, content = Path(path), BytesIO()
        torch.save(checkpoint, content)
        is_last = real(path) == real(self.directory / LAST_CHECKPOINT)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            before = self.directory / PREVIOUS_CHECKPOINT if is_last else None
            self.seal.write(path, content.getvalue(), before)
        except OSError as error:
            reason = error.strerror or str(error)
            make_room = "The checkpoint before it is whole; make room" if path.exists() else "Make room"
            go_on = f"{make_room}, then go on with: {resume_command(self.directory)}"
            raise RunError(f"{path} can't be written: {reason}. {go_on}") from error
        self.when_saved(path, checkpoint)

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        return read_checkpoint(Path(path))
