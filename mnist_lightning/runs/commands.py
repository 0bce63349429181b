"""The checkout as seen from the working directory: commands that work there, and where the data is."""

import shlex
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


def is_elsewhere() -> bool:
    """Return whether the working directory is not a checkout."""
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


def requirements(extra: str) -> list[str]:
    """Return what an extra consists of, as pyproject.toml has it; nothing where there is no checkout."""
    with suppress(OSError):
        settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
        return settings["project"]["optional-dependencies"][extra]
    return []


def install_command(extra: str) -> str:
    packages = " ".join(f"'{one}'" for one in requirements(extra))
    return f"python -m pip install {packages} (the extra {extra})"


def from_checkout(place: Any) -> Any:
    """Return a path, or each of several, within the checkout where it exists only there, else as it is."""
    if isinstance(place, list):
        return [from_checkout(one) for one in place]
    is_only_there = isinstance(place, str) and not Path(place).exists() and (PROJECT / place).exists()
    return str(PROJECT / place) if is_only_there else place
