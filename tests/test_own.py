"""One's own networks, data, losses and numbers: docs/own.md as it is typed, and what holds for the tutorial's run."""

import gzip
import hashlib
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
import yaml
from conftest import PROJECT, Program, environment
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_docs import check_jobs
from test_train import compose_config, fit, go_on, read

from mnist_lightning import compare, evaluate, export, predict
from mnist_lightning.config import build, check, compose, explain
from mnist_lightning.config.explain import explained
from mnist_lightning.datasets import mnist
from mnist_lightning.datasets.folder import Folder
from mnist_lightning.datasets.source import Source
from mnist_lightning.runs.earlier import in_todays_words
from mnist_lightning.runs.errors import Interrupted, RunError, UsageError
from mnist_lightning.runs.weights import read_checkpoint
from mnist_lightning.trained import load_run
from mnist_lightning.training.recorder import Recorder

OWN = (PROJECT / "docs" / "own.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", OWN, re.DOTALL)
FILES = {match[1]: text for _, text in BLOCKS if (match := re.match(r"# ([\w/]+\.(?:py|yaml))\n", text))}
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
SMALL = ("trainer.limit_train_batches=4", "trainer.max_epochs=1", "trainer.devices=1")
NETWORKS = '''
import torch
from torch import nn


class Rows(nn.Module):
    """Reads an image row by row; made with .item(), and with a buffer that no checkpoint has."""

    def __init__(self, image_size: int = 28, classes: int = 10, channels_in: int = 1):
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.5, 3)]
        self.register_buffer("scale", torch.arange(1.0, image_size + 1), persistent=False)
        self.recurrent = nn.LSTM(image_size, 12, batch_first=True)
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.norm, self.dropout = nn.BatchNorm1d(12), nn.Dropout(self.rates[1])
        self.classifier = nn.Linear(12, classes)

    def forward(self, images):
        outputs, _ = self.recurrent(images[:, 0] * self.scale.rsqrt())
        outputs, _ = self.attention(outputs, outputs, outputs)
        return self.classifier(self.dropout(self.norm(outputs[:, -1])))


class Lazy(nn.Sequential):
    def __init__(self, classes: int):
        super().__init__(nn.Flatten(), nn.LazyLinear(classes))
'''


def lines(path: str) -> int:
    """Return how many lines a file of docs/own.md has, without blank ones and comments."""
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in FILES[path].splitlines())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout in which someone has made all the files of docs/own.md."""
    home = tmp_path_factory.mktemp("home")
    for name in ("mnist_lightning", "hydra_plugins"):
        (home / name).symlink_to(PROJECT / name)
    shutil.copy(PROJECT / "train.py", home)
    shutil.copytree(PROJECT / "conf", home / "conf")
    [own] = [text for language, text in BLOCKS if language == "toml"]
    project = (PROJECT / "pyproject.toml").read_text()
    assert "[tool.mnist-lightning]\npackages = []" in project
    (home / "pyproject.toml").write_text(re.sub(r"\[tool.mnist-lightning\]\npackages = \[\].*\n", own, project))
    for path, text in {**FILES, "mynets/networks.py": NETWORKS}.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text.partition("\n")[2])  # the first line is its name
    for name, target in {"rows": "Rows", "lazy": "Lazy"}.items():
        (home / "conf" / "model" / f"{name}.yaml").write_text(f"_target_: mynets.networks.{target}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "PROJECT", home)
        for module in (check, compose, explain):
            patch.setattr(module, "CONFIG_FOLDER", home / "conf")
        patch.setattr(sys, "path", [*sys.path])
        check.own_packages.cache_clear()
        yield home
    check.own_packages.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mynets"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def earlier(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that another one can begin from."""
    fit(run := tmp_path_factory.mktemp("earlier") / "run", "data=digits", "logger=none", *SMALL)
    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page(command: str, home: Path, earlier: Path, tmp_path: Path) -> None:
    """In a reduced form: one short epoch, on the digits where it would be MNIST."""
    words = shlex.split(command.replace("RUN", str(earlier)))[1:]
    if words[0] == "-m":
        fit(tmp_path / "run", "data=digits", "callbacks=f1", "data.val_size=100", "logger=none", *SMALL)
        assert words[1:3] == ["mnist_lightning.compare", "runs"]
        assert compare.main([str(tmp_path), *words[3:]]) == 0
        return
    own = [re.sub(r"val_size=5000", "val_size=100", word).partition(",0")[0] for word in words[1:] if word != "-m"]
    own = [re.sub(r"=0,.*", "=0", word) for word in own]
    if (
        "data=folds" in own
        and not mnist.MNIST(*(compose.own_data("mnist")[key] for key in ("root", "search"))).find()[0]
    ):
        pytest.skip("MNIST is in none of the places of conf/data/mnist.yaml")
    data = [] if any(word.startswith("data=") for word in own) else ["data=digits"]
    if "sweep=widths" in own:
        check_jobs("sweep=widths")
        return
    if "experiment=small" in own:
        as_typed(home, *own, *data, *SMALL)
        return
    if "data=folder" in own:
        return  # below, with pictures
    results = fit(tmp_path / "run", *own, *data, *SMALL)
    assert results["status"] == "finished"
    load_run(tmp_path / "run")


