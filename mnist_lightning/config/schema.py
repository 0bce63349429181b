"""What may stand in a configuration: for every setting its type and range, and for every `_target_` its settings.

Plain data and no heavy import, so that a mistake is answered within a second, before torch is loaded.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mnist_lightning.networks.sizes import check_sizes
from mnist_lightning.runs.errors import UsageError


@dataclass(frozen=True)
class Rule:
    """A test for a value, and in words what passes it."""

    allowed: str
    test: Callable[[Any], bool]

    def __or__(self, other: "Rule") -> "Rule":
        return Rule(f"{self.allowed}, or {other.allowed}", lambda value: self.test(value) or other.test(value))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def whole(low: int, high: int | None = None) -> Rule:
    span = f"of at least {low:,}" if high is None else f"from {low:,} to {high:,}"
    return Rule(f"a whole number {span}", lambda v: is_whole(v) and v >= low and (high is None or v <= high))


def number(low: float, below: float | None = None, above: float | None = None) -> Rule:
    span = f"greater than {above:g}" if above is not None else f"of at least {low:g}"
    if below is not None:
        span += f" and less than {below:g}"

    def test(value: Any) -> bool:
        if not is_number(value):
            return False
        return (value > above if above is not None else value >= low) and (below is None or value < below)

    return Rule(f"a number {span}", test)


def one_of(*words: str) -> Rule:
    return Rule(" or ".join(words), lambda value: isinstance(value, str) and value in words)


def list_of(rule: Rule, length: int | None = None) -> Rule:
    size = f"{length} values" if length else "values"
    return Rule(
        f"a list [a, b, …] of {size}, each {rule.allowed}",
        lambda v: isinstance(v, list) and len(v) == (length or len(v)) and all(rule.test(item) for item in v),
    )


NULL = Rule("null", lambda value: value is None)
TRUTH = Rule("true or false", lambda value: isinstance(value, bool))
TEXT = Rule("a text", lambda value: isinstance(value, str) and value != "")
FILE_NAME = Rule(
    "letters, digits, and . _ - + = between them, at most 100",
    lambda v: (
        isinstance(v, str) and 0 < len(v) <= 100 and v[0] not in ".-" and all(c.isalnum() or c in "._-+=" for c in v)
    ),
)
FINITE = Rule("a number", is_number)
SHARE = number(0, below=1)
NOT_NEGATIVE = number(0)
POSITIVE = number(0, above=0)
SEED = whole(0, 2**32 - 1)
FRACTION = Rule("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
BATCHES = whole(0) | FRACTION | NULL  # Lightning: so many batches, or this part of them

TOP_LEVEL = {"name": FILE_NAME, "seed": SEED, "output_dir": TEXT | NULL, "resume": TEXT | NULL}
GROUPS = ("data", "model", "optimizer", "scheduler", "trainer", "callbacks", "logger")

# The settings of every class that the files in conf/ name; tests/test_schema.py holds them against the classes' own
# signatures. Objects of a class that is not listed must be of ALLOWED_PACKAGES, and their settings are held against
# the signature when they are built.
SETTINGS: dict[str, dict[str, Rule]] = {
    "mnist_lightning.data.ImageDataModule": {
        "dataset": one_of("mnist", "digits"),
        "root": TEXT,
        "search": list_of(TEXT),
        "batch_size": whole(1),
        "test_batch_size": whole(1),
        "val_size": whole(0),
        "val_seed": SEED,
        "mean": FINITE,
        "std": POSITIVE,
        "seed": SEED,
    },
    "mnist_lightning.networks.cnn.CNN": {
        "channels": list_of(whole(1, 4096)),
        "kernel_size": whole(1),
        "padding": whole(0) | one_of("same"),
        "pooling": one_of("max", "avg"),
        "image_size": Rule("28, the size of the images of every data set here", lambda value: value == 28),
        "classes": Rule("10, the classes of every data set here", lambda value: value == 10),
    },
    "torch.optim.SGD": {
        "lr": NOT_NEGATIVE,
        "momentum": SHARE,
        "dampening": FINITE,
        "weight_decay": NOT_NEGATIVE,
        "nesterov": TRUTH,
        "maximize": TRUTH,
        "foreach": TRUTH | NULL,
        "differentiable": TRUTH,
        "fused": TRUTH | NULL,
    },
    "torch.optim.Adam": {
        "lr": NOT_NEGATIVE,
        "betas": list_of(SHARE, 2),
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "amsgrad": TRUTH,
        "foreach": TRUTH | NULL,
        "maximize": TRUTH,
        "capturable": TRUTH,
        "differentiable": TRUTH,
        "fused": TRUTH | NULL,
        "decoupled_weight_decay": TRUTH,
    },
    "torch.optim.lr_scheduler.OneCycleLR": {
        "max_lr": POSITIVE,
        "epochs": whole(1) | NULL,
        "steps_per_epoch": whole(1) | NULL,
        "pct_start": SHARE,
        "anneal_strategy": one_of("cos", "linear"),
        "cycle_momentum": TRUTH,
        "base_momentum": SHARE,
        "max_momentum": SHARE,
        "div_factor": POSITIVE,
        "final_div_factor": POSITIVE,
        "three_phase": TRUTH,
        "last_epoch": whole(-1),
    },
    "lightning.pytorch.Trainer": {
        "accelerator": one_of("auto", "cpu", "gpu", "cuda", "mps", "tpu"),
        "strategy": TEXT,
        "devices": whole(-1) | TEXT | list_of(whole(0)),
        "num_nodes": whole(1),
        "precision": whole(16) | TEXT | NULL,
        "fast_dev_run": TRUTH | whole(0),
        "max_epochs": whole(0),
        "min_epochs": whole(0) | NULL,
        "max_steps": whole(-1),
        "min_steps": whole(0) | NULL,
        "max_time": TEXT | NULL,
        "limit_train_batches": BATCHES,
        "limit_val_batches": BATCHES,
        "limit_test_batches": BATCHES,
        "limit_predict_batches": BATCHES,
        "overfit_batches": Rule(
            "0 (trainer.limit_train_batches=N takes the first N batches)", lambda value: value == 0
        ),
        "val_check_interval": whole(1) | FRACTION | TEXT | NULL,
        "check_val_every_n_epoch": whole(1) | NULL,
        "num_sanity_val_steps": whole(-1) | NULL,
        "log_every_n_steps": whole(1),
        "enable_checkpointing": TRUTH | NULL,
        "enable_progress_bar": TRUTH | NULL,
        "enable_model_summary": TRUTH | NULL,
        "accumulate_grad_batches": whole(1),
        "gradient_clip_val": NOT_NEGATIVE | NULL,
        "gradient_clip_algorithm": one_of("norm", "value") | NULL,
        "deterministic": TRUTH | one_of("warn") | NULL,
        "benchmark": TRUTH | NULL,
        "inference_mode": TRUTH,
        "use_distributed_sampler": TRUTH,
        "profiler": TEXT | NULL,
        "detect_anomaly": TRUTH,
        "barebones": TRUTH,
        "sync_batchnorm": TRUTH,
        "reload_dataloaders_every_n_epochs": whole(0),
        "default_root_dir": TEXT | NULL,
        "enable_autolog_hparams": TRUTH,
        "model_registry": TEXT | NULL,
    },
    "mnist_lightning.training.checkpoints.RunCheckpoint": {
        "dirpath": TEXT | NULL,
        "filename": TEXT | NULL,
        "monitor": TEXT | NULL,
        "verbose": TRUTH,
        "save_last": TRUTH | one_of("link") | NULL,
        "save_on_exception": TRUTH,
        "save_top_k": whole(-1),
        "save_weights_only": TRUTH,
        "mode": one_of("min", "max"),
        "auto_insert_metric_name": TRUTH,
        "every_n_train_steps": whole(0) | NULL,
        "train_time_interval": NULL,
        "every_n_epochs": whole(0) | NULL,
        "save_on_train_epoch_end": TRUTH | NULL,
        "enable_version_counter": TRUTH,
    },
    "mnist_lightning.training.callbacks.LayerTable": {},
    "mnist_lightning.training.callbacks.Progress": {},
    "mnist_lightning.training.callbacks.Figures": {"directory": TEXT},
    "mnist_lightning.training.tensorboard.RunLogger": {"directory": TEXT, "hparams": list_of(TEXT)},
}

# Without these the libraries' own defaults would silently make another experiment of it.
REQUIRED = {
    "mnist_lightning.data.ImageDataModule": (
        "dataset", "batch_size", "test_batch_size", "val_size", "val_seed", "mean", "std", "seed",
    ),
    "mnist_lightning.networks.cnn.CNN": ("channels", "kernel_size", "padding", "pooling", "image_size"),
    "torch.optim.SGD": ("lr", "momentum"),
    "torch.optim.Adam": ("lr",),
    "lightning.pytorch.Trainer": (
        "max_epochs", "log_every_n_steps", "accumulate_grad_batches", "use_distributed_sampler", "profiler",
        "enable_checkpointing", "enable_progress_bar", "enable_model_summary",
    ),
}  # fmt: skip

ALLOWED_PACKAGES = (
    "mnist_lightning.",
    "torch.nn.",
    "torch.optim.",
    "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.",
)

TRAIN_SIZES = {"mnist": 60_000, "digits": 1_437}


def check(config: Mapping[str, Any]) -> None:
    """Check a composed configuration, as plain dicts and lists.

    Raises:
        UsageError: a setting is unknown, or of the wrong type, or out of range.
    """
    for key, value in config.items():
        if key in TOP_LEVEL:
            check_value(key, value, TOP_LEVEL[key])
        elif key not in GROUPS:
            raise unknown(key, value, (*TOP_LEVEL, *GROUPS))
    for group in ("data", "model", "optimizer", "trainer"):
        check_object(group, config.get(group))
    for group in ("scheduler", "logger"):
        if config.get(group) is not None:
            check_object(group, config[group])
    for name, callback in (config.get("callbacks") or {}).items():
        check_object(f"callbacks.{name}", callback)
    data, model = config["data"], config["model"]
    if data["val_size"] >= (images := TRAIN_SIZES[data["dataset"]]):
        raise wrong(
            "data.val_size",
            data["val_size"],
            f"from 0 to {images - 1:,}: {data['dataset']} has {images:,} images to train",
        )
    if model["_target_"] == "mnist_lightning.networks.cnn.CNN":
        try:
            check_sizes(len(model["channels"]), model["kernel_size"], model["padding"], model["image_size"])
        except ValueError as error:
            raise UsageError(f"model: {error}") from error


def check_present(config: Iterable[str]) -> None:
    """Check that no setting or group was taken away.

    Raises:
        UsageError: one is missing.
    """
    for name in (*TOP_LEVEL, *GROUPS):
        if name not in config:
            raise UsageError(f"{name}: is missing. conf/config.yaml says what it is without the ~{name}")


def check_object(path: str, node: Any) -> None:
    """Check the description of one object: {_target_: its class, setting: value, …}."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise wrong(path, node, "one of the group's options, or settings with a _target_")
    target = node["_target_"]
    if target not in SETTINGS:
        if not target.startswith(ALLOWED_PACKAGES):
            places = ", ".join(f"{package}*" for package in ALLOWED_PACKAGES)
            raise wrong(f"{path}._target_", target, f"a class of {places}, or lightning.pytorch.Trainer")
        return
    for key, value in node.items():
        if key in SETTINGS[target]:
            check_value(f"{path}.{key}", value, SETTINGS[target][key])
        elif key not in ("_target_", "_partial_"):
            raise unknown(f"{path}.{key}", value, [f"{path}.{known}" for known in SETTINGS[target]])
    for key in REQUIRED.get(target, ()):
        if key not in node:
            raise UsageError(f"{path}.{key}: is missing; it must be {SETTINGS[target][key].allowed}")


