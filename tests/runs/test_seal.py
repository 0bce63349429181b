"""A run is gone on with by the user who made it, wherever it lies; damage is found before it is used."""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from conftest import Program
from test_train import fit, go_on

from mnist_lightning import load_run
from mnist_lightning.runs import seal
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.run import Run, checkpoint_of
from mnist_lightning.runs.seal import KEY_VARIABLE, Seal, digest_of

QUICK = ("data=digits", "trainer=smoke", "logger=none")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that keeps its best checkpoint too."""
    directory = tmp_path_factory.mktemp("made") / "run"
    fit(directory, *QUICK, "trainer.max_epochs=2", "data.val_size=100")
    return directory


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_the_key_is_the_users_alone_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert seal.own_key() is None, "a look makes none"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: seal.own_key(may_make=True), range(32)))
    assert len(keys) == 1
    path = tmp_path / "mnist-lightning" / "key"
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_size) == (0o600, 32)
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_an_edited_configuration_is_gone_on_with_once_it_is_trusted(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("lr: 0.01", "lr: 0.02"))
    with pytest.raises(UsageError, match=r"config\.yaml was changed since it was written\..* resume=.*/run trust=true"):
        go_on(run, "trainer.max_epochs=3")
    assert load_run(run).config.optimizer.lr == 0.02, "it can be looked at"
    assert go_on(run, "trainer.max_epochs=3", "trust=true")["status"] == "finished"
    assert go_on(run, "trainer.max_epochs=4")["status"] == "finished"
    assert "trust" not in (run / "config.yaml").read_text()


def test_another_user_is_asked(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "others-key"))
    with pytest.raises(UsageError, match=r"config\.yaml is somebody else's: .*seal\.json is .*not made with your key"):
        Run.open(run)
    assert load_run(run).epochs == 2
    assert go_on(run, "trainer.max_epochs=3", "trust=true")["status"] == "finished"
    monkeypatch.undo()
    with pytest.raises(UsageError, match="is somebody else's"):
        Run.open(run)


def directory(path: Path) -> None:
    path.mkdir()


def too_short(path: Path) -> None:
    path.write_bytes(b"x")


@pytest.mark.parametrize("spoil", [directory, too_short, os.mkfifo])
def test_without_a_key_runs_are_unsealed_and_say_so(
    spoil: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(tmp_path / "key")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key"))
    fit(tmp_path / "run", *QUICK)
    said = (tmp_path / "run" / "train.log").read_text()
    assert "This run is not sealed: resume= will ask for trust=true" in said
    with pytest.raises(UsageError, match=rf"no key can be kept in {tmp_path}/key: {KEY_VARIABLE}=FILE names another"):
        Run.open(tmp_path / "run")
    assert go_on(tmp_path / "run", "trainer.max_epochs=2", "trust=true")["status"] == "finished"


def test_a_container_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    fit(tmp_path / "run", *QUICK)
    assert "there is no home directory to keep a key in" in (tmp_path / "run" / "train.log").read_text()
    assert load_run(tmp_path / "run").epochs == 1


def test_a_run_of_an_earlier_version(run: Path) -> None:
    """Without a seal, and with its classes where they stood then."""
    (run / "seal.json").unlink()
    text = (run / "config.yaml").read_text()
    for before, now in {
        "network": "networks.cnn",
        "checkpoint": "training.checkpoints",
        "callbacks": "training.callbacks",
    }.items():
        text = text.replace(f"mnist_lightning.{now}.", f"mnist_lightning.{before}.")
    assert "mnist_lightning.network.CNN" in text
    (run / "config.yaml").write_text(text)
    assert load_run(run).epochs == 2
    with pytest.raises(UsageError, match=r"config\.yaml is somebody else's: .*seal\.json is missing"):
        Run.open(run)
    results = go_on(run, "trainer.max_epochs=3", "trust=true")
    assert (results["status"], len(results["epochs"])) == ("finished", 3)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_found_and_the_one_before_taken(run: Path, made: Path, tmp_path: Path) -> None:
    previous = (run / "checkpoints" / "previous.ckpt").read_bytes()
    flipped(run / "checkpoints" / "last.ckpt")
    assert checkpoint_of(run) == run / "checkpoints" / "previous.ckpt"
    results = go_on(run, "trainer.max_epochs=3")
    assert (
        f"{run}/checkpoints/last.ckpt is damaged: going on from {run}/checkpoints/previous.ckpt"
        in (run / "train.log").read_text()
    )
    assert previous != (run / "checkpoints" / "last.ckpt").read_bytes()
    whole = shutil.copytree(made, tmp_path / "whole")
    assert results["weights_sha256"] == go_on(Path(whole), "trainer.max_epochs=3")["weights_sha256"]


def test_a_checkpoint_of_another_run_is_damage(run: Path, tmp_path: Path) -> None:
    fit(tmp_path / "other", *QUICK, "seed=1")
    for earlier in ("best", "previous"):
        (run / "checkpoints" / f"{earlier}.ckpt").unlink()
    shutil.copy(tmp_path / "other" / "checkpoints" / "last.ckpt", run / "checkpoints" / "last.ckpt")
    with pytest.raises(RunError, match=r"last\.ckpt is damaged, and no earlier"):
        go_on(run, "trainer.max_epochs=3")


def test_the_seal_fits_whenever_a_write_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after the seal is written, and before the file gets its name: again and again."""
    path = tmp_path / "x.ckpt"
    Seal(tmp_path).write(path, b"0")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for number in range(3):
        for owner, method in ((Seal, "_save"), (Path, "replace")):
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(owner, method, killed)
                Seal(tmp_path).write(path, b"lost %d" % number)
            assert (path.read_bytes(), Seal(tmp_path).state("x.ckpt")) == (b"0", "own")
    Seal(tmp_path).write(path, b"1")
    assert Seal(tmp_path).state("x.ckpt") == "own"
    path.write_bytes(b"2")
    assert Seal(tmp_path).state("x.ckpt") == "changed"


