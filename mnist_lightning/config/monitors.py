"""What callbacks and schedules may look at: a metric that there is, never the test set, and whether they ever do."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from mnist_lightning.config.check import guess, own_packages, plain, shown
from mnist_lightning.runs.errors import UsageError

METRICS = [
    "train/loss",
    "train/loss_epoch",
    "train/learning_rate",
    "val/loss",
    "val/accuracy",
    "test/loss",
    "test/accuracy",
]


def may_choose(path: str, node: Any, config: DictConfig) -> bool:
    """Return whether an object is to be made: the best checkpoint that ships is left out without held-out images.

    Raises UsageError for any other that looks at held-out images where there are none, at the test set, or at a metric
    that there is not. What one's own classes measure is known once images are evaluated: MonitorsExist.
    """
    is_ours, monitor = str(node.get("_target_")).endswith(".RunCheckpoint"), str(node.get("monitor") or "")
    if is_ours and node.get("save_weights_only"):
        raise UsageError(f"{path}.save_weights_only=true: must be false, or the run could not be resumed from it")
    if re.match(r"test[/_]", monitor):
        raise UsageError(
            f"{path}.monitor={monitor}: the test set chooses nothing. Monitor val/… instead, with data.val_size=N"
        )
    if monitor.startswith("val/") and (not config.data.val_size or config.trainer.get("limit_val_batches") == 0):
        if path == "callbacks.best_checkpoint" and monitor == "val/accuracy":
            return False
        raise UsageError(f"{path}.monitor={monitor}: no images are held out. To hold some out: data.val_size=5000")
    if monitor and monitor not in METRICS and not has_own_classes(config):
        known = [name for name in METRICS if not name.startswith("test/")]  # which chooses nothing
        said = f"{path}.monitor={monitor}: there is no such metric.{guess(monitor, known)}"
        raise UsageError(f"{said} There are: {', '.join(known)}")
    return True


def unsure_monitors(config: DictConfig, callbacks: Mapping[str, Any]) -> dict[str, str]:
    """Return by their paths the metrics of held-out images that a class of one's own may measure, or nobody does."""
    looked_at = {path: getattr(callback, "monitor", None) for path, callback in callbacks.items()}
    looked_at["scheduler"] = config.scheduler and config.scheduler.get("monitor")
    named = {path: str(name) for path, name in looked_at.items() if name not in METRICS}
    return {path: name for path, name in named.items() if re.match("val[/_]", name)}


def check_reached(callbacks: Sequence[Any], config: DictConfig) -> None:
    """Raise UsageError where a run may end before something that is to be done in it."""
    from lightning.pytorch.callbacks import EarlyStopping, StochasticWeightAveraging, Timer

    trainer = config.trainer
    every, epochs = trainer.get("check_val_every_n_epoch") or 1, trainer.max_epochs
    if config.data.val_size and isinstance(epochs, int) and 0 < epochs < every:
        said = f"trainer.check_val_every_n_epoch={every}"
        raise UsageError(f"{said}: must be at most {epochs}, or no epoch evaluates the held-out images")
    if any(isinstance(one, StochasticWeightAveraging) for one in callbacks):
        ends = {f"trainer.{name}": trainer.get(name) for name in ("max_steps", "max_time")}
        enders = [f"{name}={shown(plain(value))}" for name, value in ends.items() if value not in (None, -1)]
        enders += [type(one).__name__ for one in callbacks if isinstance(one, EarlyStopping | Timer)]
        if enders or epochs in (None, -1):
            ender = enders[0] if enders else f"trainer.max_epochs={shown(epochs)}"
            raise UsageError(
                f"StochasticWeightAveraging averages when trainer.max_epochs is reached alone, not with {ender}: "
                "remove one of them, or use callbacks=averaged_weights"
            )


def check_ranked_by(metric: str, config: DictConfig) -> None:
    """Raise UsageError where a sweep is ranked by what no run measures."""
    known = ["accuracy", "errors", "loss"]
    if metric not in known and not has_own_classes(config):
        said = f"hydra.sweeper.metric={shown(metric)}: there is no such metric.{guess(metric, known)}"
        raise UsageError(f"{said} There are: {', '.join(known)}")


def has_own_classes(config: DictConfig) -> bool:
    """Return whether a class of one's own, which may measure more, trains or is among the callbacks."""
    nodes = [config.module, *(config.callbacks or {}).values()]
    return any(str(node.get("_target_")).partition(".")[0] in own_packages() for node in nodes if node)
