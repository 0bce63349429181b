"""Every configuration that ships is right, and every mistake in one is named."""

import inspect
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from mnist_lightning.config import build, compose, schema
from mnist_lightning.runs.errors import UsageError

CONF = PROJECT / "conf"
GROUP_FILES = sorted(path for path in CONF.glob("*/*.yaml"))


def check(*overrides: str, folder: Path = CONF) -> None:
    with compose.explained(), initialize_config_dir(str(folder), version_base="1.3"):
        compose.checked(hydra_compose("config", overrides=list(overrides)))


@pytest.mark.parametrize("path", GROUP_FILES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_shipped_file_composes_and_passes(path: Path) -> None:
    option = f"{path.parent.name}={path.stem}"
    check(f"+{option}" if path.parent.name == "experiment" else option)


def test_the_shipped_files_were_found() -> None:
    assert {path.parent.name for path in GROUP_FILES} >= set(schema.GROUPS)


@pytest.mark.parametrize("target", schema.SETTINGS)
def test_settings_are_the_classes_own(target: str) -> None:
    module, _, name = target.rpartition(".")
    parameters = list(inspect.signature(getattr(import_module(module), name)).parameters)
    handed_over = {  # by train.py, not by a file
        "torch.optim.SGD": {"params"},
        "torch.optim.Adam": {"params"},
        "torch.optim.lr_scheduler.OneCycleLR": {"optimizer", "total_steps"},
        "lightning.pytorch.Trainer": {"logger", "callbacks", "plugins"},
    }
    assert set(schema.SETTINGS[target]) == set(parameters) - handed_over.get(target, set())


def test_trainer_file_holds_every_argument() -> None:
    settings = yaml.safe_load((CONF / "trainer" / "default.yaml").read_text())
    assert set(settings) - {"_target_"} == set(schema.SETTINGS["lightning.pytorch.Trainer"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batch_size=0", "data.batch_size=0: must be a whole number of at least 1"),
        ("data.batch_size=1.5", "data.batch_size=1.5: must be a whole number of at least 1"),
        ("data.batch_size=many", "data.batch_size=many: must be a whole number"),
        ("data.batch_size=true", "data.batch_size=true: must be a whole number"),
        (
            "data.val_size=60000",
            "data.val_size=60000: must be from 0 to 59,999: mnist has 60,000 images to train",
        ),
        ("data.std=0", "data.std=0: must be a number greater than 0"),
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1: must be a whole number of at least 0"),
        ("optimizer.lr=-0.1", "optimizer.lr=-0.1: must be a number of at least 0"),
        ("optimizer.lr=nan", "optimizer.lr=nan: must be a number"),
        ("optimizer.lr=inf", "optimizer.lr=inf: must be a number"),
        ("optimizer.momentum=1", "optimizer.momentum=1: must be a number of at least 0 and less than 1"),
        ("model.pooling=sum", "model.pooling=sum: must be max or avg"),
        ("model.padding=half", "model.padding=half: must be a whole number of at least 0, or same"),
        ("model.channels=10", r"model.channels=10: must be a list \[a, b, …\]"),
        ("model.kernel_size=30", "model: convolution 1: kernel_size=30 is larger than the 28×28 image"),
        ("model.image_size=32", "model.image_size=32: must be 28, the size of the images of every data set here"),
        ("seed=-1", "seed=-1: must be a whole number from 0 to 4,294,967,295"),
        ("name=../up", r"name=../up: must be letters, digits, and . _ - \+ = between them"),
        ("model._target_=os.system", r"model._target_=os.system: must be a class of mnist_lightning\.\*"),
        ("~optimizer.lr", "optimizer.lr: is missing; it must be a number of at least 0"),
        ("~trainer.max_epochs", "trainer.max_epochs: is missing; it must be a whole number"),
        ("~callbacks", "callbacks: is missing"),
        ("~seed", "seed: is missing"),
        ("output_dir=", "output_dir=: must be a text, or null"),
        ("trainer.overfit_batches=2", r"trainer.overfit_batches=2: must be 0 \(trainer.limit_train_batches=N"),
        ("model=null", "a group takes the name of one of its options"),
        ("optimizer.lrr=0.1", r"optimizer.lrr=?.*: there is no such setting. Did you mean optimizer.lr\?"),
        (
            "+optimizer.momentun=0.1",
            r"optimizer.momentun=0.1: there is no such setting. Did you mean optimizer.momentum\?",
        ),
        (
            "+trainer.max_epoch=3",
            r"trainer.max_epoch=3: there is no such setting. Did you mean trainer.max_epochs\?",
        ),
        ("+sed=1", r"sed=1: there is no such setting. Did you mean seed\?"),
        ("lr=0.1", r"lr.*: there is no such setting. Did you mean optimizer.lr\?"),
        ("optimzer=adam", r"optimzer.*: there is no such setting. Did you mean optimizer\?"),
        (
            "optimizer=adm",
            r"optimizer=adm: there is no such option. Did you mean adam\? There are: adam, sgd",
        ),
        ("optimizer.lr=${optimizer.rl}", "Interpolation key 'optimizer.rl' not found"),
    ],
)
def test_a_mistake_gets_one_message(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        check(override)
    assert raised.value.status == 2
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("optimizer: {momentun: 0.9}", r"optimizer.momentun=0.9: .*Did you mean optimizer.momentum\?"),
        ("optimzer: {lr: 0.1}", r"optimzer.*Did you mean optimizer\?"),
        ("trainer: {max_epochs: ten}", "trainer.max_epochs=ten: must be a whole number"),
        ("defaults: [{override /optimizer: adm}]", "optimizer=adm: there is no such option"),
        ("seed: [", "expected the node content"),
    ],
)
def test_a_mistake_inside_a_file_is_found(content: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    shutil.copytree(CONF, folder)
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{content}\n")
    with pytest.raises(UsageError, match=message):
        check("experiment=mine", folder=folder)


@pytest.mark.parametrize(
    "target",
    ["mnist_lightning.datasets.mnist.os.system", "mnist_lightning.runs.run.Path", "torch.nn.Nothing", "os.system"],
)
def test_only_allowed_classes_are_ever_made(target: str) -> None:
    with pytest.raises(UsageError, match="_target_="):
        build.find_class(target)
