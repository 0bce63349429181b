"""Every configuration that ships is right, and every mistake in one is named."""

import inspect
import math
import re
import shutil
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from conftest import PROJECT, Program
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from mnist_lightning.config import build
from mnist_lightning.config import check as checks
from mnist_lightning.config.explain import LAUNCHERS, explained
from mnist_lightning.runs.errors import Interrupted, UsageError

CONF = PROJECT / "conf"
GROUP_FILES = sorted(path for path in CONF.glob("*/*.yaml"))


def check(*overrides: str, folder: Path = CONF) -> None:
    with explained(overrides), initialize_config_dir(str(folder), version_base="1.3"):
        build.everything(hydra_compose("config", overrides=list(overrides)))


def test_a_signal_that_an_import_swallowed_ends_the_run_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As numpy's does with whatever is raised in it."""
    check("data=digits")
    monkeypatch.setattr(Interrupted, "arrived", Interrupted(2))
    with pytest.raises(Interrupted, match="interrupted"):
        check("data=digits")


@pytest.mark.parametrize("path", GROUP_FILES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_shipped_file_composes_and_passes(path: Path, tmp_path: Path) -> None:
    option, group = f"{path.parent.name}={path.stem}", path.parent.name
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    further = {"data=folder": [f"data.root={tmp_path}"]}.get(option, [])
    looks_at_held_out_images = "monitor: val/loss" in path.read_text() and group in ("callbacks", "scheduler")
    check(option, *further, *(["data.val_size=100"] if looks_at_held_out_images else []))


def test_the_shipped_files_were_found() -> None:
    assert {path.parent.name for path in GROUP_FILES} >= set(checks.KINDS) - {"data.source"}


def test_trainer_file_holds_every_argument() -> None:
    settings = yaml.safe_load((CONF / "trainer" / "default.yaml").read_text())
    given = {"logger", "callbacks", "plugins"}
    assert set(settings) - {"_target_"} == set(inspect.signature(Trainer).parameters) - given


MISTAKES = """
data.batch_size=0
    data.batch_size=0: must be at least 1
data.batch_size=1.5
    data.batch_size=1.5: must be a whole number
data.batch_size=many
    data.batch_size=many: must be a whole number
data.batch_size=true
    data.batch_size=true: must be a whole number
data.val_size=60000
    data.val_size=60000: must be from 0 to 59,999: mnist has 60,000 images to train
data.std=0
    data.std=0: must be greater than 0
trainer.max_epochs=-1
    trainer.max_epochs=-1: such a run never ends: add trainer.max_steps=N or trainer.max_time=DD:HH:MM:SS
trainer.max_epochs=-2
    trainer.max_epochs=-2: must be at least -1, or null
trainer.strategy=ddp_spawn
    trainer.strategy=ddp_spawn: must be ddp, which starts fresh processes
scheduler={_target_:torch.optim.lr_scheduler.ReduceLROnPlateau,_partial_:true}
    scheduler.monitor: is missing, as in +scheduler.monitor=val/loss
scheduler={_target_:torch.optim.lr_scheduler.StepLR,_partial_:true,step_size:1,interval:batch}
    scheduler.interval=batch: must be 'epoch' or 'step'
trainer.use_distributed_sampler=true
    trainer.use_distributed_sampler=true: must be false
optimizer.lr=-0.1
    optimizer.lr=-0.1: SGD can't be made: Invalid learning rate: -0.1
optimizer.lr=fast
    optimizer.lr=fast: must be a number
optimizer.lr='0.1'
    optimizer.lr='0.1': must be a number
optimizer.lr=nan
    optimizer.lr=NaN: must be a number
optimizer.lr=inf
    optimizer.lr=Infinity: must be a number
model.pooling=sum
    model.pooling=sum: must be 'max' or 'avg'
model.padding=half
    model.padding=half: must be a whole number, or 'same'
model.padding=-1
    model.padding=-1: must be at least 0, or 'same'
model.channels=10
    model.channels=10: must be a list [a, b, …]
model.channels=[8,0]
    model.channels=[8, 0]: must be a list in which each item is at least 1
model.kernel_size=30
    model.kernel_size=30: CNN can't be made: convolution 1: kernel_size=30 is larger than
+model.image_size=32
    model.image_size=32: CNN can't be made: it does not take the data's images of 1×28×28
+model.classes=5
    model.classes=5: CNN can't be made: it must give logits of shape (1, 10)
trust=true
    trust=true: only goes with resume=RUN or resume=SWEEP
+callbacks.last_checkpoint.save_weights_only=true
    callbacks.last_checkpoint.save_weights_only=true: must be false
seed=-1
    seed=-1: must be at least 0
name=../up
    name=../up: must be at most 100 letters, digits and . _ - + =
model._target_=os.system
    model._target_=os.system: must be a class of mnist_lightning.* or torch.nn.*
~optimizer.lr
    ~optimizer.lr: can't be removed, only changed: optimizer.lr=VALUE
~trainer.max_epochs
    ~trainer.max_epochs: can't be removed, only changed: trainer.max_epochs=VALUE
~callbacks
    ~callbacks: can't be removed, only changed: callbacks=none
~seed
    ~seed: can't be removed, only changed: seed=VALUE
output_dir=
    output_dir=: must be text, or null
model=null
    a group takes the name of one of its options
optimizer.lrr=0.1
    optimizer.lrr=0.1: there is no such setting. Did you mean optimizer.lr? There are:
optimizer.maximize=true
    To add another argument of SGD: +optimizer.NAME=VALUE.
+optimizer.momentun=0.1
    optimizer.momentun=0.1: there is no such setting. Did you mean optimizer.momentum?
+trainer.max_epoch=3
    trainer.max_epoch=3: there is no such setting. Did you mean trainer.max_epochs?
trainer.epochs=5
    trainer.epochs=5: there is no such setting. Did you mean trainer.max_epochs?
epochs=3
    epochs=3: there is no such setting. Did you mean trainer.max_epochs? There are: data, model
+sed=1
    sed=1: there is no such setting. Did you mean seed?
lr=0.1
    lr=0.1: there is no such setting. Did you mean optimizer.lr?
optimzer=adam
    optimzer=adam: there is no such setting. Did you mean optimizer?
optimizer=adm
    optimizer=adm: there is no such option. Did you mean adam? There are:
optimizer=adam optimizer.beta=[0.9,0.99]
    optimizer.beta=[0.9, 0.99]: there is no such setting. Did you mean optimizer.betas? There are: optimizer.lr
optimizer=adam optimizer.momentum=0.9
    optimizer.momentum=0.9: there is no such setting. There are: optimizer.lr, optimizer.betas, optimizer.weight_decay.
optimizer=adam optimizer.betas=[0.9]
    optimizer.betas=[0.9]: must be a longer list
optimizer=adam optimizer.betas=[0.9,2]
    optimizer.betas=[0.9, 2]: Adam can't be made: Invalid beta parameter
optimizer.nesterov=true optimizer.momentum=0
    optimizer.nesterov=true: SGD can't be made: Nesterov momentum
optimizer.lr=${optimizer.rl}
    Interpolation key 'optimizer.rl' not found
scheduler=onecycle scheduler.pct_start=3
    scheduler.pct_start=3: OneCycleLR can't be made: Expected float
scheduler=onecycle +scheduler.total_steps=3
    scheduler.total_steps=3: train.py sets this itself
trainer.accelerator=tpu
    trainer.accelerator=tpu: Trainer can't be made: Requirement 'torch_xla
trainer.profiler=xla
    trainer.profiler=xla: Trainer can't be made: Requirement 'torch_xla
trainer.precision=foo
    trainer.precision=foo: must be 64, 32 or 16, or 'transformer-engine'
trainer.precision=transformer-engine
    trainer.precision=transformer-engine: Trainer can't be made: Requirement
trainer.log_every_n_steps=3.5
    trainer.log_every_n_steps=3.5: must be a whole number
trainer.max_time=soon
    trainer.max_time=soon: must be a time, as in 00:01:30:00 (DD:HH:MM:SS) or {minutes: 90}
+callbacks.x={_target_:L.Timer,duration:2s}
    callbacks.x.duration=2s: Timer can't be made:
+callbacks.x={_target_:L.EarlyStopping,monitor:train/loss,mode:maximum}
    callbacks.x.mode=maximum:
+callbacks.x={_target_:L.EarlyStopping,monitor:val/loss}
    callbacks.x.monitor=val/loss: no images are held out
+callbacks.x={_target_:L.EarlyStopping,monitor:test/loss}
    callbacks.x.monitor=test/loss: the test set chooses
+callbacks.x={_target_:L.EarlyStopping,monitor:val_loss} data.val_size=9
    callbacks.x.monitor=val_loss: there is no such metric. Did you mean val/loss?
+callbacks.x={_target_:L.EarlyStopping,monitor:val/f1} data.val_size=9
    callbacks.x.monitor=val/f1: there is no such metric.
+callbacks.x={_target_:L.ModelCheckpoint,monitor:test_accuracy}
    callbacks.x.monitor=test_accuracy: the test set chooses
+callbacks.x={_target_:mnist_lightning.training.checkpoints.RunCheckpoint,monitor:val/loss}
    callbacks.x.monitor=val/loss: no images are held out
callbacks.best_checkpoint.monitor=val/loss
    callbacks.best_checkpoint.monitor=val/loss: no images
+callbacks.x={_target_:L.ModelCheckpoint,save_top_k:3}
    callbacks.x.save_top_k=3: ModelCheckpoint can't be
+callbacks.x={_target_:L.ModelPruning,pruning_fn:l3}
    callbacks.x: ModelPruning can't be made:
+callbacks.x={_target_:L.StochasticWeightAveraging,swa_lrs:0.1} trainer.max_steps=70
    StochasticWeightAveraging averages when trainer.max_epochs is reached alone, not with trainer.max_steps=70
+callbacks.x={_target_:L.StochasticWeightAveraging,swa_lrs:0.1} +callbacks.y={_target_:L.Timer}
    StochasticWeightAveraging averages when trainer.max_epochs is reached alone, not with Timer
trainer.check_val_every_n_epoch=11 data.val_size=9
    trainer.check_val_every_n_epoch=11: must be at most 10, or no epoch evaluates the held-out images
trainer.sync_batchnorm=true trainer.accelerator=cpu trainer.devices=2
    trainer.sync_batchnorm=true: must be false on several CPU processes
optimizer=adam +optimizer.fused=true trainer.precision=16-mixed trainer.gradient_clip_val=1
    trainer.gradient_clip_val=1: not with optimizer.fused=true and trainer.precision=16-mixed
optimizer.learning_rate=0.1
    optimizer.learning_rate=0.1: there is no such setting. Did you mean optimizer.lr?
optimizer=SGD
    optimizer=SGD: there is no such option. Did you mean sgd?
modle=resnet
    modle=resnet: there is no such setting. Did you mean model?
optimizer.lr=0,1
    optimizer.lr=0,1: several values are a sweep, with -m; a list is written 'optimizer.lr=[0,1]'
tuned
    tuned: not understood. Settings are written key=value, as in trainer.max_epochs=10. Did you mean experiment=tuned?
callbacks.last_checkpoint.save_weights_only=true
    To add another argument of RunCheckpoint: +callbacks.last_checkpoint.NAME=VALUE.
+callbacks.x={_target_:torch.nn.Linear}
    callbacks.x._target_=torch.nn.Linear: must be a class of
"""  # what is typed, and what is answered


@pytest.mark.parametrize("mistake", re.findall(r"^(\S.*\n    .*)$", MISTAKES, re.MULTILINE))
def test_a_mistake_gets_one_message(mistake: str) -> None:
    overrides, message = mistake.split("\n    ")
    with pytest.raises(UsageError) as raised:
        check(*overrides.replace("L.", "lightning.pytorch.callbacks.").split(" "))
    assert message in str(raised.value)
    assert raised.value.status == 2
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("option", ["mlflow.MLFlowLogger", "comet.CometLogger"])
def test_a_logger_that_is_not_installed_is_named(option: str, tmp_path: Path) -> None:
    folder = with_file(
        tmp_path, "logger/other.yaml", f"_target_: lightning.pytorch.loggers.{option.partition('.')[2]}\n"
    )
    with pytest.raises(UsageError, match=rf"^logger: {option.partition('.')[2]} can't be made: .*{option[:5]}"):
        check("logger=other", folder=folder)


def with_file(place: Path, name: str, content: str) -> Path:
    """Return a copy of conf/ with a further file."""
    folder = place / "conf"
    shutil.copytree(CONF, folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("optimizer: {momentun: 0.9}", r"optimizer.momentun=0.9: .*Did you mean optimizer.momentum\?"),
        ("optimzer: {lr: 0.1}", r"optimzer.*Did you mean optimizer\?"),
        ("trainer: {max_epochs: ten}", "trainer.max_epochs=ten: must be a whole number"),
        ("defaults: [{override /optimizer: adm}]", "optimizer=adm: there is no such option"),
        ("seed: [", "expected the node content"),
        ("optimizer: {lr: -1}", "optimizer.lr=-1: SGD can't be made"),
        ("sed: 1", r"sed=1: there is no such setting. Did you mean seed\?"),
    ],
)
def test_a_mistake_inside_a_file_is_found(content: str, message: str, tmp_path: Path) -> None:
    folder = with_file(tmp_path, "experiment/mine.yaml", f"# @package _global_\n{content}\n")
    with pytest.raises(UsageError, match=message):
        check("experiment=mine", folder=folder)


