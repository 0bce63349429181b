"""What callbacks and schedules may look at: a metric that there is, and never the test set."""

import re
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
        known = [name for name in METRICS if not name.startswith("test/")]  # which chooses nothing
        with_slash = monitor.replace("_", "/", 1)
        meant = with_slash if with_slash in known else nearest(monitor, known)
        guess = f" Did you mean {meant}?" if meant else ""
        raise UsageError(f"{path}.monitor={monitor}: there is no such metric.{guess} There are: {', '.join(known)}")
    return True


def has_own_classes(config: DictConfig) -> bool:
    """Return whether a class of one's own, which may measure more, trains or is among the callbacks."""
    nodes = [config.module, *(config.callbacks or {}).values()]
    return any(str(node.get("_target_")).partition(".")[0] in own_packages() for node in nodes if node)