def test_ones_own_run_may_write_anywhere(tmp_path: Path) -> None:
    """And is resumed, looked at and opened all the same."""
    for where in ("checkpoints", "figures", "events", "root"):
        (tmp_path / where).mkdir()
    elsewhere = (
        f"callbacks.last_checkpoint.dirpath={tmp_path}/checkpoints", f"callbacks.figures.directory={tmp_path}/figures",
        f"logger.directory={tmp_path}/events", f"trainer.default_root_dir={tmp_path}/root",
    )  # fmt: skip
    fit(tmp_path / "run", "data=digits", "trainer=smoke", *elsewhere, figures=True)
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
    assert (tmp_path / "figures" / "accuracy.png").exists()
    assert load_run(tmp_path / "run").epochs == 1
    (tmp_path / "run" / "a-link").symlink_to(tmp_path / "events")  # as W&B leaves one to its cache
    (tmp_path / "run").rename(tmp_path / "moved")
    results = go_on(tmp_path / "moved", "trainer.max_epochs=2")
    assert [epoch["epoch"] for epoch in results["epochs"]] == [1, 2]
    whole = fit(tmp_path / "whole", "data=digits", "trainer=smoke", "trainer.max_epochs=2", "logger=none")
    assert results["weights_sha256"] == whole["weights_sha256"]
    assert load_run(tmp_path / "moved").epochs == 2


def test_the_command_asks_in_one_line(run: Path, program: Program) -> None:
    (run / "seal.json").unlink()
    ended = program("train.py", f"resume={run}", "trainer.max_epochs=3")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(
        r"train\.py: .*seal\.json is missing.*: python \S*train\.py resume=.* trust=true\n", ended.stderr
    )
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_epochs"] == 2


def test_a_strangers_seal_names_no_file_of_ones_own(run: Path, tmp_path: Path) -> None:
    """Looked at, a damaged checkpoint is replaced by another of the run, never by one that its seal names elsewhere."""
    secret = shutil.copy(run / "checkpoints" / "last.ckpt", tmp_path / "secret.ckpt")
    content = json.loads((run / "seal.json").read_text())
    content["files"] = {str(secret): [digest_of(Path(secret))], "checkpoints/last.ckpt": ["0"]}
    (run / "seal.json").write_text(json.dumps(content))
    assert checkpoint_of(run) is None
    content["files"]["checkpoints/best.ckpt"] = [digest_of(run / "checkpoints" / "best.ckpt")]
    (run / "seal.json").write_text(json.dumps(content))
    assert checkpoint_of(run) == run / "checkpoints" / "best.ckpt"
