"""How the table is made: ranks, moments and texts, each by hand."""

import csv
import statistics
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import ttest_ind
from test_compare import lr, make_run, table

from mnist_lightning.figures.of_sweep import heat_map
from mnist_lightning.sweeps.found_runs import find
from mnist_lightning.sweeps.leaderboard import Leaderboard, in_order, is_cost, lead, log_end, shown, spread


@pytest.mark.parametrize(
    ("first", "second"),
    [([0.97, 0.98], [0.91, 0.95, 0.96]), ([0.16, 0.16, 0.15], [0.1, 0.15]), ([0.5, 0.6], [0.4, 0.41])],
)
def test_lead_equals_scipy(first: list[float], second: list[float]) -> None:
    moments = [(statistics.mean(values), statistics.stdev(values), len(values)) for values in (first, second)]
    test = ttest_ind(first, second, equal_var=False)
    error = 100 * (statistics.mean(first) - statistics.mean(second)) / test.statistic
    assert f" ± {error:.2f} points" in (said := lead(moments[0], moments[1]))
    assert f"p = {test.pvalue:.2g})" in said


def test_lead_of_seeds_that_are_all_alike() -> None:
    assert "0.00 points ahead; the seeds of each do not differ" in lead((0.9, 0, 2), (0.9, 0, 3))
    assert lead((0.9, 0, 2), (0.8, 0, 2)).endswith("do not differ, so there is nothing to test.")
    assert lead((0.9, 0, 1), (0.9, 0, 1)).startswith("as good as the second; more seeds")
    assert lead((0.9, float("nan"), 1), (0.8, 0, 2)).startswith("10.00 points ahead; more seeds would show")


def test_more_than_chance_is_less_than_one_in_twenty() -> None:
    """Two seeds each, sd 0.01: p is 0.05 where t is 4.303, the 2.5 % point of Student's t with two degrees."""
    sd, error = 0.01, 0.01
    for t, sure in ((4.31, "more than chance"), (4.29, "that may be chance")):
        assert sure in lead((0.9 + t * error, sd, 2), (0.9, sd, 2))


def test_less_of_a_cost_is_ahead() -> None:
    assert [is_cost(name) for name in ("loss", "errors", "hinge_loss", "accuracy", "f1")] == [1, 1, 1, 0, 0]
    assert lead((0.3, 0.01, 1), (0.5, 0.02, 1), "loss").startswith("0.2000 ahead; more seeds")
    said = lead((0.3, 0.01, 2), (0.5, 0.02, 2), "loss")
    assert said.startswith(f"0.2000 ± {(0.0001 / 2 + 0.0004 / 2) ** 0.5:.4f} ahead (difference")


def test_a_finished_run_without_the_metric_has_no_rank(tmp_path: Path) -> None:
    make_run(tmp_path / "good", 0.9)
    make_run(tmp_path / "unmeasured", None, config=lr(0.1))
    make_run(tmp_path / "failed", 0.99, status="failed", config=lr(0.2))
    board = table(tmp_path)
    assert board.finished["directory"].tolist() == [f"{tmp_path}/good"]
    assert board.rows["rank"].fillna(0).tolist() == [1, 0, 0]
    assert board.cells()["test accuracy %"].tolist() == ["90.00", "", ""]


def test_the_files_hold_every_digit_of_a_setting(tmp_path: Path) -> None:
    values = (1 / 3, 0.123456789012345)
    for number, (rate, momentum) in enumerate(product(values, (0.1234567, 0.5))):
        make_run(tmp_path / f"{number}", 0.9123456, config={"optimizer": {"lr": rate, "momentum": momentum}})
    board = table(tmp_path)
    rows = list(csv.DictReader(board.csv().splitlines()))
    assert {row["optimizer.lr"] for row in rows} == {"0.333333333333333", "0.123456789012345"}
    assert set(board.cells()["lr"]) == {"0.1235", "0.3333"}
    assert {row["test_accuracy_mean"] for row in rows} == {"0.912346"}
    grid = board.grid()
    assert grid is not None and list(grid.index) == ["0.123456789012345", "0.333333333333333"]
    assert shown((0.12345678, 1.5), 15) == "[0.12345678,1.5]" and shown(0.1 + 0.2, 15) == "0.3"


def test_mean_and_deviation_as_they_are_read() -> None:
    nan = float("nan")
    assert spread(98.765, 0.125, 3, True, 2) in ("98.77 ± 0.12 (3)", "98.76 ± 0.12 (3)")
    assert spread(0.03456, 0.00125, 2, False, 4) == "0.0346 ± 0.0013"
    assert spread(90.0, nan, 1, True, 2) == "90.00 (1)" and spread(90.0, nan, 1, False, 2) == "90.00"
    assert spread(nan, nan, 0, True, 2) == ""


def test_errors_are_counted_not_measured(tmp_path: Path) -> None:
    for number, errors in enumerate((13, 16, 17, 20)):
        rate = {0: 0.1, 1: 0.2}.get(number, 0.3)
        file = make_run(tmp_path / f"{number}", 0.9, seed=number, config=lr(rate)) / "results.json"
        file.write_text(file.read_text().replace('"accuracy": 0.9', f'"accuracy": 0.9, "errors": {errors}'))
    board = Leaderboard(find([tmp_path]), "errors")
    assert board.cells()["test errors"].tolist() == ["13 (1)", "16 (1)", "18.5 ± 2.1 (2)"]
    assert board.notes[-1].startswith("The first is 3 ahead; more seeds")
    assert lead((13.0, 1.0, 2), (16.0, 1.0, 2), "errors").startswith("3 ± 1 ahead (difference")
    drawn = heat_map(pd.DataFrame([[13.0, 16.5]], columns=["x", "y"]), "test errors", in_percent=False)
    assert [text.get_text() for text in drawn.axes[0].texts] == ["13", "16.500"]


def test_the_end_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("x" * 20_000 + "\n\n  the last\t line \n \n")
    [place, cut, last] = log_end(tmp_path).split("\n")
    assert (place, last) == (f"{tmp_path}/train.log ends:", "      the last\t line ")
    assert set(cut.strip()) == {"x"} and len(cut) < 10_000
    (tmp_path / "train.log").write_text("".join(f"{line}\n" for line in range(20)))
    assert log_end(tmp_path).split() == [f"{tmp_path}/train.log", "ends:", *map(str, range(8, 20))]
    (tmp_path / "train.log").unlink()
    assert log_end(tmp_path) == ""


def test_numbers_are_in_order_of_size_and_mixed_values_of_their_texts() -> None:
    assert in_order([10, 9.5, 9.5, 100]) == [9.5, 10, 100]
    assert in_order([(10, 2), (9, 30)]) == [(9, 30), (10, 2)]
    assert in_order([10, None, 9, "x"]) == [10, 9, None, "x"]
