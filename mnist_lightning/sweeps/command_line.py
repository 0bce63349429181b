"""The command line of a sweep: its own, typed again by resume=SWEEP."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.sweeps.sweep import SWEEP_FILE, Sweep, is_harmless, is_sweep, quoted


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command line as it is meant, before Hydra reads it.

    Names of directories are put in quotes, because those of a sweep hold , and =: Hydra would take
    resume=runs/…/0_lr=0.1,seed=1 for a sweep over two values. And resume=SWEEP becomes the command of that sweep.

    Raises:
        UsageError: see sweep.typed_again.
    """
    named = ("resume=", "output_dir=", "hydra.sweep.dir=")
    words, sweep, is_multirun = [], None, False
    for word in arguments:
        key, _, value = word.partition("=")
        if word.startswith(named) and value and not value.startswith(("'", '"')):
            word = f"{key}={quoted(value)}"
        if key == "resume" and is_sweep(value):
            sweep = value
        is_multirun |= word in ("-m", "--multirun") or key == "sweep"
        words.append(word)
    if sweep is None or is_multirun:
        return words
    return typed_again(sweep, [word for word in words if not word.startswith("resume=")])


def typed_again(place: str | Path, further: Sequence[str]) -> list[str]:
    """Return the arguments that the sweep in `place` was started with, on the same directory, and `further` ones.

    Raises:
        UsageError: `further` would change its jobs; or the sweep's own have options or settings of Hydra's, which could
            run anything if it is a stranger's.
    """
    for word in further:
        if not word.startswith(("hydra.launcher.", "hydra.sweeper.")):
            raise UsageError(
                f"{word}: a resumed sweep stays what it was; what can be changed is hydra.launcher.* and, of a search, "
                f"hydra.sweeper.trials. For further jobs: the sweep's own command with hydra.sweep.dir={place}"
            )
    sweep = Sweep.open(place)
    kept = [word for word in sweep.command[1:] if not word.startswith(("resume=", "hydra.sweep.dir="))]
    for word in kept:
        if (word.startswith("-") and word not in ("-m", "--multirun")) or not is_harmless(word):
            typed = shlex.join(["python", "train.py", *kept, f"hydra.sweep.dir={place}"])
            raise UsageError(
                f"{place} was started with {word}, which is not taken over. To go on with it, type: {typed}"
            )
    if not any(word in ("-m", "--multirun") or word.startswith("sweep=") for word in kept):
        raise UsageError(f"{sweep.directory / SWEEP_FILE} holds no command of a sweep")
    return [*kept, f"resume={quoted(str(place))}", *further]
