"""What is wrong with a configuration that Hydra could not compose, in one message that says what to type."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mnist_lightning.config.check import CONFIG_FOLDER, NONE, flat, guess, unknown
from mnist_lightning.runs.commands import install_command
from mnist_lightning.runs.errors import UsageError, one_line

LAUNCHERS = {"joblib": "joblib", "submitit_slurm": "slurm", "submitit_local": "slurm"}  # Hydra's own, by their extras
OF_HYDRA = ("hydra.launcher.jobs", "hydra.sweep.dir", "hydra.sweeper.params", "hydra.sweeper.trials")
OF_FLAGS = r"flags? |can be specified|does not exist!|subcommand|completion plugin"  # Hydra's ValueErrors about them


def config_options(words: Sequence[str]) -> list[str]:
    """Return the options of a command line that say where its configuration is: ["--config-dir=own"]."""
    given = get_args_parser().parse_known_args([*words])[0]
    options = {"--config-path": given.config_path, "--config-name": given.config_name, "--config-dir": given.config_dir}
    return [f"{option}={value}" for option, value in options.items() if value]


def config_folders(words: Sequence[str]) -> list[Path]:
    """Return the folders in which a command line says that there are files of configurations, beside conf/."""
    named = (option.partition("=") for option in config_options(words))
    return [Path(folder) for option, _, folder in named if option != "--config-name"]


def composed(*overrides: str, folders: Sequence[Path] = ()) -> DictConfig:
    """Return the configuration that Hydra composes from conf/, further folders and some overrides."""
    places = ", ".join(f"file://{folder.absolute()}" for folder in folders)
    searched = [f"hydra.searchpath=[{places}]"] if places else []
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        return compose("config", overrides=[*searched, *overrides])


@contextmanager
def explained(words: Sequence[str] | None = None) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise while they compose a configuration into one message.

    Args:
        words: what was typed; None: this process's arguments.
    """
    words = sys.argv[1:] if words is None else words
    try:
        refuse_deletions(words)
        yield
    except MissingConfigException as error:
        raise no_such_option(error) from error
    except OverrideParseException as error:
        raise not_understood(error) from error
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise explain(error, words) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"a configuration file is not written in UTF-8: {error}") from error
    except ValueError as error:
        if "Config group override" in str(error):
            raise UsageError(f"{error}: a group takes the name of one of its options, as in optimizer=sgd") from error
        if not re.search(OF_FLAGS, str(error)):
            raise
        raise UsageError(one_line(error)) from error


def refuse_deletions(words: Sequence[str]) -> None:
    """Raise UsageError where a setting is taken away: the class's own default would silently take its place."""
    for word in words:
        key = word.partition("=")[0]
        parts = key.strip("~").split(".")
        above = [".".join(parts[:length]) for length in range(1, len(parts))]
        is_of_another_class = any(
            typed.startswith((f"{one}._target_=", f"{one}={{")) for one in above for typed in words
        )
        free = ("~callbacks.", "~hydra", "~experiment", "~sweep")
        if key.startswith("~") and not key.startswith(free) and not is_of_another_class:
            raise UsageError(f"{word}: can't be removed, only changed: {key[1:]}={NONE.get(key[1:], 'VALUE')}")


def no_such_option(error: MissingConfigException) -> UsageError:
    group, _, option = (error.missing_cfg_file or "").lstrip("/").rpartition("/")
    if not group:
        folders = re.findall(r"path=file://(\S+)", str(error))
        where = f" There is none in {' or '.join(folders)}." if folders else ""
        return UsageError(f"{one_line(error).partition(' Config search path')[0]}{where}")
    further = LAUNCHERS if group == "hydra/launcher" else {}
    if option in further:
        return UsageError(f"hydra/launcher={option}: is not installed: {install_command(further[option])}")
    options = sorted({*(error.options or ()), *further})
    there_are = ", ".join(options) or "none"
    return UsageError(f"{group}={option}: there is no such option.{guess(option, options)} There are: {there_are}")


