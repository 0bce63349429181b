"""A stranger's run can be looked at, which touches nothing, and is not gone on with."""

import json
import os
import pickle
import resource
import shutil
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from test_train import fit, go_on

from mnist_lightning import evaluate, export, load_run
from mnist_lightning.evaluation.measures import Evaluation
from mnist_lightning.runs.errors import RunError, UsageError

ONES_OWN = {
    "_target_": "mnist_lightning.data.ImageDataModule", "dataset": "mnist", "batch_size": 64, "test_batch_size": 500,
    "val_size": 0, "val_seed": 0, "mean": 0.137, "std": 0.3081, "seed": 0,
}  # fmt: skip
CANARY = Path("canary")  # in the test's own folder: does not exist as long as nothing of the stranger's was executed


class Payload:
    def __reduce__(self) -> tuple:
        return Path.touch, (CANARY.absolute(),)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("honest") / "run"
    fit(directory, "data=digits", "trainer=smoke")
    return directory


@pytest.fixture
def run(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good run of another user's, which a test spoils; beside it stands a folder that is none of its business."""
    shutil.copytree(honest, tmp_path / "run")
    seal = json.loads((tmp_path / "run" / "seal.json").read_text())
    (tmp_path / "run" / "seal.json").write_text(json.dumps(seal | {"hmac": "0" * 64}))
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path)
    return Path("run")


