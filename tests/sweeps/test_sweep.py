"""Sweeps as real processes: what one of their jobs can do to them, what a signal can, and what is left at the end."""

import csv
import importlib
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import warm
import yaml
from conftest import PROJECT, Program, environment, processes_in
from hydra.core.override_parser.overrides_parser import OverridesParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from mnist_lightning.config.typed import command_line, typed_again
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.run import Run
from mnist_lightning.runs.seal import Seal
from mnist_lightning.sweeps import jobs
from mnist_lightning.sweeps.sweep import Job, Sweep, job_name, quoted

DIGITS = ("data=digits", "trainer.log_every_n_steps=30", "~callbacks.figures")  # figures take a second or two
GRID = ("-m", "optimizer.lr=0.03,0.1", "seed=range(2)", *DIGITS, "trainer.max_epochs=2", "hydra.launcher.jobs=2")


def read(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "results.json").read_text())


def board_of(directory: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((directory / "leaderboard.csv").read_text().splitlines()))


def start(folder: Path, *arguments: str) -> warm.Process:
    """Start a sweep, whose jobs start cold."""
    return warm.start([PROJECT / "train.py", *arguments], cwd=folder, env=environment())


def wait_for(path: Path, process: warm.Process) -> None:
    deadline = time.monotonic() + 100
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end_status(directory: Path) -> str:
    """Return how a run ended, as TensorBoard reads it from all event files of its directory."""
    content = (
        EventAccumulator(str(directory)).Reload().SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    )
    status = plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status
    return api_pb2.Status.Name(status).removeprefix("STATUS_")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two learning rates and two seeds, which nothing happened to."""
    directory = tmp_path_factory.mktemp("sweep") / "grid"
    process = start(directory.parent, *GRID, f"hydra.sweep.dir={directory}")
    output, errors = process.communicate(timeout=200)
    assert (process.returncode, errors) == (0, ""), output
    return directory


def test_jobs_are_runs_that_could_have_been_typed(undisturbed: Path) -> None:
    names = ["0_lr=0.03,seed=0", "1_lr=0.03,seed=1", "2_lr=0.1,seed=0", "3_lr=0.1,seed=1"]
    assert sorted(path.parent.name for path in undisturbed.glob("*/results.json")) == names
    for name in names:
        results = read(undisturbed / name)
        program, script, *overrides = results["command"]
        assert (program, Path(script).name, results["status"]) == ("python", "train.py", "finished")
        assert overrides[:2] == name.partition("_")[2].replace("lr", "optimizer.lr").split(",")
        assert results["threads"] == max(1, len(os.sched_getaffinity(0)) // 2), "divided between two"
        assert len(re.findall(r"(?m)^  2/2  .* s$", (undisturbed / name / "train.log").read_text())) == 1


def test_table_folds_seeds(undisturbed: Path) -> None:
    rows = board_of(undisturbed)
    assert [row["n"] for row in rows] == ["2", "2"]
    for row in rows:
        runs = [read(Path(run)) for run in row["runs"].split()]
        assert [run["seed"] for run in runs] == [0, 1]
        assert all(f"_lr={row['optimizer.lr']}," in run for run in row["runs"].split())
        first, second = (run["test"]["accuracy"] for run in runs)
        assert float(row["test_accuracy_mean"]) == pytest.approx((first + second) / 2, abs=1e-6)
        assert float(row["test_accuracy_sd"]) == pytest.approx(abs(first - second) / 2**0.5, abs=1e-6)
    assert float(rows[0]["test_accuracy_mean"]) > float(rows[1]["test_accuracy_mean"])
    assert "Ranked by TEST accuracy" in (undisturbed / "leaderboard.md").read_text()
    assert (undisturbed / "figures" / "leaderboard.png").stat().st_size > 10_000


def test_stopped_sweep_ends_as_if_undisturbed(undisturbed: Path, program: Program, tmp_path: Path) -> None:
    process = start(tmp_path, *GRID, "hydra.sweep.dir=stopped")
    wait_for(tmp_path / "stopped" / "1_lr=0.03,seed=1" / "checkpoints" / "last.ckpt", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert (
        errors.strip()
        == f"train.py: interrupted. Go on with the rest of the sweep: python {PROJECT}/train.py resume=stopped"
    )
    assert not processes_in(tmp_path), "nothing goes on in the background"
    begun = {path.parent.name: read(path.parent) for path in tmp_path.glob("stopped/*/results.json")}
    assert {one["status"] for one in begun.values()} <= {"interrupted", "finished"}
    assert "interrupted" in {one["status"] for one in begun.values()}

    ended = program("train.py", "resume=stopped", "hydra.launcher.jobs=2")
    assert (ended.returncode, ended.stderr) == (0, "")
    for whole in undisturbed.glob("*/results.json"):
        mine, other = read(tmp_path / "stopped" / whole.parent.name), read(whole.parent)
        assert (mine["status"], mine["weights_sha256"]) == ("finished", other["weights_sha256"])
    timeless = [[{k: v for k, v in row.items() if k not in ("seconds", "runs")} for row in board_of(place)]
                for place in (tmp_path / "stopped", undisturbed)]  # fmt: skip
    assert timeless[0] == timeless[1]


def test_finished_sweep_has_nothing_left_to_do(undisturbed: Path, program: Program) -> None:
    before = {path: path.read_bytes() for path in undisturbed.glob("*/results.json")}
    ended = program("train.py", f"resume={undisturbed}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {path: path.read_bytes() for path in undisturbed.glob("*/results.json")} == before


def write_recipe(folder: Path, name: str, trainer: dict[str, Any], **further: Any) -> None:
    text = yaml.safe_dump({"trainer": {"max_epochs": 1, **trainer}, **further})
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    (folder / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\n{text}")


def test_sweep_outlives_its_worst_jobs(tmp_path: Path, program: Program) -> None:
    """A good recipe, one that diverges, one whose last batch is one image, and a long one to be killed."""
    folder, sweep = tmp_path / "recipes", tmp_path / "sweep"
    write_recipe(folder, "diverges", {}, optimizer={"lr": 1e30})
    normalizes_1x1 = {"defaults": [{"override /model": "convnet"}], "model": {"stages": [[4]] * 5}}
    two_batches = {"limit_train_batches": 2}  # all there are; without this it would be refused
    write_recipe(folder, "raises", two_batches, **normalizes_1x1, data={"batch_size": 1_436})  # of 1,437 images
    write_recipe(folder, "long", {"max_epochs": 9})
    write_recipe(folder, "good", {})
    command = (
        "--config-dir", str(folder), "-m", "experiment=diverges,raises,long,good", *DIGITS,
        "hydra.sweep.dir=sweep", "hydra.launcher.jobs=2",
    )  # fmt: skip

    process = start(tmp_path, *command)
    wait_for(sweep / "2_experiment=long" / "checkpoints" / "last.ckpt", process)
    long = processes_in(tmp_path)["2_experiment=long"[:15]]
    os.kill(long, signal.SIGKILL)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert errors.strip().endswith(
        f"3 of 4 jobs did not finish. To run only those again: python {PROJECT}/train.py resume=sweep"
    )
    statuses = {row["runs"].partition("=")[2]: row["status"] for row in board_of(sweep)}
    assert statuses == {"diverges": "diverged", "raises": "failed", "long": "killed", "good": "finished"}
    assert "sweep/1_experiment=raises: failed: Expected more than 1 value per channel" in output
    assert "python -m mnist_lightning.compare sweep --logs" in output
    log = (sweep / "1_experiment=raises" / "train.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "1,437 images to train" in log
    assert [end_status(path) for path in sorted(sweep.glob("[0-9]*"))] == ["FAILURE"] * 3 + ["SUCCESS"]
    assert "ended by SIGKILL" in (sweep / "2_experiment=long" / "train.log").read_text()
    before = (sweep / "3_experiment=good" / "results.json").read_bytes()
    epochs_done = len(read(sweep / "2_experiment=long")["epochs"])

    for name in ("diverges", "raises"):  # as one would mend them
        write_recipe(folder, name, {}, seed=7)
    ended = program("train.py", *command)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert {row["status"] for row in board_of(sweep)} == {"finished"}
    assert {end_status(path) for path in sweep.glob("[0-9]*")} == {"SUCCESS"}
    assert (sweep / "3_experiment=good" / "results.json").read_bytes() == before, "what had finished was not done again"
    log = (sweep / "2_experiment=long" / "train.log").read_text()
    assert 0 < epochs_done < 9
    assert len(re.findall(rf"(?m)^  {epochs_done}/9  .* s$", log)) == 1, "it went on from its checkpoint"


def test_sweeps_of_the_same_second_keep_apart(tmp_path: Path) -> None:
    both = [start(tmp_path, "-m", f"seed={seed}", *DIGITS) for seed in (5, 6)]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("runs/digits-cnn-sweep/*/.0.output"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in both:  # which job belongs to whom is written down; they need not be waited for
        process.terminate()
    errors = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [143, 143], errors
    begun = [read(path.parent) for path in tmp_path.glob("runs/digits-cnn-sweep/*/*/results.json")]
    assert {one["status"] for one in begun} <= {"interrupted"}, "a job that was told to stop has not failed"
    sweeps = sorted((tmp_path / "runs" / "digits-cnn-sweep").iterdir())
    planned = [json.loads((sweep / "sweep.json").read_text())["jobs"] for sweep in sweeps]
    assert sorted(jobs[0]["overrides"][0] for jobs in planned) == ["seed=5", "seed=6"]


NASTY = ["a/b c", "x,y", 'it\'s "so"', "größe数", "a=b", "[1,2]", "-1", "\\", "..", "q\\'", " ", "~"]


def test_nasty_overrides_reach_their_jobs(program: Program, tmp_path: Path) -> None:
    """Slashes, commas, quotes, spaces, Unicode, in a value and in the name of the sweep's directory."""
    values = ['it\'s "a", b/c', "ü = 数"]
    words = ",".join(quoted(value) for value in values)
    ended = program(
        "train.py", "-m", f"trainer.default_root_dir={words}", "data=digits", "trainer=smoke", "callbacks=none",
        "logger=none", "hydra.launcher.jobs=2", "hydra.sweep.dir=my 'sweep', ü",
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    runs = sorted((tmp_path / "my 'sweep', ü").glob("*/results.json"))
    assert [run.parent.name for run in runs] == ["0_default_root_dir=it-s-a-b-c", "1_default_root_dir=ü-数"]
    for run, value in zip(runs, values, strict=True):
        assert yaml.safe_load((run.parent / "config.yaml").read_text())["trainer"]["default_root_dir"] == value
        assert read(run.parent)["status"] == "finished"


@pytest.mark.parametrize("value", NASTY)
def test_quoting_is_read_back_by_hydra(value: str) -> None:
    [override] = OverridesParser.create().parse_overrides([f"resume={quoted(value)}"])
    assert str(override.value()) == value


@pytest.mark.parametrize("value", [*NASTY, "${oops}", "x" * 300, "数" * 300])
def test_job_names_are_safe(value: str) -> None:
    name = job_name(3, {"trainer.default_root_dir": value, "seed": "1"})
    assert name.startswith("3_default_root_dir=")
    assert len(name.encode()) <= 120
    assert all(c.isalnum() or c in "._-+=," for c in name)
    assert not name.endswith((".", " "))


def test_job_names_say_what_was_varied() -> None:
    assert job_name(0, {}) == "0"
    assert job_name(11, {"optimizer.lr": "0.03", "seed": "1"}) == "11_lr=0.03,seed=1"
    assert job_name(1, {"optimizer.lr": "1", "scheduler.lr": "-2"}) == "1_optimizer.lr=1,scheduler.lr=-2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-m", "optimizer.lrr=0.1,0.2"],
            "optimizer.lrr=0.1,0.2: there is no such setting. Did you mean optimizer.lr?",
        ),
        (["-m", "seed=0,-1"], "seed=-1: must be at least 0"),
        (["-m", "seed=0,1", "output_dir=x"], "output_dir: the jobs of a sweep go into its own directory"),
        (["-m", "seed=0,1", "hydra.launcher.jobs=0"], "hydra.launcher.jobs=0: must be at least 1"),
        (["-m", "seed=0,1", "resume=nowhere"], "resume=nowhere: not a sweep"),
        (
            ["-m", "seed=0,1", "hydra.sweeper.metric=acuracy"],
            "hydra.sweeper.metric=acuracy: there is no such metric",
        ),
        (["-m", "seed=range(0)"], "seed=range(0): has no values, so there are no jobs"),
        (["-m", "seed=0,1", "hydra/sweeper=basic"], "hydra/sweeper: another sweeper needs another launcher too"),
        (["-m", "sweep=seeds,lr_batch"], "sweep=seeds,lr_batch: one sweep at a time"),
        (["sweep=seed"], "sweep=seed: there is no such option. Did you mean seeds?"),
        (["sweep=search", "data.val_size=0"], "data.val_size=0: a search compares by held-out images"),
    ],
)
def test_mistake_stops_a_sweep_before_any_job(
    program: Program, tmp_path: Path, arguments: list[str], message: str
) -> None:
    ended = program("train.py", *arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_interval_from_high_to_low_is_refused() -> None:
    [override] = OverridesParser.create().parse_overrides(["optimizer.lr=interval(1,0.1)"])
    with pytest.raises(UsageError, match=r"optimizer.lr=interval\(1,0.1\): "):
        importlib.import_module("hydra_plugins.sweeps").distribution(override)


def test_settings_of_a_sweep_file_that_reach_no_job_are_refused(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "own" / "sweep"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\nhydra: {mode: MULTIRUN}\ntrainer: {max_epochs: 3}\n")
    ended = program("train.py", "--config-dir", "own", "sweep=mine")
    assert ended.returncode == 2
    assert "sweep=mine: its trainer.max_epochs would reach no job" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_sweep_in_use_is_left_alone(tmp_path: Path) -> None:
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        [job] = sweep.plan([["seed=1"]])
        with pytest.raises(UsageError, match="in use by another process"), Sweep.open(tmp_path / "sweep"):
            pass
    with (
        Run.create(str(job.directory), "x"),
        pytest.raises(UsageError, match="0 is still running: wait for it to end, or stop it"),
        Sweep.open(tmp_path / "sweep"),
    ):
        pass


def test_a_job_goes_on_from_what_is_there(tmp_path: Path) -> None:
    """Nothing is lost where results.json can't be read; and a job behind a link begins anew in the link's place."""
    elsewhere, directory = tmp_path / "elsewhere", tmp_path / "0"
    (elsewhere / "checkpoints").mkdir(parents=True)
    directory.symlink_to(elsewhere)
    job = Job(directory, ["seed=1"])
    results = elsewhere / "results.json"
    results.write_text("")
    (elsewhere / "notes.txt").write_text("mine")
    Seal(elsewhere).write(elsewhere / "checkpoints" / "last.ckpt", b"weights")
    with pytest.raises(UsageError, match=r"results\.json can't be read: .* delete it$"):
        job.arguments()
    results.unlink()
    assert job.arguments() == [f"resume={quoted(str(directory))}"], "results.json was deleted, as it is advised"
    results.write_text('{"status": "failed", "epochs": []}')
    assert job.arguments() == ["seed=1", f"output_dir={quoted(str(directory))}"]
    assert not directory.is_symlink()
    assert (elsewhere / "notes.txt").read_text() == "mine"
    assert results.exists()
    directory.mkdir()
    (directory / "results.json").write_text('{"status": "failed", "epochs": []}')
    assert job.arguments() == ["seed=1", f"output_dir={quoted(str(directory))}"]
    assert not [*directory.iterdir()]


def test_jobs_start_where_the_name_of_the_folder_for_sockets_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    place = tmp_path / ("t" * 110)
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    sweep = tmp_path / "sweep"
    short = ["data=digits", "model=mlp", "callbacks.figures=null", "trainer.max_epochs=1", "seed=0,1"]
    ended = program("train.py", "-m", *short, f"hydra.sweep.dir={sweep}", is_cold=True)
    assert ended.returncode == 0, ended.stderr
    assert len([*sweep.glob("*/checkpoints/last.ckpt")]) == 2


def test_a_search_and_a_grid_keep_apart(program: Program, tmp_path: Path) -> None:
    with Sweep.create(str(tmp_path / "grid"), "x"):
        pass
    ended = program("train.py", "sweep=search", "data=digits", "data.val_size=100", "hydra.sweep.dir=grid")
    assert (ended.returncode, ended.stderr) == (2, "train.py: grid holds no search: name another hydra.sweep.dir=DIR\n")
    (tmp_path / "grid" / "study.journal").touch()
    ended = program("train.py", "-m", "data=digits", "seed=0,1", "hydra.sweep.dir=grid")
    assert (ended.returncode, ended.stderr) == (2, "train.py: grid holds a search: name another hydra.sweep.dir=DIR\n")


def test_a_sweep_can_be_extended(tmp_path: Path) -> None:
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        first = sweep.plan([["seed=0"], ["seed=1"]])
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        second = sweep.plan([["seed=1"], ["seed=2"], ["seed=2"]])
        with pytest.raises(RunError, match="2 of 3 jobs did not finish"):
            sweep.check_answered(2, 3)
    assert [job.directory.name for job in first] == ["0_seed=0", "1_seed=1"]
    assert [job.directory.name for job in second] == ["1_seed=1", "2_seed=2"]


@pytest.mark.parametrize("name", ["..", "../../x", "/etc", "other", "3_a/../../b", ""])
def test_a_strangers_sweep_names_only_its_own_jobs(name: str, tmp_path: Path) -> None:
    state = {"command": ["train.py"], "jobs": [{"directory": name, "overrides": [], "pruned": False}]}
    (tmp_path / "sweep.json").write_text(json.dumps(state))
    with pytest.raises(UsageError, match="which is no job of this sweep"):
        Sweep.read(tmp_path)


def test_a_strangers_sweep_is_looked_at_but_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({"command": ["train.py", "-m", "seed=1"], "jobs": []}))
    assert Sweep.read(tmp_path).jobs == []
    for go_on in (Sweep.open, lambda place: typed_again(place, []), lambda place: Sweep.create(str(place), "x")):
        with pytest.raises(UsageError, match=r"sweep\.json is somebody else's: .*seal\.json is missing.* trust=true$"):
            go_on(tmp_path)
    assert typed_again(tmp_path, ["trust=true"]) == ["-m", "seed=1", f"resume={quoted(str(tmp_path))}", "trust=true"]
    with Sweep.open(tmp_path, is_trusted=True):
        pass
    assert typed_again(tmp_path, []) == ["-m", "seed=1", f"resume={quoted(str(tmp_path))}"], "it is sealed anew"
    (tmp_path / "sweep.json").write_text(json.dumps({"command": ["train.py", "-m", "seed=2"], "jobs": []}))
    with pytest.raises(UsageError, match=r"sweep\.json was changed since it was written"):
        typed_again(tmp_path, [])


def test_a_sweep_is_typed_again_on_its_own_directory(tmp_path: Path) -> None:
    kept = ["--config-dir", "own", "-m", "seed=0,1", "hydra.launcher.jobs=2", "hydra/launcher=joblib"]
    Sweep(tmp_path, ["x.py", "hydra.sweep.dir=old", *kept], []).save()
    assert typed_again(tmp_path, ["hydra.launcher.jobs=4"]) == [
        *kept, f"resume={quoted(str(tmp_path))}", "hydra.launcher.jobs=4",
    ]  # fmt: skip


def test_a_sweep_goes_on_with_m_or_without(tmp_path: Path) -> None:
    """Everything else with many runs needs -m, so it is typed here too: it adds no job of its own."""
    Sweep(tmp_path, ["x.py", "-m", "seed=0,1"], []).save()
    expected = ["-m", "seed=0,1", f"resume={quoted(str(tmp_path))}"]
    for words in ([f"resume={tmp_path}"], ["-m", f"resume={tmp_path}"], [f"resume={tmp_path}", "--multirun"]):
        assert command_line(words) == expected


def test_slots_share_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    shares = [jobs.share_of_machine(slot, 2) for slot in range(2)]
    assert [share["OMP_NUM_THREADS"] for share in shares] == ["4", "4"]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["3,6", "5"]
    assert [jobs.share_of_machine(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["3", "5", "6", "3"]
    alone = jobs.share_of_machine(0, 1)
    assert "OMP_NUM_THREADS" not in alone
    assert alone["CUDA_VISIBLE_DEVICES"] == "3,5,6"


def test_search_goes_on_with_its_study(program: Program, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="the extra `search` is not installed")
    command = (
        "sweep=search", *DIGITS, "data.val_size=100", "trainer.max_epochs=6", "data.batch_size=16,32",
        "hydra.launcher.jobs=2", "hydra.sweep.dir=search",
    )  # fmt: skip
    process = start(tmp_path, *command, "hydra.sweeper.trials=1")
    study_file = tmp_path / "search" / "study.journal"
    while not list(tmp_path.glob("search/0_*/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 143
    assert f"Go on with the rest of the sweep: python {PROJECT}/train.py resume=search" in errors
    [interrupted] = tmp_path.glob("search/0_*/config.yaml")

    ended = program("train.py", "resume=search", "hydra.sweeper.trials=2")
    assert (ended.returncode, ended.stderr) == (0, "")
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(study_file)))
    [trial, other] = optuna.load_study(study_name=None, storage=storage).trials
    assert (trial.state.name, other.state.name) == ("COMPLETE", "COMPLETE")
    results = read(interrupted.parent)
    assert (results["status"], len(results["epochs"])) == ("finished", 6)
    assert trial.value == results["val"]["accuracy"]
    assert trial.intermediate_values.items() >= {1: results["epochs"][0]["val_accuracy"]}.items()
    assert 0.003 <= trial.params["optimizer.lr"] <= 0.3
    assert read(interrupted.parent)["command"][2] == f"optimizer.lr={trial.params['optimizer.lr']}"
    assert "Ranked by the accuracy on held-out images" in ended.stdout


def test_hopeless_trials_are_given_up(tmp_path: Path) -> None:
    """The study's side alone, with made-up results: the fourth trial is far below the median of three."""
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    from optuna.distributions import FloatDistribution

    from mnist_lightning.sweeps.search import Search

    def epochs(*accuracies: float) -> dict[str, Any]:
        listed = [{"epoch": number, "val_accuracy": value} for number, value in enumerate(accuracies, 1)]
        return {"status": "running", "epochs": listed}

    space = {"optimizer.lr": FloatDistribution(0.003, 0.3, log=True)}
    with Sweep.create(str(tmp_path / "search"), "x") as sweep:
        search = Search(sweep, space, ["data=digits"], epochs=3, trials=5, startup_trials=3, seed=0, metric="accuracy")
        asked = search.jobs()
        for _ in range(3):
            directory, overrides = next(asked)
            assert overrides[1] == "data=digits"
            for done in (1, 2, 3):
                assert not search.gives_up(directory, epochs(*[0.9] * done))
            finished = epochs(0.9, 0.9, 0.9) | {"status": "finished", "val": {"accuracy": 0.9}}
            assert search.ended(directory, finished) == "finished"
        directory, _ = next(asked)
        assert not search.gives_up(directory, epochs(0.2)), "the first epoch says too little"
        assert search.gives_up(directory, epochs(0.2, 0.3))
        assert search.ended(directory, epochs(0.2, 0.3) | {"status": "interrupted"}) == "pruned"
        directory, _ = next(asked)
        assert search.ended(directory, epochs() | {"status": "diverged"}) == "diverged"
        assert next(asked, None) is None
        assert [trial.state.name for trial in search.study.trials] == ["COMPLETE"] * 3 + ["PRUNED"] * 2
        assert (search.left, search.open_trials) == (0, [])


def test_a_search_without_optuna_says_what_to_install(program: Program, tmp_path: Path) -> None:
    typed = ["train.py", "sweep=search", "data=digits", "data.val_size=100"]
    without = f"import runpy, sys; sys.modules['optuna'] = None; sys.argv = {typed}; "
    ended = program("-c", f"{without}runpy.run_path({str(PROJECT / 'train.py')!r}, run_name='__main__')")
    assert ended.returncode == 2
    assert "python -m pip install 'optuna>=5' (the extra search)" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_trial_that_ended_unheard_is_not_run_again(tmp_path: Path) -> None:
    """The sweep was killed after its job had finished and before the study was told."""
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    from optuna.distributions import FloatDistribution

    from mnist_lightning.sweeps.search import Search

    def search(setting: str = "optimizer.lr") -> Search:
        space = {setting: FloatDistribution(0.1, 0.2)}
        return Search(sweep, space, [], epochs=3, trials=2, startup_trials=3, seed=0, metric="accuracy")

    with Sweep.create(str(tmp_path / "search"), "x") as sweep:
        directory, _ = next(search().jobs())
        directory.mkdir()
        (directory / "results.json").write_text(json.dumps({"status": "finished", "val": {"accuracy": 0.5}}))
        with pytest.raises(UsageError, match=r"holds a search of another space: it searches optimizer.lr. For a new"):
            search("seed")
        again = search()
        assert again.left == 2, "one of them is only to be told"
        [(other, _)] = again.jobs()
        assert other != directory
        assert (again.study.trials[0].value, len(again.study.trials)) == (0.5, 2)
        assert (directory / "results.json").exists()


def test_several_processes_share_a_search(tmp_path: Path) -> None:
    """Two of them, as on two machines, of which one is gone before its trial has ended."""
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    from optuna.distributions import FloatDistribution

    from mnist_lightning.sweeps.search import Search

    def begin() -> tuple[Sweep, Search]:
        sweep = Sweep.create(str(tmp_path / "search"), "x", is_shared=True)
        space = {"optimizer.lr": FloatDistribution(0.1, 0.2)}
        return sweep, Search(sweep, space, [], epochs=3, trials=4, startup_trials=9, seed=0, metric="accuracy")

    def ends(search: Search, directory: Path) -> None:
        search.ended(directory, {"status": "finished", "val": {"accuracy": 0.5}})

    (mine, my_search), (theirs, their_search) = begin(), begin()
    with mine, theirs:
        my_jobs, their_jobs = my_search.jobs(), their_search.jobs()
        asked = [next(my_jobs), next(their_jobs), next(my_jobs)]
        assert [directory.name[0] for directory, _ in asked] == ["0", "1", "2"]
        assert len({overrides[0] for _, overrides in asked}) == 3, "no two draw the same"
        assert (my_search.left, their_search.left) == (3, 2), "its own open ones, and the fourth"
        assert len(list(mine.directory.glob(".*.trial"))) == 3
        ends(my_search, asked[0][0])
        del my_search, my_jobs  # killed with a trial open
        assert next(their_jobs) == asked[2]
        last, _ = next(their_jobs)
        assert next(their_jobs, None) is None
        for directory in (asked[1][0], asked[2][0], last):
            ends(their_search, directory)
        assert (their_search.left, their_search.open_trials) == (0, [])
        assert [trial.state.name for trial in their_search.study.trials] == ["COMPLETE"] * 4
    assert [job.directory.name[0] for job in Sweep.read(tmp_path / "search").jobs] == ["0", "1", "2", "3"]
    assert not list(mine.directory.glob(".*.trial"))


def test_a_database_holds_a_study(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="the extra `search` is not installed")
    from mnist_lightning.sweeps.search import Search

    address = f"sqlite:///{tmp_path}/studies.db"
    with Sweep.create(str(tmp_path / "search"), "x", is_shared=True) as sweep:
        space = {"optimizer.lr": optuna.distributions.FloatDistribution(0.1, 0.2)}
        common: dict[str, Any] = {"epochs": 3, "trials": 1, "startup_trials": 3, "seed": 0, "metric": "accuracy"}
        search = Search(sweep, space, [], **common, storage=address)
        [(directory, _)] = search.jobs()
        search.ended(directory, {"status": "finished", "val": {"accuracy": 0.5}})
        study = optuna.load_study(study_name=sweep.study, storage=address)
        assert [trial.value for trial in study.trials] == [0.5]
    moved = sweep.directory.rename(tmp_path / "moved")
    with Sweep.create(str(moved), "x", is_shared=True) as sweep:
        assert len(Search(sweep, space, [], **common, storage=address).study.trials) == 1
        with pytest.raises(
            UsageError, match=r"hydra\.sweeper\.storage=a://b:…@c/d: can't be opened: .*As in postgresql"
        ):
            Search(sweep, space, [], **common, storage="a://b:secret@c/d")


def test_joblib_launcher_stays_usable(program: Program, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra `joblib` is not installed")
    ended = program(
        "train.py", "-m", "seed=3", "data=digits", "trainer=smoke", "callbacks=none", "logger=none",
        "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert (read(tmp_path / "sweep" / "0")["seed"], board_of(tmp_path / "sweep")[0]["n"]) == (3, "1")


@pytest.fixture
def tensorboard(undisturbed: Path) -> Iterator[str]:
    """The address of TensorBoard's server on loopback, over a finished sweep."""
    command = ["-m", "tensorboard.main", "--logdir", str(undisturbed), "--port", "0", "--host", "127.0.0.1"]
    process = warm.start(command, env=environment())
    try:
        assert process.stderr
        for line in process.stderr:
            if "http://" in line:
                yield line.partition("http://")[2].split()[0].rstrip("/")
                break
    finally:
        process.kill()
        process.communicate()


def test_hparams_tab_as_its_server_tells_it(tensorboard: str, undisturbed: Path) -> None:
    def ask(route: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{tensorboard}/data/{route}", data)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    deadline = time.monotonic() + 60
    while len(ask("runs")) < 4 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert sorted(ask("runs")) == sorted(path.parent.name for path in undisturbed.glob("*/results.json")), (
        "no extra runs"
    )
    experiment = ask("plugin/hparams/experiment", {"experimentName": ""})
    kinds = {info["name"]: info["type"] for info in experiment["hparamInfos"]}
    assert 5 <= len(kinds) <= 10
    assert kinds["optimizer.lr"] == kinds["data.batch_size"] == "DATA_TYPE_FLOAT64"
    assert kinds["optimizer"] == "DATA_TYPE_STRING"
    metrics = [info["name"]["tag"] for info in experiment["metricInfos"]]
    assert "test/accuracy" in metrics
    assert not [tag for tag in metrics if "hp_metric" in tag]
    wanted = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "colParams": [{"metric": info["name"]} for info in experiment["metricInfos"]],
        "startIndex": 0,
        "sliceSize": 100,
    }
    groups = ask("plugin/hparams/session_groups", wanted)["sessionGroups"]
    assert sorted(group["hparams"]["optimizer.lr"] for group in groups) == [0.03, 0.03, 0.1, 0.1]
    rows = {f"{undisturbed.name}/{path.parent.name}" for path in undisturbed.glob("*/results.json")}
    assert {group["name"] for group in groups} == rows, "found again by the names of their directories"
    for group in groups:
        assert [session["status"] for session in group["sessions"]] == ["STATUS_SUCCESS"]
        for session in group["sessions"]:
            values = {m["name"]["tag"]: m["value"] for m in session["metricValues"]}
            results = read(undisturbed / session["name"])
            assert values["test/accuracy"] == pytest.approx(results["test"]["accuracy"])
            scalars = ask(f"plugin/scalars/scalars?run={session['name']}&tag=test/accuracy")
            assert [step for _, step, _ in scalars] == [89, 179], "no ghost points"


def test_resume_runs_what_further_commands_added(tmp_path: Path) -> None:
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        first = sweep.plan([["seed=0"]])
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        sweep.plan([["seed=1"]])
    with Sweep.open(tmp_path / "sweep") as sweep:
        planned = sweep.plan([["seed=0"]])
        assert [job.directory for job in planned] == [job.directory for job in first]
        assert [job.overrides for job in sweep.jobs if job not in planned] == [["seed=1"]]


def test_signals_wait_until_a_job_is_on_the_list() -> None:
    done, before = [], signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), jobs.signals_put_off():
        signal.raise_signal(signal.SIGINT)
        done.append("not torn apart")
    signal.signal(signal.SIGINT, before)
    assert done


@pytest.mark.parametrize(("is_told", "status"), [(True, "interrupted"), (False, "failed")])
def test_a_job_that_was_told_to_stop_has_not_failed(
    is_told: bool, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended with 143 before it had a run directory: as if it had not been started, unless nobody told it to."""

    def killpg(*_: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", killpg)
    ended = SimpleNamespace(pid=0, poll=lambda: 143, wait=lambda: 143)
    monkeypatch.setattr(jobs.warm, "start", lambda words, env, output, name: output.write(b"terminated\n") and ended)
    job = jobs.Process(tmp_path / "0_seed=0", [], slot=0, slots=1)
    if is_told:
        job.stop()
    assert job.close()["status"] == status
    assert job.directory.exists() != is_told


def test_an_experiment_file_can_be_a_sweep(program: Program, tmp_path: Path) -> None:
    """Hydra's documented way. Its jobs are runs. A + before a launcher's setting, or another order, changes none."""
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2', optimizer: {lr: 0.2}}}}\n"
        "trainer: {max_epochs: 1}\n"
    )
    place = "hydra.sweep.dir=sweep"
    ended = program(
        "train.py", "data=digits", "--config-dir", "own", "experiment=mine", "++hydra.launcher.jobs=2", place
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    runs = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("sweep/*/results.json"))]
    assert [(run["status"], run["seed"], run["experiment"]) for run in runs] == [
        ("finished", seed, "mine") for seed in (1, 2)
    ]
    assert {yaml.safe_load(path.read_text())["optimizer"]["lr"] for path in tmp_path.glob("sweep/*/config.yaml")} == {
        0.2
    }
    again = program(
        "train.py", "experiment=mine", "data=digits", place, "--config-dir", "own", "++hydra.launcher.jobs=1"
    )
    assert "2 jobs, 2 of them done already" in again.stdout


def test_a_torn_journal_is_mended_and_a_damaged_one_named(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    from mnist_lightning.sweeps import search

    journal = tmp_path / "study.journal"
    whole = b'{"op_code": 0}\n{"op_code": 4}\n'
    journal.write_bytes(whole + b'{"op_code": 4, "worker')
    assert search.mended(journal).read_bytes() == whole
    journal.write_bytes(b'{"op_code": 4, "wor{"op_code": 4}\n' + whole)
    with pytest.raises(UsageError, match=r"study\.journal, line 1, is damaged: .* begin a new search"):
        search.mended(journal)
    assert not search.mended(tmp_path / "none").exists()