def not_understood(error: OverrideParseException) -> UsageError:
    """Return where Hydra's grammar ends in what was typed, and how the value is quoted."""
    word, message = error.override, str(error)
    key, equals, value = word.partition("=")
    if not equals or not key:
        meant = [file.parent.name for file in CONFIG_FOLDER.glob("*/*.yaml") if file.stem == word]
        said = f"{word}: not understood. Settings are written key=value, as in trainer.max_epochs=10"
        return UsageError(f"{said}. Did you mean {meant[0]}={word}?" if meant else said)
    if error.__cause__:
        return UsageError(f"{word}: {one_line(error.__cause__)}")
    place = re.search(r"^\w+: (.*)\n( *)\^", message)  # a mark below what was typed
    unexpected = re.search(r"'([^']+)'", message)
    found = place[1][len(place[2]) - place.start(1) :][:1] if place else unexpected[1] if unexpected else ""
    if "<EOF>" in found or not found:
        return UsageError(f"{word}: its value is incomplete")
    quoted = "'…'" if '"' in value else f"'{key}=\"{value}\"'"
    return UsageError(f"{word}: Hydra reads {found} only in quotes, and the shell needs a pair of its own: {quoted}")


def explain(error: Exception, words: Sequence[str]) -> UsageError:
    """Return Hydra's message in the words of this project where it is about a name, else its cause, on one line."""
    message = one_line(error)
    if match := re.search(r"Could not override '([^']+)'", message):
        key, _, place = match[1].strip("+~/").partition("@")
        value = next((word.partition("=")[2] for word in words if word.partition("=")[0].strip("+~") == key), None)
        folder, _, group = key.rpartition("/")
        if folder in ("experiment", "sweep"):
            return UsageError(f"override {group}: in a file of conf/{folder} it needs a slash: override /{group}")
        if place:
            return UsageError(f"{match[1]}: a group can't be placed elsewhere; type {key}=NAME")
        with suppress(yaml.YAMLError):
            value = yaml.safe_load(value or "null")
        if key.startswith("hydra."):
            return unknown(key, value, OF_HYDRA, f" To add another of Hydra's own settings: +{key}=VALUE.")
        group = key.rpartition(".")[0]
        option, known = names_beside(group, words)
        if isinstance(value, dict):
            return UsageError(
                f"{key}={{…}}: changes settings that are there already; others are added one by one, as in "
                f"+{key}.NAME=VALUE, and another class is a file of conf/{key}: docs/own.md"
            )
        if key in known:
            return UsageError(f"override /{key}: can't stand in a file; type {key}=NAME")
        further = f" To add another argument of {option}: +{group}.NAME=VALUE." if option else ""
        return unknown(key, value, known, further)
    if match := re.match(r"Ambiguous value for argument '(.+?)=(.*?)' 1\.", message):
        key, value = match.groups()
        return UsageError(f"{key}={value}: several values are a sweep, with -m; a list is written '{key}=[{value}]'")
    if (match := re.match(r"Error merging override (.+)", message)) and error.__cause__:
        return UsageError(f"{match[1]}: {str(error.__cause__).partition(chr(10))[0]}")
    return UsageError(message)


def names_beside(group: str, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the class that was chosen for `group`, and the names of its settings; for "" all names there are."""
    chosen = [word for word in words if re.fullmatch(r"[a-z_/]+=[\w/.-]+", word) and not word.startswith("resume=")]
    GlobalHydra.instance().clear()
    for attempt in (chosen, []):  # the word that was wrong may be one of those
        with suppress(HydraException, OmegaConfBaseException):
            config = composed(*attempt, folders=config_folders(words))
            break
    settings = flat(config, resolve=False)
    names = [*map(str, config), "experiment", "sweep", *settings]
    top = group.partition(".")[0]
    within = [[name for name in names if one and name.startswith(f"{one}.")] for one in (group, top)]
    of_group = next(filter(None, within), [])
    option = settings[group].rpartition(".")[2] if isinstance(settings.get(group), str) else None
    return option, of_group or list(dict.fromkeys(names))
