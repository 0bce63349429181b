"""What was typed, in the words that Hydra reads."""

import json
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.utils import get_args_parser

from mnist_lightning.config.check import CONFIG_FOLDER, KINDS, NONE, flat, shown
from mnist_lightning.config.compose import CHANGEABLE, read
from mnist_lightning.config.explain import composed, config_folders, config_options, explained
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.experiment import flatten
from mnist_lightning.runs.run import CONFIG_FILE, read_results
from mnist_lightning.sweeps.sweep import Sweep, is_sweep, quoted

INSTEAD = {
    "hydra.run.dir": "a run's directory is output_dir=DIR, that of a sweep hydra.sweep.dir=DIR",
    "hydra.output_subdir": "what a run was given is kept in its config.yaml and results.json",
    "hydra/job_logging": "what a run says is kept in its train.log",
    "hydra.sweep.subdir": "the directories of jobs are named by their number and what is varied; hydra.sweep.dir=DIR",
}
SHOWING = ("cfg", "info", "help", "hydra_help", "shell_completion")  # Hydra's options with which nothing is run


def as_meant(arguments: Sequence[str]) -> list[str]:
    """Return a command line that Hydra reads as it was meant.

    What leaves a group empty elsewhere (~logger, logger=null) is the option that does so here. again=RUN is the command
    of that run. A sweep=NAME is many runs, whether its file says so or not. And options may stand between settings,
    where Hydra takes none.

    Raises:
        UsageError: a setting of Hydra's own has another name here, or a file holds one that has no effect there.
    """
    words = [meant for word in command_line(arguments) if (meant := word_as_meant(word))]
    words = again([from_here(word, before) for before, word in pairwise(["", *words])])
    files = [match.groups() for word in words if (match := re.fullmatch(r"(experiment|sweep)=([\w/.-]+)", word))]
    for group, name in files:
        check_file(group, name, words)
    options, unknown = get_args_parser().parse_known_intermixed_args(words)
    has_mode = options.multirun or any(word.startswith("hydra.mode=") for word in words)
    is_sweep_named = any(group == "sweep" for group, _ in files)
    if is_sweep_named and not has_mode and not any(getattr(options, name) for name in SHOWING):
        words.append("--multirun")
    if unknown:
        as_in = "Settings are written without dashes, as in optimizer.lr=0.1; --help has the options"
        raise UsageError(f"{unknown[0]}: there is no such option. {as_in}")
    return [*options.overrides, *(word for word in words if word not in options.overrides)]


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return a command line with names of directories that Hydra reads as such, and the sweep's own for resume=SWEEP.

    The names are put in quotes, because those of a sweep hold , and =: Hydra would take
    resume=runs/…/0_lr=0.1,seed=1 for a sweep over two values.
    """
    words, sweep = [], None
    for word in arguments:
        key, _, value = word.partition("=")
        value = unquoted(value) if key == "resume" else value
        if key in ("resume", "output_dir", "hydra.sweep.dir") and value and not value.startswith(("'", '"')):
            value = at_home(value)
            word = f"{key}={quoted(value)}"
        if key == "resume" and is_sweep(value):
            sweep = value
        words.append(word)
    if sweep is None:
        return words
    beside = [word for word in words if not word.startswith("resume=") and word not in ("-m", "--multirun")]
    return typed_again(sweep, beside)


def at_home(place: str) -> str:
    """Return a place that begins with ~ as the shell would have written it, which does so at the start of a word."""
    return os.path.expanduser(place)  # noqa: PTH111 - Path.expanduser raises where there is no such user


def unquoted(value: str) -> str:
    return value[1:-1] if re.fullmatch(r"(['\"]).*\1", value) else value


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


def word_as_meant(word: str) -> str | None:
    key, _, value = word.partition("=")
    group = key.lstrip("+~")
    is_empty = key.startswith("~") or value in ("null", "None")
    if group in NONE and is_empty:
        return f"{group}={NONE[group]}"
    if group in ("experiment", "sweep"):
        return None if is_empty else f"{group}={value}"
    if group in KINDS and value.startswith("["):
        raise UsageError(f"{word}: {group} takes one option; put several loggers or callbacks in a file: docs/own.md")
    if key in INSTEAD and "LOCAL_RANK" not in os.environ:  # Lightning tells the processes that it starts hydra.run.dir
        raise UsageError(f"{word}: {INSTEAD[key]}")
    return word


def from_here(word: str, before: str) -> str:
    """Return a folder of configurations as an absolute path: Hydra looks for it beside train.py."""
    option, equals, folder = word.rpartition("=") if word.startswith("-") else (before, "", word)
    if option not in ("--config-path", "-cp") or not Path(folder).is_dir():
        return word
    return f"{option}=" * bool(equals) + str(Path(folder).absolute())


def again(words: Sequence[str]) -> list[str]:
    """Return the command of the run that again=RUN names, with what is typed beside it.

    Raises:
        UsageError: it would no longer be the experiment that it was, because files of conf/ have changed.
    """
    given = [unquoted(word.partition("=")[2]) for word in words if word.startswith("again=")]
    for place in config_folders(words):
        if all((place / name).exists() for name in (CONFIG_FILE, "results.json")):
            raise UsageError(f"{place}: is a run. To run it again: python train.py again={place}")
    if not given:
        return [*words]
    directory = Path(at_home(given[-1]))
    before = flat(read(directory))
    recorded = [str(word) for word in read_results(directory)["command"][2:]]
    own = ("output_dir=", "resume=", "trust=", "hydra.")
    typed = get_args_parser().parse_known_intermixed_args(recorded)[0].overrides
    kept = [word for word in typed if not word.startswith(own)]
    with explained(kept):
        now = flat(composed(*kept, f"output_dir={str(directory)!r}", folders=config_folders(recorded)))
    for key in sorted({*before, *now} - {"resume", "trust", "output_dir"}):
        if before.get(key) == now.get(key):
            continue
        if not f"{key}=".startswith(CHANGEABLE):
            changed = f"{key}={shown(now.get(key))}: {directory} was made with {shown(before.get(key))}"
            raise UsageError(
                f"{changed}, and files of conf/, or its own, have changed since. See {directory / CONFIG_FILE}"
            )
        kept.append(f"{key}={json.dumps(before.get(key))}")  # it was resumed with that
    return [*config_options(recorded), *kept, *(word for word in words if not word.startswith("again="))]


def check_file(group: str, name: str, words: Sequence[str]) -> None:
    """Raise UsageError where a file of conf/experiment or conf/sweep sets what is only obeyed on the command line."""
    folders = [CONFIG_FOLDER, *config_folders(words)]
    file = next((one for folder in folders if (one := folder / group / f"{name}.yaml").is_file()), None)
    try:
        settings: Any = yaml.safe_load(file.read_text("utf-8")) if file else None
    except (ValueError, yaml.YAMLError):
        return  # Hydra says what is wrong with it
    if not isinstance(settings, dict):
        return
    defaults = settings.get("defaults")
    for line in defaults if isinstance(defaults, list) else ():
        for key, value in line.items() if isinstance(line, dict) else ():
            if chosen := re.fullmatch(r"override (/hydra/\w+)", str(key)):
                raise UsageError(f"{file}: {key} has no effect there: type {chosen[1][1:]}={value}")
    hydra = settings.get("hydra")
    named = flatten(hydra, "hydra") if isinstance(hydra, dict) else {}
    for key, instead in INSTEAD.items():
        if key in named:
            raise UsageError(f"{file}: {key} has no effect: {instead}")
