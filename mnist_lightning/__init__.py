"""The classic first CNN on MNIST as a PyTorch Lightning and Hydra project: `load_run`, `load_runs` for a notebook."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # a command is about to be imported: Ctrl-C ends that without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_lightning.sweeps.found_runs import load_runs
    from mnist_lightning.trained import load_run

__all__ = ["load_run", "load_runs"]

PLACES = {"load_run": "mnist_lightning.trained", "load_runs": "mnist_lightning.sweeps.found_runs"}


def __getattr__(name: str) -> Any:
    """Import torch only where a network is asked for: train.py answers mistakes and --help without it."""
    if name in PLACES:
        return getattr(import_module(PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
