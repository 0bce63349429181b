"""What a fault is tried on: a checkout with an augmentation of its own, kinds of runs, and what is compared of them."""

import json
import re
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import warm
from conftest import PROJECT, environment
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from mnist_lightning.runs.weights import network_weights, weights_sha256
from mnist_lightning.sweeps.sweep import SEARCH_LOCK

AIMED = Path(__file__).with_name("aimed.py")
OWN = '''
import torch
from torch import nn
from mnist_lightning.training.augmentation import Augmentation


class Noise(Augmentation):
    """Noise of the batch's own generator, of torch's, of NumPy's and of Python's."""

    def augment(self, images, generator):
        import random
        import numpy as np

        noise = torch.randn(images.shape, generator=generator) + torch.randn(images.shape)
        return images + 0.05 * noise * random.random() + 0.01 * float(np.random.rand())


class Small(nn.Sequential):
    """A network with batch normalization and dropout, in few milliseconds a step."""

    def __init__(self, channels_in: int, classes: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
            nn.LazyLinear(16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, classes),
        )
'''
SHORT = (
    "data=digits", "data.val_size=200", "trainer.max_epochs=3", "trainer.limit_train_batches=25",
    "trainer.log_every_n_steps=7", "trainer.devices=1", "trainer.accelerator=cpu", "~callbacks.layer_table",
)  # fmt: skip
PLAIN = (*SHORT, "~callbacks.figures")
KINDS: dict[str, tuple[str, ...]] = {  # an undisturbed run of each is what the others are compared with
    "the tutorial's network, with figures": SHORT,
    "BatchNorm and dropout, Adam, one-cycle": (
        *PLAIN, "model=small", "optimizer=adam", "scheduler=onecycle"),
    "batch augmentation, AdamW, cosine, accumulated gradients": (
        *PLAIN, "optimizer=adamw", "scheduler=cosine", "trainer.accumulate_grad_batches=2",
        "+callbacks.noise._target_=faultynets.parts.Noise"),
    "averaged weights, gradient clipping": (
        *PLAIN, "model=mlp", "model.dropout=0.2", "callbacks=averaged_weights", "trainer.gradient_clip_val=1.0"),
    "plateau, early stopping, evaluated within epochs": (
        *PLAIN, "callbacks=early_stopping", "callbacks.early_stopping.patience=4", "scheduler=plateau",
        "scheduler.patience=0", "trainer.max_epochs=5", "optimizer.lr=0.2", "trainer.val_check_interval=0.4"),
    "a checkpoint every 8 steps, stochastic weight averaging": (
        *PLAIN, "+callbacks.last_checkpoint.every_n_train_steps=8", "+callbacks.swa.swa_epoch_start=1",
        "+callbacks.swa._target_=lightning.pytorch.callbacks.StochasticWeightAveraging", "+callbacks.swa.swa_lrs=0.05"),
    "no checkpoints": (*SHORT[:-1], "callbacks=none", "model=small"),
}  # fmt: skip


