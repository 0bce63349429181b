"""Run train.py and kill the process at its N-th moment: python tests/faults/aimed.py N train.py …

The moments are in the middle of a file that is written, and before each step of giving it its place, of removing one,
of logging something for TensorBoard, and of each hook at a boundary. With N = 0 their names are printed at the end.
"""

import os
import runpy
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

NAMES: list[str] = []
HOOKS = ("on_fit_start", "on_train_epoch_start", "on_validation_start", "on_validation_end", "on_train_epoch_end",
         "on_train_end", "on_fit_end", "on_test_start", "on_test_end")  # fmt: skip


def moment(name: str) -> None:
    NAMES.append(name)
    if len(NAMES) == number:
        os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    """Let a moment come before each call of a function."""
    real = getattr(owner, name)

    def called(*args: Any, **options: Any) -> Any:
        moment(f"{name} {Path(str(args[0])).name if args else ''}"[:60])
        return real(*args, **options)

    setattr(owner, name, called)


class Halfway:
    """A file that is interrupted in the middle of what is written into it."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, content: Any) -> int:
        view = memoryview(content)
        self.file.write(view[: len(view) // 2])
        self.file.flush()
        moment("half written")
        self.file.write(view[len(view) // 2 :])
        return len(view)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Halfway":
        return self

    def __exit__(self, *_: Any) -> None:
        self.file.close()


def arm() -> None:
    from mnist_lightning.runs import files

    real, real_open = files.write_atomically, Path.open

    def write_atomically(path: Path, content: bytes, **options: Any) -> None:
        moment(f"writing {path.name}")
        real(path, content, **options)

    def opened(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        file = real_open(path, mode, *args, **options)
        return Halfway(file) if mode == "xb" else file

    files.write_atomically = write_atomically  # type: ignore[assignment]
    Path.open = opened  # type: ignore[assignment, method-assign]
    for owner, name in (
        (os, "fsync"), (os, "link"), (os, "truncate"), (Path, "replace"), (Path, "unlink"), (Path, "rename"),
        (Path, "mkdir"), (shutil, "rmtree"),
    ):  # fmt: skip
        before(owner, name)

    from lightning.pytorch.trainer import call
    from tensorboard.summary.writer.record_writer import RecordWriter

    before(RecordWriter, "write")
    hooks = call._call_callback_hooks

    def call_callback_hooks(trainer: Any, hook: str, *args: Any, **options: Any) -> None:
        if hook in HOOKS:
            moment(hook)
        hooks(trainer, hook, *args, **options)
        if hook in HOOKS:
            moment(f"after {hook}")

    call._call_callback_hooks = call_callback_hooks  # type: ignore[assignment]


if __name__ == "__main__":
    number, script = int(sys.argv[1]), sys.argv[2]
    sys.argv, sys.path[0] = sys.argv[2:], str(Path(script).parent)
    arm()
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        if not number:
            print("\n".join(["moments:", *NAMES]), file=sys.stderr)
