"""What the tests share: the project's folder, MNIST where this machine has it, and train.py as a real process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mnist_lightning import mnist

PROJECT = Path(__file__).parent.parent
Program = Callable[..., "subprocess.CompletedProcess[str]"]


def mnist_folder() -> Path | None:
    """Return the first place of conf/data/mnist.yaml that holds MNIST."""
    settings = yaml.safe_load((PROJECT / "conf" / "data" / "mnist.yaml").read_text())
    folder, _ = mnist.find(PROJECT / settings["root"], [PROJECT / place for place in settings["search"]])
    return folder


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder that holds MNIST/raw; tests that need it are skipped where there is none."""
    folder = mnist_folder()
    if folder is None:
        pytest.skip("MNIST is in none of the places of conf/data/mnist.yaml: data.root, data.search")
    return folder.parent.parent


def environment(**further: str) -> dict[str, str]:
    """Return the environment of a program under test: warnings of our own code are errors there too."""
    return os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "120"} | further


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Run a Python program of the project to its end, in a folder of its own."""

    def run(*command: str, **options: object) -> "subprocess.CompletedProcess[str]":
        if command[0].endswith(".py"):
            command = (str(PROJECT / command[0]), *command[1:])
        return subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            text=True,
            timeout=250,
            cwd=tmp_path,
            env=environment(),
            **options,  # type: ignore[call-overload]
        )

    return run
