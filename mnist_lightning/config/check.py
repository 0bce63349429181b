"""Whether settings fit the class that they are for: by the names and the annotations of its own constructor.

Nothing heavy is imported before a value is checked, so that a misspelt name is answered within a second.
"""

import difflib
import inspect
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, get_type_hints

import yaml

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.files import printable

WORDS = {  # for pydantic's kinds of errors, with their context; what it says of others is clear enough
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_too_short": "a text",
    "list_type": "a list [a, b, …]",
    "tuple_type": "a list [a, b, …]",
    "dict_type": "settings {{name: value, …}}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "greater than {gt}",
    "less_than_equal": "at most {le}",
}
OF_PYTHON = {"needs_python_object", "is_instance_of", "is_subclass_of", "callable_type"}  # no file can hold these


def check_arguments(
    path: str, factory: Callable[..., Any], arguments: Mapping[str, Any], given: Collection[str] = ()
) -> dict[str, Any]:
    """Return `arguments` as `factory` takes them: a text that stands for something else, as a time, is converted.

    Args:
        path: where the settings stand, as in "optimizer"; "" for the top level.
        factory: a class.
        arguments: setting: value, as a file holds it.
        given: the names of what the program itself hands over.

    Raises:
        UsageError: a setting is unknown, missing, or of a wrong type or range.
    """
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [dotted(path, name) for name in parameters if name not in given]
    checked = {}
    for name, value in arguments.items():
        if name in given:
            raise UsageError(f"{dotted(path, name)}={shown(value)}: train.py itself hands this over")
        if name not in parameters and not takes_any:
            raise unknown(dotted(path, name), value, known)
        checked[name] = check_value(dotted(path, name), value, annotation_of(factory, name))
    for name, parameter in parameters.items():
        is_needed = parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if is_needed and name not in checked and name not in given:
            raise UsageError(f"{dotted(path, name)}: is missing, and {factory.__name__} has no default for it")
    return checked


def dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def annotation_of(factory: Callable[..., Any], name: str) -> Any:
    """Return the type of a parameter; Any where its annotation can't be resolved."""
    parameter = inspect.signature(factory).parameters.get(name)
    if parameter is None or parameter.annotation is parameter.empty:
        return Any
    constructor = inspect.unwrap(getattr(factory, "__init__", factory))
    holder = SimpleNamespace(__annotations__={name: parameter.annotation})
    try:
        return get_type_hints(holder, globalns=getattr(constructor, "__globals__", {}), include_extras=True)[name]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return Any


def check_value(setting: str, value: Any, annotation: Any) -> Any:
    """Return `value`, as a file holds it, as the type `annotation` has it.

    pydantic reads it as strict JSON: a list is a tuple too, but true is no number, and neither is "10".

    Raises:
        UsageError: it is of another type, or out of range.
    """
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

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
        raise UsageError(f"{setting}={shown(value)}: {allowed(problems, takes_null(adapter))}") from error
    return value if isinstance(value, list | dict) else read


def takes_null(adapter: Any) -> bool:
    from pydantic import ValidationError

    try:
        return adapter.validate_json("null") is None
    except ValidationError:
        return False


def allowed(problems: Iterable[Mapping[str, Any]], or_null: bool) -> str:
    """Return in words what pydantic asks for."""
    parts: list[str] = []
    for problem in problems:
        word = WORDS.get(problem["type"])
        context = {name: shown(value) for name, value in problem.get("ctx", {}).items()}
        what = word.format(**context) if word else problem["msg"].removeprefix("Input should be ").lower()
        if any(isinstance(place, int) for place in problem["loc"]):
            what = "a longer list" if problem["type"] == "missing" else f"a list of which each is {what}"
        parts.append(what)
    return f"must be {', or '.join(dict.fromkeys([*parts, *(['null'] if or_null else [])]))}"


def unknown(setting: str, value: Any, known: Iterable[str], further: str = "") -> UsageError:
    """Name the nearest right name of those `known`, and all of them where they are few."""
    names = list(known)
    near = nearest(setting, names)
    guess = f" Did you mean {near}?" if near else ""
    beside = [name for name in names if name.count(".") == setting.count(".")] if "." not in setting else names
    listed = f" There are: {', '.join(beside)}." if 0 < len(beside) <= 15 else " See python train.py --cfg job."
    said = setting if value is None else f"{setting}={shown(value)}"
    return UsageError(f"{said}: there is no such setting.{guess}{listed}{further}")


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that was most likely meant: the same in another place, one that holds it, or one spelt alike."""
    group, _, end = word.rpartition(".")

    def likeness(name: str) -> float:
        other_group, _, other = name.rpartition(".")
        is_part = min(len(end), len(other)) > 3 and (end in other or other in end)
        spelt = difflib.SequenceMatcher(None, end, other).ratio()
        return 2 * (other == end) + is_part + spelt + 0.1 * (other_group == group)

    best = max((name for name in names if name != word), key=likeness, default=None)
    return best if best is not None and likeness(best) > 0.7 else None


def shown(value: Any) -> str:
    """Return a value as one would type it, cut where it is long; a text that looks like something else is quoted."""
    if isinstance(value, float) and value.is_integer():
        text = f"{value:g}"
    elif isinstance(value, str):
        text = f"'{value}'" if len(value) < 80 and looks_like_another(value) else value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    text = printable(text)
    return text if len(text) <= 80 else f"{text[:77]}..."


def looks_like_another(text: str) -> bool:
    try:
        return text != "" and not isinstance(yaml.safe_load(text), str)
    except yaml.YAMLError:
        return False