def check_value(path: str, value: Any, rule: Rule) -> None:
    if not rule.test(value):
        raise wrong(path, value, rule.allowed)


def wrong(path: str, value: Any, allowed: str) -> UsageError:
    return UsageError(f"{path}={shown(value)}: must be {allowed}")


def unknown(path: str, value: Any, known: Iterable[str]) -> UsageError:
    """Name the nearest right name, and all names that stand in its place."""
    names = list(known)
    if path in (*GROUPS, "experiment", "sweep"):
        return UsageError(f"{path}={shown(value)}: there is no such option, that is no such file in conf/{path}")
    if path in names and "." in path:
        group = path.partition(".")[0]
        return UsageError(f"{path}={shown(value)}: the option of {group} that was chosen has no such setting")
    end = path.rpartition(".")[2]
    everywhere = [*names, *(name for name in all_settings() if name not in names)]
    same_end = [name for name in everywhere if name.rpartition(".")[2] == end]
    near = difflib.get_close_matches(path, everywhere, n=1, cutoff=0.6)
    guess = f" Did you mean {(same_end or near)[0]}?" if same_end or near else ""
    value_shown = "" if value is None else f"={shown(value)}"
    listed = ", ".join(names) if 0 < len(names) <= 15 else "see python train.py --cfg job"
    return UsageError(f"{path}{value_shown}: there is no such setting.{guess} Known here: {listed}")


def all_settings() -> list[str]:
    """Return the dotted names of the settings of all groups, for a guess at what was meant."""
    groups = {
        "data": "mnist_lightning.data.ImageDataModule",
        "model": "mnist_lightning.networks.cnn.CNN",
        "optimizer": "torch.optim.SGD",
        "scheduler": "torch.optim.lr_scheduler.OneCycleLR",
        "trainer": "lightning.pytorch.Trainer",
    }
    return [*TOP_LEVEL, *(f"{group}.{name}" for group, target in groups.items() for name in SETTINGS[target])]


def shown(value: Any) -> str:
    """Return a value as one would type it, cut where it is long."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
