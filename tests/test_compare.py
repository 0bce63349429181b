"""The table of many runs: from made-up run directories, whose right answers are known."""

import csv
import json
import os
import re
import statistics
from io import StringIO
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PROJECT, Program
from rich.console import Console
from scipy.stats import ttest_ind

from mnist_lightning import compare, load_runs
from mnist_lightning.figures import of_run, of_sweep
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.experiment import experiment, varied
from mnist_lightning.runs.run import Run
from mnist_lightning.sweeps.found_runs import find, leads_on
from mnist_lightning.sweeps.leaderboard import Leaderboard
from mnist_lightning.sweeps.sweep import Sweep
from mnist_lightning.terminal import console


def make_run(
    directory: Path, test: float | None = 0.9, val: float | None = None, status: str = "finished",
    config: dict[str, Any] | None = None, **results: Any,
) -> Path:  # fmt: skip
    """Write a run directory; `config` is merged into a small configuration, group by group."""
    directory.mkdir(parents=True)
    whole: dict[str, Any] = {
        "name": "x", "seed": results.get("seed", 0), "output_dir": str(directory), "resume": None,
        "data": {"_target_": "a.Data", "dataset": "mnist", "val_size": 0, "seed": results.get("seed", 0)},
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.01, "momentum": 0.5},
        "scheduler": None,
        "callbacks": {"last": {"_target_": "b.Checkpoint", "dirpath": f"{directory}/checkpoints"}},
        "logger": {"_target_": "c.Logger", "directory": "${output_dir}"},
    }  # fmt: skip
    for group, settings in (config or {}).items():
        whole[group] = {**(whole.get(group) or {}), **settings}
    (directory / "config.yaml").write_text(yaml.safe_dump(whole))
    measured = {stage: value and {"accuracy": value} for stage, value in (("test", test), ("val", val))}
    written = {"status": status, "name": "x", "seed": 0, "epochs": [], "total_seconds": 2.0, **measured, **results}
    (directory / "results.json").write_text(json.dumps(written))
    return directory


def table(*places: Path) -> Leaderboard:
    return Leaderboard(find(places))


def test_seeds_with_one_order_of_the_images_are_one_experiment(tmp_path: Path) -> None:
    """data.seed=0 is that of the run with seed=0 too, which looks as if it had followed."""
    for seed, accuracy in enumerate((0.9, 0.8, 0.7)):
        make_run(tmp_path / f"fixed{seed}", accuracy, seed=seed, config={"data": {"seed": 0}})
    [row] = table(tmp_path).rows.itertuples()
    assert (row.n, row.seeds) == (3, "0 1 2")
    for seed in (0, 1):
        make_run(tmp_path / f"followed{seed}", 0.95, seed=seed, started=f"2026-01-0{seed + 1}")
    assert sorted(table(tmp_path).rows.n) == [2, 2]


def lr(value: float) -> dict[str, Any]:
    return {"optimizer": {"lr": value}}


def test_seeds_are_folded_and_rows_are_ranked(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.91, 0.95, 0.96)):
        make_run(tmp_path / f"a{seed}", accuracy, seed=seed)
    for seed, accuracy in enumerate((0.97, 0.98)):
        make_run(tmp_path / "below" / f"b{seed}", accuracy, seed=seed, config=lr(0.1))
    board = table(tmp_path)
    assert list(board.found.settings) == ["optimizer.lr"]
    cells = board.cells()
    sds = statistics.stdev([97, 98]), statistics.stdev([91, 95, 96])
    assert list(cells) == ["rank", "lr", "test accuracy %", "status", "seconds", "first run"]
    assert cells.to_numpy().tolist() == [
        ["1", "0.1", f"97.50 ± {sds[0]:.2f} (2)", "finished", "2.0", f"{tmp_path}/below/b0 and 1 more"],
        ["2", "0.01", f"94.00 ± {sds[1]:.2f} (3)", "finished", "2.0", f"{tmp_path}/a0 and 2 more"],
    ]
    ranked, ahead = board.notes
    assert "Ranked by TEST accuracy" in ranked
    error = (statistics.variance([97, 98]) / 2 + statistics.variance([91, 95, 96]) / 3) ** 0.5
    assert ahead.startswith(f"The first is 3.50 ± {error:.2f} points ahead")
    chance = ttest_ind([97, 98], [91, 95, 96], equal_var=False).pvalue
    assert f"Welch's t-test, p = {chance:.2g}): that may be chance" in ahead
    make_run(tmp_path / "b2", 0.9751, seed=2, config=lr(0.1))
    for seed, accuracy in enumerate((0.94, 0.945, 0.95)):
        make_run(tmp_path / f"c{seed}", accuracy, seed=seed, config=lr(0.2))
    assert "more than chance" in table(tmp_path).notes[1]


