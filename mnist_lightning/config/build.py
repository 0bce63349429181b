"""From a checked configuration to objects."""

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mnist_lightning.config import schema
from mnist_lightning.runs.errors import UsageError


def build(node: DictConfig | None, **further: Any) -> Any:
    """Make the object that `node` describes: `_target_` is its class, the rest its arguments, with `further` added.

    With `_partial_: true`, what comes back waits for the arguments that are still missing. None gives None.

    Raises:
        UsageError: the class is not of an allowed package, or it refuses the arguments.
    """
    if node is None:
        return None
    settings: Any = OmegaConf.to_container(node, resolve=True)
    target, is_partial = settings.pop("_target_"), settings.pop("_partial_", False)
    arguments = settings | further
    factory = find_class(target)
    try:
        inspect.signature(factory).bind_partial(**arguments)
        return partial(factory, **arguments) if is_partial else factory(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{target.rpartition('.')[2]} can't be made: {error}") from error


def build_trainer(config: DictConfig, recorder: Any) -> Any:
    """Make the Trainer with its logger and callbacks, and `recorder` before them.

    Where no images are held out, callbacks that monitor a validation metric are left out: the test set chooses nothing.

    Raises:
        UsageError: Lightning refuses the arguments.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.callbacks import Checkpoint, ModelSummary, ProgressBar

    from mnist_lightning.training import lean
    from mnist_lightning.training.checkpoints import AtomicCheckpointIO

    nodes = [node for node in config.callbacks.values() if config.data.val_size or not monitors_validation(node)]
    callbacks = [recorder, *map(build, nodes)]
    switches = {}
    for name, kind in (
        ("enable_checkpointing", Checkpoint),
        ("enable_progress_bar", ProgressBar),
        ("enable_model_summary", ModelSummary),
    ):
        if not config.trainer[name]:
            callbacks = [callback for callback in callbacks if not isinstance(callback, kind)]
        switches[name] = any(isinstance(callback, kind) for callback in callbacks)  # else Lightning adds its own
    try:
        return build(
            OmegaConf.merge(config.trainer, switches),  # type: ignore[arg-type]
            logger=build(config.logger) or False,
            callbacks=[lean.without_idle_hooks(callback) for callback in callbacks],
            profiler=config.trainer.profiler or lean.NoProfiler(),
            plugins=[AtomicCheckpointIO()],
        )
    except MisconfigurationException as error:
        chosen = ", ".join(f"{name}={config.trainer[name]}" for name in ("accelerator", "devices", "strategy"))
        raise UsageError(f"Trainer can't be made (trainer.{chosen}): {error}") from error


def monitors_validation(node: DictConfig) -> bool:
    return str(node.get("monitor")).startswith("val/")


def find_class(target: str) -> Callable[..., Any]:
    """Import a class of one of the allowed packages: nothing else that a file names is ever called.

    Raises:
        UsageError: there is no such class, or it is defined elsewhere.
    """
    module, _, name = target.rpartition(".")
    allowed = (*schema.ALLOWED_PACKAGES, "lightning.pytorch.trainer.")
    if target in schema.SETTINGS or target.startswith(schema.ALLOWED_PACKAGES):
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"_target_={target}: there is no such class") from error
        if isinstance(found, type) and f"{found.__module__}.".startswith(allowed):
            return found
    raise UsageError(f"_target_={target}: must be a class of {', '.join(schema.ALLOWED_PACKAGES)}")
