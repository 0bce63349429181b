"""The weights of a run: read without executing anything that stands in the file, and known by their SHA-256."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch

from mnist_lightning.runs.errors import RunError, UsageError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the plain values and tensors of a checkpoint, on the CPU.

    Raises:
        UsageError: there is none.
        RunError: it is damaged, or holds anything else than plain values and tensors.
    """
    if path.exists() and not path.is_file():
        raise RunError(f"{path} is not a file")  # a pipe would be waited for
    try:
        with warnings.catch_warnings(action="ignore"):  # what torch thinks of a foreign file, the messages below say
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist: name a run that completed an epoch") from error
    except Exception as error:  # what stands in a stranger's file leads torch to errors of any kind
        raise RunError(
            f"{path} is not a checkpoint of this project, or damaged. Without it, resume= begins the run anew"
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