def checkpoint(write: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda run: write(run / "checkpoints" / "last.ckpt")


def with_payload_alone(path: Path) -> None:
    path.write_bytes(pickle.dumps(Payload()))


def with_payload_inside(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content | {"callbacks": {"Recorder": Payload()}}, path)


def setting(key: str, value: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        config = yaml.safe_load((run / "config.yaml").read_text())
        node = config
        *groups, last = key.split(".")
        for group in groups:
            node = node[group]
        node[last] = value
        (run / "config.yaml").write_text(yaml.safe_dump(config))

    return change


def opcodes(code: bytes) -> Callable[[Path], None]:
    """Write a checkpoint whose pickle is `code`: each of these leads torch's reader to an error of another kind."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", code)
            archive.writestr("archive/version", "3")

    return checkpoint(write)


def config_bytes(content: bytes) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / "config.yaml").write_bytes(content)

    return write


def inflating(path: Path) -> None:
    """Write a checkpoint that takes a thousand times as much in memory; make attack-test has one of gigabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data/0", "w") as part:
        for _ in range(10):
            part.write(bytes(10_000_000))


def pipe(name: str) -> Callable[[Path], None]:
    def replace(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return replace


def everything_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content of every file below, and of everything when it was last changed."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def yaml_tag(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(f"x: !!python/object/apply:os.system ['touch {CANARY}']\n{text}")


def link(name: str, target: str) -> Callable[[Path], None]:
    def replace(run: Path) -> None:
        place = run / name
        if place.is_dir():
            shutil.rmtree(place)
        elif place.exists():
            place.rename(target)
        place.symlink_to(Path(target).absolute())

    return replace


EXECUTES = f"touch {CANARY}"
HOSTILE: dict[str, tuple[Callable[[Path], None], str | None]] = {  # and what a look at it answers; None: a network
    "pickle": (checkpoint(with_payload_alone), "not a checkpoint of this"),
    "torch pickle": (checkpoint(lambda path: torch.save(Payload(), path)), "not a checkpoint of this"),
    "payload inside": (checkpoint(with_payload_inside), "not a checkpoint of this"),
    "os.system": (setting("model", {"_target_": "os.system", "command": EXECUTES}), "_target_=os.system"),
    "a method": (setting("model", {"_target_": "pathlib.Path.touch", "self": str(CANARY)}), "_target_=pathlib"),
    "a function of ours": (
        setting("model", {"_target_": "mnist_lightning.runs.files.write_atomically", "path": str(CANARY)}),
        "_target_=mnist_lightning.runs.files",
    ),
    "what a package imports": (
        setting("model", {"_target_": "torch.nn.modules.module.os.system", "command": EXECUTES}), "_target_=torch",
    ),
    "a logger as the network": (
        setting("model", {"_target_": "lightning.pytorch.loggers.csv_logs.ExperimentWriter", "log_dir": str(CANARY)}),
        "_target_=lightning.pytorch.loggers.csv_logs.ExperimentWriter: must be a class of mnist_lightning",
    ),
    "our logger as the network": (
        setting("model", {"_target_": "mnist_lightning.training.tensorboard.RunLogger", "directory": str(CANARY)}),
        "and a Module",
    ),
    "a target within": (setting("model.channels", [{"_target_": "os.system", "command": EXECUTES}]), "model.channels"),
    "many layers": (
        setting("model", {"_target_": "torch.nn.LSTM", "input_size": 1, "hidden_size": 1, "num_layers": 100_000}),
        "takes more than 1 seconds of processor time to be made",
    ),
    "no network": (setting("model", None), "model=null: must be settings"),
    "a network of other images": (setting("model", {"_target_": "torch.nn.Identity"}), "it must give logits of shape"),
    "a vast answer": (setting("model", {"_target_": "torch.nn.ZeroPad2d", "padding": 30_000}), "it must give logits"),
    "IndexError": (opcodes(b"\x80\x02."), "not a checkpoint of this"),
    "KeyError": (opcodes(b"\x80\x02h\x05."), "not a checkpoint of this"),
    "TypeError": (opcodes(b"\x80\x02ctorch\nfloat32\n)R."), "not a checkpoint of this"),
    "memory": (opcodes(b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x08\x85R."), "not a checkpoint of this"),
    "a codec": (opcodes(b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0ascii\x86R."), "not a checkpoint of"),
    "inflating": (checkpoint(inflating), "not a checkpoint of this"),
    "environment": (setting("name", "${oc.env:HOME}"), r"only ${output_dir} may refer to another setting"),
    "half a variable": (setting("name", "${"), r"only ${output_dir} may refer to another setting"),
    "escape sequences": (setting("name", "\x1b[2J"), "must be at most 100 letters, digits"),
    "aliases": (config_bytes(b"a: &a [1, 2]\nb: [*a, *a]\n"), "uses YAML aliases"),
    "enormous": (config_bytes(b"a: 1\n" * 20_000), "more than 65,536 are not read"),
    "brackets": (config_bytes(b"[" * 50_000), "nested too deeply"),
    "deep": (config_bytes(b"- " * 5_000), "config.yaml can't be read"),
    "no text": (config_bytes(b"\xff\xfe\xff"), "config.yaml can't be read"),
    "yaml tag": (yaml_tag, "config.yaml can't be read"),
    "a pipe": (pipe("config.yaml"), "is not a regular file"),
    "a pipe of weights": (pipe("checkpoints/last.ckpt"), "is not a regular file"),
    "a huge batch": (setting("data.test_batch_size", 10**30), "data.test_batch_size=1000"),
    "another data set": (setting("data.dataset", "../../etc"), "data.dataset=../../etc: must be"),
    "checkpoints elsewhere": (setting("callbacks.last_checkpoint.dirpath", "outside"), None),
    "a format as file name": (setting("callbacks.last_checkpoint.filename", "{step:.>2c}/outside/x"), None),
    "events elsewhere": (setting("logger.directory", "${output_dir}/../outside"), None),
    "a logger that sends": (setting("logger", {"_target_": "lightning.pytorch.loggers.MLFlowLogger"}), None),
    "a number of 40,000 digits": (setting("seed", int("9" * 4000)), "seed=9999"),
    "no finite answer": (setting("data.std", 1e-300), None),
    "null paths": (setting("callbacks.last_checkpoint.dirpath", None), None),
    "data elsewhere": (setting("data.root", "outside"), None),
    "a command as a callback": (setting("callbacks.x", {"_target_": "os.system", "command": EXECUTES}), None),
    "link to a file": (link("results.json", "outside/results.json"), None),
    "link to a folder": (link("figures", "outside"), None),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_look_at_a_hostile_run_touches_nothing(name: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "many layers":
        load_run(run)  # what torch imports for the first network counts too
        monkeypatch.setattr("mnist_lightning.trained.MOST_SECONDS", 1)
    spoil, message = HOSTILE[name]
    spoil(run)
    before = everything_in(Path())
    if message is None:
        assert load_run(run).epochs == 1
    else:
        with pytest.raises(RunError) as refused:
            load_run(run)
        assert message in str(refused.value)
        assert str(refused.value).isprintable()
    assert everything_in(Path()) == before


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_run_is_not_gone_on_with(name: str, run: Path) -> None:
    HOSTILE[name][0](run)
    before = everything_in(Path())
    with pytest.raises(UsageError, match=r"is somebody else's|not a regular file|no run"):
        go_on(run, "trainer.max_epochs=2")
    assert everything_in(Path()) == before


def test_answers_that_are_not_finite_are_said(run: Path) -> None:
    setting("data.std", 1e-300)(run)
    with pytest.raises(RunError, match="answers with numbers that are not finite"):
        load_run(run).predict(torch.zeros(1, 28, 28, dtype=torch.uint8))


def test_nothing_is_written_through_a_link_that_waits_for_it(run: Path) -> None:
    """Under the passing name of a file, or in the place of a checkpoint's own folder of figures."""
    (run / "figures").mkdir()
    for process in range(os.getpid(), os.getpid() + 3):
        (run / "figures" / f".reliability.png.{process}").symlink_to(Path("outside/thesis").absolute())
    (run / "figures" / "best").symlink_to(Path("outside").absolute())
    (run / "figures" / "round").symlink_to("round")
    shutil.copy(run / "checkpoints" / "last.ckpt", run / "checkpoints" / "best.ckpt")
    shutil.copy(run / "checkpoints" / "last.ckpt", run / "checkpoints" / "round.ckpt")
    images, labels = load_run(run).test_set()
    for name in ("last", "best", "round"):
        trained = load_run(run / "checkpoints" / f"{name}.ckpt")
        with (
            nullcontext()
            if name == "last"
            else pytest.raises(UsageError, match=f"figures/{name} is a link that leads out of run")
        ):
            evaluate.draw(trained, Evaluation(trained.logits(images), labels), images, {})
    assert (run / "figures" / "reliability.png").exists()
    assert not list(Path("outside").iterdir())


def test_a_seal_of_other_letters_is_somebody_elses(run: Path) -> None:
    (run / "seal.json").write_text(json.dumps({"files": {}, "hmac": "ä" * 64}))
    with pytest.raises(UsageError, match="is somebody else's"):
        go_on(run)


def test_a_look_writes_into_no_link(run: Path) -> None:
    link("figures", "outside")(run)
    link("export", "outside")(run)
    trained = load_run(run)
    images, labels = trained.test_set()
    with pytest.raises(UsageError, match="run/figures is a link that leads out of run: put the folder itself there"):
        evaluate.draw(trained, Evaluation(trained.logits(images), labels), images, {})
    with pytest.raises(UsageError, match="run/export is a link that leads out of run"):
        export.write_verified(trained, images[:2])
    assert not list(Path("outside").iterdir())


def test_data_of_a_stranger_is_looked_for_in_ones_own_places(run: Path, mnist_root: Path) -> None:
    setting("data", dict(ONES_OWN, root="outside", search=["/nowhere"]))(run)
    with pytest.raises(RunError, match="was tested on other images"):
        load_run(run).test_set(mnist_root)
    assert len(replace(load_run(run), test_sha256=None).test_set(mnist_root)[0]) == 10_000
    with pytest.raises(RunError, match="was tested on other images") as missing:  # those of the checkout's places
        load_run(run).test_set()
    assert "outside" not in str(missing.value)


def test_vast_network_takes_no_memory(run: Path) -> None:
    setting("model.channels", [4096, 4096])(run)  # 420 million weights, 1.7 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError, match=r"does not fit the network that run/config\.yaml describes"):
        load_run(run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19, "KiB: less than half a GiB"


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (torch.full((10,), torch.nan), "has weights that are no finite numbers"),
        (torch.zeros(10, dtype=torch.int8), "does not fit"),
        (torch.zeros(10, dtype=torch.complex64), "does not fit"),
        (torch.zeros(1).expand(10), "does not fit"),
        (torch.zeros(11), "does not fit"),
        (torch.zeros(10).to_sparse(), "does not fit"),
        (torch.zeros(10, device="meta"), "does not fit"),
        (0.5, "does not fit"),
    ],
    ids=["NaN", "whole", "complex", "strides of 0", "shape", "sparse", "meta", "no tensor"],
)
def test_unsound_weights_are_refused(spoiled: object, message: str, run: Path) -> None:
    path = run / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.classifier.1.bias"] = spoiled
    torch.save(content, path)
    with pytest.raises(RunError, match=rf"last\.ckpt {message}"):
        load_run(run)


def test_the_honest_run_is_not_refused(run: Path) -> None:
    """Else nothing of the above would say anything."""
    assert load_run(run).epochs == 1
    assert go_on(run, "trainer.max_epochs=2", "trust=true")["status"] == "finished"
    assert go_on(run, "trainer.max_epochs=3")["status"] == "finished", "it is one's own now"
    pickle.loads(pickle.dumps(Payload()))
    assert CANARY.exists(), "the canary sings when it is executed"
