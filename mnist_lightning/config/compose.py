"""From a configuration to objects: the one module beside train.py that knows Hydra."""

import difflib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_lightning.config import schema
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.experiment import flatten
from mnist_lightning.runs.files import write_atomically
from mnist_lightning.runs.run import Run

CONFIG_FOLDER = Path(__file__).parents[2] / "conf"
EXTRAS = {  # further launchers of Hydra's own
    "joblib": "python -m pip install 'hydra-joblib-launcher>=1.2' (the extra joblib)",
    "submitit_slurm": "python -m pip install 'hydra-submitit-launcher>=1.2' (the extra slurm)",
    "submitit_local": "python -m pip install 'hydra-submitit-launcher>=1.2' (the extra slurm)",
}
OF_HYDRA = ("hydra.launcher.jobs", "hydra.sweep.dir", "hydra.sweeper.params", "hydra.sweeper.trials")
PATH_WORDS = {"dir", "dirpath", "directory", "path", "root", "folder", "file", "filename"}  # in names of settings
LARGEST_CONFIG, MOST_BRACKETS = 2**16, 200  # characters; ours have 3,000. For nested brackets, yaml takes minutes
CONFIG_FILE = "config.yaml"  # in the run directory: everything resolved, enough to run it again


@contextmanager
def explained() -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise while they compose a configuration into one message."""
    try:
        yield
    except MissingConfigException as error:
        group, _, option = (error.missing_cfg_file or "").strip("/").rpartition("/")
        further = set(EXTRAS) if group == "hydra/launcher" else set()
        if option in further:
            raise UsageError(f"hydra/launcher={option}: is not installed: {EXTRAS[option]}") from error
        options = sorted({path.stem for path in (CONFIG_FOLDER / group).glob("*.yaml")} | further)
        near = difflib.get_close_matches(option, options, n=1)
        guess = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"{group}={option}: there is no such option.{guess} There are: {', '.join(options) or 'none'}"
        ) from error
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise UsageError(explain(error)) from error
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise UsageError(f"{error}: a group takes the name of one of its options, as in optimizer=sgd") from error


def explain(error: Exception) -> str:
    """Return Hydra's message in the words of this project where it is about a name, else on one line."""
    message = " ".join(str(error).split())
    if match := re.search(r"Could not override '([^'@]+)", message):
        key = match[1].strip("+~/")
        value = next((word.partition("=")[2] for word in sys.argv if word.partition("=")[0].strip("+~") == key), None)
        return str(schema.unknown(key, value, siblings(key)))
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not understood. Settings are written key=value, as in trainer.max_epochs=10"
    return message


def siblings(key: str) -> list[str]:
    """Return the names that could stand where `key` stands."""
    if key.startswith("hydra."):
        return list(OF_HYDRA)
    group = key.partition(".")[0] + "."
    known = [name for name in schema.all_settings() if name.startswith(group)] if "." in key else []
    return known or [*schema.TOP_LEVEL, *schema.GROUPS, "experiment"]


def checked(config: DictConfig) -> DictConfig:
    """Return `config`, or raise UsageError with the first setting that is wrong."""
    with explained():
        schema.check_present(config)
        made_later = "runs" if config.output_dir is None else config.output_dir
        with_directory = OmegaConf.merge(config, {"output_dir": made_later})
        schema.check(OmegaConf.to_container(with_directory, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]
    return config


def resumed(run: Run, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration that `run` was started with, changed by what the command line allows to change.

    Raises:
        UsageError: the run has no readable configuration, or an override would make it another experiment.
    """
    config = load(run.directory)
    changes = [change for change in overrides if not change.startswith("resume=")]
    for change in changes:
        if not change.startswith(("trainer.", "data.root=", "data.search=")):
            raise UsageError(
                f"{change}: a resumed run stays the experiment that it was; what can be changed is trainer.*, "
                "data.root and data.search"
            )
    with explained():
        merged = OmegaConf.merge(config, OmegaConf.from_dotlist(changes))
    assert isinstance(merged, DictConfig)
    return merged


def load(directory: Path) -> DictConfig:
    """Return the checked configuration of the run in `directory`, which may be a stranger's.

    Raises:
        UsageError: there is none, or it asks for what this project does not allow, or for paths outside of the run.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        below = sorted([*directory.glob(f"*/{CONFIG_FILE}"), *directory.glob(f"*/*/{CONFIG_FILE}")])
        hint = f"; {below[-1].parent} is one" if below else ""
        raise UsageError(f"{directory} is not a run: there is no {path}{hint}")
    config = read(path)
    config.output_dir = str(directory)  # wherever it was moved to
    checked(config)
    check_paths(config, path)
    return config


def read(path: Path) -> DictConfig:
    """Return a run's configuration as it stands in a file, of which nothing but ${output_dir} is ever resolved.

    Raises:
        UsageError: it is none, is larger than ours, or would read this machine's variables.
    """
    try:
        text = path.read_text("utf-8")
        if len(text) > LARGEST_CONFIG or len(re.findall(r"[\[{]", text)) > MOST_BRACKETS:
            raise UsageError(f"{path} is not the configuration of a run: it is too large")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise UsageError(f"{path} is not the configuration of a run: it repeats itself by aliases")
        config = OmegaConf.create(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error
    if not isinstance(config, DictConfig) or "output_dir" not in config:
        raise UsageError(f"{path} is not the configuration of a run")
    if found := re.search(r"\$\{(?!output_dir\}).*", OmegaConf.to_yaml(config)):
        raise UsageError(f"{path} has {found[0]}: only ${{output_dir}} may stand for something else")
    return config


def check_paths(config: DictConfig, source: Path) -> None:
    """Refuse a run that would write elsewhere than into its own directory: it may be a stranger's.

    Raises:
        UsageError: a path among the settings of trainer, logger and callbacks leads out of the run directory.
    """
    inside = Path(config.output_dir).resolve()
    for key, value in flatten({group: resolved(config)[group] for group in ("trainer", "logger", "callbacks")}).items():
        name = key.rpartition(".")[2]
        if not isinstance(value, str):
            continue
        base = inside if name == "filename" else Path()
        is_named_so = not PATH_WORDS.isdisjoint(name.split("_"))
        is_path = is_named_so or Path(value).is_absolute() or ".." in Path(value).parts
        if is_path and not (base / value).resolve().is_relative_to(inside):
            raise UsageError(f"{source}: {key}={value} is outside of the run: must be in {config.output_dir}")


def command_line_overrides() -> list[str]:
    return list(HydraConfig.get().overrides.task)


def as_override(value: Any) -> str:
    """Return a value of a YAML file as it would be typed; a text stands as it is, so that it may hold a sweep."""
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return plain if isinstance(plain, str) else json.dumps(plain)


def is_in_process_job() -> bool:
    """Return whether this is a job of a sweep whose launcher runs jobs inside processes of its own."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain values."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def save(config: DictConfig, run: Run) -> None:
    """Write the resolved configuration into the run directory; paths in it stay relative to `output_dir`."""
    mark = "<output_dir>"
    resolved = OmegaConf.to_yaml(OmegaConf.merge(config, {"output_dir": mark}), resolve=True)
    portable = OmegaConf.create(resolved.replace(mark, "${output_dir}"))
    portable.output_dir = str(run.directory)
    if run.main_process:
        write_atomically(run.directory / CONFIG_FILE, lambda file: file.write(OmegaConf.to_yaml(portable).encode()))