def test_validation_ranks_where_all_have_it(tmp_path: Path) -> None:
    make_run(tmp_path / "a", test=0.99, val=0.90)
    make_run(tmp_path / "b", test=0.95, val=0.94, config=lr(0.1))
    board = table(tmp_path)
    assert board.cells()["lr"].tolist() == ["0.1", "0.01"]
    assert board.notes[0] == "Ranked by the accuracy on held-out images; the test set chose nothing."
    make_run(tmp_path / "c", test=0.97, config=lr(0.2))
    board = table(tmp_path)
    assert board.cells()["lr"].tolist() == ["0.01", "0.2", "0.1"]
    assert "Ranked by TEST accuracy" in board.notes[0]


def test_data_sets_are_ranked_apart(tmp_path: Path) -> None:
    for number, (dataset, rate, accuracy) in enumerate(
        [("mnist", 0.1, 0.9), ("mnist", 0.2, 0.8), ("other", 0.1, 0.99), ("other", 0.2, 0.98)]
    ):
        make_run(tmp_path / f"{number}", accuracy, config={**lr(rate), "data": {"dataset": dataset}})
    board = table(tmp_path)
    assert board.cells().iloc[:, :3].to_numpy().tolist() == [
        ["1", "mnist", "0.1"], ["2", "mnist", "0.2"], ["1", "other", "0.1"], ["2", "other", "0.2"],
    ]  # fmt: skip
    apart, warning, *ahead = board.notes
    assert "can't be compared" in apart
    assert "Ranked by TEST accuracy" in warning
    assert [note.partition(";")[0] for note in ahead] == [
        "On mnist, the first is 10.00 points ahead", "On other, the first is 1.00 points ahead",
    ]  # fmt: skip
    assert board.grid() is None, "two data sets share no heat map"


def test_pictures_of_two_folders_are_two_data_sets(tmp_path: Path) -> None:
    source = {"mnist": "mnist_lightning.datasets.mnist.MNIST", "folder": "mnist_lightning.datasets.folder.Folder"}
    for number, (name, root) in enumerate([("mnist", "a"), ("mnist", "b"), ("folder", "cats"), ("folder", "dogs")]):
        data = {"dataset": name, "source": {"_target_": source[name]}, "root": root}
        make_run(tmp_path / f"{number}", 0.9 + number / 100, seed=number, config={"data": data})
    board = table(tmp_path)
    assert board.rows[["dataset", "rank", "n"]].to_numpy().tolist() == [
        ["folder in cats", 1, 1], ["folder in dogs", 1, 1], ["mnist", 1, 2],
    ]  # fmt: skip
    assert "can't be compared" in board.notes[0]


def test_a_data_set_without_a_name_has_that_of_its_results(tmp_path: Path) -> None:
    for rate in (0.1, 0.2):
        make_run(tmp_path / f"{rate}", 0.9, dataset="shapes", config={**lr(rate), "data": {"dataset": None}})
    board = table(tmp_path)
    assert board.rows["dataset"].tolist() == ["shapes", "shapes"]
    assert board.cells()["lr"].tolist() == ["0.1", "0.2"]


