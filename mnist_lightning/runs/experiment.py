"""What tells one experiment from another: the settings of a run as flat names, without its seed and its places."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GROUP_ORDER = ("data", "model", "optimizer", "scheduler", "trainer", "callbacks")
# Where a run reads and writes, what it is called, and its seed change nothing in what is being compared.
LEFT_OUT = ("name", "seed", "output_dir", "resume", "data.root", "data.search", "trainer.default_root_dir", "logger")


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return {"optimizer": "SGD", "optimizer.lr": 0.01, …}: under a group's own name stands its class."""
    if not isinstance(node, Mapping):
        return {prefix: node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if key == "_target_":
            flat[prefix] = str(value).rpartition(".")[2]
        elif key != "_partial_":
            flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def experiment(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat settings of a resolved configuration that make the experiment: equal but for the seed."""
    flat = flatten(config)
    if flat.get("data.seed") == flat.get("seed"):
        flat.pop("data.seed", None)
    inside = ("${output_dir}/", f"{flat.get('output_dir')}/")
    return {
        key: value
        for key, value in flat.items()
        if key not in LEFT_OUT and not key.startswith("logger.") and not str(value).startswith(inside)
    }


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a text that is equal where the settings are."""
    return json.dumps(settings, sort_keys=True, default=str)


def varied(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings in which `experiments` differ, each cause once.

    What differs only because another class or data set brings other settings is left out, and so is what follows
    another setting everywhere, as the scheduler's max_lr follows optimizer.lr.
    """
    found: list[str] = []
    columns: list[list[str]] = []
    for key in sorted({key for one in experiments for key in one}, key=place):
        column = [fingerprint({key: one.get(key)}).partition(": ")[2] for one in experiments]
        kinds = [kind_of(key, one) for one in experiments]
        values = {kind: {value for value, k in zip(column, kinds, strict=True) if k == kind} for kind in set(kinds)}
        if any(len(some) > 1 for some in values.values()) and column not in columns:
            found.append(key)
            columns.append(column)
    return found


def kind_of(key: str, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what `key` is compared among: objects of one class, and for data of one data set."""
    parts = key.split(".")
    above = [".".join(parts[:length]) for length in range(1, len(parts))]
    kind = [settings.get(name) for name in above]
    if parts[0] == "data" and key != "data.dataset":
        kind.append(settings.get("data.dataset"))
    return tuple(str(part) for part in kind)


def place(key: str) -> tuple[int, str]:
    group = key.partition(".")[0]
    return (GROUP_ORDER.index(group) if group in GROUP_ORDER else len(GROUP_ORDER), key)


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return for each dotted key its last part, or the whole key where two end alike."""
    keys = list(keys)
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}
