"""What Hydra can't compose is said in one message, with its cause and what to type instead."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from mnist_lightning.config.check import CONFIG_FOLDER
from mnist_lightning.config.explain import explained
from mnist_lightning.config.typed import as_meant, command_line
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.sweeps.sweep import Sweep, quoted

IN_QUOTES = "only in quotes, and the shell needs a pair of its own"


def message(*words: str, folder: Path = CONFIG_FOLDER, name: str = "config") -> str:
    with pytest.raises(UsageError) as raised, explained(words), initialize_config_dir(str(folder), version_base="1.3"):
        compose(name, overrides=list(words), return_hydra_config=True)
    return str(raised.value)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("name=größe", f"name=größe: Hydra reads ö {IN_QUOTES}: 'name=\"größe\"'"),
        ("data.root=/x/a=b", f"data.root=/x/a=b: Hydra reads = {IN_QUOTES}: 'data.root=\"/x/a=b\"'"),
        ("data.root=/x/(a)", f"data.root=/x/(a): Hydra reads ( {IN_QUOTES}: 'data.root=\"/x/(a)\"'"),
        ("data.root=/x/a#b", f"data.root=/x/a#b: Hydra reads # {IN_QUOTES}: 'data.root=\"/x/a#b\"'"),
        ("optimizer.lr=float(abc)", "optimizer.lr=float(abc): could not convert string to float: 'abc'"),
        ("seed=1,", "seed=1,: its value is incomplete"),
        ("seed", "seed: not understood. Settings are written key=value, as in trainer.max_epochs=10"),
        ("optimizer=", "optimizer=: there is no such option. There are: adam, adamw, sgd"),
        ("optimizer@opt=adam", "optimizer@opt: a group can't be placed elsewhere; type optimizer=NAME"),
        ("hydra.mode=foo", "hydra.mode=foo: Invalid value 'foo', expected one of [RUN, MULTIRUN]"),
        ("hydra.job.chdir=maybe", "hydra.job.chdir=maybe: Value 'maybe' is not a valid bool (type str)"),
    ],
)
def test_what_was_typed_is_answered_with_its_cause(word: str, said: str) -> None:
    assert message(word) == said


def test_what_is_quoted_as_the_message_says_is_understood() -> None:
    with explained(), initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        assert compose("config", overrides=['data.root="/x/(a)=#ö"']).data.root == "/x/(a)=#ö"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "override optimizer: adam",
            "override optimizer: in a file of conf/experiment it needs a slash",
        ),
        ("override /sweep: seeds", "override /sweep: can't stand in a file; type sweep=NAME"),
        ("override /optimizer: adm", "optimizer=adm: there is no such option. Did you mean adam?"),
    ],
)
def test_an_experiment_file_is_answered_by_its_own_line(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\ndefaults:\n  - {line}\n")
    assert message("experiment=mine", f"hydra.searchpath=[file://{tmp_path}]").startswith(said)


def test_the_names_listed_are_those_of_ones_own_folder_too(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("_target_: torch.nn.Identity\n")
    assert "There are: cnn, convnet, mine, mlp, resnet" in message(
        "model=none_such", f"hydra.searchpath=[file://{tmp_path}]"
    )


def test_a_primary_configuration_that_is_not_there_is_named_with_its_folder() -> None:
    assert message(name="nothere") == (
        "Cannot find primary config 'nothere'. Check that it's in your config search path. "
        f"There is none in {CONFIG_FOLDER}."
    )


def test_options_may_stand_between_settings() -> None:
    """Hydra's own parser takes none between two of them."""
    words = ["seed=1", "--config-dir", "own", "model=mine", "-m", "data.root=--x", "name=own"]
    settings = ["seed=1", "model=mine", "data.root=--x", "name=own"]
    assert as_meant(words) == [*settings, "--config-dir", "own", "-m"]
    for words in (["seed=1", "model=mine", "-m"], ["seed=1", "--info", "-m"]):
        assert as_meant(words) == words
    with pytest.raises(UsageError, match=r"^--lr=0\.1: there is no such option\. Settings are written without dashes"):
        as_meant(["seed=1", "--lr=0.1", "model=mine"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("~logger", ["logger=none"]),
        ("logger=null", ["logger=none"]),
        ("~callbacks", ["callbacks=none"]),
        ("~scheduler", ["scheduler=constant"]),
        ("experiment=null", []),
        ("+experiment=fast", ["experiment=fast"]),
        ("~callbacks.figures", ["~callbacks.figures"]),
        ("~optimizer", ["~optimizer"]),
    ],
)
def test_what_templates_teach_is_taken(typed: str, meant: list[str]) -> None:
    assert as_meant([typed]) == meant


def test_directories_named_as_elsewhere_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"hydra.run.dir=x: a run's directory is output_dir=DIR"):
        as_meant(["hydra.run.dir=x"])
    with pytest.raises(UsageError, match=r"hydra.sweep.subdir=.*: the directories of jobs are named by their number"):
        as_meant(["hydra.sweep.subdir=${hydra.job.num}"])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command_line(["output_dir=~/run"]) == [f"output_dir={quoted(str(tmp_path / 'run'))}"]


def test_the_same_jobs_in_whatever_order_they_are_typed(tmp_path: Path) -> None:
    with Sweep.create(str(tmp_path / "sweep"), "sweep") as sweep:
        first = sweep.plan([["seed=1", "data=digits"], ["seed=2", "data=digits"]])
        again = sweep.plan([["data=digits", "seed=2"], ["data=digits", "seed=3"]])
    assert again[0] is first[1] and len(sweep.jobs) == 3