class Lab:
    """A folder with a checkout and the runs that are made there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, tuple[int, float]] = {}
        for name in ("mnist_lightning", "hydra_plugins"):
            (folder / name).symlink_to(PROJECT / name)
        shutil.copy(PROJECT / "train.py", folder)
        shutil.copytree(PROJECT / "conf", folder / "conf")
        settings = (PROJECT / "pyproject.toml").read_text()
        (folder / "pyproject.toml").write_text(re.sub(r"(?m)^packages = \[\]", 'packages = ["faultynets"]', settings))
        (folder / "faultynets").mkdir()
        (folder / "faultynets" / "parts.py").write_text(OWN)
        (folder / "conf" / "model" / "small.yaml").write_text("_target_: faultynets.parts.Small\n")
        self.env = environment(PYTHONPATH=str(folder))

    def start(self, *words: str, moment: int | None = None, **options: Any) -> warm.Process:
        """Start train.py; it kills itself at a moment, 0 for none, if one is given."""
        aimed = [] if moment is None else [str(AIMED), str(moment)]
        return warm.start([*aimed, str(self.folder / "train.py"), *words], cwd=self.folder, env=self.env, **options)

    def run(self, *words: str, moment: int | None = None, timeout: float = 300, **options: Any) -> tuple[int, str]:
        """Run train.py to its end, and return its status and what it said."""
        process = self.start(*words, moment=moment, **options)
        output, errors = process.communicate(timeout)
        return process.wait(), output + errors

    def program(self, *words: str, script: str) -> tuple[int, str]:
        """Run code that is given the script's name and the words after it as sys.argv."""
        before, code, *further = words
        ended = warm.run(
            [before, f"import sys; sys.argv = {[script, *further]!r}; {code}"], cwd=self.folder, env=self.env
        )
        return ended.returncode, ended.stdout + ended.stderr

    def whole(self, kind: str) -> tuple[int, float]:
        """Return how many moments an undisturbed run of that kind has, and how many seconds; made at the first call."""
        if kind not in self.made:
            name, started = f"whole-{list(KINDS).index(kind)}", time.monotonic()
            status, said = self.run(*KINDS[kind], f"output_dir={name}", moment=0)
            assert status == 0, said
            moments = said.partition("moments:\n")[2].splitlines()
            self.made[kind] = len(moments), time.monotonic() - started
        return self.made[kind]

    def moments(self, kind: str) -> int:
        return self.whole(kind)[0]

    def seconds(self, kind: str) -> float:
        return self.whole(kind)[1]

    def undisturbed(self, kind: str) -> "Facts":
        self.whole(kind)
        return Facts(self.folder / f"whole-{list(KINDS).index(kind)}")

    def finished(self, name: str, kind: str, most: int = 30) -> str | None:
        """Go on with a run until it has finished, and return what is wrong then, None where nothing is."""
        place = self.folder / name
        again = [*KINDS[kind], f"output_dir={name}"]
        for _ in range(most):
            is_there = (place / "config.yaml").exists()
            status, said = self.run(*([f"resume={name}"] if is_there else again))
            if "Traceback" in said or status not in (0, 137, -9):
                return f"status {status}: {said[-600:]}"
            if status == 0:
                break
        return self.undisturbed(kind).differences(Facts(place))


class Facts:
    """All that is to be equal of two runs, and what is wrong in one by itself."""

    def __init__(self, run: Path) -> None:
        results = json.loads((run / "results.json").read_text())
        left_out = ("seconds",)
        epochs = [{name: of for name, of in epoch.items() if name not in left_out} for epoch in results["epochs"]]
        self.found = {
            name: results.get(name) for name in ("status", "test", "val", "weights_sha256", "steps", "ended_by")
        }
        self.found |= {"epochs": epochs, "points": points(run), "litter": litter(run)}
        kept = {path.name: weights_in(path) for path in run.glob("checkpoints/*.ckpt")}
        self.found |= {"best": kept.get("best.ckpt"), "checkpoints": sorted(kept)}
        if kept and kept["last.ckpt"] != results["weights_sha256"]:
            self.found["last.ckpt"] = "holds other weights than results.json says"

    def differences(self, other: "Facts") -> str | None:
        parts = []
        for name in self.found.keys() | other.found.keys():
            mine, theirs = self.found.get(name), other.found.get(name)
            if name == "points" and mine != theirs:
                counts = Counter(map(str, mine or ())), Counter(map(str, theirs or ()))
                missing, extra = (list((a - b).elements())[:3] for a, b in (counts, counts[::-1]))
                parts.append(f"points missing {missing}, more than once or others {extra}")
            elif mine != theirs:
                parts.append(f"{name}: {str(mine)[:200]} undisturbed, {str(theirs)[:200]} here")
        return "; ".join(parts) or None


def weights_in(checkpoint: Path) -> str:
    return weights_sha256(network_weights(torch.load(checkpoint, weights_only=True)))


def points(run: Path) -> list[tuple[str, int, float | None]]:
    """Return every point and picture of a run's event files, by tag and step."""
    found = []
    for file in sorted(run.glob("events.out.tfevents*")):
        if not file.name.endswith((".hparams-start", ".hparams-end")):
            for event in EventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    numbers = list(value.tensor.float_val)
                    if not value.tag.startswith(("run/", "custom_scalars")):  # written by each process
                        found.append((value.tag, event.step, numbers[0] if len(numbers) == 1 else None))
    return sorted(found, key=str)


def litter(run: Path) -> list[str]:
    return sorted(path.name for path in run.rglob(".*") if path.name not in (".lock", SEARCH_LOCK))
