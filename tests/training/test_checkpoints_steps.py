"""When checkpoints get to disk, and how, with a stand-in for the Trainer: every file is read back."""

import errno
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn

from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.seal import Seal
from mnist_lightning.training.checkpoints import RESUMED, AtomicCheckpointIO, RunCheckpoint


class Scene:
    """A Trainer of which only these attributes are looked at, and what it did: its checkpoints are real files."""

    def __init__(self, directory: Path) -> None:
        self.folder, self.module = directory / "checkpoints", nn.ModuleDict({"network": nn.Linear(1, 1, bias=False)})
        self.io, self.done = AtomicCheckpointIO(directory), list[str]()
        self.trainer: Any = SimpleNamespace(
            global_step=0, current_epoch=0, callback_metrics={}, is_global_zero=True, fast_dev_run=False,
            sanity_checking=False, state=SimpleNamespace(fn=TrainerFn.FITTING), loggers=[], ckpt_path=None,
            default_root_dir=str(directory), check_val_every_n_epoch=1, num_val_batches=[], val_check_interval=1.0,
            save_checkpoint=self.save, strategy=SimpleNamespace(
                checkpoint_io=self.io, remove_checkpoint=self.remove, broadcast=lambda value: value,
                reduce_boolean_decision=lambda value, all=True: value,
            ),
        )  # fmt: skip

    def save(self, path: str, weights_only: bool | None = None) -> None:
        self.done.append(f"save {Path(path).name}")
        self.io.save_checkpoint({"state_dict": self.module.state_dict(), "global_step": self.trainer.global_step}, path)

    def remove(self, path: str) -> None:
        self.done.append(f"remove {Path(path).name}")
        Path(path).unlink()

    def callback(self, filename: str = "last", **settings: Any) -> RunCheckpoint:
        settings = {"dirpath": self.folder, **settings}
        callback = RunCheckpoint(
            filename=filename, auto_insert_metric_name=False, save_on_train_epoch_end=True,
            enable_version_counter=False, **settings,
        )  # fmt: skip
        callback.setup(self.trainer, self.module, "fit")
        return callback

    def weigh(self, weight: float) -> None:
        nn.init.constant_(self.module["network"].weight, weight)  # type: ignore[arg-type]

    def step(self, step: int, weight: float | None = None, **metrics: float) -> None:
        """Let so many steps be done, by which the only weight has got to this number."""
        self.trainer.global_step, self.trainer.current_epoch = step, step // 4
        self.trainer.callback_metrics = {f"val/{name}": torch.tensor(value) for name, value in metrics.items()}
        self.weigh(float(step) if weight is None else weight)

    def end_epoch(self, callback: RunCheckpoint, step: int, **metrics: float) -> None:
        self.step(step, **metrics)
        callback.on_train_epoch_end(self.trainer, self.module)  # type: ignore[arg-type]

    def end(self, callback: RunCheckpoint) -> None:
        callback.on_train_end(self.trainer, self.module)

    def fail(self, callback: RunCheckpoint) -> None:
        callback.on_exception(self.trainer, self.module, ValueError())

    def there(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*"))

    def held(self, name: str = "last.ckpt") -> tuple[int, float]:
        """Return the step and the weight in a checkpoint."""
        checkpoint = torch.load(self.folder / name, weights_only=True)
        return checkpoint["global_step"], checkpoint["state_dict"]["network.weight"].item()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_what_is_decided_is_written_when_the_next_step_begins(scene: Scene) -> None:
    callback = scene.callback("{step}")
    scene.end_epoch(callback, 4)
    assert scene.there() == []
    scene.weigh(4.5)  # by what was left to be done at the end of the epoch
    callback.write_due()
    assert scene.there() == ["4.ckpt"] and scene.held("4.ckpt") == (4, 4.5)
    callback.write_due()
    scene.end_epoch(callback, 4)
    callback.write_due()
    assert scene.done == ["save 4.ckpt"], "it is written once"
    scene.end_epoch(callback, 8)
    assert scene.there() == ["4.ckpt"]
    callback.write_due()
    assert scene.there() == ["8.ckpt"]
    assert scene.done == ["save 4.ckpt", "save 8.ckpt", "remove 4.ckpt"], "one is there at any moment"


def test_where_no_folder_is_named_it_is_the_trainers(scene: Scene) -> None:
    callback = scene.callback(dirpath=None)
    assert callback.dirpath == str(scene.folder)


@pytest.mark.parametrize("when", [{"every_n_train_steps": 2}, {"train_time_interval": timedelta(0)}])
def test_steps_and_time_are_looked_at_after_each_step(when: dict[str, Any], scene: Scene) -> None:
    callback = scene.callback(**when)
    scene.module.automatic_optimization = True  # type: ignore[assignment]
    callback.on_train_start(scene.trainer, scene.module)  # type: ignore[arg-type]
    scene.step(2)
    callback.on_train_batch_end(scene.trainer, scene.module, None, None, 1)  # type: ignore[arg-type]
    callback.write_due()
    assert scene.held() == (2, 2.0)


@pytest.mark.parametrize("when", [{}, {"every_n_epochs": 2}])
def test_lightning_need_not_ask_after_each_step_where_epochs_count(when: dict[str, Any], scene: Scene) -> None:
    assert not callable(scene.callback(**when).on_train_batch_end)


def test_a_stop_within_an_epoch_is_written_at_once(scene: Scene) -> None:
    callback = scene.callback("{step}", save_top_k=-1)
    scene.end_epoch(callback, 4)
    scene.step(6)
    callback.write_within_epoch(scene.trainer)
    assert scene.there() == ["4.ckpt", "6.ckpt"] and scene.held("6.ckpt") == (6, 6.0)
    callback.write_within_epoch(scene.trainer)
    scene.end_epoch(callback, 6)
    callback.write_due()
    assert scene.done == ["save 4.ckpt", "save 6.ckpt"], "this step is there already"
    scene.trainer.sanity_checking = True
    scene.step(7)
    callback.write_within_epoch(scene.trainer)
    assert scene.there() == ["4.ckpt", "6.ckpt"]


def test_a_stop_within_an_epoch_chooses_nothing(scene: Scene) -> None:
    """Its evaluation is one that an undisturbed run would not have made."""
    callback = scene.callback("best", monitor="val/accuracy", mode="max")
    scene.end_epoch(callback, 4, accuracy=0.5)
    scene.step(6, accuracy=0.75)
    callback.write_within_epoch(scene.trainer)
    assert scene.done == ["save best.ckpt"], "what was chosen before, alone"
    scene.end_epoch(callback, 6, accuracy=0.75)
    callback.write_due()
    assert scene.done == ["save best.ckpt"] and callback.best_model_score == torch.tensor(0.5)
    scene.end_epoch(callback, 8, accuracy=0.75)
    callback.write_due()
    assert scene.done == 2 * ["save best.ckpt"] and scene.held("best.ckpt") == (8, 8.0)


def test_the_last_checkpoint_gets_the_final_weights(scene: Scene) -> None:
    callback = scene.callback()
    saved: list[Path] = []
    scene.io.when_saved = lambda path, checkpoint: saved.append(path)
    scene.end_epoch(callback, 4)
    callback.write_due()
    scene.end(callback)
    assert (scene.done, len(saved)) == (["save last.ckpt"], 1), "nothing is new"
    scene.weigh(0.25)  # a running mean
    scene.end(callback)
    content = torch.load(scene.folder / "last.ckpt", weights_only=True)
    assert set(content) == {"state_dict", "global_step", RESUMED}
    assert (scene.held(), content[RESUMED]["network.weight"].item()) == ((4, 0.25), 4.0)
    assert (scene.done, len(saved)) == (["save last.ckpt"], 2)
    scene.weigh(0.5)
    scene.end(callback)
    content = torch.load(scene.folder / "last.ckpt", weights_only=True)
    assert (scene.held(), content[RESUMED]["network.weight"].item()) == ((4, 0.5), 4.0), "those that are trained stay"


def test_further_processes_write_no_final_weights(scene: Scene) -> None:
    callback = scene.callback()
    scene.end_epoch(callback, 4)
    callback.write_due()
    scene.weigh(0.25)
    scene.trainer.is_global_zero = False
    scene.end(callback)
    assert scene.held() == (4, 4.0)


def test_the_end_of_training_is_written_where_it_is_not_yet(scene: Scene) -> None:
    callback = scene.callback(every_n_epochs=2)
    scene.end_epoch(callback, 4)
    callback.write_due()
    scene.step(6)
    scene.end(callback)
    assert (scene.done, scene.held()) == (2 * ["save last.ckpt"], (6, 6.0))
    scene.step(7)
    callback.best_model_path = ""
    scene.end(callback)
    assert scene.held() == (6, 6.0), "it has no checkpoint"


@pytest.mark.parametrize(
    "settings",
    [
        {"filename": "{step}"},
        {"filename": "last", "dirpath": "elsewhere"},
        {"filename": "last", "monitor": "val/loss"},
        {"filename": "best", "monitor": "val/loss"},
    ],
)
def test_other_checkpoints_stay_what_they_were(
    settings: dict[str, Any], scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    callback = scene.callback(**settings)
    scene.end_epoch(callback, 4, loss=1.0)
    callback.write_due()
    path = Path(callback.best_model_path)
    before = path.read_bytes()
    scene.step(5, weight=0.25, loss=0.5)
    scene.end(callback)
    assert path.read_bytes() == before and len(scene.done) == 1


def test_save_last_is_kept_where_nothing_was_due_before(scene: Scene) -> None:
    callback = scene.callback("{step}", every_n_epochs=5, save_last=True)
    scene.end_epoch(callback, 4)
    assert callback.due == []
    scene.end(callback)
    assert scene.there() == ["last.ckpt"] and scene.held() == (4, 4.0)


def test_what_was_due_is_dropped_where_training_fails(scene: Scene) -> None:
    callback = scene.callback()
    scene.end_epoch(callback, 4)
    scene.fail(callback)
    callback.write_due()
    assert scene.there() == []


def test_a_failure_is_written_at_once_where_that_is_wanted(scene: Scene) -> None:
    callback = scene.callback("{step}", save_on_exception=True, save_top_k=-1)
    scene.end_epoch(callback, 1)
    scene.fail(callback)  # between the decision and the next step
    assert scene.held("1.ckpt") == (1, 1.0)
    scene.end_epoch(callback, 4)
    callback.write_due()
    scene.fail(callback)
    assert scene.done == ["save 1.ckpt", "save 4.ckpt"], "it is there already"
    scene.step(6)
    scene.fail(callback)
    assert scene.held("6.ckpt") == (6, 6.0)
    scene.end_epoch(callback, 8)
    scene.fail(callback)
    callback.write_due()
    assert scene.done == [f"save {step}.ckpt" for step in (1, 4, 6, 8)]


def test_a_failure_before_anything_is_set_up_is_its_own(scene: Scene) -> None:
    callback = RunCheckpoint(dirpath=scene.folder)
    scene.fail(callback)
    assert scene.there() == []


def test_the_best_epoch_is_known_after_the_directory_was_moved(scene: Scene, tmp_path: Path) -> None:
    callback = scene.callback("{step}", monitor="val/accuracy", mode="max", save_top_k=2)
    for step, accuracy in ((4, 0.5), (8, 0.75)):
        scene.end_epoch(callback, step, accuracy=accuracy)
        callback.write_due()
    state = callback.state_dict()
    moved = Scene(tmp_path / "moved")
    folder = str(moved.folder)
    other = moved.callback("{step}", monitor="val/accuracy", mode="max", save_top_k=2)
    with warnings.catch_warnings(action="error"):  # Lightning's own would forget all but the path
        other.load_state_dict(state)
    assert other.best_model_path == f"{folder}/8.ckpt"
    assert other.best_k_models == {f"{folder}/4.ckpt": torch.tensor(0.5), f"{folder}/8.ckpt": torch.tensor(0.75)}
    assert (other.kth_best_model_path, other.kth_value) == (f"{folder}/4.ckpt", torch.tensor(0.5))
    assert (other.best_model_score, other.last_model_path) == (torch.tensor(0.75), "")
    assert state["dirpath"] == str(scene.folder), "what was read stays as it is"
    moved.folder.mkdir(parents=True)
    (scene.folder / "4.ckpt").rename(moved.folder / "4.ckpt")
    moved.end_epoch(other, 12, accuracy=0.625)
    other.write_due()
    assert moved.done == ["save 12.ckpt", "remove 4.ckpt"], "the third best goes"


def checkpoint_of(weight: float) -> dict[str, Any]:
    return {"state_dict": {"network.weight": torch.tensor([weight])}, "global_step": 7}


def weight_in(path: Path) -> float:
    return torch.load(path, weights_only=True)["state_dict"]["network.weight"].item()


def test_the_last_checkpoint_but_one_is_kept(tmp_path: Path) -> None:
    io, folder = AtomicCheckpointIO(tmp_path / "run"), tmp_path / "run" / "checkpoints"
    for weight in (1.0, 2.0, 3.0):
        io.save_checkpoint(checkpoint_of(weight), folder / "best.ckpt")
        io.save_checkpoint(checkpoint_of(weight), str(folder / ".." / "checkpoints" / "last.ckpt"))
    assert {path.name: weight_in(path) for path in folder.iterdir()} == {
        "best.ckpt": 3.0, "last.ckpt": 3.0, "previous.ckpt": 2.0,
    }  # fmt: skip
    io.save_checkpoint(checkpoint_of(4.0), tmp_path / "elsewhere" / "deep" / "last.ckpt")
    assert weight_in(folder / "previous.ckpt") == 2.0 and len([*tmp_path.rglob("previous.ckpt")]) == 1
    seal = Seal(tmp_path / "run")
    names = [f"checkpoints/{name}.ckpt" for name in ("best", "last", "previous")]
    assert [seal.state(name) for name in (*names, str(tmp_path / "elsewhere/deep/last.ckpt"))] == 4 * ["own"]


def test_who_waits_for_a_checkpoint_is_told_when_it_is_there(tmp_path: Path) -> None:
    io, told = AtomicCheckpointIO(tmp_path), list[Any]()
    io.save_checkpoint(checkpoint_of(1.0), tmp_path / "a.ckpt")  # nobody waits
    io.when_saved = lambda path, content: told.append((path, weight_in(path), content))
    checkpoint = checkpoint_of(2.0)
    io.save_checkpoint(checkpoint, str(tmp_path / "a.ckpt"))
    [(path, weight, content)] = told
    assert (path, weight) == (tmp_path / "a.ckpt", 2.0) and content is checkpoint


def failing(error: OSError) -> Callable[..., None]:
    def write(*_: Any) -> None:
        raise error

    return write


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("no reason"), "no reason"),
    ],
)
def test_a_full_disk_leaves_the_checkpoint_before(error: OSError, reason: str, tmp_path: Path) -> None:
    directory = tmp_path / "my run"
    io, path, told = AtomicCheckpointIO(directory), directory / "checkpoints" / "last.ckpt", list[Any]()
    io.when_saved = lambda *saved: told.append(saved)
    write, io.seal.write = io.seal.write, failing(error)  # type: ignore[method-assign]
    with pytest.raises(RunError) as raised:
        io.save_checkpoint(checkpoint_of(1.0), path)
    go_on = f"then go on with: python train.py 'resume={directory}'"
    assert str(raised.value) == f"{path} can't be written: {reason}. Make room, {go_on}"
    io.seal.write = write  # type: ignore[method-assign]
    io.save_checkpoint(checkpoint_of(1.0), path)
    told.clear()
    io.seal.write = failing(error)  # type: ignore[method-assign]
    with pytest.raises(RunError) as raised:
        io.save_checkpoint(checkpoint_of(2.0), path)
    whole = "The checkpoint before it is whole; make room"
    assert str(raised.value) == f"{path} can't be written: {reason}. {whole}, {go_on}"
    assert raised.value.__cause__ is error
    assert (weight_in(path), told) == (1.0, [])


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file/a\.ckpt can't be written: File exists\. Make room"):
        AtomicCheckpointIO(tmp_path).save_checkpoint(checkpoint_of(1.0), tmp_path / "file" / "a.ckpt")


def test_a_checkpoint_is_read_with_care(tmp_path: Path) -> None:
    io = AtomicCheckpointIO(tmp_path)
    io.save_checkpoint(checkpoint_of(1.5), tmp_path / "a.ckpt")
    loaded = io.load_checkpoint(str(tmp_path / "a.ckpt"), map_location=None, weights_only=False)
    assert (loaded["global_step"], loaded["state_dict"]) == (7, {"network.weight": torch.tensor([1.5])})
    torch.save({"state_dict": {}, "global_step": 7, "other": Path("x")}, tmp_path / "a.ckpt")
    with pytest.raises(RunError, match=r"a\.ckpt is not a checkpoint of this project, or damaged"):
        io.load_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    with pytest.raises(UsageError, match="does not exist"):
        io.load_checkpoint(tmp_path / "b.ckpt")
