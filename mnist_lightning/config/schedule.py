"""The learning rate's schedule: its class, and what Lightning takes beside it."""

import inspect
from collections.abc import Collection
from functools import partial
from typing import Annotated, Any, Literal

from annotated_types import Ge
from omegaconf import DictConfig

from mnist_lightning.config.check import check_value, described, find_class, plain

OF_LIGHTNING = {  # what it takes beside a scheduler: when its step is made, and by which metric
    "interval": Literal["epoch", "step"],
    "frequency": Annotated[int, Ge(1)],
    "monitor": str,
}


def schedule(node: DictConfig | None) -> "partial[Any] | None":
    """Return the class of a scheduler with its settings; in its attribute `lightning`, those that Lightning has for it.

    They are interval, frequency and monitor, as in what configure_optimizers of a LightningModule returns.
    """
    if node is None:
        return None
    settings = plain(node)
    takes: Collection[str] = ()
    if isinstance(settings, dict) and isinstance(target := settings.get("_target_"), str):
        takes = inspect.signature(find_class("scheduler", target, "scheduler")).parameters
    given = {name: settings.pop(name) for name in OF_LIGHTNING if name in settings and name not in takes}
    factory = described("scheduler", settings)
    factory.lightning = {n: check_value(f"scheduler.{n}", value, OF_LIGHTNING[n]) for n, value in given.items()}
    return factory