def test_one_experiment_chooses_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seed=0)
    make_run(tmp_path / "b", seed=1)
    board = table(tmp_path)
    assert (len(board.rows), list(board.found.settings)) == (1, [])
    assert board.notes == ["Accuracy on the test set; with one finished experiment nothing was chosen by it."]
    compare.write(board, tmp_path)
    assert (tmp_path / "figures" / "leaderboard.png").exists()


def test_the_same_seed_twice_counts_once(tmp_path: Path) -> None:
    make_run(tmp_path / "new", 0.96, started="2026-01-02T00:00:00+00:00")
    make_run(tmp_path / "old", 0.90, started="2026-01-01T00:00:00+00:00")
    board = table(tmp_path)
    assert board.rows["values"].tolist() == [[96.0]]
    assert board.cells()["first run"].tolist() == [f"{tmp_path}/new and 1 more"]


def test_every_status_is_named(tmp_path: Path) -> None:
    make_run(tmp_path / "good", 0.9, seed=0)
    make_run(tmp_path / "diverged", None, status="diverged", seed=1, error="the loss became nan")
    make_run(tmp_path / "killed", None, status="running", config=lr(0.2))
    make_run(tmp_path / "failed", None, status="failed", config=lr(0.3), error="oops")
    alive = make_run(tmp_path / "alive", None, status="running", config=lr(0.4))
    with Run.open(alive, is_trusted=True):
        board = table(tmp_path)
    statuses = board.cells().set_index("lr")["status"].to_dict()
    assert statuses == {"0.01": "1 diverged, 1 finished", "0.2": "killed", "0.3": "failed", "0.4": "running"}
    assert board.rows["values"].iloc[0] == [90.0]
    assert f"- {tmp_path}/failed: failed: oops\n" in board.markdown()


def test_a_failed_run_is_one_line_above_the_table_and_its_log_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "good")
    failed = make_run(tmp_path / "failed", None, status="failed", config=lr(0.3), error="'x'")
    (failed / "train.log").write_text("Traceback (most recent call last):\n  File …\nKeyError:  'x'\n\n")
    compare.main([str(tmp_path)])
    command = f"python -m mnist_lightning.compare {tmp_path} --logs"
    assert capsys.readouterr().out.startswith(f"\n{failed}: failed: 'x'\nTheir logs: {command}\n\nrank  lr ")
    compare.main([str(tmp_path), "--logs"])
    log = ["Traceback (most recent call last):", "  File …", "KeyError:  'x'"]
    ends = "\n    ".join([f"{failed}/train.log ends:", *log])
    assert capsys.readouterr().out.startswith(f"\n{failed}: failed: 'x'\n{ends}\n\nrank  lr ")


def test_a_run_without_configuration_is_named(tmp_path: Path) -> None:
    """A job that ended before it could write one: results.json alone, written by the sweep."""
    make_run(tmp_path / "good")
    early = make_run(tmp_path / "early", None, status="failed", error="no memory")
    (early / "config.yaml").unlink()
    board = table(tmp_path)
    assert board.cells()["status"].tolist() == ["finished", "failed"]
    assert f"- {early}: failed: no memory" in board.markdown()
    compare.write(board, tmp_path)


