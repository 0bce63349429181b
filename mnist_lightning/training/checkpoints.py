"""How Lightning's checkpoints get to disk, whole or not at all."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mnist_lightning.runs.errors import RunError
from mnist_lightning.runs.run import resume_command
from mnist_lightning.runs.seal import Seal
from mnist_lightning.runs.weights import read_checkpoint


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, but it still knows the best epoch after its run directory was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        old, new = state_dict["dirpath"], str(self.dirpath)

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): moved(item) for key, item in value.items()}
            return new + value.removeprefix(old) if isinstance(value, str) and value.startswith(old) else value

        super().load_state_dict(moved(state_dict))


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the checkpoint, seals it and renames, so that the one before stays whole until the new one is.

    Lightning's own goes through the system's temporary directory, from where a move to another disk is a copy. The
    `directory` is the run's, wherever the checkpoints are.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.seal = directory, Seal(directory)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.seal.write(path, lambda file: torch.save(checkpoint, file))
        except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
            reason = next((e.strerror for e in (error, error.__context__) if isinstance(e, OSError)), str(error))
            go_on = f"make room, then go on with: {resume_command(self.directory)}"
            raise RunError(f"{path} can't be written: {reason}. The checkpoint before it is whole; {go_on}") from error

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        return read_checkpoint(Path(path))