def as_typed(home: Path, *words: str) -> None:
    """In a process of its own the experiment has a name, and own packages are those of pyproject.toml."""
    ended = warm.run(["train.py", *words, "~callbacks.figures", "output_dir=runs/named"], cwd=home, env=environment())
    assert ended.returncode == 0, ended.stderr
    results = read(home / "runs" / "named")
    assert (results["experiment"], results["name"]) == ("small", "digits-lenet")
    [settings] = (home / "runs" / "named").glob("*.hparams-start")
    assert b"small" in settings.read_bytes(), "in TensorBoard"
    assert compare.Leaderboard(compare.find([home / "runs"])).cells()["experiment"].tolist() == ["small"]


def test_the_page_measures_what_it_says() -> None:
    """A row's files are those of its section."""
    rows = re.findall(r"^\| (\d) [^|]+\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", OWN, re.MULTILINE)
    assert len(rows) == 9
    for number, *counted in rows:
        section = re.search(rf"^## {number}\..*?(?=^## |\Z)", OWN, re.DOTALL | re.MULTILINE)
        assert section
        files = re.findall(r"^# ([\w/]+\.(?:py|yaml))$", section[0], re.MULTILINE)
        of_kind = [[path for path in files if path.endswith(suffix)] for suffix in (".py", ".yaml")]
        expected = [number for some in of_kind for number in (len(some), sum(map(lines, some)))]
        assert [int(number) for number in counted] == expected, f"task {number}"
    assert all(lines(path) <= 9 for path in FILES if path.endswith(".yaml"))


def test_the_scripts_of_the_page(home: Path, earlier: Path, tmp_path: Path) -> None:
    script = FILES["mistakes.py"].replace('"RUN"', repr(str(earlier)))
    (tmp_path / "all.py").write_text(f"import matplotlib\nmatplotlib.use('Agg')\n{FILES['library.py']}\n{script}\n"
                                     "assert numbers['test/accuracy'] > 0.8, numbers\n"
                                     "assert probabilities[0].shape == (360, 10)\n")  # fmt: skip
    ended = warm.run(["-W", "ignore", tmp_path / "all.py"], cwd=tmp_path, env=environment())
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "mistakes.png").stat().st_size > 5_000


