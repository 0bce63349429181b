"""The weights of a run: read without executing anything that stands in the file, and known by their SHA-256."""

import hashlib
import re
import warnings
from pathlib import Path
from pickletools import genops
from typing import Any
from zipfile import ZipFile

import torch

from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.files import MOST_BYTES, MOST_OF_WEIGHTS, open_regular
from mnist_lightning.runs.run import LAST_CHECKPOINT, checkpoint_of, directory_of, log

PREFIX = "network."  # of the network's tensors in a checkpoint of the LightningModule


def weights_of(place: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return the checkpoint that is meant by `place`, a run directory or a checkpoint in one, and its content."""
    place = Path(place)
    directory = directory_of(place)
    last = directory / LAST_CHECKPOINT
    checkpoint = place if directory != place else checkpoint_of(directory) or last
    if directory == place and checkpoint != last and last.exists():
        log.warning(f"{last} is damaged: {checkpoint} is used instead")
    return checkpoint, read_checkpoint(checkpoint)


def network_weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the tensors of the network alone, by its own names."""
    state = checkpoint["state_dict"] if isinstance(checkpoint["state_dict"], dict) else {}
    return {key.removeprefix(PREFIX): value for key, value in state.items() if str(key).startswith(PREFIX)}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the plain values and tensors of a checkpoint, on the CPU.

    Raises:
        UsageError: there is none, or it is not a regular file.
        RunError: it is damaged, holds anything else than plain values and tensors, or would take more memory than disk.
    """
    try:
        with open_regular(path, MOST_OF_WEIGHTS) as file, warnings.catch_warnings(action="ignore"):
            with ZipFile(file) as archive:
                check_memory(archive, path.stat().st_size)
                if archive.testzip():  # torch does not look at these sums
                    raise ValueError("a check sum is wrong")
            file.seek(0)
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist: name a run that completed an epoch") from error
    except UsageError:
        raise
    except Exception as error:  # what stands in a stranger's file leads torch to errors of any kind
        without = "Without it, resume= starts the run over"
        raise RunError(f"{path} is not a checkpoint of this project, or damaged. {without}") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "global_step"} <= checkpoint.keys():
        raise RunError(f"{path} is not a checkpoint of this project")
    return checkpoint


def check_memory(archive: ZipFile, size: int) -> None:
    """Raise ValueError where reading a checkpoint of `size` bytes would take far more memory than that."""
    parts = archive.infolist()
    pickles = [part for part in parts if part.filename.endswith(".pkl")]
    if sum(part.file_size for part in parts) > size or any(part.file_size > MOST_BYTES for part in pickles):
        raise ValueError("it is packed, which ours are not")
    for part in pickles:
        names = [str(argument) for code, argument, _ in genops(archive.read(part)) if code.name == "GLOBAL"]
        if any(re.fullmatch(r"_codecs .*|.* bytearray|torch\S* \w*Tensor", name) for name in names):
            raise ValueError("it makes arrays of its own, which ours do not")


def weights_sha256(state: dict[str, Any]) -> str:
    """Return the SHA-256 of a state dict's tensors, in its order: equal means bit-identical."""
    digest = hashlib.sha256()
    for tensor in state.values():
        plain = tensor.detach().cpu().contiguous().flatten()
        digest.update(plain.view(torch.uint8).numpy())  # its bytes, as numpy has no bfloat16
    return digest.hexdigest()


def fits(weight: Any, expected: torch.Tensor) -> bool:
    """Return whether what a checkpoint holds is in memory, and of the shape and kind that a network expects."""
    return (
        isinstance(weight, torch.Tensor)
        and weight.layout == torch.strided
        and weight.device.type == "cpu"
        and weight.shape == expected.shape
        and weight.is_floating_point() == expected.is_floating_point()
        and not weight.is_complex()
        and weight.untyped_storage().nbytes() >= weight.nbytes
    )