@pytest.mark.parametrize(
    "target",
    ["mnist_lightning.datasets.mnist.os.system", "mnist_lightning.runs.run.Path", "torch.nn.Nothing", "os.system"],
)
def test_only_allowed_classes_are_ever_made(target: str) -> None:
    with pytest.raises(UsageError, match="_target_="):
        checks.find_class("model", target)


def test_an_experiment_without_its_first_line_is_named(tmp_path: Path) -> None:
    folder = with_file(tmp_path, "experiment/mine.yaml", "trainer: {max_epochs: 1}\n")
    with pytest.raises(UsageError, match="conf/experiment must begin with the line # @package _global_"):
        check("experiment=mine", folder=folder)


@pytest.mark.parametrize("place", ["model", "optimizer", "data", "trainer", "logger", "callbacks.figures"])
def test_a_class_of_another_kind_is_never_made(place: str, tmp_path: Path) -> None:
    """ExperimentWriter's constructor makes a directory."""
    canary = tmp_path / "canary"
    node = OmegaConf.create({"_target_": "lightning.pytorch.loggers.csv_logs.ExperimentWriter", "log_dir": str(canary)})
    with pytest.raises(UsageError, match=rf"{place}._target_=.*must be a class of mnist_lightning"):
        build.make(place, node)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (tuple[float, float], [0.9, 0.99], ["x", [0.9], [1, 2, 3], None]),
        (float, 1, ["1", True, math.inf]),
        (int | None, None, [1.0, "1", False]),
        (bool, True, [1, "true", None]),
        (Literal["a", "b"] | None, "a", ["c", 1]),
        (timedelta, "PT2S", ["two", True]),
        ("NotImported", object, []),
    ],
)
def test_values_are_read_as_strict_json(annotation: Any, good: Any, bad: list[Any]) -> None:
    if annotation == "NotImported":  # as names that a library imports for type checkers alone

        class Taker:
            def __init__(self, value: "NotImported") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        assert checks.annotation_of(Taker, inspect.signature(Taker).parameters["value"]) is Any
        return
    checks.check_value("x", good, annotation)
    for value in bad:
        with pytest.raises(UsageError, match=r"^x=.*: must be"):
            checks.check_value("x", value, annotation)


def test_a_text_that_stands_for_a_time_is_converted() -> None:
    assert checks.check_value("x", "00:01:00", timedelta) == timedelta(minutes=1)
    assert checks.check_value("x", [0.9, 0.99], tuple[float, float]) == [0.9, 0.99]


NAMES_ALONE = """
import atexit, runpy, sys
atexit.register(lambda: print({"torch", "lightning", "pandas", "pydantic"} & set(sys.modules)))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_misspelt_name_is_answered_without_torch(program: Program) -> None:
    ended = program("-c", NAMES_ALONE, str(PROJECT / "train.py"), "optimizer=adam", "optimizer.beta=1", is_cold=True)
    assert (ended.returncode, ended.stdout) == (2, "set()\n"), ended.stderr
    assert "Did you mean optimizer.betas?" in ended.stderr


def test_extras_that_are_named_are_the_projects_own() -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*LAUNCHERS.values(), *build.EXTRAS.values()} <= extras.keys()
    for place in ("docs/own.md", "conf/logger/wandb.yaml"):
        assert f"'{extras['wandb'][0]}'" in (PROJECT / place).read_text()
