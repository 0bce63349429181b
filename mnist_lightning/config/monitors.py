"""What callbacks and schedules may look at: a metric that there is, and never the test set."""

import re
from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig

from mnist_lightning.config.check import nearest, own_packages
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
    that there is not. What one's own classes measure is known once images are evaluated: Recorder.on_sanity_check_end.
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
        raise no_such_metric(f"{path}.monitor", monitor, METRICS)
    return True


def no_such_metric(setting: str, monitor: str, there: Collection[str]) -> UsageError:
    known = [name for name in there if not name.startswith("test/")]  # which chooses nothing
    meant = monitor.replace("_", "/", 1) if monitor.replace("_", "/", 1) in known else nearest(monitor, known)
    guess = f" Did you mean {meant}?" if meant else ""
    return UsageError(f"{setting}={monitor}: there is no such metric.{guess} There are: {', '.join(known)}")


def has_own_classes(config: DictConfig) -> bool:
    """Return whether a class of one's own, which may measure more, trains or is among the callbacks."""
    nodes = [config.module, *(config.callbacks or {}).values()]
    return any(str(node.get("_target_")).partition(".")[0] in own_packages() for node in nodes if node)
