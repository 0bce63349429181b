"""What the terminal shows: one console for log lines and progress bar, so that neither garbles the other."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from rich.console import Console, RenderableType

from mnist_lightning.runs.commands import module_command, resume_command, tensorboard_command
from mnist_lightning.runs.errors import printable
from mnist_lightning.runs.processes import is_main_process
from mnist_lightning.runs.run import Run
from mnist_lightning.terminal.command import wrapped
from mnist_lightning.terminal.epochs import shown


class WhileRead:
    """Standard output. What nobody reads any more, as after `| head` or on a closed terminal, is dropped."""

    @property
    def rich_proxied_file(self) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stdout, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stdout.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda: self._stdout.flush())

    @property
    def _stdout(self) -> Any:
        return getattr(sys.stdout, "rich_proxied_file", sys.stdout)  # below a live display, which takes its place

    def _try(self, what: Callable[[], Any]) -> None:
        try:
            if self._stdout:  # None where a shell closed it: >&-
                what()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


CONSOLE = Console(file=WhileRead())  # type: ignore[arg-type]
NO_NEWS = (  # what libraries warn of that is meant to be so
    "does not have many workers",  # tensors in memory need none
    "is smaller than the logging interval",  # digits, smoke runs
    "exists and is not empty",  # the checkpoints of a resumed run
    "in eval mode at the start of training",  # frozen layers
    "across ranks is zero|was called before the ``update``",  # a device without held-out images
    "overriding `LightningModule.optimizer_.step,zero_grad.`",  # lean.py does
    "The `srun` command is available",  # on a cluster's own machine
    "was called without a model|there is no last checkpoint",  # of OnExceptionCheckpoint
    "treespec, LeafSpec",  # lightning 2.6 with torch 2.15
)


def say(what: RenderableType, style: str | None = None, is_prose: bool = True) -> None:
    """Print a text for a person, prose broken between words, or a table."""
    if isinstance(what, str):
        width = CONSOLE.width if CONSOLE.is_terminal and is_prose else sys.maxsize
        what = wrapped(printable(what, keep="\n"), width)
    CONSOLE.print(what, style=style, markup=False, highlight=False, soft_wrap=True)


class Terminal(logging.Handler):
    """Shows log messages: on a terminal without the reports within an epoch, because the progress bar has those."""

    def __init__(self) -> None:
        super().__init__(logging.INFO if CONSOLE.is_terminal else logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def set_up() -> None:
    """Send the project's messages to the terminal, and from the libraries only what they warn of."""
    log = logging.getLogger("mnist_lightning")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [handler for handler in log.handlers if not isinstance(handler, Terminal)]  # an earlier run's
    if is_main_process():
        log.addHandler(Terminal())
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {' '.join(str(message).split())}\n"
    warnings.filterwarnings("ignore", message=f".*({'|'.join(NO_NEWS)})")


def show_profile(directory: Path) -> None:
    """Let Lightning's profiler report on the terminal, and in a run directory, in profile.txt."""
    log = logging.getLogger("lightning.pytorch.profilers.profiler")
    log.setLevel(logging.INFO)
    if is_main_process():
        log.handlers = [Terminal(), logging.FileHandler(directory / "profile.txt", encoding="utf-8", delay=True)]
    log.propagate = False


def clock(seconds: float) -> str:
    """Return a time as a clock shows it: "1:32" of minutes, "2:01:32" of hours."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def reached(results: Mapping[str, Any] | None) -> str:
    """Return the accuracy after the latest epoch, of the held-out images where there are any."""
    latest = results["epochs"][-1] if results and results["epochs"] else {}
    for stage in ("val", "test"):
        if latest.get(f"{stage}_accuracy") is not None:
            return f"{stage} accuracy {latest[f'{stage}_accuracy']:.2%}"
    return ""


def opening(run: Run) -> str:
    """Say in one line what is about to be trained on what."""
    results = run.results
    held_out = f", {results['val_size']:,} held out" if results["val_size"] else ""
    devices = f"{results['devices']} × " if results["devices"] > 1 else ""
    notes = run.notes()
    if run.checkpoint and (epochs := results["epochs"]):
        notes.insert(0, f"resumed after epoch {epochs[-1]['epoch']}: {reached(results)}")
    number = results["threads"]
    threads = f", {number} thread{'s' * (number > 1)}" if results["device"] == "cpu" else ""
    images = f"{results['train_size']:,} images to train{held_out}, {results['test_size']:,} to test"
    about = f"{results['name']}, seed {results['seed']}: {results['dataset']}"
    return f"{about}, {images}; {devices}{results['device']}{threads}\n" + "".join(f"{note}\n" for note in notes)


def closing(run: Run) -> str:
    """Say how the run ended, where it is, and what can be done with it."""
    results, lines = run.results, [""]
    if (by := results.get("ended_by", "trainer.max_epochs")) != "trainer.max_epochs":
        number = len(results["epochs"])
        after = f"{by} after {number} epoch{'s' * (number != 1)}, step {results.get('steps', 0):,}"
        lines.append(f"ended by       {after}{f': {why}' if (why := results.get('ended_why')) else ''}")
    for stage in ("test", "val"):
        if of := results[stage]:
            numbers = f"{of['accuracy']:.2%}, {of['errors']:,} errors in {of['total']:,} images"
            others = [name for name in of if name not in ("accuracy", "errors", "total", "loss")]
            numbers += "".join(f", {name} {shown(name, of[name])}" for name in others)
            lines.append(f"{f'{stage} accuracy':<15}{numbers}")
    fit_seconds = f"of which training and test {results['fit_seconds']:.1f} s"
    lines += [f"time           {run.total_seconds:.1f} s, {fit_seconds}", f"run            {run.directory}"]
    if any(run.directory.glob("events.out.tfevents*")):
        lines.append(f"inspect        {tensorboard_command(run.directory.parent)}")
    if run.checkpoint:
        if more := how_to_go_on(results):
            lines.append(f"continue       {resume_command(run.directory)} {more}")
        if results.get("is_handwriting"):
            lines.append(f"try it         {module_command('serve', run.directory)}")
        else:
            lines.append(f"try it         {module_command('predict', run.directory, 'PICTURE')}")
    return "\n".join(lines)


def how_to_go_on(results: Mapping[str, Any]) -> str | None:
    """Return the setting by which a finished run goes on, where its length is what ended it, and is not fixed."""
    longer = {
        "trainer.max_epochs": f"trainer.max_epochs={2 * max(len(results['epochs']), 1)}",
        "trainer.max_steps": f"trainer.max_steps={2 * results.get('steps', 0)}",
    }
    return None if results.get("laid_out") else longer.get(results.get("ended_by", ""))
