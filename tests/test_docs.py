"""The documents say what is so: examples are executed and commands are run."""

import doctest
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import PROJECT, Program
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from test_train import compose_config, fit

from mnist_lightning.config import build, check

README = (PROJECT / "README.md").read_text()
DOCS = sorted((PROJECT / "docs").glob("*.md"))
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]


def test_layers_md_is_executed() -> None:
    result = doctest.testfile(str(PROJECT / "docs" / "layers.md"), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted >= 30


def test_each_promise_of_the_readme_has_its_test() -> None:
    """As docs/reliability.md says: its quotations are in the README, and its tests here."""
    section = (PROJECT / "docs" / "reliability.md").read_text().partition("## What the README promises")[2]
    rows = re.findall(r"^\| (?!promise|---)(.+) \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    assert len(rows) > 25
    text, tests = " ".join(README.split()), "".join(path.read_text() for path in PROJECT.glob("tests/**/test_*.py"))
    assert not [promise for promise, _ in rows if promise not in text]
    named = {name for _, by in rows for name in re.findall(r"test_\w+", by)}
    assert not {name for name in named if f"def {name}(" not in tests}


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python ")])
def test_readme_command_runs(command: str, program: Program, tmp_path: Path) -> None:
    """In a reduced form: one short epoch on the digits, on a run and a picture of the test's own."""
    words = shlex.split(command)[1:]
    if words[0] == "-m":
        assert program("-m", words[1], "--help").returncode == 0
        return
    if "--help" in words or "--cfg" in words:
        assert program(*words).returncode == 0
        return
    own = [word.replace("val_size=5000", "val_size=100") for word in words[1:]]
    own = [word for word in own if not word.startswith(("data=", "resume=", "trainer.max_epochs"))]
    reduced = ("data=digits", "trainer.limit_train_batches=3", "trainer.max_epochs=1", "trainer.devices=1")
    if again := [word for word in own if word.startswith("again=")]:
        assert program("train.py", *reduced, "logger=none", f"output_dir={tmp_path}/run").returncode == 0
        ended = program("train.py", again[0].replace("RUN", f"{tmp_path}/run"), own[-1], f"output_dir={tmp_path}/new")
        before, after = (
            json.loads((tmp_path / name / "results.json").read_text())["epochs"][0] for name in ("run", "new")
        )
        assert (ended.returncode, before["learning_rate"], after["learning_rate"]) == (0, 0.01, 0.1)
        return
    a_sweep = [word for word in own if word == "-m" or word.startswith("sweep=")]
    if not a_sweep and "trainer=ddp" not in own:  # those need a process of their own
        assert fit(tmp_path / "run", *own, *reduced)["status"] == "finished"
        return
    if own in (["sweep=seeds"], ["sweep=lr_batch"]):  # that a sweep runs, the others show
        check_jobs(*own)
        return
    one_job = [re.sub(r"=range\(.*\)$", "=0", word.partition(",")[0]) for word in own]
    if a_sweep:
        one_job += ["~callbacks.figures", "seed=0", "optimizer.lr=0.1", "data.batch_size=16", "data.val_size=100"]
    if "sweep=search" in own:
        one_job += ["hydra.sweeper.trials=1"]
    ended = program("train.py", *one_job, *reduced)
    assert ended.returncode == 0, ended.stderr
    assert len(list(tmp_path.rglob("results.json"))) == 1


def check_jobs(*words: str, data: str = "digits") -> None:
    """Check the first job of a sweep's file as the sweep itself does."""
    with initialize_config_dir(str(check.CONFIG_FOLDER), version_base="1.3"):
        params = hydra_compose("config", overrides=[*words], return_hydra_config=True).hydra.sweeper.params
    first = {key: str(values).partition(",")[0].replace("range(10)", "0") for key, values in params.items()}
    first |= {"data.val_size": "100"} if "data.val_size" in first else {}
    build.everything(compose_config(f"data={data}", *(f"{key}={value}" for key, value in first.items())))


def test_readme_commands_were_found() -> None:
    assert {command.split()[0] for command in COMMANDS} >= {"make", "python"}
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in DOCS)])
def test_commands_can_be_pasted_into_any_shell(page: str) -> None:
    """Outside quotes, bash stops at parentheses, and zsh, a Mac's shell, at square brackets too."""
    blocks = "".join(re.findall(r"```sh\n(.*?)```", (PROJECT / page).read_text(), re.DOTALL))
    unquoted = re.sub(r"'[^']*'|#.*", "", blocks)
    assert not re.search(r"\S*[][()*?${}]\S*", unquoted)


def test_make_targets_of_the_readme_exist() -> None:
    listed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    targets = {line.split()[1] for line in listed.splitlines()}
    assert targets >= {"setup", "train", "test", "lint", "tensorboard", "bench", "clean", "help"}
    used = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert used and used <= targets


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)", README))))
def test_make_target_of_the_readme_is_sound(target: str) -> None:
    """What takes minutes is planned to its last command, not run."""
    subprocess.run(["make", "-n", target], cwd=PROJECT, capture_output=True, check=True)


@pytest.mark.parametrize("name", ["bench", "sweeps", "options", "steps", "own_pictures"])
def test_measurements_start(name: str, program: Program) -> None:
    ended = program(
        "-c", f"import sys; sys.path[:0] = ['{PROJECT}', '{PROJECT}/benchmarks']; import {name}; {name}.main"
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["own_pictures", "other_hands", "ensemble"])
def test_a_measurement_of_no_run_gets_one_message(name: str, program: Program) -> None:
    ended = program(f"benchmarks/{name}.py", "nowhere")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"{name}.py: nowhere is not a run: there is no nowhere/config.yaml\n"


def test_make_train_trains(mnist_root: Path, tmp_path: Path) -> None:
    if not (PROJECT / ".venv" / ".installed").exists():
        pytest.skip("the tests were not started by make test: .venv/.installed is missing")
    arguments = f"trainer.max_epochs=1 trainer.limit_train_batches=3 output_dir={tmp_path}/run data.root={mnist_root}"
    arguments += " ~callbacks.figures"
    ended = subprocess.run(["make", "train", f"ARGS={arguments}"], cwd=PROJECT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "test accuracy" in ended.stdout


def test_make_train_says_loudly_that_it_is_not_mnist(tmp_path: Path) -> None:
    """A stand-in for Python finds no MNIST, and writes down what else it is asked for."""
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\ncase "$*" in *datasets.mnist*) exit 1;; *) echo "asked: $*";; esac\n')
    stand_in.chmod(0o755)
    command = ["make", "train", "-o", "setup", f"RUN={stand_in}", "ARGS=seed=1"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "*** NOT MNIST: training on scikit-learn's small digits instead (data=digits) ***" in ended.stdout
    assert "asked: train.py data=digits seed=1" in ended.stdout


def test_files_of_the_readme_exist() -> None:
    tree = re.search(r"```\n(train\.py .*?)```", README, re.DOTALL)
    assert tree
    names = [line.split()[0] for line in tree[1].splitlines() if not line.startswith(" " * 8)]
    for name in names:
        path = name if (PROJECT / name).exists() else f"mnist_lightning/{name}"
        assert (PROJECT / path).exists(), name
    package = PROJECT / "mnist_lightning"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert set(names) >= rooms, "a line per room"
    for path in [*package.glob("[a-z]*.py"), *PROJECT.glob("[a-z]*.*")]:
        assert path.name in tree[1]
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (PROJECT / link).exists(), link