def test_files_say_what_the_table_says(tmp_path: Path) -> None:
    for number, (rate, size) in enumerate([(0.1, 32), (0.1, 64), (0.2, 32), (0.2, 64)]):
        make_run(tmp_path / f"{number}", 0.9 + number / 100, config={**lr(rate), "data": {"batch_size": size}})
    board = table(tmp_path)
    grid = board.grid()
    assert grid is not None
    assert (grid.index.name, grid.columns.name) == ("batch_size", "lr")
    assert (list(grid.index), list(grid.columns)) == (["32", "64"], ["0.1", "0.2"])
    assert grid.to_numpy() == pytest.approx(np.array([[90, 92], [91, 93]]))
    compare.write(board, tmp_path / "0")
    rows = list(csv.DictReader((tmp_path / "0" / "leaderboard.csv").read_text().splitlines()))
    assert (rows[0]["rank"], rows[0]["optimizer.lr"], rows[0]["data.batch_size"]) == ("1", "0.2", "64")
    assert [float(row["test_accuracy_mean"]) for row in rows] == pytest.approx([0.93, 0.92, 0.91, 0.9])
    assert (
        f"| 1 | 64 | 0.2 | 93.00 | finished | 2.0 | {tmp_path}/3 |\n" in (tmp_path / "0" / "leaderboard.md").read_text()
    )
    for name in ("leaderboard.png", "heat_map.png"):
        assert (tmp_path / "0" / "figures" / name).stat().st_size > 10_000


def test_a_collapsed_run_does_not_flatten_the_others() -> None:
    assert of_sweep.lower_end([98.0, 97.5, 97.0]) == 97.0
    assert of_sweep.lower_end([98.0, 97.5, 97.4, 10.0]) == pytest.approx(98 - 4 * (98 - 97.45))


def test_waiting_and_pruned_jobs_of_a_sweep_are_told_apart(tmp_path: Path) -> None:
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        jobs = sweep.plan([["seed=0"], ["seed=1"], ["seed=2"]])
        jobs[1].pruned = True
        sweep.save()
    make_run(jobs[0].directory, 0.9)
    make_run(jobs[1].directory, None, status="interrupted", seed=1)
    board = table(tmp_path)
    assert sorted(board.found.runs["status"]) == ["finished", "pruned"]
    assert board.found.waiting == [jobs[2].directory]
    assert f"- {jobs[2].directory}: not run yet" in board.markdown()


def test_columns_are_causes_not_their_followers() -> None:
    """max_lr follows lr; Adam's betas come with Adam; another data set brings another mean."""
    sgd = {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.5}
    adam = {"_target_": "torch.optim.Adam", "lr": 0.1, "betas": [0.9, 0.999]}
    mnist = {"dataset": "mnist", "mean": 0.137, "batch_size": 64}
    digits = {"dataset": "digits", "mean": 0.1555, "batch_size": 16}
    cycle = {"_target_": "torch.optim.lr_scheduler.OneCycleLR"}
    a = {"data": mnist, "optimizer": sgd, "scheduler": {**cycle, "max_lr": 0.1}}
    b = {"data": mnist, "optimizer": {**sgd, "lr": 0.2}, "scheduler": {**cycle, "max_lr": 0.2}}
    c = {"data": digits, "optimizer": adam, "scheduler": {**cycle, "max_lr": 0.1}}
    assert varied([experiment(one) for one in (a, b)]) == ["optimizer.lr"]
    assert varied([experiment(one) for one in (a, c)]) == ["data.dataset", "optimizer"]
    d = {**a, "optimizer": adam}
    assert varied([experiment(one) for one in (a, d)]) == ["optimizer"]
    assert varied([experiment(one) for one in (a, b, d)]) == ["optimizer", "optimizer.lr"]


def test_settings_may_have_any_name_and_any_text(tmp_path: Path) -> None:
    """Names of the table's own columns; texts that a figure took for a formula, or a terminal for a command."""
    values = list(product((0.1, 0.2), ("$x^$", "\ud800\n\x1b[2J")))
    for number, (mean, rank) in enumerate(values):
        config = {"data": {"mean": mean}, "model": {"rank": rank}}
        make_run(tmp_path / f"{number}", 0.9 + number / 100, config=config)
    board = table(tmp_path)
    grid = board.grid()
    assert grid is not None
    assert (list(grid.index), list(grid.columns)) == (["0.1", "0.2"], ["$x^$", r"\ud800\n\x1b[2J"])
    assert grid.to_numpy() == pytest.approx(np.array([[90, 91], [92, 93]]))
    assert len(compare.write(board, tmp_path)) == 4
    assert r"| 1 | 0.2 | \ud800\n\x1b[2J | 93.00 |" in board.markdown()


