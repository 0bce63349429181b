"""What is known of a run directory by a look at it: made-up directories, whose right answers are known."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from mnist_lightning.runs.errors import UsageError
from mnist_lightning.runs.run import (
    Run,
    check_free,
    checkpoint_of,
    directory_of,
    is_in_use,
    is_left_over,
    is_main_process,
    make_directory,
    peek,
    read_results,
    resume_command,
)  # fmt: skip
from mnist_lightning.runs.seal import Seal


def test_a_place_is_a_directory_or_a_checkpoint_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.ckpt").mkdir()
    assert directory_of(tmp_path / "run.ckpt") == tmp_path / "run.ckpt"
    assert directory_of(Path("run")) == Path("run")
    assert directory_of(Path("run/checkpoints/last.ckpt")) == Path("run")
    assert directory_of(Path("checkpoints/last.ckpt")) == Path()
    assert directory_of(Path("last.ckpt")) == Path("..")
    assert directory_of(Path("../last.ckpt")) == Path("../..")


def test_a_run_goes_on_from_its_last_checkpoint_or_the_latest_whole_one(tmp_path: Path) -> None:
    last, best = tmp_path / "checkpoints" / "last.ckpt", tmp_path / "checkpoints" / "best.ckpt"
    assert checkpoint_of(tmp_path) is None
    last.parent.mkdir()
    last.write_bytes(b"of an earlier version, without a seal")
    assert checkpoint_of(tmp_path) == last
    Seal(tmp_path).write(best, b"best")
    Seal(tmp_path).write(last, b"last")
    assert checkpoint_of(tmp_path) == last
    last.write_bytes(b"damaged")
    assert checkpoint_of(tmp_path) == best
    best.write_bytes(b"damaged")
    assert checkpoint_of(tmp_path) is None


def test_results_are_those_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run: there is no .*results\.json"):
        read_results(tmp_path)
    assert peek(tmp_path) is None
    for text, problem in (
        ('{"status": 3}', "no results of a run"),
        ('{"status": "finished", "epochs": {}}', "no results of a run"),
        ('{"status": "finished", "epochs": [{"epoch": 1}, 2]}', "its epochs are no results"),
        ('{"status": "finished", "epochs": [{"epoch": "1"}]}', "its epochs are no results"),
    ):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(UsageError, match=problem):
            read_results(tmp_path)
        assert peek(tmp_path) is None
    for results in ({"status": "finished"}, {"status": "x", "epochs": [{"epoch": 1}, {"epoch": 2}]}):
        (tmp_path / "results.json").write_text(json.dumps(results))
        assert read_results(tmp_path) == peek(tmp_path) == results


def test_a_run_that_a_process_holds_is_in_use(tmp_path: Path) -> None:
    assert not is_in_use(tmp_path) and not (tmp_path / ".lock").exists()
    with FileLock(tmp_path / ".lock"):
        assert is_in_use(tmp_path)
    (tmp_path / ".lock").touch()
    assert not is_in_use(tmp_path)
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").mkdir()
    assert not is_in_use(tmp_path), "nobody can lock it"


def test_a_directory_is_free_where_nothing_says_anything(tmp_path: Path) -> None:
    check_free(str(tmp_path / "missing"))
    place = tmp_path / "place"
    place.mkdir()
    for name in (".lock", "seal.json"):
        (place / name).touch()
        assert is_left_over(place / name)
    check_free(str(place))
    for name in ("config.yaml", "results.json"):
        (place / name).touch()
        with pytest.raises(UsageError, match=rf"^hydra\.sweep\.dir={place} already holds a run: .* resume={place}$"):
            check_free(str(place), "hydra.sweep.dir")
        (place / name).unlink()
    (place / "notes.txt").touch()
    for taken in (place, place / "notes.txt"):
        with pytest.raises(UsageError, match=rf"^output_dir={taken} exists and is not empty: name another$"):
            check_free(str(taken))


def test_directories_of_one_second_are_numbered_from_two(tmp_path: Path) -> None:
    made = [make_directory(None, tmp_path / "a" / "now") for _ in range(3)]
    assert made == [tmp_path / "a" / name for name in ("now", "now_2", "now_3")]
    assert make_directory(str(tmp_path / "given"), tmp_path / "a" / "now") == tmp_path / "given"


def test_the_main_process_has_no_rank_but_zero(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MNIST_LIGHTNING_RUN", str(tmp_path / "main's"))
    assert is_main_process()
    for variable in ("RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.setenv(variable, "0")
        assert is_main_process()
        monkeypatch.setenv(variable, "1")
        assert not is_main_process()
        joined = Run.create(None, "x", 3, "e")
        assert (joined.directory, joined.is_new, joined.main_process) == (tmp_path / "main's", False, False)
        assert joined.results == {"status": "running", "name": "x", "seed": 3, "experiment": "e", "epochs": []}
        monkeypatch.setenv(variable, "0")
    monkeypatch.delenv("MNIST_LIGHTNING_RUN")
    monkeypatch.setenv("RANK", "1")
    assert Run.create(str(tmp_path / "given"), "x").directory == tmp_path / "given"
    with pytest.raises(UsageError, match="output_dir=null: must be given"):
        Run.create(None, "x")


def test_a_command_can_be_typed_as_it_is_said() -> None:
    assert resume_command("runs/a") == "python train.py resume=runs/a"
    assert resume_command(Path("my runs/a")) == "python train.py 'resume=my runs/a'"
