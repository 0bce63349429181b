"""The classic first CNN on MNIST as a PyTorch Lightning and Hydra project; `load_run` gives a trained network."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_lightning.trained import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    """Import torch only where a network is asked for: train.py answers mistakes and --help without it."""
    if name == "load_run":
        from mnist_lightning.trained import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
