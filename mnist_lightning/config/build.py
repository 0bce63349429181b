"""From a configuration to objects, each checked as it is made."""

import inspect
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from omegaconf import DictConfig, OmegaConf

from mnist_lightning.config.check import check_top_level, check_value, described, find_class, plain, shown
from mnist_lightning.config.monitors import check_reached, may_choose, unsure_monitors
from mnist_lightning.config.trial import sets_a_rate, takes_a_step, takes_the_images, trains
from mnist_lightning.runs.commands import from_checkout, install_command
from mnist_lightning.runs.errors import Interrupted, RunError, UsageError, one_line
from mnist_lightning.runs.run import Run

EXTRAS = {"WandbLogger": "wandb"}
PLACES = ("root", "search")  # of data: where its source looks
OF_SCHEDULES = {  # what Lightning takes beside a scheduler: when its step is made, and by which metric
    "interval": Literal["epoch", "step"],
    "frequency": Annotated[int, Ge(1)],
    "monitor": str,
}


def everything(config: DictConfig, begins: bool = True) -> None:
    """Make all that `config` describes once, without data and in a folder that is removed: every mistake shows.

    `begins` is False for a run that is resumed: the one whose weights it was given may be gone by then.
    """
    import lightning.pytorch  # noqa: F401 - it sets up its own loggers, which are quietened then
    import torch

    from mnist_lightning.terminal import console
    from mnist_lightning.training import transfer
    from mnist_lightning.training.augmentation import Augmentation

    console.set_up()
    check_top_level(config)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(action="ignore"):  # they come again
        config = OmegaConf.merge(config, {"output_dir": scratch})  # type: ignore[assignment]
        source = data(config.data).source
        model = network(config.model, source, config.freeze)
        if config.init_from and begins:
            transfer.begin_from(config.init_from, model)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = make("optimizer", config.optimizer, takes_a_step, params=trained)
        is_fused = getattr(optimizer, "_step_supports_amp_scaling", False)
        if is_fused and config.trainer.get("gradient_clip_val") and config.trainer.get("precision") in ("16-mixed", 16):
            setting = f"trainer.gradient_clip_val={shown(config.trainer.gradient_clip_val)}"
            raise UsageError(
                f"{setting}: not with optimizer.fused=true and trainer.precision=16-mixed; remove one of them"
            )
        scheduler = schedule(config.scheduler)
        if scheduler:
            has_length = "total_steps" in inspect.signature(scheduler).parameters
            given: dict[str, Any] = {"total_steps": 100} if has_length else {}  # their number comes with the data
            made = call("scheduler", scheduler, sets_a_rate, optimizer=optimizer, **given)
            monitor = getattr(made, "monitor", scheduler.lightning.get("monitor"))  # type: ignore[attr-defined]
            may_choose("scheduler", {"monitor": monitor}, config)
            if isinstance(made, torch.optim.lr_scheduler.ReduceLROnPlateau) and not monitor:
                raise UsageError("scheduler.monitor: is missing, as in +scheduler.monitor=val/loss")
        images = torch.zeros(2, *source.shape)
        module(config, model, source, trial=partial(trains, images=images))
        for callback in trainer(config).callbacks:
            if isinstance(callback, Augmentation):
                callback.try_on(images)
    if Interrupted.arrived:  # while a library was imported, which went on all the same
        raise Interrupted.arrived


def data(node: DictConfig) -> Any:
    """Make the data module with the source of its images."""
    settings = {name: value for name, value in plain(node).items() if name not in ("source", *PLACES)}
    return call("data", described("data", settings, source=source(node)))


def source(node: Any, folder: str | Path | None = None) -> Any:
    """Make the source of the images, which is given where to look: data.root and data.search, or only a folder."""
    places = {name: from_checkout(plain(node[name])) for name in PLACES if name in node}
    if folder and places:
        places = {name: str(folder) if name == "root" else [] for name in places}
    if node.get("source") is None:
        raise UsageError("data.source: is missing. It needs the _target_ of a class of images")
    factory = described("data.source", node.source, **places)
    if unused := [name for name in places if name not in factory.keywords]:
        raise UsageError(f"data.{unused[0]}: {factory.func.__name__} takes no {unused[0]}")
    made, name = call("data.source", factory), factory.func.__name__
    if not isinstance(made.classes, list | tuple) or not all(isinstance(one, str) for one in made.classes):
        raise UsageError(f"data.source: {name} has the classes {shown(made.classes)}: must be a list of names")
    if len(made.shape) != 3 or not all(isinstance(size, int) for size in made.shape):
        raise UsageError(f"data.source: {name} has the shape {shown(made.shape)}: must be (C, H, W) of an image")
    if len(set(made.classes)) < max(2, len(made.classes)):
        raise UsageError(
            f"data.source: {name} has the classes {shown([*made.classes])}: must be two or more, all different"
        )
    return made


