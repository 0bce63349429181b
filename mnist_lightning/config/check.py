"""Whether a configuration is right: its names, the kinds of its objects, and values by their constructors' annotations.

Nothing heavy is imported before a value is checked, so that a misspelt name is answered within a second.
"""

import difflib
import inspect
import json
import re
import sys
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf

from mnist_lightning.runs.commands import PROJECT
from mnist_lightning.runs.errors import UsageError, one_line, printable
from mnist_lightning.runs.experiment import flatten

CONFIG_FOLDER = PROJECT / "conf"
KINDS = {  # what the objects of a group are, and where their classes stand beside those of this package
    "data": ("mnist_lightning.data.ImageDataModule", "mnist_lightning."),
    "data.source": ("mnist_lightning.datasets.source.Source", "mnist_lightning."),
    "module": ("mnist_lightning.module.Classifier", "mnist_lightning."),
    "model": ("torch.nn.Module", "torch.nn."),
    "optimizer": ("torch.optim.Optimizer", "torch.optim."),
    "scheduler": ("torch.optim.lr_scheduler.LRScheduler", "torch.optim."),
    "trainer": ("lightning.pytorch.Trainer", "lightning.pytorch."),
    "callbacks": ("lightning.pytorch.Callback", "lightning.pytorch.callbacks."),
    "logger": ("lightning.pytorch.loggers.Logger", "lightning.pytorch.loggers."),
}
GIVEN = {  # what is handed over here, and stands in no file
    "module": ("network", "optimizer", "scheduler", "classes"),
    "optimizer": ("params",),
    "scheduler": ("optimizer", "total_steps"),
    "trainer": ("logger", "callbacks", "plugins"),
}
NONE = {"scheduler": "constant", "callbacks": "none", "logger": "none"}  # the option that leaves a group empty
WORDS = {  # for pydantic's kinds of errors, with their context; what it says of others is clear enough
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text",
    "list_type": "a list [a, b, …]",
    "tuple_type": "a list [a, b, …]",
    "dict_type": "settings {{name: value, …}}",
    "time_delta_type": "a time, as in 00:01:30:00 (DD:HH:MM:SS) or {{minutes: 90}}",
    "time_delta_parsing": "a time, as in 00:01:30:00 (DD:HH:MM:SS) or {{minutes: 90}}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "greater than {gt}",
    "less_than_equal": "at most {le}",
}
OF_PYTHON = {"needs_python_object", "is_instance_of", "is_subclass_of", "callable_type"}  # no file can hold these


def check_top_level(config: DictConfig) -> None:
    """Check that all groups are there and no others, and what belongs to no group."""
    from pydantic import Field

    text = Annotated[str, Field(min_length=1)]

    def experiment(
        data: dict, model: dict, module: dict, optimizer: dict, scheduler: dict | None, trainer: dict,
        callbacks: dict | None, logger: dict | None, name: text, seed: Annotated[int, Field(ge=0, le=2**32 - 1)],
        output_dir: text | None = None, resume: text | None = None, trust: bool = False,
        init_from: text | None = None, freeze: list[text] = (),  # type: ignore[assignment]
    ) -> None: ...  # fmt: skip

    for group in ("experiment", "sweep"):
        if group in config:
            raise UsageError(f"{group}: its file in conf/{group} must begin with the line # @package _global_")
    settings = plain(config)
    check_arguments("", experiment, settings)
    check_name(settings["name"])
    if settings.get("trust") and settings.get("resume") is None:
        raise UsageError("trust=true: only goes with resume=RUN or resume=SWEEP")