def test_the_name_of_a_setting_is_no_command_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        make_run(tmp_path / f"{number}", 0.9, config={"model": {"\x1b[2J": number}})
    compare.show([tmp_path], into=tmp_path)
    assert "\x1b" not in capsys.readouterr().out + (tmp_path / "leaderboard.md").read_text()


def test_a_list_is_varied_against_a_number(tmp_path: Path) -> None:
    for number, (channels, rate) in enumerate([([10, 20], 0.1), ([10, 20], 0.2), ([4, 8], 0.1), ([4, 8], 0.2)]):
        make_run(tmp_path / f"{number}", 0.9 + number / 100, config={**lr(rate), "model": {"channels": channels}})
    board = table(tmp_path)
    grid = board.grid()
    assert grid is not None
    assert (list(grid.index), list(grid.columns)) == (["[4,8]", "[10,20]"], ["0.1", "0.2"])
    assert grid.to_numpy() == pytest.approx(np.array([[92, 93], [90, 91]]))
    assert list(board.labels()) == [f"channels={c}, lr={r}" for c in ("[4,8]", "[10,20]") for r in (0.2, 0.1)]
    compare.write(board, tmp_path)
    assert (tmp_path / "figures" / "heat_map.png").exists()


def test_a_setting_that_some_runs_have_not(tmp_path: Path) -> None:
    """Adam has no momentum, so there is no full grid of optimizer and momentum."""
    adam = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.01, "betas": [0.9, 0.999], "momentum": None}
    for number, momentum in enumerate((0.5, 0.9)):
        make_run(tmp_path / f"sgd{number}", 0.9 + number / 100, config={"optimizer": {"momentum": momentum}})
    make_run(tmp_path / "adam", 0.905, config={"optimizer": adam})
    board = table(tmp_path)
    assert board.cells().iloc[:, :3].to_numpy().tolist() == [
        ["1", "SGD", "0.9"],
        ["2", "Adam", "–"],
        ["3", "SGD", "0.5"],
    ]
    assert list(board.labels()) == ["optimizer=SGD, momentum=0.9", "optimizer=Adam", "optimizer=SGD, momentum=0.5"]
    assert board.grid() is None
    compare.write(board, tmp_path)
    runs = load_runs(tmp_path)
    assert runs.groupby("optimizer.momentum", dropna=False)["test_accuracy"].max().tolist() == [0.90, 0.91, 0.905]


def test_experiments_that_differ_unevenly(tmp_path: Path) -> None:
    make_run(tmp_path / "base", 0.90)
    make_run(tmp_path / "schedule", 0.91, config={"scheduler": {"_target_": "s.StepLR", "step_size": 3}})
    make_run(tmp_path / "wide", 0.92, config={"model": {"channels": [16, 32]}, **lr(0.1)})
    board = table(tmp_path)
    assert list(board.labels()) == ["channels=[16,32], lr=0.1", "lr=0.01, scheduler=StepLR", "lr=0.01"]
    compare.write(board, tmp_path)


DAMAGED = {
    "results.json can't be read": "{",
    "NaN must be": '{"status": "finished", "test": {"accuracy": NaN}}',
    "1.7 in results.json must be a finite number from 0 to 1": '{"status": "finished", "test": {"accuracy": 1.7}}',
    "inf in": '{"status": "finished", "test": {"accuracy": Infinity}}',
    "'0.9' in": '{"status": "finished", "test": {"accuracy": "0.9"}}',
    "True in": '{"status": "finished", "test": {"accuracy": true}}',
    "holds no accuracy": '{"status": "finished", "test": {"right": 9}}',
    "test in results.json holds": '{"status": "finished", "test": "good"}',
    "0.5 in results.json must be a whole number of at least 0": '{"status": "finished", "seed": 0.5, "test": null}',
    "[1] in": '{"status": "finished", "total_seconds": [1], "test": null}',
    "no results of a run": '{"status": "finished", "epochs": 5}',
}


