"""What was typed, as Hydra reads it: runs again, sweeps, and files whose settings would have no effect."""

import json
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mnist_lightning.config.check import CONFIG_FOLDER
from mnist_lightning.config.typed import as_meant
from mnist_lightning.runs.errors import UsageError

COMMAND = ["data=digits", "scheduler=onecycle", "seed=3", "~callbacks.figures=null"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A job of a sweep, as far as its settings go, that was resumed with more epochs."""
    directory = tmp_path / "0_lr=0.1,seed=3"
    directory.mkdir()
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        config = compose("config", overrides=[*COMMAND, f"output_dir='{directory}'", "trainer.max_epochs=20"])
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    of_sweep = [f"output_dir='{directory}'", "hydra.mode=RUN"]
    results = {"status": "finished", "epochs": [], "command": ["python", "train.py", *COMMAND, *of_sweep]}
    (directory / "results.json").write_text(json.dumps(results))
    return directory


def test_again_is_the_command_of_a_run_with_what_is_typed_beside_it(run: Path) -> None:
    words = as_meant([f"again='{run}'", "seed=4", "optimizer.lr=0.3"])
    assert words == [*COMMAND, "trainer.max_epochs=20", "seed=4", "optimizer.lr=0.3"]
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        config = compose("config", overrides=words)
    assert (config.data.seed, config.scheduler.max_lr) == (4, 0.3), "what follows another setting still does"


@pytest.mark.parametrize("option", [["--config-dir", "{}"], ["--config-dir={}"], ["-cd", "{}"]])
def test_again_finds_the_files_that_the_run_found(option: list[str], run: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    mine = "# @package _global_\noptimizer:\n  lr: 0.02\n"
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(mine)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["optimizer"]["lr"] = settings["scheduler"]["max_lr"] = 0.02
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    results = json.loads((run / "results.json").read_text())
    typed = [word.format(tmp_path / "own") for word in option]
    results["command"][2:2] = [*typed, "experiment=mine"]
    (run / "results.json").write_text(json.dumps(results))
    words = ["experiment=mine", *COMMAND, "trainer.max_epochs=20", f"--config-dir={tmp_path}/own"]
    assert as_meant([f"again='{run}'"]) == words


def test_a_run_whose_files_have_changed_is_not_the_same_again(run: Path) -> None:
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["optimizer"]["momentum"] = 0.25
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    said = r"optimizer.momentum=0.5: .* was made with 0.25, and files of conf/, or its own, have changed since"
    with pytest.raises(UsageError, match=said):
        as_meant([f"again={run}"])


def test_a_run_is_no_folder_of_configurations(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["--config-dir", str(run), "--config-name", "config"], [f"--config-path={run}"]):
        with pytest.raises(UsageError, match=r"is a run\. To run it again: python train\.py again="):
            as_meant(words)
    monkeypatch.chdir(run.parent)
    (run.parent / "own").mkdir()
    assert as_meant(["--config-path", "own"]) == ["--config-path", f"{run.parent}/own"]
    assert as_meant(["--config-path=own"]) == [f"--config-path={run.parent}/own"]
    assert as_meant(["--config-path=nowhere"]) == ["--config-path=nowhere"]


def test_a_sweep_that_is_named_is_many_runs() -> None:
    assert as_meant(["sweep=seeds"]) == ["sweep=seeds", "--multirun"]
    for words in (["sweep=seeds", "-m"], ["sweep=seeds", "--cfg", "job"], ["sweep=seeds", "hydra.mode=RUN"]):
        assert as_meant(words) == words


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("defaults: [override /hydra/launcher: joblib]", "has no effect there: type hydra/launcher=joblib"),
        ("hydra: {run: {dir: outputs}}", r"hydra.run.dir has no effect: .* output_dir=DIR"),
        ("hydra: {sweep: {subdir: x}}", "hydra.sweep.subdir has no effect"),
    ],
)
def test_what_a_file_can_not_set_is_said(lines: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text(f"# @package _global_\n{lines}\n")
    with pytest.raises(UsageError, match=f"^{file}: .*{said}"):
        as_meant([f"--config-dir={tmp_path}", "experiment=mine"])
    file.write_text("# @package _global_\ndefaults: [override /optimizer: adam]\nhydra: {verbose: true}\n")
    assert "experiment=mine" in as_meant([f"--config-dir={tmp_path}", "experiment=mine"])
