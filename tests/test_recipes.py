"""Each recipe of conf/experiment is trained, resumed, evaluated and exported, and reaches what it says it does."""

import re
import statistics
from pathlib import Path

import ensemble
import numpy as np
import other_hands
import pytest
import results as benchmark
from conftest import PROJECT
from test_own import stop_in_epoch_2
from test_train import compose_config, fit, go_on

from mnist_lightning import export
from mnist_lightning.config import build
from mnist_lightning.runs.errors import Interrupted
from mnist_lightning.trained import load_run
from mnist_lightning.training.recorder import Recorder

FILES = {path.stem: path for path in (PROJECT / "conf" / "experiment").glob("*.yaml")}
PARAMETERS = {
    "tutorial": 8490, "tuned": 8490, "hands": 8490, "compact": 8106, "fast": 21666, "tiny": 1930,
    "best": 70330,
}  # fmt: skip
MOST = {"compact": (8490, 15), "tiny": (1935, 60), "best": (1_000_000, None), "tuned": (8490, 10), "hands": (8490, 20)}
STORED = [recipe for recipe in benchmark.PUBLIC if benchmark.stored(recipe)]


def test_all_recipes_were_found() -> None:
    assert set(FILES) < set(benchmark.PUBLIC), "the others are still to be found"
    assert len(FILES) == 7


@pytest.mark.parametrize("recipe", FILES)
def test_parameters_and_epochs_are_within_their_limits(recipe: str) -> None:
    config = compose_config(f"experiment={recipe}")
    network = build.network(config.model, build.source(config.data))
    parameters, epochs = sum(p.numel() for p in network.parameters()), config.trainer.max_epochs
    assert parameters == PARAMETERS[recipe]
    most, longest = MOST.get(recipe, (parameters, None))
    assert parameters <= most and epochs <= (longest or epochs)
    header = " ".join(line[2:] for line in FILES[recipe].read_text().splitlines() if line.startswith("# "))
    assert f"{parameters:,} parameters" in header
    assert re.search(rf"\b{epochs} epochs", header)


@pytest.mark.parametrize("recipe", FILES)
def test_a_recipe_is_resumed_evaluated_and_exported(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a few steps on the digits."""
    short = ("data=digits", "data.batch_size=60", "logger=none", "trainer.limit_train_batches=5")
    overrides = (f"experiment={recipe}", *short, "trainer.max_epochs=2")
    whole = fit(tmp_path / "whole", *overrides)
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_batch_end", stop_in_epoch_2)
        with pytest.raises(Interrupted):
            fit(tmp_path / "stopped", *overrides)
    resumed = go_on(tmp_path / "stopped")
    assert [resumed[key] for key in ("weights_sha256", "test")] == [whole[key] for key in ("weights_sha256", "test")]
    run = load_run(tmp_path / "whole")
    images, labels = run.test_set()
    assert int((run.predict(images) != labels).sum()) == whole["test"]["errors"]
    files = export.write_verified(run, images)
    assert {path.suffix for path in files} == {".onnx", ".pt2"}


@pytest.mark.parametrize("recipe", [recipe for recipe in STORED if recipe in FILES])
def test_a_recipes_header_says_what_was_measured(recipe: str) -> None:
    runs = benchmark.stored(recipe)
    assert [run["seed"] for run in runs] == [*range(len(runs))], "no seed is chosen"
    assert benchmark.claim(runs) in FILES[recipe].read_text()
    assert {run["parameters"] for run in runs} == {PARAMETERS[recipe]}
    assert all(run["test"]["total"] == 10_000 for run in runs)


def test_the_page_is_of_the_stored_results() -> None:
    known = {recipe: benchmark.stored(recipe) for recipe in STORED}
    assert benchmark.PAGE.read_text("utf-8") == benchmark.page(known)
    readme = (PROJECT / "README.md").read_text()
    excerpt = dict(re.findall(r"`experiment=(\w+)` \| ([^|]+) \|", readme))
    assert excerpt == {recipe: benchmark.claim(known[recipe]) for recipe in excerpt}
    assert "tuned" in excerpt
    for recipe in ("tutorial", "hands"):
        errors = statistics.mean(run["others_digits_errors"] for run in known[recipe])
        corrupted = statistics.mean(run["corrupted_accuracy"] for run in known[recipe])
        [row] = [line for line in readme.splitlines() if f"`experiment={recipe}`" in line and line.endswith(" |")]
        assert f"| {1 - errors / 1797:.1%}; {corrupted:.2%} |" in row
        assert f"{errors:.1f}" in FILES["hands"].read_text()


def test_what_has_changed_since_it_was_measured_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "STORED", tmp_path)
    run = {"seed": 0, "test": {"accuracy": 0.99}}
    settings = benchmark.settings_of("tuned")
    benchmark.store("tuned", [run], settings)
    assert benchmark.stored("tuned") == [run]
    benchmark.store("tuned", [run], settings | {"optimizer.lr": 7.0})
    assert benchmark.stored("tuned") == []
    assert benchmark.claim([run, {"test": {"accuracy": 0.992}}]) == "99.10 ± 0.14% (n = 2)"


def test_an_ensemble_averages_probabilities(tmp_path: Path) -> None:
    short = ("data=digits", "logger=none", "trainer.max_epochs=1", "trainer.limit_train_batches=20")
    errors = [fit(tmp_path / f"{seed}", *short, f"seed={seed}")["test"]["errors"] for seed in (0, 1)]
    assert ensemble.errors_of([tmp_path / "0"]) == (errors[0], 360)
    runs = [load_run(tmp_path / f"{seed}") for seed in (0, 1)]
    images, labels = runs[0].test_set()
    logits = [run.logits(images).double() for run in runs]
    by_hand = sum(one.exp() / one.exp().sum(1, keepdim=True) for one in logits) / 2
    expected = int((by_hand.argmax(1) != labels).sum())  # type: ignore[union-attr]
    assert ensemble.errors_of([tmp_path / "0", tmp_path / "1"]) == (expected, 360)


def test_others_digits_are_prepared_as_mnist_was() -> None:
    digits, labels = other_hands.others_digits()
    assert digits.shape == (1797, 28, 28) and labels.shape == (1797,)
    ink = digits.astype(float)
    rows = (ink.sum(2) * np.arange(28)).sum(1) / ink.sum((1, 2))
    assert abs(rows - 14).max() < 1, "centred by mass"
    assert (digits.max((1, 2)) > 200).all() and digits[:, :2].mean() < 2, "light on black, with a border"
