"""Runs of earlier versions of this project, in the words of today."""

import json
from collections.abc import Mapping
from typing import Any

RENAMED = {  # where classes stood then
    "mnist_lightning.network.": "mnist_lightning.networks.cnn.",
    "mnist_lightning.checkpoint.": "mnist_lightning.training.checkpoints.",
    "mnist_lightning.callbacks.": "mnist_lightning.training.callbacks.",
    "mnist_lightning.dashboard.": "mnist_lightning.training.tensorboard.",
}
LATER: Mapping[str, Any] = {  # what did not exist then, and what it was
    "module": {"_target_": "mnist_lightning.module.Classifier"},
    "init_from": None,
    "freeze": [],
}
LATER_OF_NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "mnist_lightning.networks.convnet.ConvNet": {"test_time_rotation": 0.0},
}
SOURCES = {"mnist": "mnist_lightning.datasets.mnist.MNIST", "digits": "mnist_lightning.datasets.digits.Digits"}


def in_todays_words(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run as they are written today. What its values are, nobody has checked yet."""
    text = json.dumps(settings, default=str)
    for before, now in RENAMED.items():
        text = text.replace(f'"{before}', f'"{now}')
    found: dict[str, Any] = {**LATER, **json.loads(text)}
    data, model, callbacks = (found.get(group) for group in ("data", "model", "callbacks"))
    if isinstance(model, dict):
        found["model"] = model = {**LATER_OF_NETWORKS.get(str(model.get("_target_")), {}), **model}
    best = callbacks.get("best_checkpoint") if isinstance(callbacks, dict) else None
    if isinstance(best, dict) and best.get("save_on_train_epoch_end"):
        best["save_on_train_epoch_end"] = None  # the same, but where runs are evaluated at other times
    if isinstance(data, dict) and "source" not in data and (source := SOURCES.get(str(data.get("dataset")))):
        data["source"] = {"_target_": source}
        if isinstance(model, dict):
            model.pop("image_size", None)  # it was 28, and comes from the data now
    return found
