"""The table of many runs: from made-up run directories, whose right answers are known."""

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy.stats import ttest_ind

from mnist_lightning import compare
from mnist_lightning.figures import of_sweep
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.experiment import experiment, varied
from mnist_lightning.runs.run import Run
from mnist_lightning.sweeps import leaderboard
from mnist_lightning.sweeps.sweep import Sweep


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
        whole[group] = {**(whole[group] or {}), **settings}
    (directory / "config.yaml").write_text(yaml.safe_dump(whole))
    measured = {stage: value and {"accuracy": value} for stage, value in (("test", test), ("val", val))}
    written = {"status": status, "name": "x", "seed": 0, "epochs": [], "total_seconds": 2.0, **measured, **results}
    (directory / "results.json").write_text(json.dumps(written))
    return directory


def lr(value: float) -> dict[str, Any]:
    return {"optimizer": {"lr": value}}


def test_seeds_are_folded_and_rows_are_ranked(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.91, 0.95, 0.96)):
        make_run(tmp_path / f"a{seed}", accuracy, seed=seed)
    for seed, accuracy in enumerate((0.97, 0.98)):
        make_run(tmp_path / "below" / f"b{seed}", accuracy, seed=seed, config=lr(0.1))
    board = leaderboard.find([tmp_path])
    assert board.columns == {"optimizer.lr": "lr"}
    expected = statistics.stdev([91, 95, 96])
    assert board.cells() == [
        ["1", "0.1", f"97.50 ± {statistics.stdev([97, 98]):.2f} (2)", "finished", "2.0"],
        ["2", "0.01", f"94.00 ± {expected:.2f} (3)", "finished", "2.0"],
    ]
    assert "Ranked by TEST accuracy" in board.note
    error = (statistics.variance([97, 98]) / 2 + statistics.variance([91, 95, 96]) / 3) ** 0.5
    assert f"3.50 ± {error:.2f} points ahead" in board.verdict
    chance = ttest_ind([97, 98], [91, 95, 96], equal_var=False).pvalue
    assert f"Welch's t-test, p = {chance:.2g}): that may be chance" in board.verdict
    make_run(tmp_path / "b2", 0.9751, seed=2, config=lr(0.1))
    for seed, accuracy in enumerate((0.94, 0.945, 0.95)):
        make_run(tmp_path / f"c{seed}", accuracy, seed=seed, config=lr(0.2))
    assert "more than chance" in leaderboard.find([tmp_path]).verdict


@pytest.mark.parametrize(
    ("first", "second"), [([97, 98], [91, 95, 96]), ([1.5, 1.5, 1.6], [1.5, 1.9]), ([3, 4, 5, 6], [3, 4, 5, 9.5])]
)
def test_welch_equals_scipy(first: list[float], second: list[float]) -> None:
    _, chance = leaderboard.welch(first, second)
    assert chance == pytest.approx(ttest_ind(first, second, equal_var=False).pvalue)
    assert leaderboard.welch([2, 2], [2, 2]) == (0, 1)
    assert leaderboard.welch([2, 2], [1, 1]) == (0, 0)


def test_validation_ranks_where_all_have_it(tmp_path: Path) -> None:
    make_run(tmp_path / "a", test=0.99, val=0.90)
    make_run(tmp_path / "b", test=0.95, val=0.94, config=lr(0.1))
    board = leaderboard.find([tmp_path])
    assert [row.settings["optimizer.lr"] for row in board.rows] == [0.1, 0.01]
    assert board.note == "Ranked by the accuracy on held-out images; the test set chose nothing."
    make_run(tmp_path / "c", test=0.97, config=lr(0.2))
    board = leaderboard.find([tmp_path])
    assert [row.settings["optimizer.lr"] for row in board.rows] == [0.01, 0.2, 0.1]
    assert "Ranked by TEST accuracy" in board.note


def test_data_sets_are_ranked_apart(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 0.9)
    make_run(tmp_path / "b", 0.8)
    make_run(tmp_path / "c", 0.99, config={"data": {"dataset": "other"}})
    board = leaderboard.find([tmp_path])
    assert [row.settings["data.dataset"] for row in board.rows] == ["mnist", "other"]
    assert board.ranks == [1, 1]
    assert "do not compare" in board.note
    assert not board.verdict