def test_what_is_damaged_or_foreign_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = make_run(tmp_path / "good", 0.9)
    for number, text in enumerate(DAMAGED.values()):
        (make_run(tmp_path / f"bad{number}") / "results.json").write_text(text)
    (make_run(tmp_path / "list") / "config.yaml").write_text("[1]")
    (make_run(tmp_path / "yaml") / "config.yaml").write_text("{")
    (make_run(tmp_path / "wandb") / "config.yaml").write_text("{wandb_version: 1, lr: {value: 0.1}}")
    (make_run(tmp_path / "pipe") / "results.json").unlink()
    os.mkfifo(tmp_path / "pipe" / "results.json")
    (tmp_path / "folder" / "results.json").mkdir(parents=True)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    found = find([tmp_path])
    assert found.runs["directory"].tolist() == [str(good)]
    for number, why in enumerate(DAMAGED):
        [line] = [line for line in found.skipped if line.startswith(f"{tmp_path}/bad{number} is skipped: ")]
        assert why.replace("NaN must be", "nan in results.json must be") in line
    assert len(found.skipped) == len(DAMAGED) + 6
    assert f"{tmp_path}/wandb is skipped: nothing in it says on what data it was trained" in found.skipped
    assert compare.main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path}/sweep is skipped: {tmp_path}/sweep/sweep.json can't be read" in said
    assert f"{tmp_path}/yaml is skipped: {tmp_path}/yaml/config.yaml can't be read" in said
    with pytest.raises(
        UsageError, match=r"there is no run that can be read:\n.*bad0 is skipped: .*can't be read"
    ) as error:
        compare.main([str(tmp_path / "bad0")])
    assert error.value.status == 2


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    away = make_run(tmp_path / "disk" / "away", 0.9)
    here = tmp_path / "here"
    here.mkdir()
    (here / "linked").symlink_to(away)
    (here / "again").symlink_to(away)
    (here / "loop").symlink_to(here)
    (here / "up").symlink_to(tmp_path)
    make_run(here / "own", 0.95, seed=1)
    assert find([here]).runs["directory"].tolist() == [str(here / "again"), str(here / "own")]


def test_a_link_to_a_whole_folder_of_runs_is_followed(tmp_path: Path) -> None:
    make_run(tmp_path / "disk" / "runs" / "mnist-cnn" / "2026-01-01_00-00-00")
    (tmp_path / "disk" / "pictures" / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "old").symlink_to(tmp_path / "disk" / "runs")
    (tmp_path / "here" / "data").symlink_to(tmp_path / "disk" / "pictures")
    assert find([tmp_path / "here"]).runs["directory"].tolist() == [
        f"{tmp_path}/here/old/mnist-cnn/2026-01-01_00-00-00"
    ]
    assert not leads_on(tmp_path / "here" / "data")


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "good")
    make_run(tmp_path / "locked" / "run")
    scandir = os.scandir

    def refuse(folder: str) -> Any:
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr("os.scandir", refuse)
    found = find([tmp_path])
    assert (len(found.runs), found.skipped) == (1, [f"{tmp_path}/locked is skipped: Permission denied"])


def test_a_job_on_another_disk_belongs_to_its_sweep(tmp_path: Path) -> None:
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        jobs = sweep.plan([["seed=0"], ["seed=1"]])
    make_run(jobs[0].directory, seed=0)
    jobs[1].directory.symlink_to(make_run(tmp_path / "disk" / "moved", seed=1))
    board = table(tmp_path / "sweep")
    assert not board.found.waiting
    assert board.rows["n"].tolist() == [2]
    (tmp_path / "disk").rename(tmp_path / "unmounted")  # what is there can't be told: it is not done again
    assert table(tmp_path / "sweep").remarks == [f"{jobs[1].directory}: a link that leads nowhere"]
    with pytest.raises(UsageError, match=r"1_seed=1 is a link that leads nowhere\. .* delete it to run the job again$"):
        Sweep.open(tmp_path / "sweep").__enter__()


