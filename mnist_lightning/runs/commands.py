"""The checkout as seen from the working directory: commands that work there, and where the data is."""

import shlex
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


def is_elsewhere() -> bool:
    """Return whether the working directory is no checkout."""
    return not (Path.cwd() / "train.py").exists()


def train_command(*words: str) -> str:
    script = str(PROJECT / "train.py") if is_elsewhere() else "train.py"
    return shlex.join(["python", script, *words])


def resume_command(directory: str | Path) -> str:
    return train_command(f"resume={directory}")


def module_command(name: str, *words: str | Path) -> str:
    """Return `python -m mnist_lightning.NAME` with further words."""
    package = f"PYTHONPATH={shlex.quote(str(PROJECT))} " if is_elsewhere() else ""
    return f"{package}python -m mnist_lightning.{name} {shlex.join(map(str, words))}"


def tensorboard_command(directory: Path) -> str:
    return f"tensorboard --logdir {shlex.quote(str(directory))}" if is_elsewhere() else "make tensorboard"


def from_checkout(place: Any) -> Any:
    """Return a place, or several, as seen from the checkout where it is there, and not in the working directory."""
    if isinstance(place, list):
        return [from_checkout(one) for one in place]
    is_only_there = isinstance(place, str) and not Path(place).exists() and (PROJECT / place).exists()
    return str(PROJECT / place) if is_only_there else place
