"""What tells one experiment from another: the settings of a run as flat names, without its seed and its places."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GROUP_ORDER = ("data", "model", "optimizer", "scheduler", "trainer", "callbacks")
# Where a run reads and writes, what is shown of it, and its seed change nothing in what is being compared.
LEFT_OUT = (
    "name", "seed", "output_dir", "resume", "experiment", "data.search", "logger",
    "trainer.default_root_dir", "trainer.log_every_n_steps", "trainer.enable_progress_bar",
    "trainer.enable_model_summary", "callbacks.figures", "callbacks.progress", "callbacks.layer_table",
)  # fmt: skip


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return {"optimizer": "torch.optim.SGD", "optimizer.lr": 0.01, …}: under a group's own name stands its class."""
    if not isinstance(node, Mapping):
        return {prefix: node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if key == "_target_":
            flat[prefix] = str(value)
        elif key != "_partial_":
            flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def experiment(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat settings of a resolved configuration that make the experiment: equal but for the seed."""
    flat = flatten(config)
    if flat.get("data.seed") == flat.get("seed"):
        flat.pop("data.seed", None)
    if str(flat.get("data.source")).startswith(("mnist_lightning.datasets.mnist.", "mnist_lightning.datasets.digits.")):
        flat.pop("data.root", None)  # these are the same everywhere: MNIST's files by their md5
    left_out, inside = tuple(f"{name}." for name in LEFT_OUT), ("${output_dir}/", f"{flat.get('output_dir')}/")
    kept = {key: value for key, value in flat.items() if not f"{key}.".startswith(left_out)}
    return {key: value for key, value in kept.items() if not str(value).startswith(inside)}


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a text that is equal where the settings are."""
    return json.dumps(settings, sort_keys=True, default=str)


def varied(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings in which `experiments` differ, each cause once.

    What differs only because another class or data set brings other settings is left out, and so is what follows
    another setting everywhere, as the scheduler's max_lr follows optimizer.lr.
    """
    found: dict[tuple[str, ...], str] = {}
    for key in sorted({key for one in experiments for key in one}, key=place):
        column = tuple(fingerprint({key: one.get(key)}).partition(": ")[2] for one in experiments)
        kinds = [kind_of(key, one) for one in experiments]
        if len(set(zip(kinds, column, strict=True))) > len(set(kinds)):  # two values within one kind
            found.setdefault(column, key)
    return list(found.values())


def kind_of(key: str, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what `key` is compared among: objects of one class, and for data of one data set."""
    parts = key.split(".")
    above = [".".join(parts[:length]) for length in range(1, len(parts))]
    if parts[0] == "data" and key != "data.dataset":
        above.append("data.dataset")
    return tuple(str(settings.get(name)) for name in above)


def place(key: str) -> tuple[int, str]:
    group = key.partition(".")[0]
    return (GROUP_ORDER.index(group) if group in GROUP_ORDER else len(GROUP_ORDER), key)


def is_class(value: Any) -> bool:
    """Return whether a setting is the name of a class: "torch.optim.SGD"."""
    return isinstance(value, str) and re.fullmatch(r"([a-z_]\w*\.)+[A-Z]\w*", value) is not None


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return for each dotted key its last part, or the whole key where two end alike."""
    keys = list(dict.fromkeys(keys))
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}
