"""How long a run is: whether there is more to do in one, and what is laid out for its length from the beginning."""

import inspect
import re

from omegaconf import DictConfig

from mnist_lightning.config import check, compose
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.run import Run

OF_LENGTH = (  # settings of the trainer
    "max_epochs", "max_steps", "min_epochs", "min_steps", "limit_train_batches", "accumulate_grad_batches"
)  # fmt: skip


def laid_out(config: DictConfig) -> list[str]:
    """Return what is laid out for the run's length: settings made from trainer.max_epochs, say, and some classes."""
    unresolved = check.flat(config, resolve=False).items()
    found = [name for name, value in unresolved if re.search(r"\$\{[^}]*trainer\.max_", str(value))]
    scheduler = config.scheduler and check.find_class("scheduler", str(config.scheduler.get("_target_")))
    if scheduler and "total_steps" in inspect.signature(scheduler).parameters:
        found.append(f"scheduler={scheduler.__name__}")
    averages = [name for name, node in (config.callbacks or {}).items() if "StochasticWeight" in str(node)]
    return [*found, *(f"callbacks.{name}" for name in averages)]


def check_kept(config: DictConfig, run: Run) -> None:
    """Raise UsageError where a run is to go on to another length than something in it is laid out for."""
    before = compose.read(run.directory)
    changed = [name for name in OF_LENGTH if config.trainer.get(name) != before.trainer.get(name)]
    if changed and (what := run.results.get("laid_out") or laid_out(before)):
        setting = f"trainer.{changed[0]}={check.shown(check.plain(config.trainer)[changed[0]])}"
        kept = check.shown(check.plain(before.trainer)[changed[0]])
        another = f"To begin another run with its weights: python train.py init_from={run.directory}"
        raise UsageError(f"{setting}: must stay {kept}: {what[0]} was laid out for it. {another}")


def nothing_left(config: DictConfig, run: Run) -> str | None:
    """Return why there is nothing left to do in a run that has finished; None where there is.

    Raises UsageError where there would be, but there is no checkpoint to go on from.
    """
    trainer, before = config.trainer, compose.read(run.directory).trainer
    epochs, steps = len(run.results["epochs"]), run.results.get("steps", 0)
    by = run.results.get("ended_by", "trainer.max_epochs")
    left, more = {
        "trainer.max_epochs": (trainer.max_epochs in (-1, None) or trainer.max_epochs > epochs, "trainer.max_epochs=N"),
        "trainer.max_steps": (not -1 < trainer.max_steps <= steps, "trainer.max_steps=N"),
        "Timer": (trainer.max_time != before.max_time, "trainer.max_time=null"),
    }.get(by, (False, None))
    if left and run.checkpoint is None:
        raise UsageError(f"{run.directory} is finished, and has no checkpoint to continue from")
    if left:
        return None
    has = f"{run.directory} is finished: it has its {epochs} epoch{'s' * (epochs != 1)}"
    if by not in ("trainer.max_epochs", "trainer.max_steps"):
        has += f", ended by {by}"
    is_fixed = run.results.get("laid_out") or (by == "Timer" and before.max_time is None)
    return has if is_fixed or more is None else f"{has}. For more, add {more}"
