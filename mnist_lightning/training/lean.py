"""What Lightning does around every step of every run, and this project does without.

A step of this network is a few milliseconds of arithmetic, so Lightning's bookkeeping around it counts; and it takes
longer than it does around a trivial network, because the arithmetic has just filled the caches with images.
"""

import gc
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import PassThroughProfiler
from torch.optim import Optimizer

from mnist_lightning.networks.layers import evaluating
from mnist_lightning.runs.errors import UsageError

STEP_HOOKS = (
    "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step",
)  # fmt: skip
Hooked = TypeVar("Hooked", Callback, LightningModule)
Function = TypeVar("Function", bound=Callable[..., Any])


@contextmanager
def settled_heap() -> Iterator[None]:
    """Keep the garbage collector from looking again and again at the million objects that imports have made."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class NoProfiler(PassThroughProfiler):
    """Lightning's own stand-in for a profiler makes a generator at each hook of each step: this makes none."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager:  # type: ignore[override]
        return self._nothing


def without_idle_hooks(owner: Hooked) -> Hooked:
    """Set to None the step hooks that the class of a callback or module leaves empty, so that Lightning skips them."""
    base = Callback if isinstance(owner, Callback) else LightningModule
    for name in STEP_HOOKS:
        if getattr(type(owner), name) is getattr(base, name):
            setattr(owner, name, None)
    return owner


def described_once(function: Function) -> Function:
    """Note the arguments of a `training_step`: Lightning inspects them at each step, and finds them here."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


class Compile(Callback):
    """Compiles the network in place before training, as torch's Module.compile does; checkpoints are as without it.

    Args:
        mode, backend, dynamic: as torch.compile takes them.

    Raises:
        UsageError: it can't be compiled, or there is no compiler.
    """

    def __init__(self, mode: str | None = None, backend: str = "inductor", dynamic: bool | None = None) -> None:
        self.options = {"mode": mode, "backend": backend, "dynamic": dynamic}

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        images = trainer.datamodule.splits["test"].tensors[0][: trainer.datamodule.test_batch_size]  # type: ignore[attr-defined]
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it looks for CUDA, and needs none
        try:
            module.network.compile(**self.options)
            with evaluating(module.network) as network:
                network(images)
        except Exception as error:
            why = str(error).strip().partition("\n")[0]
            raise UsageError(f"callbacks.compile: the network can't be compiled: {why}. Train without it") from error


class LeanHooks:
    """A base of LightningModules, before LightningModule itself: three things of each step, done sooner."""

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """What torch's own zero_grad does, without what it notes for torch's profiler and compiler."""
        if type(optimizer).zero_grad is not Optimizer.zero_grad:
            optimizer.zero_grad()
            return
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if gradient_clip_val is not None:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)  # type: ignore[misc]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, that of the current hook's name straight in the object.

        Lightning sets it some fifty times a step, each time through nn.Module's search for parameters and submodules.
        """
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