def test_one_experiment_chooses_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seed=0)
    make_run(tmp_path / "b", seed=1)
    board = leaderboard.find([tmp_path])
    assert (len(board.rows), board.columns, board.verdict) == (1, {}, "")
    assert "nothing was chosen" in board.note


def test_the_same_seed_twice_counts_once(tmp_path: Path) -> None:
    make_run(tmp_path / "old", 0.90, started="2026-01-01T00:00:00+00:00")
    make_run(tmp_path / "new", 0.96, started="2026-01-02T00:00:00+00:00")
    [row] = leaderboard.find([tmp_path]).rows
    assert row.accuracies("test") == [96.0]


def test_every_status_is_named(tmp_path: Path) -> None:
    make_run(tmp_path / "good", 0.9, seed=0)
    make_run(tmp_path / "diverged", None, status="diverged", seed=1, error="the loss became nan")
    make_run(tmp_path / "killed", None, status="running", config=lr(0.2))
    make_run(tmp_path / "failed", None, status="failed", config=lr(0.3), error="oops")
    alive = make_run(tmp_path / "alive", None, status="running", config=lr(0.4))
    with Run.open(alive, is_trusted=True):
        board = leaderboard.find([tmp_path])
        statuses = {row.settings["optimizer.lr"]: row.status for row in board.rows}
    assert statuses == {0.01: "1 diverged, 1 finished", 0.2: "killed", 0.3: "failed", 0.4: "running"}
    assert board.rows[0].accuracies("test") == [90.0]
    assert f"- {tmp_path}/failed: failed: oops" in board.markdown()


def test_a_run_without_configuration_is_named(tmp_path: Path) -> None:
    """A job that ended before it could write one: results.json alone, written by the sweep."""
    make_run(tmp_path / "good")
    early = make_run(tmp_path / "early", None, status="failed", error="no memory")
    (early / "config.yaml").unlink()
    board = leaderboard.find([tmp_path])
    assert [row.status for row in board.rows] == ["finished", "failed"]
    assert f"- {early}: failed: no memory" in board.markdown()
    compare.write(board, tmp_path)


def test_files_say_what_the_table_says(tmp_path: Path) -> None:
    for number, (rate, size) in enumerate([(0.1, 32), (0.1, 64), (0.2, 32), (0.2, 64)]):
        make_run(tmp_path / f"{number}", 0.9 + number / 100, config={**lr(rate), "data": {"batch_size": size}})
    board = leaderboard.find([tmp_path])
    assert board.grid() == ([0.1, 0.2], [32, 64], [[pytest.approx(90), 92], [91, 93]])
    compare.write(board, tmp_path / "0")
    rows = list(csv.DictReader((tmp_path / "0" / "leaderboard.csv").read_text().splitlines()))
    assert (rows[0]["rank"], rows[0]["optimizer.lr"], rows[0]["data.batch_size"]) == ("1", "0.2", "64")
    assert [float(row["test_accuracy_mean"]) for row in rows] == pytest.approx([0.93, 0.92, 0.91, 0.9])
    assert "| 1 | 64 | 0.2 | 93.00 | finished | 2.0 |" in (tmp_path / "0" / "leaderboard.md").read_text()
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
    board = leaderboard.find([tmp_path])
    assert sorted(run.status for run in board.runs) == ["finished", "pruned"]
    assert board.waiting == [jobs[2].directory]
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


def test_mistakes_get_one_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist: name folders that hold runs"):
        leaderboard.find([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match=r"no run in there, that is no folder with a results.json"):
        leaderboard.find([tmp_path])
    make_run(tmp_path / "damaged")
    (tmp_path / "damaged" / "results.json").write_text("{")
    with pytest.raises(UsageError, match=r"damaged/results.json can't be read"):
        leaderboard.find([tmp_path])


def test_program_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "a", 0.9876)
    assert compare.main([str(tmp_path)]) == 0
    assert "98.76" in capsys.readouterr().out
    assert not (tmp_path / "leaderboard.csv").exists(), "a folder that is no sweep is left as it is"
    assert compare.main([str(tmp_path), "--write", str(tmp_path)]) == 0
    assert (tmp_path / "leaderboard.csv").exists()
