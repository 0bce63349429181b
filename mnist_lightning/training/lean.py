"""What Lightning does around every step of every run, and this project does without.

A step of this network is a few milliseconds of arithmetic, so Lightning's bookkeeping around it counts; and it takes
longer than it does around a trivial network, because the arithmetic has just filled the caches with images.
"""

import gc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.profilers import PassThroughProfiler

STEP_HOOKS = (
    "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step",
)  # fmt: skip


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


def without_idle_hooks(callback: Callback) -> Callback:
    """Return `callback` with the step hooks that its class leaves empty set to None: Lightning skips those."""
    for name in STEP_HOOKS:
        if getattr(type(callback), name) is getattr(Callback, name):
            setattr(callback, name, None)
    return callback


class QuickAttributes:
    """A base of LightningModules, before LightningModule itself.

    Lightning writes down the name of the current hook some fifty times a step, each time through nn.Module's search
    for parameters and submodules. Here that one attribute goes straight into the object.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