def check_name(name: Any, setting: str = "name") -> None:
    """Raise UsageError where a run, or its data, can't be called so: a directory is named after them."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w+=][\w.+=-]{0,99}", name):
        raise UsageError(
            f"{setting}={shown(name)}: must be at most 100 letters, digits and . _ - + =, not beginning with . or -"
        )


def described(path: str, node: Any, **further: Any) -> Any:
    """Return the class that `node` describes, with its checked settings, ready to be called.

    Of the `further` arguments it takes those that its constructor has and that the settings do not name.
    """
    settings = plain(node)
    if not isinstance(settings, Mapping) or not isinstance(settings.get("_target_"), str):
        raise UsageError(f"{path}={shown(settings)}: must be one of the group's options, or settings with a _target_")
    factory = find_class(path, settings["_target_"])
    arguments = {name: value for name, value in settings.items() if name not in ("_target_", "_partial_")}
    parameters = inspect.signature(factory).parameters
    taken = {name: value for name, value in further.items() if name in parameters and name not in arguments}
    return partial(factory, **check_arguments(path, factory, arguments, GIVEN.get(path, ()), has=taken), **taken)


def find_class(path: str, target: str) -> type:
    """Import a class of the kind that belongs at `path`: nothing else that a file names is ever called."""
    kind_name, package = KINDS[path if path in KINDS else path.partition(".")[0]]
    own = own_packages()
    packages = tuple(dict.fromkeys(("mnist_lightning.", package, *(f"{name}." for name in own))))
    said = f"{path}._target_={shown(target)}"
    must_be = f"must be a class of {' or '.join(f'{name}*' for name in packages)}"
    if not target.startswith(packages):
        raise UsageError(f"{said}: {must_be}. A package of your own is named in pyproject.toml: docs/own.md")
    if target.partition(".")[0] in own and sys.path[0] != str(PROJECT):
        sys.path.insert(0, str(PROJECT))  # where it stands, whatever folder this was started in
    try:
        found, kind = resolve_name(target), resolve_name(kind_name)
    except Exception as error:  # of any kind, where a module can't be imported
        raise UsageError(f"{said}: there is no such class: {one_line(error, 200)}") from error
    if not (isinstance(found, type) and issubclass(found, kind) and f"{found.__module__}.".startswith(packages)):
        raise UsageError(f"{said}: {must_be}, and a {kind.__name__}")
    return found


@cache
def own_packages() -> tuple[str, ...]:
    """Return the packages of one's own, which pyproject.toml names: nothing that belongs to a run can add one."""
    try:
        settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    except OSError:
        return ()
    names = settings.get("tool", {}).get("mnist-lightning", {}).get("packages", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise UsageError(f"pyproject.toml: packages={shown(names)} of [tool.mnist-lightning] must be a list of names")
    return tuple(names)


def plain(node: Any) -> Any:
    """Return a part of a configuration as plain values."""
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node


def flat(config: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """Return the settings of a configuration by their names on the command line: {"optimizer.lr": 0.01, …}."""
    return flatten(OmegaConf.to_container(config, resolve=resolve))


def check_arguments(
    path: str, factory: Callable[..., Any], arguments: Mapping[str, Any], given: Collection[str] = (),
    has: Collection[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Return `arguments` as `factory` takes them: a text that stands for something else, as a time, is converted.

    Args:
        path: where the settings stand, as in "optimizer"; "" for the top level.
        given: the names of arguments that only the program itself may pass.
        has: the names of arguments that it passes where the settings do not.

    Raises:
        UsageError: a setting is unknown, missing, or of a wrong type or range.
    """
    prefix, parameters = f"{path}." if path else "", inspect.signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [prefix + name for name in parameters if name not in given]
    checked = {}
    for name, value in arguments.items():
        if name in given:
            raise UsageError(f"{prefix}{name}={shown(value)}: train.py sets this itself")
        if name not in parameters and not takes_any:
            option = f" If it comes from the chosen option, remove it: ~{prefix}{name}"
            raise unknown(prefix + name, value, known, option if prefix else "")
        checked[name] = check_value(prefix + name, value, annotation_of(factory, parameters.get(name)))
    for name, parameter in parameters.items():
        kinds = (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        is_needed = parameter.default is parameter.empty and parameter.kind in kinds
        if is_needed and name not in checked and name not in given and name not in has:
            raise UsageError(f"{prefix}{name}: is missing, and {factory.__name__} has no default for it")
    return checked


def annotation_of(factory: Callable[..., Any], parameter: inspect.Parameter | None) -> Any:
    """Return the type of a parameter; Any where its annotation can't be resolved."""
    if parameter is None or parameter.annotation is parameter.empty:
        return Any
    constructor = inspect.unwrap(getattr(factory, "__init__", factory))
    holder = SimpleNamespace(__annotations__={"one": parameter.annotation})
    try:
        return get_type_hints(holder, globalns=getattr(constructor, "__globals__", {}), include_extras=True)["one"]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return Any


def check_value(setting: str, value: Any, annotation: Any) -> Any:
    """Return `value`, as a file holds it, as the type `annotation` has it.

    pydantic reads it as strict JSON: a list is a tuple too, but true is no number, and neither is "10".
    """
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    if timedelta in (annotation, *get_args(annotation)) and (time := duration(value)) is not None:
        return time
    try:
        config = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False, strict=True)
        adapter = TypeAdapter(annotation, config=config)
    except PydanticUserError:
        return value  # the constructor has the word
    try:
        read = adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        problems = [problem for problem in error.errors() if problem["type"] not in OF_PYTHON]
        if not problems:
            return value
        must_be = allowed(problems, type(None) in get_args(annotation))
        is_unquoted = isinstance(value, int | float) and problems[0]["type"] == "string_type"
        further = f", as in '{setting}=\"{shown(value)}\"'" if is_unquoted else ""
        raise UsageError(f"{setting}={shown(value)}: {must_be}{further}") from error
    return read if type(read) is type(value) or not isinstance(value, list | dict) else value


def duration(value: Any) -> timedelta | None:
    """Read a time as Lightning's Timer does: a text DD:HH:MM:SS, or the arguments of datetime.timedelta."""
    if isinstance(value, str) and re.fullmatch(r"\d+(:\d\d){3}", value):
        value = dict(zip(("days", "hours", "minutes", "seconds"), map(int, value.split(":")), strict=True))
    with suppress(TypeError, ValueError):
        return timedelta(**value)
    return None


def allowed(problems: Iterable[Mapping[str, Any]], or_null: bool) -> str:
    """Return in words what pydantic asks for."""
    parts: list[str] = []
    for problem in problems:
        word = WORDS.get(problem["type"])
        context = {name: shown(value) for name, value in problem.get("ctx", {}).items()}
        what = word.format(**context) if word else problem["msg"].removeprefix("Input should be ").lower()
        if any(isinstance(place, int) for place in problem["loc"]):
            what = "a longer list" if problem["type"] == "missing" else f"a list in which each item is {what}"
        parts.append(what)
    return f"must be {', or '.join(dict.fromkeys([*parts, *(['null'] if or_null else [])]))}"


def unknown(setting: str, value: Any, known: Iterable[str], further: str = "") -> UsageError:
    """Name the nearest right name of those `known`, and all of them where they are few."""
    names = list(known)
    beside = [name for name in names if name.count(".") == setting.count(".")] if "." not in setting else names
    every = "" if further else " All of them: python train.py --cfg job"
    listed = f" There are: {', '.join(beside)}." if 0 < len(beside) <= 20 else every
    said = setting if value is None else f"{setting}={shown(value)}"
    return UsageError(f"{said}: there is no such setting.{guess(setting, names)}{listed}{further}")


def guess(word: str, names: Iterable[str]) -> str:
    """Return " Did you mean …?" with the likeliest name: the same elsewhere, one that holds it, or one spelt alike."""
    group, _, end = word.rpartition(".")
    end = {"learning_rate": "lr"}.get(end, end)

    def likeness(name: str) -> float:
        other_group, _, other = name.rpartition(".")
        is_part = min(len(end), len(other)) > 3 and (end in other or other in end)
        spelt = difflib.SequenceMatcher(None, end.lower(), other.lower()).ratio() + 0.5 * (sorted(end) == sorted(other))
        return 2 * (other == end) + is_part + spelt + 0.1 * (other_group == group)

    best = max((name for name in names if name != word), key=likeness, default=None)
    return f" Did you mean {best}?" if best is not None and likeness(best) > 0.7 else ""


def shown(value: Any) -> str:
    """Return a value as one would type it, cut where it is long; a text that YAML reads otherwise is quoted."""
    if isinstance(value, float) and value.is_integer():
        text = f"{value:g}"
    elif isinstance(value, str):
        with suppress(yaml.YAMLError):
            is_another = len(value) < 80 and not isinstance(yaml.safe_load(value or "x"), str)
            value = f"'{value}'" if is_another else value
        text = printable(value)
    else:
        text = printable(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else f"{text[:77]}..."
