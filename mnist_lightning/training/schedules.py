"""How the learning rate changes, beside torch's own schedulers."""

import math
from typing import Annotated, Literal

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


class WarmupCosine(LambdaLR):
    """Up linearly to the optimizer's rate, then down along half a cosine: Loshchilov, Hutter 2017, arXiv:1608.03983.

    Args:
        total_steps: of the run; the rate changes after each.
        warmup: the fraction of them in which the rate rises.
        lowest: the fraction of the rate that is left at the end.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05,
        lowest: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        rising = round(warmup * total_steps)

        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / (rising + 1)
            part = min((step - rising) / max(total_steps - rising, 1), 1)
            return lowest + (1 - lowest) * (1 + math.cos(math.pi * part)) / 2

        super().__init__(optimizer, factor)


class Plateau(ReduceLROnPlateau):
    """torch's ReduceLROnPlateau, with the name of the metric that it looks at: "val/loss", of the held-out images."""

    def __init__(
        self,
        optimizer: Optimizer,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        factor: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        patience: Annotated[int, Field(ge=0)] = 10,
    ) -> None:
        super().__init__(optimizer, mode, factor, patience)
        self.monitor = monitor
