"""The weights of a run: read without executing anything that stands in the file, and known by their SHA-256."""

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from mnist_lightning.errors import RunError, UsageError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the plain values and tensors of a checkpoint, on the CPU.

    Raises:
        UsageError: there is none.
        RunError: it is damaged, or holds anything else than plain values and tensors.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # what torch thinks of a foreign file, the messages below say
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist: name a run that completed an epoch") from error
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise RunError(
            f"{path} is not a checkpoint of this project, or damaged. Without it, the run begins anew"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "global_step"} <= checkpoint.keys():
        raise RunError(f"{path} is not a checkpoint of this project")
    return checkpoint


def weights_sha256(state: dict[str, Any]) -> str:
    """Return the SHA-256 of a state dict's tensors, in its order: equal means bit-identical."""
    digest = hashlib.sha256()
    for tensor in state.values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