def test_runs_are_a_table_for_a_notebook(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path / f"a{seed}", 0.9 + seed / 100, seed=seed, config={"model": {"channels": [4, 8]}})
    make_run(tmp_path / "b", None, status="failed", config=lr(0.1), error="oops")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "results.json").write_text("{")
    with pytest.warns(UserWarning, match=f"^{tmp_path}/c is skipped: "):
        runs = load_runs(tmp_path)
    assert runs["directory"].tolist() == [f"{tmp_path}/{name}" for name in ("a0", "a1", "b")]
    assert runs["experiment"].tolist() == [0, 0, 1]
    assert runs["seed"].tolist() == [0, 1, 0]
    assert runs["status"].tolist() == ["finished", "finished", "failed"]
    assert runs["error"].tolist() == ["", "", "oops"]
    assert runs["test_accuracy"].tolist() == [0.9, 0.91, pytest.approx(float("nan"), nan_ok=True)]
    assert runs["model.channels"].tolist()[:2] == [(4, 8), (4, 8)]
    assert runs["optimizer.lr"].tolist() == [0.01, 0.01, 0.1]
    assert runs.groupby("optimizer.lr")["test_accuracy"].mean().round(6).tolist()[0] == 0.905


def test_help_does_not_wait_for_pandas(program: Program) -> None:
    ended = program("-X", "importtime", str(PROJECT / "train.py"), "--help")
    assert ended.returncode == 0
    assert "hydra" in ended.stderr and "pandas" not in ended.stderr


@pytest.mark.parametrize("columns", [64, 80, 120, 300])
def test_nothing_is_broken_on_a_terminal(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        optimizer = {"lr": 0.01 / (number + 3), "weight_decay": 10.0**-number, "momentum": 0.5 + number / 10}
        config = {"optimizer": optimizer, "model": {"channels": [number, 20]}, "trainer": {"max_epochs": number}}
        for seed in (0, 1):
            make_run(tmp_path / f"{number}-{seed}", 0.9, val=0.8, seed=seed, config=config)
    terminal = Console(file=StringIO(), force_terminal=True, width=columns, color_system=None)
    monkeypatch.setattr(console, "CONSOLE", terminal)
    monkeypatch.setattr(compare, "CONSOLE", terminal)
    compare.show([tmp_path])
    said = terminal.file.getvalue()  # type: ignore[attr-defined]
    table_lines = said.split("\n\n")[0].splitlines()
    assert max(map(len, table_lines)) <= columns
    words = re.split(r"\s+", said)
    for number in range(4):
        settings = [f"[{number},20]", f"{0.01 / (number + 3):.4g}", f"{10.0**-number:.4g}"]
        if columns < 100:
            settings = [f"channels={settings[0]}", f"lr={settings[1]}", f"weight_decay={settings[2]}"]
        for text in (*settings, f"{tmp_path}/{number}-0"):
            assert {text, f"{text},"} & set(words), text
    assert said.count("80.00 ± 0.00 (2)") == said.count("90.00 ± 0.00 (2)") == said.count("-0 and 1 more") == 4


def test_rows_without_rank_are_named_on_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "best")
    make_run(tmp_path / ("long" * 20), None, status="pruned", config=lr(0.5))
    terminal = Console(file=StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(console, "CONSOLE", terminal)
    monkeypatch.setattr(compare, "CONSOLE", terminal)
    compare.show([tmp_path])
    said = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert f"\n1  {tmp_path}/best\n–  {tmp_path}/{'long' * 20}\n" in said


def test_long_names_have_room_in_the_figure() -> None:
    """Warnings are errors here, so a layout that does not work out fails the test."""
    names = [", ".join(f"setting_{i}={number}.{i}" for i in range(12)) for number in range(4)]
    figure = of_sweep.leaderboard(names, [[90.0, 91.0], [89.0], [88.0], [87.0]], "test accuracy (%)")
    pixels = of_run.draw(figure)
    axes = figure.axes[0]
    assert axes.get_window_extent().width > 0.4 * pixels.shape[1]
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert [text.replace("\n", " ") for text in shown] == names
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(box.x0 >= 0 for box in boxes)
    assert all(lower.y1 <= upper.y0 for upper, lower in pairwise(boxes)), "none covers the next"


@pytest.mark.parametrize("names", [["mnist-cnn"], ["a-name-of-many-parts-" * 4], ["x", "y"] * 20])
def test_titles_have_room_in_the_figures(names: list[str]) -> None:
    grid = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["[4,8,16]", "[8,8]"], columns=["0.1", "[1,2,3,4,5,6,7,8]"])
    title, values = ", ".join(names[:3]), [[90.0, 91.0]] * len(names)
    for figure in (
        of_sweep.heat_map(grid.rename_axis("channels").rename_axis("rate", axis=1), "test accuracy (%)", title=title),
        of_sweep.leaderboard(names, values, "test accuracy (%)", title=title),
    ):
        height, width, _ = of_run.draw(figure).shape
        [box] = [text.get_window_extent() for text in figure.texts]
        assert 0 <= box.x0 < box.x1 <= width and box.y1 <= height
        assert box.y0 >= figure.axes[0].get_window_extent().y1, "it covers no chart"
        boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels() if label.get_text()]
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_numbers_can_be_read_on_each_colour_of_a_figure() -> None:
    """By the contrast of WCAG 2: at least 4.5."""
    for share in np.linspace(0, 1, 256):
        color = matplotlib.colormaps["Blues"](share)
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in color[:3]]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        of_number = {"white": 1.0, "black": 0.0}[of_run.number_color(color)]
        lighter, darker = max(luminance, of_number), min(luminance, of_number)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_mistakes_get_one_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist: name folders that hold runs"):
        table(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"there is no run: no folder there has a results.json"):
        table(tmp_path)


