"""Run directories: made for one run alone, written whole, and honest about how the run ended."""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from mnist_lightning.networks.cnn import CNN
from mnist_lightning.runs import provenance
from mnist_lightning.runs.errors import DivergedError, Interrupted, RunError, UsageError
from mnist_lightning.runs.files import write_atomically
from mnist_lightning.runs.place import make_directory
from mnist_lightning.runs.run import Run
from mnist_lightning.runs.weights import weights_sha256


def begun(directory: Path) -> Run:
    """Return a new run that has taken its first step."""
    run = Run.create(str(directory), "test")
    run.is_under_way = True
    return run


def test_runs_of_the_same_second_keep_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: make_directory(None, Path("runs/same/now")), range(32)))
    assert len(set(made)) == 32
    assert all(path.is_dir() and path.parent == Path("runs/same") for path in made)


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert make_directory(str(tmp_path / "empty"), Path("x")) == tmp_path / "empty"
    with pytest.raises(UsageError, match=r"output_dir=/proc/none/run can't be made"):
        make_directory("/proc/none/run", Path("x"))
    (tmp_path / "empty" / "file").touch()
    with pytest.raises(UsageError, match="exists and is not empty: name another"):
        make_directory(str(tmp_path / "empty"), Path("x"))
    with begun(tmp_path / "run"):
        pass
    with pytest.raises(UsageError, match=f"already holds a run: .*python train.py resume={tmp_path}/run"):
        make_directory(str(tmp_path / "run"), Path("x"))
    with pytest.raises(UsageError, match="can't be made: Not a directory"):
        make_directory(str(tmp_path / "empty" / "file" / "run"), Path("x"))


@pytest.mark.parametrize(
    ("error", "status", "noted"),
    [
        (None, "finished", None),
        (Interrupted(2), "interrupted", None),
        (DivergedError("the loss", "became nan"), "diverged", "the loss became nan"),
        (RunError("disk full"), "failed", "disk full"),
        (ValueError("a bug"), "failed", "a bug"),
    ],
)
def test_how_it_ended_is_recorded(tmp_path: Path, error: BaseException | None, status: str, noted: str | None) -> None:
    try:
        with begun(tmp_path / "run") as run:
            run.save()
            assert json.loads((tmp_path / "run" / "results.json").read_text())["status"] == "running"
            if error:
                raise error
    except (Exception, Interrupted) as raised:
        assert raised is error
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["status"], results["error"]) == (status, noted)
    log = (tmp_path / "run" / "train.log").read_text() if error else ""
    assert ("Traceback" in log) == isinstance(error, ValueError), "a traceback of a bug, none of anything else"


def test_a_mistake_before_the_first_step_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError), Run.create(str(tmp_path / "run"), "test"):
        raise RunError("MNIST was not found")
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    with (
        pytest.raises(Interrupted, match=rf"interrupted.* python train.py resume={tmp_path}/run"),
        begun(tmp_path / "run") as run,
    ):
        run.save()
        raise Interrupted(2)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with begun(tmp_path / "run") as run:
        run.save()
        with (
            pytest.raises(UsageError, match="is in use by another process"),
            Run.open(tmp_path / "run", is_trusted=True),
        ):
            pass


@pytest.mark.parametrize("place", ["nothing", "results.json/x.ckpt"])
def test_what_is_no_run_is_said(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="is not a run: there is no"):
        Run.open(tmp_path / place)


def test_damaged_results_are_said(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(UsageError, match=r"results.json can't be read"):
        Run.open(tmp_path)


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=f"No space left.*{path}"):
        write_atomically(path, b"half of the new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_weights_sha256_is_of_the_bytes_in_order() -> None:
    network = CNN().to(memory_format=torch.channels_last)
    digest = hashlib.sha256(b"".join(p.detach().contiguous().numpy().tobytes() for p in network.parameters()))
    assert weights_sha256(network.state_dict()) == digest.hexdigest()
    with torch.no_grad():
        next(network.parameters())[3] += 1e-6
    assert weights_sha256(network.state_dict()) != digest.hexdigest()


def test_age_of_the_process_grows_with_the_clock() -> None:
    before = provenance.process_seconds()
    time.sleep(0.3)
    assert 0.25 < provenance.process_seconds() - before < 5


def test_stopped_between_its_configuration_and_its_results_it_is_a_run(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="resume="), begun(tmp_path / "run"):
        (tmp_path / "run" / "config.yaml").touch()
        raise Interrupted(2)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["status"] == "interrupted"


def test_stopped_before_its_configuration_it_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"^interrupted$"), begun(tmp_path / "run"):
        raise Interrupted(2)
    assert not (tmp_path / "run").exists()