def network(node: DictConfig, source: Any, freeze: Sequence[str] = (), device: str = "cpu") -> Any:
    """Make the network for images of a source's `shape` and `classes`, with the layers frozen that `freeze` names.

    It sees one image, on `device`: "meta" takes no memory.
    """
    from mnist_lightning.training import transfer

    height, width = source.shape[1:]
    size, classes = height if height == width else (height, width), len(source.classes)
    trial = partial(takes_the_images, shape=source.shape, classes=classes, device=device)
    factory = described("model", node, classes=classes, channels_in=source.shape[0], image_size=size)
    made = call("model", factory, trial)
    transfer.freeze(made, freeze)
    return made


def module(config: DictConfig, network: Any, source: Any, trial: Callable[[Any], Any] | None = None) -> Any:
    """Make the LightningModule that trains a network by the optimizer and scheduler of a configuration."""
    optimizer, scheduler = described("optimizer", config.optimizer), schedule(config.scheduler)
    parts = {"network": network, "optimizer": optimizer, "scheduler": scheduler, "classes": len(source.classes)}
    return make("module", config.module, trial, **parts)


def schedule(node: DictConfig | None) -> "partial[Any] | None":
    """Return the class of a scheduler with its settings; in its attribute `lightning`, those that Lightning has for it.

    They are interval, frequency and monitor, as in what configure_optimizers of a LightningModule returns.
    """
    if node is None:
        return None
    settings = plain(node)
    takes: Collection[str] = ()
    if isinstance(settings, dict) and isinstance(target := settings.get("_target_"), str):
        takes = inspect.signature(find_class("scheduler", target)).parameters
    given = {name: settings.pop(name) for name in OF_SCHEDULES if name in settings and name not in takes}
    factory = described("scheduler", settings)
    factory.lightning = {n: check_value(f"scheduler.{n}", value, OF_SCHEDULES[n]) for n, value in given.items()}
    return factory


def make(path: str, node: DictConfig, trial: Callable[[Any], Any] | None = None, **given: Any) -> Any:
    """Make the object that `node`, at `path`, describes: `_target_` is its class, the rest are its settings.

    `trial` is a first use of the object, which may refuse it too; `given` are further arguments.
    """
    return call(path, described(path, node), trial, **given)


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
            reason = one_line(error) or type(error).__name__
            if isinstance(error, ImportError) and (extra := EXTRAS.get(factory.func.__name__)):
                raise UsageError(f"{path}: is not installed: {install_command(extra)}") from error
        if reason.partition("=")[0] in factory.keywords:  # it names the setting itself
            raise UsageError(f"{path}.{reason}")
        defaults = {name: parameter.default for name, parameter in inspect.signature(factory.func).parameters.items()}
        changed = [name for name, value in factory.keywords.items() if value != defaults.get(name)]
        culprits = [f"{path}.{name}={shown(factory.keywords[name])}" for name in changed if is_culprit(name)]
    raise UsageError(f"{', '.join(culprits) or path}: {factory.func.__name__} can't be made: {reason}")


@contextmanager
def refusals_of_lightning(run: Run) -> Iterator[None]:
    """Turn into one message what Lightning raises when training begins, because settings don't fit the data.

    And what is raised in a run on several devices when a process of it has ended.
    """
    import lightning
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from mnist_lightning.training import peers

    peers.watch(run)
    try:
        yield
    except (MisconfigurationException, ValueError, RuntimeError, ImportError, AttributeError) as error:
        if peers.is_lost(error):
            raise peers.gone(run) from error
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        home, callbacks = (str(Path(lightning.__file__).parent / place) for place in ("", "pytorch/callbacks"))
        by_callback = [file for file in files if "/torch/nn/" not in file][-1].startswith(callbacks)
        if not by_callback and not files[-1].startswith(home):
            raise  # a fault of the network, say
        kind = RunError if run.is_under_way else UsageError
        raise kind(one_line(error) or f"{type(error).__name__} in {files[-1]}") from error


