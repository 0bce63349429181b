"""Hydra's side of a configuration: what a run is, and was, made with."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_lightning.config.check import CONFIG_FOLDER, flat, shown, unknown
from mnist_lightning.config.explain import composed, explained
from mnist_lightning.runs.commands import train_command
from mnist_lightning.runs.earlier import in_todays_words
from mnist_lightning.runs.errors import UsageError, one_line
from mnist_lightning.runs.files import read_settings
from mnist_lightning.runs.run import CONFIG_FILE, Run, is_begun, run_below
from mnist_lightning.terminal.command import wrapped

CHANGEABLE = ("trainer.", "data.root=", "data.search=")  # in a resumed run
AUTO = "auto"  # resume=auto: go on where there is a run, else begin it
OmegaConf.register_new_resolver("short", lambda name: str(name).rpartition(".")[2].lower(), replace=True)
OmegaConf.register_new_resolver("options", lambda: options(), replace=True)


def options() -> str:
    """Return the options of each group of conf/, for --help."""
    hydra: Any = GlobalHydra.instance().hydra
    return wrapped(hydra.format_config_groups(lambda group: not group.startswith("hydra")), 60)


def run_to_resume(config: DictConfig) -> Run | None:
    """Return the run to go on with; None where a new one begins."""
    place = config.get("resume")
    if place != AUTO:
        return None if place is None else Run.open(str(place), is_trusted=config.trust)
    if config.output_dir is None:
        raise UsageError("resume=auto: resumes the run in output_dir, or starts it there: add output_dir=DIR")
    if is_begun(Path(config.output_dir)):
        return Run.open(config.output_dir, is_trusted=config.trust)
    config.resume, config.trust = None, False
    return None


def the_same(config: DictConfig, run: Run) -> DictConfig:
    """Return `config`, composed from a command that was typed again, as that of `run`.

    Raises:
        UsageError: the run was begun as another experiment.
    """
    before = read(run.directory)
    config.output_dir, config.resume, config.trust = before.output_dir, None, False
    typed, begun = flat(config), flat(before)
    for key in typed.keys() | begun.keys():
        if typed.get(key) != begun.get(key) and not f"{key}=".startswith((*CHANGEABLE, "trust=")):
            other = f"{run.directory} was started with {key}={shown(begun.get(key))}"
            raise UsageError(f"{key}={shown(typed.get(key))}: {other}; for another experiment, name another output_dir")
    return config


def resumed(run: Run, overrides: Sequence[str] | None = None) -> DictConfig:
    """Return the configuration that `run` was started with, changed by overrides; None: those of this process."""
    config = read(run.directory)
    if overrides is None:
        overrides = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)  # type: ignore[assignment]
    changes = [change for change in overrides or () if not change.lstrip("+").startswith(("resume=", "trust="))]
    for change in changes:
        if not change.lstrip("+").startswith(CHANGEABLE):
            again = f"To change it, run it again: {train_command(f'again={run.directory}', change)}"
            allowed = "only trainer.*, data.root and data.search can be changed"
            raise UsageError(f"{change}: a resumed run stays the same experiment; {allowed}. {again}")
    names = flat(config, resolve=False)
    with explained(changes):
        for override in OverridesParser.create().parse_overrides(changes):
            key, value = override.key_or_group, override.value()
            if key not in names and not override.is_add():
                raise unknown(key, value, [name for name in names if name.startswith(key.partition(".")[0])])
            OmegaConf.update(config, key, value, force_add=override.is_add())
    return config


def read(directory: Path) -> DictConfig:
    """Return the configuration of the run in `directory`, of which nothing but ${output_dir} is ever resolved.

    Raises:
        UsageError: there is none, or it can't be read, or would read this machine's variables.
    """
    path = directory / CONFIG_FILE
    try:
        settings = read_settings(path)
    except FileNotFoundError as error:
        raise UsageError(f"{directory} is not a run: there is no {path}{run_below(directory)}") from error
    if "output_dir" not in settings:
        raise UsageError(f"{path} is not the configuration of a run")
    try:
        text = json.dumps(in_todays_words(settings), default=str)
        if found := re.search(r"\$\{(?!output_dir\}).*", text):
            raise UsageError(f"{path} has {shown(found[0])}: only ${{output_dir}} may refer to another setting")
        config = OmegaConf.create(json.loads(text))
        config.output_dir = str(directory)  # wherever it was moved to
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UsageError(f"{path} can't be read: {one_line(error)}") from error
    OmegaConf.set_struct(config, True)
    return config


def own_data(label: str) -> DictConfig:
    """Return the settings of one's own conf/data for the data of that label."""
    there: dict[str, Any] = {}
    for file in sorted((CONFIG_FOLDER / "data").glob("*.yaml")):
        node: Any = OmegaConf.load(file)
        if "defaults" in node:
            node = composed(f"data={file.stem}").data
        there.setdefault(str(node.get("dataset")), node)
    if label not in there:
        raise UsageError(f"the run's data, {shown(label)}, is in no file of your conf/data: {', '.join(there)}")
    return there[label]


def as_override(value: Any) -> str:
    """Return a value of a YAML file as it would be typed; a text stands as it is, so that it may hold a sweep."""
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return plain if isinstance(plain, str) else json.dumps(plain)


def chosen(group: str) -> str | None:
    """Return which option of a group was taken on the command line of this process."""
    choice = HydraConfig.get().runtime.choices.get(group) if HydraConfig.initialized() else None
    return str(choice) if choice else None


def is_in_process_job() -> bool:
    """Return whether this is a job of a sweep whose launcher runs jobs inside processes of its own."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def save(config: DictConfig, run: Run) -> None:
    """Write the resolved configuration into the run directory; paths in it stay relative to `output_dir`."""
    mark = "<output_dir>"
    text = OmegaConf.to_yaml(OmegaConf.merge(config, {"output_dir": mark}), resolve=True)
    portable = OmegaConf.create(text.replace(mark, "${output_dir}"))
    assert isinstance(portable, DictConfig)
    portable.output_dir = str(run.directory)
    portable.pop("trust", None)  # it is for once
    if run.main_process:
        run.seal.write(run.directory / CONFIG_FILE, OmegaConf.to_yaml(portable).encode())