def test_a_sweep_of_which_no_job_has_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Sweep.create(str(tmp_path / "sweep"), "x") as sweep:
        [job] = sweep.plan([["seed=0"]])
    compare.show([tmp_path / "sweep"], into=tmp_path / "sweep")
    assert capsys.readouterr().out.startswith(f"\n{job.directory}: not run yet\nNo run has finished yet.\n")


def test_program_prints_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "a", 0.9876)
    assert compare.main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"\n   1 +98\.76  finished +2\.0  {run}\n", said)
    assert "\x1b" not in said
    assert not (tmp_path / "leaderboard.csv").exists(), "a folder that is no sweep is left as it is"
    assert compare.main([str(tmp_path), "--write", str(tmp_path / "new" / "folder")]) == 0
    assert (tmp_path / "new" / "folder" / "leaderboard.csv").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=f"^--write {tmp_path}/file: can't be made: File exists. Name another folder$"):
        compare.main([str(tmp_path), "--write", str(tmp_path / "file")])
    assert capsys.readouterr().out.count("98.76") == 1, "refused before the table"
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "figures").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="figures is a link that leads out of"):
        compare.main([str(tmp_path), "--write", str(tmp_path / "linked")])
    assert [file.name for file in (tmp_path / "linked").iterdir()] == ["figures"], "refused before a file is written"
    (tmp_path / "sweep.json").write_text('{"command": [], "jobs": []}')
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    assert compare.main([str(tmp_path)]) == 0
    assert f"{tmp_path} is read-only: no leaderboard.csv is written" in capsys.readouterr().out
    assert not (tmp_path / "leaderboard.csv").exists()


def test_a_trial_of_the_program_stands_in_no_table(tmp_path: Path) -> None:
    make_run(tmp_path / "good")
    make_run(tmp_path / "tried", config={"trainer": {"fast_dev_run": True}})
    assert table(tmp_path).cells()["run"].tolist() == [str(tmp_path / "good")]