@contextmanager
def half_made_objects_ignored() -> Iterator[None]:
    """Keep quiet about what objects raise that are thrown away before their constructor ended, as XLAProfiler does."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


def trainer(config: DictConfig, *first: Any) -> Any:
    """Make the Trainer with its logger and callbacks, those of `first` before the others."""
    from lightning.pytorch.callbacks import Checkpoint, ModelSummary, ProgressBar

    from mnist_lightning.terminal import console
    from mnist_lightning.training import lean
    from mnist_lightning.training.callbacks import MonitorsExist, Progress
    from mnist_lightning.training.checkpoints import AtomicCheckpointIO

    named = {
        f"callbacks.{name}": make(f"callbacks.{name}", node)
        for name, node in (config.callbacks or {}).items()
        if node is not None and may_choose(f"callbacks.{name}", node, config)
    }
    callbacks = [*first, *named.values()]
    bars = [callback for callback in callbacks if isinstance(callback, ProgressBar)]
    callbacks = [one for one in callbacks if one not in bars or len(bars) == 1 or type(one) is not Progress]
    switches = {}
    for name, kind in (
        ("enable_checkpointing", Checkpoint),
        ("enable_progress_bar", ProgressBar),
        ("enable_model_summary", ModelSummary),
    ):
        if config.trainer.get(name) is False:  # null is Lightning's word for true
            callbacks = [callback for callback in callbacks if not isinstance(callback, kind)]
        switches[name] = any(isinstance(callback, kind) for callback in callbacks)  # else Lightning adds its own
    factory = described("trainer", OmegaConf.merge(config.trainer, switches))
    check_trainer(config.trainer)
    check_reached(callbacks, config)
    if unsure := unsure_monitors(config, named):
        factory.keywords["num_sanity_val_steps"] = 1
        callbacks.append(MonitorsExist(unsure))
    if factory.keywords.get("profiler"):
        console.show_profile(Path(config.output_dir))
    else:
        factory.keywords["profiler"] = lean.NoProfiler()
    if (wandb := sys.modules.get("wandb")) and wandb.run is not None:
        wandb.finish()  # of another job in this process: Lightning would go on with it
    callbacks = [lean.without_idle_hooks(callback) for callback in callbacks]
    plugins = [AtomicCheckpointIO(Path(config.output_dir))]
    made = call("trainer", factory, logger=loggers(config.logger), callbacks=callbacks, plugins=plugins)
    if config.trainer.get("sync_batchnorm") and made.world_size > 1 and made.strategy.root_device.type == "cpu":
        raise UsageError("trainer.sync_batchnorm=true: must be false on several CPU processes; torch has it for GPUs")
    return made


def loggers(node: DictConfig | None) -> Any:
    """Make the one logger that is described, or each of several by their names; False: there is none."""
    is_one = node is None or "_target_" in node
    named = {"logger": node} if is_one else {f"logger.{name!s}": one for name, one in (node or {}).items()}
    return [make(path, one) for path, one in named.items() if one is not None] or False


def check_trainer(trainer: DictConfig) -> None:
    """Raise UsageError for what the Trainer takes and does not work here, or never ends."""
    for name, values in {
        "max_epochs": Annotated[int, Ge(-1)] | None,
        "log_every_n_steps": Annotated[int, Ge(1)],
        "accumulate_grad_batches": Annotated[int, Ge(1)],
        "use_distributed_sampler": Literal[False],  # the data module divides the images itself
    }.items():
        check_value(f"trainer.{name}", trainer.get(name), values)
    check_value("trainer.max_time", trainer.get("max_time"), timedelta | None)
    if trainer.max_epochs in (-1, None) and trainer.get("max_steps", -1) in (-1, None) and not trainer.get("max_time"):
        endless = f"trainer.max_epochs={shown(trainer.max_epochs)}: such a run never ends"
        raise UsageError(f"{endless}: add trainer.max_steps=N or trainer.max_time=DD:HH:MM:SS")
    if re.match("ddp_(fork|spawn|notebook)", str(trainer.get("strategy"))):
        raise UsageError(f"trainer.strategy={trainer.strategy}: must be ddp, which starts fresh processes")