def pictures(folder: Path) -> Path:
    """Make 40 pictures of three colours, of two sizes, for each class."""
    draw = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog & co", "ox")):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            pixels = draw.integers(0, 90, (30 + number % 2 * 20, 48, 3)).astype(np.uint8)
            pixels[..., label] += 120
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def of_mnists_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packed files of Fashion-MNIST's and KMNIST's format, but small."""
    draw, md5 = np.random.default_rng(0), {}
    sizes = {"train": 300, "t10k": 90}
    for part, count in sizes.items():
        labels = np.arange(count, dtype=np.uint8) % 10
        images = draw.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4:24, 2 * label : 2 * label + 6] += 180
        for kind, content in (
            ("images-idx3", bytes(16) + images.tobytes()),
            ("labels-idx1", bytes(8) + labels.tobytes()),
        ):
            name, packed = f"{part}-{kind}-ubyte.gz", gzip.compress(content)
            md5[name] = hashlib.md5(packed, usedforsecurity=False).hexdigest()
            for kind_of_data in ("FashionMNIST", "KMNIST"):
                (tmp_path / "data" / kind_of_data / "raw").mkdir(parents=True, exist_ok=True)
                (tmp_path / "data" / kind_of_data / "raw" / name).write_bytes(packed)
    for source in (mnist.FashionMNIST, mnist.KMNIST):
        monkeypatch.setattr(source, "packed_md5", md5)
        monkeypatch.setattr(source, "train_size", 300)
        monkeypatch.setattr(source, "test_size", 90)
    return tmp_path / "data"


SHIPPED = {  # each option that ships beside the tutorial's own, and networks of one's own
    "folder": ["data=folder", "model=resnet", "optimizer=adamw", "scheduler=cosine", "logger=both",
               "callbacks=averaged_weights", "data.batch_size=16"],
    "fashion_mnist": ["data=fashion_mnist", "model=mlp", "scheduler=plateau", "callbacks=early_stopping",
                      "logger=csv", "data.val_size=50", "data.batch_size=16"],
    "kmnist": ["data=kmnist", "logger=wandb", "data.batch_size=16", "module=mixup"],
    "shapes": ["data=shapes", "model=lenet", "module=mixup", "callbacks=flip", "data.val_size=50", "logger=none"],
    "rows": ["data=digits", "model=rows", "data.batch_size=7"],
}  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_all_that_holds_for_the_tutorial_holds_for(
    name: str, home: Path, of_mnists_format: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """It is trained, stopped and resumed, evaluated, asked and exported, and shows the names of its classes."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    places = {"folder": [f"data.root={pictures(tmp_path / 'pictures')}"]}
    root = places.get(name, [f"data.root={of_mnists_format}"] if "mnist" in name else [])
    overrides = [*SHIPPED[name], *root, "trainer.limit_train_batches=8", "trainer.max_epochs=2"]
    whole = fit(tmp_path / "whole", *overrides, figures=name in ("folder", "rows"))
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_batch_end", stop_in_epoch_2)
        with pytest.raises(Interrupted):
            fit(tmp_path / "stopped", *overrides)
    resumed = go_on(tmp_path / "stopped")
    compared = ("weights_sha256", "test", "val", "status", "name")
    assert [resumed[key] for key in compared] == [whole[key] for key in compared]
    weights = read_checkpoint(tmp_path / "whole" / "checkpoints" / "last.ckpt")["state_dict"]
    run = load_run(tmp_path / "whole")
    assert all(torch.equal(weights[f"network.{key}"], value) for key, value in run.network.state_dict().items())

    capsys.readouterr()
    assert evaluate.main([str(run.directory), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test"] == pytest.approx(whole["test"])
    assert found["classes"] == [*run.classes]
    picture = save_picture(run, tmp_path / "one.png")
    assert predict.main([str(run.directory), str(picture)]) == 0
    said = capsys.readouterr().out
    assert any(f": {named}  " in said for named in run.classes), said
    assert export.main([str(run.directory)]) == 0
    shape = ", ".join(map(str, run.shape[1:] if run.shape[0] == 1 else run.shape))
    assert f"uint8 (N, {shape})" in capsys.readouterr().out


def stop_in_epoch_2(self: Recorder, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
    if trainer.current_epoch == 1 and batch_idx == 3:
        raise Interrupted(15)


def save_picture(run: Any, path: Path) -> Path:
    image = run.test_set()[0][0].numpy()
    Image.fromarray(image.transpose(1, 2, 0) if image.ndim == 3 else image).save(path)
    return path


def test_lazy_layers_take_their_size_from_the_data(home: Path, tmp_path: Path) -> None:
    fit(tmp_path / "run", "data=digits", "model=lazy", "logger=none", *SMALL)
    assert load_run(tmp_path / "run").network.state_dict()["1.weight"].shape == (10, 784)
    shutil.rmtree(tmp_path / "run" / "seal.json", ignore_errors=True)
    (tmp_path / "run" / "seal.json").unlink()
    assert load_run(tmp_path / "run").network.state_dict()["1.weight"].shape == (10, 784), (
        "a stranger's, made without memory first"
    )


def test_a_strangers_network_of_ones_own_packages(home: Path, tmp_path: Path) -> None:
    """`.item()` in the constructor, and a buffer that no checkpoint has: made without memory first."""
    fit(tmp_path / "run", "data=digits", "model=rows", "logger=none", *SMALL)
    own = load_run(tmp_path / "run")
    (tmp_path / "run" / "seal.json").unlink()
    other = load_run(tmp_path / "run")
    assert (own.is_own, other.is_own) == (True, False)
    images, _ = own.test_set()
    assert torch.equal(own.logits(images), other.logits(images))


def test_what_is_for_handwriting_says_so(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path / "run", "data=shapes", "model=lenet", "logger=none", *SMALL)
    with pytest.raises(UsageError, match=r"--corrupted: .* grey images of 28×28, and this run's are 3×20×24"):
        evaluate.main([str(tmp_path / "run"), "--corrupted"])
    with pytest.raises(UsageError, match=r"the drawing page is for grey images of 28×28"):
        load_run(tmp_path / "run").must_be_28x28("the drawing page is")


def test_packages_are_named_by_pyproject_alone(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path / "run", "data=digits", "model=lenet", "logger=none", *SMALL)
    monkeypatch.setattr(check, "own_packages", lambda: ())
    with pytest.raises(UsageError, match=r"model\._target_=mynets\.lenet\.LeNet: must be a class of mnist_lightning"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=lenet", "model.dropout=lots"], "model.dropout=lots: must be a number"),
        (["model=lenet", "model.widht=4"], "model.widht=4: there is no such setting. Did you mean model.width?"),
        (["data=shapes", "data.mean=[0.1,0.2]"], "data.mean=[0.1, 0.2]: must be a number, or one for each of 3"),
        (["data=shapes"], "data.root=: "),
        (["module=distilled"], "module.teacher"),
        (["data.source._target_=mynets.lenet.LeNet"], "data.source._target_=mynets.lenet.LeNet: must be a class of"),
        (["model._target_=mynets.shapes.Shapes"], "model._target_=mynets.shapes.Shapes: must be a class of"),
        (["scheduler=plateau"], "scheduler.monitor=val/loss: no images are held out"),
        (["scheduler=plateau", "scheduler.monitor=test/loss"], "the test set chooses nothing"),
        (["freeze=[feature]"], "freeze=[feature]: the network has no layer of that name"),
        (["freeze=[features,classifier]"], "leaves nothing to train"),
        (["init_from=nothing"], "nothing"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_before_anything_is_read(overrides: list[str], message: str, home: Path) -> None:
    if overrides == ["data=shapes"]:
        overrides, message = ["data=shapes", "+data.root=x"], "data.root: Shapes takes no root"
    with pytest.raises(UsageError) as raised, explained(overrides):
        build.everything(compose_of(*overrides))
    assert message in str(raised.value)


WRONG = """
import torch
from lightning.pytorch import Callback
from mnist_lightning.datasets.source import Source
from mnist_lightning.module import Classifier
from mnist_lightning.training.augmentation import Augmentation


class NoLoss(Classifier):
    def training_loss(self, images, labels):
        self.network(images)


class Unreduced(Classifier):
    def training_loss(self, images, labels):
        return torch.nn.functional.cross_entropy(self.network(images), labels, reduction="none")


class NoInit(Classifier):
    def __init__(self, *args, **kwargs):
        self.network = None


class Weighted(Classifier):
    def __init__(self, *args, weights: list[float], **kwargs):
        super().__init__(*args, **kwargs)
        self.weights = weights

    def training_loss(self, images, labels):
        weights = torch.tensor(self.weights)
        return torch.nn.functional.cross_entropy(self.network(images), labels, weights)


class Cropped(Augmentation):
    def augment(self, images, generator):
        return images[:, :, 1:]


class Twice(Source):
    classes, shape = ("a", "a"), (1, 28, 28)


class Measure(Callback):
    def __init__(self, value):
        self.value = value

    def on_validation_epoch_end(self, trainer, module):
        module.results["test"]["x"] = torch.tensor(0.25) if self.value == "tensor" else self.value
"""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["module._target_=mynets.wrong.NoLoss"], "must return a scalar that depends on the weights"),
        (["module._target_=mynets.wrong.Unreduced"], "on the weights, but gives shape (2,)"),
        (["module._target_=mynets.wrong.NoInit"], "module: NoInit can't be made: "),
        (["module._target_=mynets.wrong.Weighted", "+module.weights=[1,2]"], "Weighted can't be made: its training"),
        (["+callbacks.x._target_=mynets.wrong.Cropped"], "Cropped.augment must return images of the same"),
        (["data.source._target_=mynets.wrong.Twice"], 'has the classes ["a", "a"]: must be two or more, all different'),
        (["data.source._target_=others.Twice"], "A package of your own is named in pyproject.toml: docs/own.md"),
    ],
)  # fmt: skip
def test_classes_of_ones_own_are_tried_before_anything_is_read(overrides: list[str], message: str, home: Path) -> None:
    (home / "mynets" / "wrong.py").write_text(WRONG)
    with pytest.raises(UsageError) as raised:
        build.everything(compose_of(*overrides))
    assert message in str(raised.value)


@pytest.mark.parametrize(("value", "problem"), [("tensor", None), ("text", "'text'"), ("nan", "nan")])
def test_a_measure_is_a_number(value: str, problem: str | None, home: Path, tmp_path: Path) -> None:
    (home / "mynets" / "wrong.py").write_text(WRONG)
    callback = ("+callbacks.x._target_=mynets.wrong.Measure", f"+callbacks.x.value={value}")
    overrides = ("data=digits", "logger=none", *callback, *SMALL)
    if problem is None:
        assert fit(tmp_path / "run", *overrides)["test"]["x"] == 0.25
        return
    with pytest.raises(RunError, match=rf'results\["test"\]\["x"\]={problem}: must be a finite number'):
        fit(tmp_path / "run", *overrides)


def test_a_figure_that_cannot_be_drawn_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("no such colour")

    monkeypatch.setattr("mnist_lightning.figures.of_run.accuracy_curve", broken)
    assert fit(tmp_path / "run", "data=digits", *SMALL, figures=True)["status"] == "finished"
    assert "some figures could not be drawn: no such colour" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("is_raised", [True, False])
def test_a_signal_ends_it_whatever_a_library_that_draws_makes_of_it(
    is_raised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        monkeypatch.setattr(Interrupted, "arrived", Interrupted(signal.SIGTERM))
        if is_raised:
            raise SystemError("a function returned a result with an exception set")

    monkeypatch.setattr("mnist_lightning.training.tensorboard.RunLogger.log_network", interrupted)
    with pytest.raises(Interrupted, match="terminated"):
        fit(tmp_path / "run", "data=digits", *SMALL, figures=True)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["status"] == "interrupted"


def compose_of(*overrides: str) -> Any:
    has_data = any(word.startswith("data=") for word in overrides)
    return compose_config(*overrides, *([] if has_data else ["data=digits"]))


def test_init_from_takes_what_fits(home: Path, earlier: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Against the file: the frozen layers are the other run's to the bit, and what does not fit is named."""
    before = read_checkpoint(earlier / "checkpoints" / "last.ckpt")["state_dict"]
    overrides = (f"init_from={earlier}", "freeze=[features]", "data=digits", "logger=none", *SMALL)
    results = fit(tmp_path / "run", *overrides)
    after = load_run(tmp_path / "run").network.state_dict()
    for name, weight in after.items():
        assert torch.equal(weight, before[f"network.{name}"]) == name.startswith("features"), name
    assert results["init_from"]["taken"] == [*after]
    assert results["init_from"]["checkpoint"] == str(earlier / "checkpoints" / "last.ckpt")
    wider = fit(
        tmp_path / "wider", f"init_from={earlier}", "model.channels=[10,12]", "data=digits", "logger=none", *SMALL
    )
    assert wider["init_from"]["taken"] == ["features.0.weight", "features.0.bias", "classifier.1.bias"]
    log = (tmp_path / "wider" / "train.log").read_text()
    assert "begins with 3 of 6 tensors" in log
    assert "features.3.weight (12×10×5×5 here, 20×10×5×5 there)" in log


def test_frozen_layers_keep_their_statistics(home: Path, tmp_path: Path) -> None:
    """Those of batch normalization too, in every step and after an evaluation within the run."""
    fit(tmp_path / "a", "data=digits", "model=lenet", "logger=none", *SMALL)
    frozen = ("freeze=['0','1','4']", f"init_from={tmp_path / 'a'}", "trainer.max_epochs=2")
    fit(
        tmp_path / "b",
        "data=digits",
        "model=lenet",
        "logger=none",
        "trainer.limit_train_batches=4",
        *frozen,
        figures=True,
    )
    before, after = (load_run(tmp_path / name).network.state_dict() for name in "ab")
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"9.weight", "9.bias"}


def test_a_number_of_ones_own_is_everywhere(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sklearn.metrics import f1_score

    overrides = ("data=digits", "callbacks=f1", "data.val_size=100", "trainer.max_epochs=2")
    results = fit(tmp_path / "run", *overrides)
    run = load_run(tmp_path / "run")
    images, labels = run.test_set()
    expected = f1_score(labels, run.predict(images), average="macro")
    assert results["test"]["f1"] == results["epochs"][-1]["test_f1"] == pytest.approx(expected, rel=1e-6)
    [*_, last] = EventAccumulator(str(tmp_path / "run")).Reload().Scalars("val/f1")
    assert last.value == pytest.approx(results["val"]["f1"])
    log = (tmp_path / "run" / "train.log").read_text()
    assert f"val accuracy   {results['val']['accuracy']:.2%}" in log and f"f1 {results['val']['f1']:.4f}" in log
    assert re.search(rf"(?m)^  1/.*  {results['epochs'][0]['val_f1']:.4f}  .* s$", log), "a column of the epochs' table"
    fit(tmp_path / "worse", *overrides, "optimizer.lr=0.0001")
    for metric in ("f1", "loss"):
        capsys.readouterr()
        assert compare.main([str(tmp_path), "--metric", metric]) == 0
        table = capsys.readouterr().out
        assert table.index(f"{tmp_path}/run") < table.index(f"{tmp_path}/worse")
        assert f"val {metric}" in table
    with pytest.raises(
        UsageError, match=r"metric=f2: was measured in none of these runs\. There are: accuracy, errors"
    ):
        compare.main([str(tmp_path), "--metric", "f2"])


def test_two_classes_of_one_name_are_two_experiments(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        config = {"model": {"_target_": f"mynets.{name}.Net"}, "data": {"dataset": "digits"}}
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(config))
        test = {"accuracy": 0.9, "errors": 36, "total": 360, "loss": 0.3}
        results = {"status": "finished", "name": "x", "seed": 0, "epochs": [], "test": test, "val": None}
        (tmp_path / name / "results.json").write_text(json.dumps(results))
    board = compare.Leaderboard(compare.find([tmp_path]))
    assert sorted(board.settings()["model"]) == ["mynets.one.Net", "mynets.two.Net"]


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_packed_files_are_checked(damage: str, of_mnists_format: Path) -> None:
    source = mnist.KMNIST(str(of_mnists_format))
    train, _, _, labels = source.checked()
    assert (train.shape, labels.tolist()) == ((300, 28, 28), [number % 10 for number in range(90)])
    path = of_mnists_format / "KMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content if damage == "flipped" else content[:20])
    with pytest.raises(RunError, match=r"t10k-labels-idx1-ubyte\.gz is damaged: its md5 is"):
        source.read()


def test_packed_mnist_is_mnist(mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, one half of the files packed; the archives' own bytes depend on who packed them."""
    raw, md5 = tmp_path / "MNIST" / "raw", {}
    raw.mkdir(parents=True)
    for name in mnist.FILES:
        content = (mnist_root / "MNIST" / "raw" / name).read_bytes()
        if name.startswith("t10k"):
            packed = gzip.compress(content, 6)
            (raw / f"{name}.gz").write_bytes(packed)
            md5[f"{name}.gz"] = hashlib.md5(packed, usedforsecurity=False).hexdigest()
        else:
            (raw / name).write_bytes(content)
    assert len(mnist.MNIST().packed_md5) == 4, "torchvision's own"
    monkeypatch.setattr(mnist.MNIST, "packed_md5", md5)
    for here, there in zip(mnist.MNIST(str(tmp_path)).read(), mnist.MNIST(str(mnist_root)).read(), strict=True):
        assert np.array_equal(here, there)


def test_pictures_in_folders(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures")
    source = Folder(str(folder), height=20, width=24)
    train, train_labels, test, test_labels = source.checked()
    assert (source.classes, train.shape, test.shape) == (["cat", "dog & co", "ox"], (96, 3, 20, 24), (24, 3, 20, 24))
    assert np.bincount(test_labels).tolist() == [8, 8, 8]
    assert all(train[train_labels == label].mean(axis=(0, 2, 3)).argmax() == label for label in range(3))
    for part in ("train", "test"):
        shutil.copytree(folder, tmp_path / "parts" / part)
    train, *_ = Folder(str(tmp_path / "parts"), grey=True).checked()
    assert train.shape == (120, 32, 32)
    for number in range(5, 40):
        (folder / "ox" / f"{number}.png").unlink()
    _, train_labels, _, test_labels = Folder(str(folder)).checked()
    assert (np.bincount(train_labels).tolist(), np.bincount(test_labels).tolist()) == ([32, 32, 4], [8, 8, 1])
    (folder / "ox" / "0.png").write_bytes(b"no picture")
    with pytest.raises(RunError, match=r"0\.png: not a picture that can be read"):
        Folder(str(folder)).read()
    (folder / "ox" / "0.png").write_bytes(b"%PDF-1.7")
    (folder / "ox" / "0.png").rename(folder / "ox" / "0.pdf")
    with pytest.raises(RunError, match=r"0\.pdf: is a PDF: save the page as PNG\. Repair or remove it"):
        Folder(str(folder)).read()
    with pytest.raises(UsageError, match=r"data.root=.*nothing is there"):
        Folder(str(tmp_path / "nowhere"))


def test_a_source_is_held_against_what_it_says() -> None:
    class Wrong(Source):
        classes, shape = ("a", "b"), (1, 4, 4)
        arrays: Any

        def read(self, may_download: bool = True) -> Any:
            return self.arrays

    images, labels = np.zeros((5, 4, 4), np.uint8), np.array([0, 1, 0, 1, 0])
    source = Wrong()
    source.arrays = images, labels, images, labels
    images.flags.writeable = False  # as a file that is mapped into memory
    checked = source.checked()
    assert all(np.array_equal(one, other) for one, other in zip(checked, source.arrays, strict=True))
    assert (checked[0].flags.writeable, checked[1].dtype) == (True, np.int64)
    for wrong in ((images[:, :3], labels), (images.astype(float), labels), (images, labels + 1), (images, labels[:4])):
        source.arrays = *wrong, images, labels
        with pytest.raises(RunError, match="Wrong: its training"):
            source.checked()


def test_settings_that_came_later_are_those_of_today() -> None:
    """A run from before a network had them counts as the same experiment as one of today."""
    today = check.plain(OmegaConf.load(PROJECT / "conf" / "model" / "convnet.yaml"))
    before = {name: value for name, value in today.items() if not name.startswith("test_time_")}
    assert len(before) == len(today) - 1
    assert in_todays_words({"model": before})["model"] == today


EARLIER = sorted((PROJECT / "tests" / "earlier_runs").iterdir())


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.name)
def test_runs_of_earlier_versions(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are evaluated, compared with today's, and, trusted, resumed."""
    run = shutil.copytree(path, tmp_path / "runs" / path.name)
    before = read(run)
    if (
        before["dataset"] == "mnist"
        and not mnist.MNIST(*(compose.own_data("mnist")[k] for k in ("root", "search"))).find()[0]
    ):
        pytest.skip("MNIST is in none of the places of conf/data/mnist.yaml")
    assert evaluate.main([str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == pytest.approx(before["test"])
    with pytest.raises(UsageError, match="trust=true"):
        go_on(run)
    after = go_on(run, "trust=true", f"trainer.max_epochs={len(before['epochs']) + (path.name != 'digits-onecycle')}",
                  "trainer.limit_train_batches=100")  # fmt: skip
    assert after["epochs"][: len(before["epochs"])] == before["epochs"]
    if path.name == "digits-cnn":
        fit(tmp_path / "runs" / "today", "data=digits", "model.channels=[2,4]", "trainer.max_epochs=2", "seed=1")
        board = compare.Leaderboard(compare.find([path, tmp_path / "runs" / "today"]))
        assert len(board.rows) == 1, "one experiment, then and now"


@pytest.mark.filterwarnings(
    "ignore:.*treespec", "ignore:.*does not have many workers", "ignore:.*logging interval", "ignore:You defined a"
)
def test_as_a_library(tmp_path: Path) -> None:
    """Plain Lightning, with loaders and a data module of one's own, barebones, and a checkpoint of one's own."""
    from lightning.pytorch import LightningDataModule, Trainer
    from lightning.pytorch.tuner import Tuner
    from torch.utils.data import DataLoader, TensorDataset

    from mnist_lightning.data import ImageDataModule
    from mnist_lightning.datasets.digits import Digits
    from mnist_lightning.module import Classifier
    from mnist_lightning.networks.cnn import CNN

    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    data = ImageDataModule(Digits(), batch_size=16, mean=0.1555, std=0.2772)
    data.setup()
    images, labels = data.splits["test"].tensors
    loader = DataLoader(TensorDataset(images, labels), batch_size=50)
    torch.manual_seed(0)
    module = Classifier(network := CNN())
    trainer = Trainer(max_epochs=1, enable_checkpointing=False, **quiet)  # type: ignore[arg-type]
    trainer.fit(module, loader, loader)
    errors = int((network.eval()(images).argmax(1) != labels).sum())
    assert module.results["val"]["errors"] == errors
    [numbers] = trainer.test(module, loader, verbose=False)
    assert numbers["test/accuracy"] == pytest.approx(1 - errors / 360)
    probabilities: Any = trainer.predict(module, loader)
    assert torch.cat(probabilities).argmax(1).ne(labels).sum() == errors

    class Own(LightningDataModule):
        def train_dataloader(self) -> Any:
            return loader

        test_dataloader = train_dataloader

    own = Trainer(max_epochs=1, barebones=True, accelerator="cpu")
    own.fit(Classifier(CNN()), datamodule=Own())
    assert trainer.test(module, datamodule=Own(), verbose=False) == [numbers]

    trainer.save_checkpoint(tmp_path / "own.ckpt")
    again = Classifier.load_from_checkpoint(tmp_path / "own.ckpt", network=CNN())
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), module.parameters(), strict=True))

    tuned = Classifier(CNN())
    trainer = Trainer(max_epochs=1, enable_checkpointing=False, default_root_dir=tmp_path, **quiet)  # type: ignore[arg-type]
    found = Tuner(trainer).lr_find(tuned, datamodule=data, num_training=30)
    assert found and tuned.lr == found.suggestion()
    assert tuned.configure_optimizers().param_groups[0]["lr"] == tuned.lr


NOTEBOOK = """
from lightning.pytorch import Trainer
from mnist_lightning.data import ImageDataModule
from mnist_lightning.datasets.digits import Digits
from mnist_lightning.module import Classifier
from mnist_lightning.networks.cnn import CNN

module, data = Classifier(CNN()), ImageDataModule(Digits(), batch_size=16)
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
Trainer(max_epochs=1, accelerator="cpu", devices=2, strategy="ddp_fork", **quiet).fit(module, data)
print("done")
"""


def test_as_a_library_in_a_notebook(program: Program, tmp_path: Path) -> None:
    ended = program("-W", "ignore", "-c", NOTEBOOK)
    assert (ended.returncode, ended.stdout.split()[-1:]) == (0, ["done"]), ended.stderr


def test_pip_install_makes_it_importable(tmp_path: Path) -> None:
    """Without network: what it needs is installed already."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, tmp_path)
    for name in ("mnist_lightning", "hydra_plugins", "conf"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    site = tmp_path / "site"
    command = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
               "--target", str(site), "-e", str(tmp_path)]  # fmt: skip
    installed = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    code = f"import site; site.addsitedir({str(site)!r}); import mnist_lightning; print(mnist_lightning.__file__)"
    ended = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert ended.stdout == f"{tmp_path}/mnist_lightning/__init__.py\n", ended.stderr
