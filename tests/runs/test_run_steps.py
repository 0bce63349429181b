"""What is known of a run directory by a look at it: made-up directories, whose right answers are known."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from mnist_lightning.runs import commands
from mnist_lightning.runs import run as runs
from mnist_lightning.runs.commands import resume_command
from mnist_lightning.runs.errors import DivergedError, Interrupted, RunError, UsageError
from mnist_lightning.runs.place import check_free, is_left_over, make_directory
from mnist_lightning.runs.processes import is_main_process
from mnist_lightning.runs.run import Run, checkpoint_of, directory_of, is_in_use, log, peek, read_results
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
    assert is_in_use(tmp_path) is False and not (tmp_path / ".lock").exists()
    with FileLock(tmp_path / ".lock"):
        assert is_in_use(tmp_path)
    (tmp_path / ".lock").touch()
    assert is_in_use(tmp_path) is False
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").mkdir()
    assert is_in_use(tmp_path) is False, "nobody can lock it"


def test_a_run_that_a_process_holds_is_left_to_it(tmp_path: Path) -> None:
    directory = trained(tmp_path / "run", "interrupted")
    before = (directory / "results.json").read_bytes()
    with (
        FileLock(directory / ".lock"),
        pytest.raises(UsageError, match=f"^{directory} is in use by another process: wait for it to end$"),
        Run.open(directory),
    ):
        pass
    assert (directory / "results.json").read_bytes() == before
    with Run.open(directory) as run:
        assert is_in_use(directory) and run.directory == directory


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    directory = trained(tmp_path / "run")
    (directory / "figures").mkdir()
    left = [directory / folder / ".file.123.0123abcd" for folder in ("", "checkpoints", "figures", "other")]
    left[-1].parent.mkdir()
    for path in left:
        path.touch()
    with Run.open(directory):
        assert [path.exists() for path in left] == [False, False, False, True], "others may write elsewhere"


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
    for _ in range(2):  # it may be there, if it is empty
        assert make_directory(str(tmp_path / "given"), tmp_path / "a" / "now") == tmp_path / "given"
    (tmp_path / "given" / "file").touch()
    with pytest.raises(UsageError, match="exists and is not empty"):
        make_directory(str(tmp_path / "given"), tmp_path / "a" / "now")


@pytest.mark.parametrize("others", [False, True])
def test_a_run_that_never_began_leaves_no_folder_of_its_name(
    others: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if others:
        Path("runs/x/before").mkdir(parents=True)
    with pytest.raises(RunError), Run.create(None, "x"):
        raise RunError("no")
    assert Path("runs/x").exists() == others
    Path("elsewhere/x").mkdir(parents=True)
    with pytest.raises(RunError), Run.create("elsewhere/x/run", "x"):
        raise RunError("no")
    assert Path("elsewhere/x").exists(), "it is the person's"


def test_further_processes_join_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNIST_LIGHTNING_RUN", str(tmp_path / "main's"))
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


def test_a_command_can_be_typed_as_it_is_said() -> None:
    assert resume_command("runs/a") == "python train.py resume=runs/a"
    assert resume_command(Path("my runs/a")) == "python train.py 'resume=my runs/a'"


def trained(directory: Path, status: str = "finished", **results: object) -> Path:
    """Make a run with a sealed configuration and the checkpoints last and best."""
    (directory / "checkpoints").mkdir(parents=True)
    own = Seal(directory)
    own.write(directory / "config.yaml", b"a: 1")
    for name in ("best", "last"):
        own.write(directory / "checkpoints" / f"{name}.ckpt", name.encode())
    epochs = [{"epoch": 1}]
    written = {"status": status, "epochs": epochs, "test": {}, "total_seconds": 5, **results}
    (directory / "results.json").write_text(json.dumps(written))
    return directory


def test_time_goes_on_where_it_is_known(tmp_path: Path) -> None:
    assert Run.open(trained(tmp_path / "a")).seconds_before == 5
    assert Run.open(trained(tmp_path / "b", total_seconds="long")).seconds_before == 0
    run = Run.open(trained(tmp_path / "c", total_seconds=1000))
    run.save()
    assert 1000 < json.loads((tmp_path / "c" / "results.json").read_text())["total_seconds"] < 1e5
    new = Run.create(str(tmp_path / "d"), "x")
    assert (new.seconds_before, new.results["seed"]) == (0, 0)


def test_results_can_be_read_by_people_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "process_seconds", lambda: 1.23456)
    run = Run(tmp_path, {"name": "zéro"})
    run.save()
    written = '{\n  "name": "zéro",\n  "total_seconds": 1.235\n}\n'
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == written
    run.results["loss"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.save()
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == written


def test_a_run_of_which_no_checkpoint_is_whole_begins_anew_or_is_refused(tmp_path: Path) -> None:
    damaged = trained(tmp_path / "damaged")
    for file in damaged.glob("checkpoints/*.ckpt"):
        file.write_bytes(b"x")
    with pytest.raises(RunError, match=r"last\.ckpt is damaged, and no earlier checkpoint is whole\. .* trust=true"):
        Run.open(damaged)
    none = trained(tmp_path / "none", "interrupted")
    for file in none.glob("checkpoints/*.ckpt"):
        file.unlink()
    run = Run.open(none)
    assert (run.results["epochs"], run.results["test"]) == ([], None)
    assert run.notes() == ["there is no checkpoint yet: the run starts from the beginning"]
    assert Run.open(trained(tmp_path / "whole", "interrupted")).results["epochs"] == [{"epoch": 1}]


def test_a_checkpoint_may_be_named(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run") / "checkpoints"
    last, best = Run.open(folder / "last.ckpt"), Run.open(folder / "best.ckpt")
    assert (last.named, last.checkpoint, last.notes()) == (None, folder / "last.ckpt", [])
    assert (best.named, best.checkpoint, best.notes()) == (
        folder / "best.ckpt", folder / "best.ckpt", [f"going on from {folder}/best.ckpt"],
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"first\.ckpt does not exist\. There are: best\.ckpt, last\.ckpt$"):
        Run.open(folder / "first.ckpt")
    (folder / "first.ckpt").write_bytes(b"a stranger's")
    (folder / "best.ckpt").write_bytes(b"damaged")
    for name in ("first.ckpt", "best.ckpt"):
        with pytest.raises(UsageError, match=f"{name} is damaged, or was not written by this run"):
            Run.open(folder / name)
        assert Run.open(folder / name, is_trusted=True).named == folder / name


def test_going_on_from_an_earlier_checkpoint_is_said(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run") / "checkpoints"
    (folder / "last.ckpt").write_bytes(b"damaged")
    assert Run.open(tmp_path / "run").notes() == [f"{folder}/last.ckpt is damaged: going on from {folder}/best.ckpt"]
    (folder / "last.ckpt").unlink()
    assert Run.open(tmp_path / "run").notes() == []
    assert Run.create(str(tmp_path / "new"), "x").notes() == []


def test_an_edited_run_is_ones_own_once_it_is_trusted(tmp_path: Path) -> None:
    directory = trained(tmp_path / "run")
    (directory / "config.yaml").write_bytes(b"a: 2")
    with Run.open(directory, is_trusted=True):
        assert Seal(directory).state("config.yaml") == "own"
    other = trained(tmp_path / "other")
    with Run.open(other):
        (other / "config.yaml").write_bytes(b"a: 2")
    assert Seal(other).state("config.yaml") == "changed", "nobody said that it is trusted"
    with pytest.raises(UsageError, match=rf"config\.yaml was changed .*: python train.py resume={other} trust=true$"):
        Run.open(other)


def test_where_no_key_can_be_kept_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MNIST_LIGHTNING_KEY", str(tmp_path / "file" / "key"))
    [note] = Run.create(str(tmp_path / "run"), "x").notes()
    assert note.startswith(f"no key can be kept in {tmp_path}/file/key: ")
    assert note.endswith(". This run is not sealed: resume= will ask for trust=true")


def status_of(directory: Path) -> str:
    return json.loads((directory / "results.json").read_text())["status"]


def test_a_result_stays_until_there_is_another(tmp_path: Path) -> None:
    stopped, done = trained(tmp_path / "stopped", "interrupted"), trained(tmp_path / "done")
    with Run.open(stopped):
        assert status_of(stopped) == "running"
    assert status_of(stopped) == "finished"
    before = (done / "results.json").read_bytes()
    with pytest.raises(ValueError, match=f"^a bug. {done} stays what it was$"), Run.open(done):
        raise ValueError("a bug")
    assert (done / "results.json").read_bytes() == before
    with pytest.raises(Interrupted, match=r"^terminated\. Go on from its last checkpoint: "), Run.open(done) as run:
        run.save()  # there is more than it had
        raise Interrupted(15)
    assert status_of(done) == "interrupted"
    with Run.create(str(tmp_path / "new"), "x"):
        assert not (tmp_path / "new" / "results.json").exists()
    assert status_of(tmp_path / "new") == "finished"


@pytest.mark.parametrize(
    ("error", "status", "noted", "said"),
    [
        (Interrupted(2), "interrupted", None, "interrupted. Go on from its last checkpoint: python train.py resume="),
        (KeyboardInterrupt(), "interrupted", None, ""),
        (DivergedError("nan"), "diverged", "nan", "nan. The last good checkpoint is "),
        (OSError("full"), "interrupted", "full", "full"),
        (ValueError(), "failed", "ValueError", ""),
    ],
)
def test_how_a_run_ended_stands_in_its_files(
    error: BaseException, status: str, noted: str | None, said: str, tmp_path: Path
) -> None:
    directory = trained(tmp_path / "run", "interrupted")
    handlers = list(log.handlers)
    run = Run.open(directory)
    with pytest.raises(type(error)) as raised, run:
        log.error("zéro")
        raise error
    results = json.loads((directory / "results.json").read_text())
    assert (results["status"], results["error"]) == (status, noted)
    assert str(raised.value).startswith(said)
    assert ("The last good checkpoint is " in str(raised.value)) == isinstance(error, DivergedError)
    assert (directory / "train.log").read_text(encoding="utf-8").startswith("zéro\n")
    assert log.handlers == handlers and run._log_file.stream is None
    is_ours = isinstance(error, Interrupted | DivergedError)
    assert ("Traceback" in (directory / "train.log").read_text()) == (not is_ours)
    assert not is_in_use(directory)


def test_a_run_that_was_asked_for_wrongly_stands_as_it_stood(tmp_path: Path) -> None:
    directory = trained(tmp_path / "run", "interrupted")
    before = (directory / "results.json").read_bytes()
    with pytest.raises(UsageError), Run.open(directory):
        raise UsageError("no")
    assert (directory / "results.json").read_bytes() == before
    with pytest.raises(RunError), Run.create(str(tmp_path / "new"), "x"):
        raise RunError("no")
    assert not (tmp_path / "new").exists()
    for early in (RunError("no"), KeyboardInterrupt(), ValueError("a bug")):
        with pytest.raises(type(early)), Run.create(str(tmp_path / "new"), "x"):
            assert [path.name for path in (tmp_path / "new").iterdir()] == [".lock"]
            raise early
        assert not (tmp_path / "new").exists()
    with pytest.raises(RunError), Run.create(str(tmp_path / "new"), "x") as new:
        (tmp_path / "new" / "config.yaml").touch()
        new.save()
        raise RunError("before the first step")
    assert not (tmp_path / "new").exists()
    with pytest.raises(KeyboardInterrupt), Run.create(str(tmp_path / "new"), "x"):
        (tmp_path / "new" / "config.yaml").touch()
        raise KeyboardInterrupt
    assert status_of(tmp_path / "new") == "interrupted", "what was asked for is known, so that it can begin again"
    begun = Run.create(str(tmp_path / "begun"), "x")
    with pytest.raises(RunError), begun:
        begun.is_under_way = True
        begun.save()
        raise RunError("no")
    assert status_of(tmp_path / "begun") == "failed"


def test_commands_and_data_are_those_of_the_checkout_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.module_command("serve", "a b") == "python -m mnist_lightning.serve 'a b'"
    assert commands.tensorboard_command(tmp_path) == "make tensorboard"
    monkeypatch.chdir(tmp_path)
    home = commands.PROJECT
    assert resume_command("run") == f"python {home}/train.py resume=run"
    assert commands.module_command("serve", "run") == f"PYTHONPATH={home} python -m mnist_lightning.serve run"
    assert commands.tensorboard_command(Path("runs/a")) == "tensorboard --logdir runs/a"
    assert commands.from_checkout(["conf", "nowhere"]) == [f"{home}/conf", "nowhere"]
    (tmp_path / "conf").mkdir()
    assert commands.from_checkout("conf") == "conf"
