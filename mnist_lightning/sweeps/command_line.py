"""The command line of a sweep: its own, typed again by resume=SWEEP."""

from collections.abc import Sequence
from pathlib import Path

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.sweeps.sweep import Sweep, is_sweep, quoted


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command line as it is meant, before Hydra reads it.

    Names of directories are put in quotes, because those of a sweep hold , and =: Hydra would take
    resume=runs/…/0_lr=0.1,seed=1 for a sweep over two values. And resume=SWEEP becomes the command of that sweep.
    """
    words, sweep = [], None
    for word in arguments:
        key, _, value = word.partition("=")
        value = value.strip("'\"") if key == "resume" else value
        if key in ("resume", "output_dir", "hydra.sweep.dir") and value and not value.startswith(("'", '"')):
            value = str(Path(value).expanduser()) if value.startswith("~") else value  # the shell does not everywhere
            word = f"{key}={quoted(value)}"
        if key == "resume" and is_sweep(value):
            sweep = value
        words.append(word)
    if sweep is None:
        return words
    beside = [word for word in words if not word.startswith("resume=") and word not in ("-m", "--multirun")]
    return typed_again(sweep, beside)


def typed_again(place: str | Path, further: Sequence[str]) -> list[str]:
    """Return the arguments that the sweep in `place` was started with, on the same directory, and `further` ones."""
    for word in further:
        if not word.startswith(("hydra.launcher.", "hydra.sweeper.", "trust=")):
            raise UsageError(
                f"{word}: a resumed sweep stays the same; only hydra.launcher.* and, in a search, hydra.sweeper.trials "
                f"can be changed. To add jobs, type the sweep's command with hydra.sweep.dir={place}"
            )
    sweep = Sweep.open(place, is_trusted="trust=true" in further)
    kept = [word for word in sweep.command[1:] if not word.startswith(("resume=", "hydra.sweep.dir=", "trust="))]
    return [*kept, f"resume={quoted(str(place))}", *further]
