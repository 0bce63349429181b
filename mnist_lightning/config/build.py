"""From a configuration to objects, each checked as it is made."""

import inspect
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf

from mnist_lightning.config.check import check_top_level, check_value, described, may_choose, shown
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.run import Run


def everything(config: DictConfig) -> None:
    """Make all that `config` describes once, without data and in a folder that is removed: every mistake shows."""
    import lightning.pytorch  # noqa: F401 - it sets up its own loggers, which are quietened then

    from mnist_lightning.terminal import console

    console.set_up()
    check_top_level(config)
    with tempfile.TemporaryDirectory() as scratch:
        config = OmegaConf.merge(config, {"output_dir": scratch})  # type: ignore[assignment]
        make("data", config.data)
        network = make("model", config.model, trial=takes_the_images)
        optimizer = make("optimizer", config.optimizer, params=network.parameters())
        scheduler = described("scheduler", config.scheduler)
        if scheduler:
            has_length = "total_steps" in inspect.signature(scheduler).parameters
            given: dict[str, Any] = {"total_steps": 100} if has_length else {}  # their number comes with the data
            call("scheduler", scheduler, optimizer=optimizer, **given)
        trainer(config)


def make(path: str, node: DictConfig | None, trial: Callable[[Any], Any] | None = None, **given: Any) -> Any:
    """Make the object that `node`, at `path`, describes: `_target_` is its class, the rest are its settings.

    None gives None. `trial` is a first use of the object, which may refuse it too; `given` are further arguments.
    """
    factory = described(path, node)
    return call(path, factory, trial, **given) if factory else None


def call(path: str, factory: "partial[Any]", trial: Callable[[Any], Any] | None = None, **given: Any) -> Any:
    """Make an object, or say which of its settings are refused: without one of those it could be made."""

    def attempt(arguments: Mapping[str, Any]) -> Any:
        made = factory.func(**arguments, **given)
        if trial:
            trial(made)
        return made

    def is_culprit(name: str) -> bool:
        try:
            attempt({key: value for key, value in factory.keywords.items() if key != name})
        except Exception:
            return False
        return True

    with half_made_objects_ignored():
        try:
            return attempt(factory.keywords)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
        if reason.partition("=")[0] in factory.keywords:  # it names the setting itself
            raise UsageError(f"{path}.{reason}")
        defaults = {name: parameter.default for name, parameter in inspect.signature(factory.func).parameters.items()}
        changed = [name for name, value in factory.keywords.items() if value != defaults.get(name)]
        culprits = [f"{path}.{name}={shown(factory.keywords[name])}" for name in changed if is_culprit(name)]
    raise UsageError(f"{', '.join(culprits) or path}: {factory.func.__name__} can't be made: {reason}")


@contextmanager
def refusals_of_lightning(run: Run) -> Iterator[None]:
    """Turn what Lightning itself raises when training begins, because settings don't fit the data, into one message."""
    import lightning
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    try:
        yield
    except (MisconfigurationException, ValueError, RuntimeError, ImportError, AttributeError) as error:
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        home, callbacks = (str(Path(lightning.__file__).parent / place) for place in ("", "pytorch/callbacks"))
        by_callback = [file for file in files if "/torch/nn/" not in file][-1].startswith(callbacks)
        if not by_callback and not files[-1].startswith(home):
            raise  # a fault of the network, say
        kind = RunError if run.is_under_way else UsageError
        raise kind(" ".join(str(error).split())) from error


@contextmanager
def half_made_objects_ignored() -> Iterator[None]:
    """Keep quiet about what objects raise that are thrown away before their constructor ended, as XLAProfiler does."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


def takes_the_images(network: Any) -> None:
    """Raise ValueError where a network takes images of another size, or has another number of classes."""
    import torch

    from mnist_lightning.datasets.sources import CLASSES, IMAGE_SHAPE

    shown_shape = "×".join(map(str, IMAGE_SHAPE))
    try:
        with torch.no_grad():
            logits = network.eval()(torch.zeros(1, *IMAGE_SHAPE))
    except Exception as error:
        raise ValueError(f"it does not take the data's images of {shown_shape}: {error}") from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (1, CLASSES):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"it must give logits of shape (1, {CLASSES}) for an image of the data, and gives {got}")


def trainer(config: DictConfig, *first: Any) -> Any:
    """Make the Trainer with its logger and callbacks, those of `first` before the others."""
    from lightning.pytorch.callbacks import Checkpoint, ModelSummary, ProgressBar
    from pydantic import Field

    from mnist_lightning.training import lean
    from mnist_lightning.training.checkpoints import AtomicCheckpointIO

    callbacks = [*first]
    for name, node in (config.callbacks or {}).items():
        if node is not None and may_choose(f"callbacks.{name}", node, config):
            callbacks.append(make(f"callbacks.{name}", node))
    switches = {}
    for name, kind in (
        ("enable_checkpointing", Checkpoint),
        ("enable_progress_bar", ProgressBar),
        ("enable_model_summary", ModelSummary),
    ):
        if config.trainer.get(name) is False:  # null is Lightning's word for true
            callbacks = [callback for callback in callbacks if not isinstance(callback, kind)]
        switches[name] = any(isinstance(callback, kind) for callback in callbacks)  # else Lightning adds its own
    factory = described("trainer", OmegaConf.merge(config.trainer, switches))  # type: ignore[arg-type]
    assert factory
    for name, values in {  # not every value works here
        "max_epochs": Annotated[int, Field(ge=0)],
        "log_every_n_steps": Annotated[int, Field(ge=1)],
        "overfit_batches": Literal[0],
        "use_distributed_sampler": Literal[False],  # the data module divides the images itself
    }.items():
        check_value(f"trainer.{name}", config.trainer.get(name), values)
    factory.keywords["profiler"] = factory.keywords.get("profiler") or lean.NoProfiler()
    return call(
        "trainer",
        factory,
        logger=make("logger", config.logger) or False,
        callbacks=[lean.without_idle_hooks(callback) for callback in callbacks],
        plugins=[AtomicCheckpointIO(Path(config.output_dir))],
    )
