"""What the recorder writes at each step of training, with a stand-in for the Trainer: results.json is read back."""

import hashlib
import json
import logging
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mnist_lightning.config import build
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.run import Run, log
from mnist_lightning.runs.seal import Seal
from mnist_lightning.training import recorder as steps
from mnist_lightning.training.callbacks import MonitorsExist
from mnist_lightning.training.checkpoints import AtomicCheckpointIO
from mnist_lightning.training.recorder import Recorder, position

CPU = {"device": "cpu", "devices": 1, "threads": 5}  # of the machine that the tests make believe in


def stand(**attributes: Any) -> Any:
    """Return a stand-in of which only these attributes are looked at."""
    return SimpleNamespace(**attributes)


class Scene:
    """A recorder of a run, and stand-ins for the Trainer and the module that call it."""

    def __init__(self, directory: Path, is_new: bool = True, **results: Any) -> None:
        known = {"status": "running", "name": "dots", "seed": 3, "epochs": [], **results}
        self.run, self.accepted = Run(directory, known, is_new=is_new), list[Any]()
        self.recorder = Recorder(self.run, lambda: self.accepted.append(self.file))
        source = SimpleNamespace(shape=(1, 1, 2), is_handwriting=False, classes=("a", "b", "c"))
        self.sizes = {"train": 1200, "val": 0, "test": 5}
        data = SimpleNamespace(
            dataset="dots", size=self.sizes.get, source=source, batch_size=4, test_sha256="of the test set"
        )
        self.batches = SimpleNamespace(ready=3, processed=3)
        loop = SimpleNamespace(batch_progress=SimpleNamespace(current=self.batches, is_last_batch=False))
        self.trainer = stand(
            strategy=SimpleNamespace(root_device=torch.device("cpu"), checkpoint_io=AtomicCheckpointIO(directory)),
            datamodule=data, accumulate_grad_batches=1, world_size=1, current_epoch=0, max_epochs=10, global_step=3,
            log_every_n_steps=3, num_training_batches=3, fit_loop=SimpleNamespace(epoch_loop=loop), callbacks=[],
            sanity_checking=False, callback_metrics={}, should_stop=False, max_steps=-1, limit_test_batches=1.0,
        )  # fmt: skip
        network = nn.Linear(2, 3)
        self.module = stand(
            network=network, results={}, measured={}, latest_loss=0.5, reported_lr=0.125, train_loss=lambda: 0.25
        )
        self.weigh(1.0)
        self.recorder.setup(self.trainer, self.module, "fit")

    @property
    def file(self) -> Any:
        path = self.run.directory / "results.json"
        return json.loads(path.read_text()) if path.exists() else None

    def weigh(self, weight: float) -> str:
        """Let all nine weights be this number, and return their SHA-256."""
        for parameter in self.module.network.parameters():
            nn.init.constant_(parameter, weight)
        return hashlib.sha256(struct.pack("<9f", *[weight] * 9)).hexdigest()

    def begin(self) -> None:
        self.recorder.on_fit_start(self.trainer, self.module)
        self.recorder.on_train_epoch_start(self.trainer, self.module)

    def step(self, index: int = 0) -> None:
        self.recorder.on_train_batch_end(self.trainer, self.module, None, None, index)

    def evaluate(self, stage: str = "validation", **results: dict[str, Any]) -> None:
        self.module.results = results
        self.module.measured = {f"{of}/{name}": value[name] for of, value in results.items() for name in value}
        getattr(self.recorder, f"on_{stage}_epoch_end")(self.trainer, self.module)

    def end_epoch(self) -> None:
        self.recorder.on_train_epoch_end(self.trainer, self.module)

    def save(self, name: str, weight: float) -> None:
        """Let Lightning save a checkpoint whose weights are all this number."""
        state = {"network.weight": torch.full((3, 2), weight), "network.bias": torch.full((3,), weight)}
        checkpoint = {"state_dict": state, "global_step": 3}
        self.trainer.strategy.checkpoint_io.save_checkpoint(checkpoint, self.run.directory / name)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still, and a machine with five threads."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(steps, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(steps, "process_seconds", lambda: clock.now / 81)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    return clock


@pytest.fixture(autouse=True)
def said() -> Iterator[list[tuple[str, str]]]:
    """The lines for the terminal, with their levels."""
    lines: list[tuple[str, str]] = []
    handler, level = logging.Handler(), log.level
    handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))  # type: ignore[method-assign]
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield lines
    log.removeHandler(handler)
    log.setLevel(level)


def test_what_is_known_when_training_begins(scene: Scene, said: list[tuple[str, str]]) -> None:
    scene.trainer.accumulate_grad_batches, scene.trainer.world_size, scene.sizes["val"] = 3, 2, 80
    scene.recorder.on_fit_start(scene.trainer, scene.module)
    assert scene.run.results == {
        "status": "running", "name": "dots", "seed": 3, "epochs": [], "dataset": "dots", "train_size": 1200,
        "val_size": 80, "test_size": 5, "image_shape": [1, 1, 2], "is_handwriting": False, "parameters": 9,
        "batch_size": 12, "device": "cpu", "devices": 2, "threads": 5,
    }  # fmt: skip
    line = "dots, seed 3: dots, 1,200 images to train, 80 held out, 5 to test; 2 × cpu, 5 threads\n"
    assert said == [("INFO", line)]
    assert scene.file is None and not scene.accepted, "no step was taken"


def test_a_gpu_is_known_by_its_name(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    scene.trainer.strategy.root_device = torch.device("cuda", 1)
    scene.recorder.on_fit_start(scene.trainer, scene.module)
    assert scene.run.results["device"] == "Card 1"
    scene.trainer.strategy.root_device = torch.device("mps")
    scene.recorder.on_fit_start(scene.trainer, scene.module)
    assert scene.run.results["device"] == "mps"


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        (CPU, None),
        (CPU | {"threads": 2}, "threads 2 before, 5 now"),
        (
            {"device": "Card", "devices": 2, "threads": 5, "batch_size": 99},
            "device Card before, cpu now, devices 2 before, 1 now",
        ),
    ],
)
def test_going_on_with_other_devices_or_threads_is_said(
    before: dict[str, Any], changes: str | None, tmp_path: Path, said: list[tuple[str, str]]
) -> None:
    remarks = [f"{changes}: some bits may differ from those of an undisturbed run"] if changes else []
    (tmp_path / "checkpoints").mkdir()
    Seal(tmp_path).write(tmp_path / "checkpoints" / "last.ckpt", b"last")
    going_on = Scene(tmp_path, is_new=False, **before)
    going_on.recorder.on_fit_start(going_on.trainer, going_on.module)
    assert going_on.run.remarks == remarks
    assert said[0][1].splitlines()[1:] == remarks
    (tmp_path / "checkpoints" / "last.ckpt").unlink()
    anew = Scene(tmp_path, is_new=False, **before)
    anew.recorder.on_fit_start(anew.trainer, anew.module)
    assert anew.run.remarks == [], "nothing of another device is in it"


def test_settings_are_right_once_the_first_epoch_begins(scene: Scene, clock: SimpleNamespace) -> None:
    assert not scene.run.is_under_way
    scene.begin()
    assert scene.run.is_under_way and scene.accepted == [None]
    assert scene.run.results["startup_seconds"] == 12.346  # 1000 / 81 = 12.34567…
    clock.now += 81
    scene.recorder.on_train_epoch_start(scene.trainer, scene.module)
    assert len(scene.accepted) == 1 and scene.run.results["startup_seconds"] == 12.346
    scene.end_epoch()
    assert len(scene.accepted) == 1


def test_a_finished_run_stays_until_there_is_more(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"status": "finished"}')
    scene = Scene(tmp_path, is_new=False, status="finished", startup_seconds=7)
    scene.begin()
    assert scene.run.is_under_way and not scene.accepted and scene.run.results["startup_seconds"] == 7
    scene.end_epoch()
    assert scene.accepted == [{"status": "finished"}], "the settings are kept before the results are"
    assert scene.file["steps"] == 3
    scene.end_epoch()
    assert len(scene.accepted) == 1


def test_every_third_step_of_an_epoch_is_reported(scene: Scene, said: list[tuple[str, str]]) -> None:
    scene.begin()
    said.clear()
    scene.trainer.current_epoch, scene.trainer.num_training_batches, scene.module.latest_loss = 1, 90, 0.12345
    for index in range(7):
        scene.step(index)
        assert len(said) == (index + 1) // 3, "at once"
    assert said == [("DEBUG", f" 2/10  0.1235  step {step}/90") for step in (3, 6)]


def test_an_epoch_is_one_of_so_many_where_their_number_is_known() -> None:
    trainer = stand(current_epoch=8, max_epochs=9)
    assert position(trainer) == "9/9"
    for endless in (-1, None):
        trainer.max_epochs = endless
        assert position(trainer) == "9"


def test_an_evaluation_within_an_epoch_is_said(scene: Scene, said: list[tuple[str, str]]) -> None:
    scene.evaluate(val={"accuracy": 0.9})
    assert said == [], "the line of the epoch will say it"
    scene.begin()
    said.clear()
    scene.batches.ready = scene.batches.processed = 2
    scene.evaluate(val={"accuracy": 0.9})
    header, line = said.pop()[1].split("\n")[1:]
    assert (header, line) == (
        "epoch    loss    loss  accuracy  accuracy     time",
        " 1/10                              90.00%           step 2/3",
    )
    scene.trainer.sanity_checking = True
    scene.evaluate(val={"accuracy": 0.9})
    assert said == [] and scene.file is None


def test_a_metric_that_nobody_measures_is_refused(scene: Scene) -> None:
    scene.module.measured = {"val/loss": 1.0, "test/loss": 1.0}
    scene.trainer.callback_metrics = {"val/loss": 1.0, "val/f1": 1.0, "test_f1": 1.0}
    MonitorsExist({"callbacks.top": "val/f1"}).on_sanity_check_end(scene.trainer, scene.module)
    message = r"^scheduler\.monitor=val_f1: there is no such metric\. There are: val/loss, val/f1$"
    with pytest.raises(UsageError, match=message):
        MonitorsExist({"scheduler": "val_f1"}).on_sanity_check_end(scene.trainer, scene.module)


def test_a_whole_epoch_is_a_row_of_the_results(
    scene: Scene, clock: SimpleNamespace, said: list[tuple[str, str]]
) -> None:
    scene.trainer.current_epoch = 1
    scene.begin()
    clock.now += 2
    scene.recorder.on_train_epoch_start(scene.trainer, scene.module)
    clock.now += 1.23456
    scene.step()
    scene.evaluate(test={"loss": 0.5, "accuracy": 0.75, "f1": 0.5})
    scene.end_epoch()
    row = {
        "epoch": 2, "train_loss": 0.25, "test_loss": 0.5, "test_accuracy": 0.75, "val_loss": None,
        "val_accuracy": None, "test_f1": 0.5, "learning_rate": 0.125, "seconds": 1.235,
    }  # fmt: skip
    assert scene.file["epochs"] == [row]
    assert (scene.file["steps"], scene.file["fit_seconds"], scene.file["dataset"]) == (3, 3.235, "dots")
    assert (scene.file["test"], scene.file["val"]) == ({"loss": 0.5, "accuracy": 0.75, "f1": 0.5}, None)
    assert scene.file["weights_sha256"] == scene.weigh(1.0)
    table = [
        "       train    test      test    test",
        "epoch    loss    loss  accuracy      f1     time",
        " 2/10  0.2500  0.5000    75.00%  0.5000    1.2 s",
    ]
    assert [line.strip() for line in said[-1][1].split("\n")] == [line.strip() for line in table]


def test_what_was_measured_of_earlier_weights_is_not_said_of_these(scene: Scene, said: list[tuple[str, str]]) -> None:
    scene.begin()
    scene.evaluate(val={"loss": 0.5, "accuracy": 0.75})
    scene.step()
    sha256 = scene.weigh(2.0)
    scene.end_epoch()
    [row] = scene.file["epochs"]
    assert (row["train_loss"], row["val_loss"], row["val_accuracy"]) == (0.25, None, None)
    assert (scene.file["val"], scene.file["test"], scene.file["weights_sha256"]) == (None, None, sha256)
    assert said[-1] == ("INFO", " 1/10  0.2500                      0.0 s")


@pytest.mark.parametrize(("ready", "processed"), [(2, 2), (3, 2)])
def test_an_epoch_that_was_stopped_is_no_row(
    ready: int, processed: int, scene: Scene, said: list[tuple[str, str]]
) -> None:
    scene.begin()
    scene.step()
    scene.batches.ready, scene.batches.processed, scene.trainer.global_step = ready, processed, 2
    scene.end_epoch()
    assert (scene.file["epochs"], scene.file["steps"]) == ([], 2)
    assert said[-1] == ("INFO", " 1/10  0.2500                      0.0 s  stopped after step 2/3")


def test_results_are_about_the_weights_in_the_last_checkpoint(scene: Scene) -> None:
    scene.begin()
    scene.evaluate(test={"accuracy": 0.75})
    scene.end_epoch()
    own, average = scene.weigh(1.0), scene.weigh(3.0)
    assert (scene.file["test"], scene.file["weights_sha256"]) == ({"accuracy": 0.75}, own)
    scene.trainer.global_step = 4
    for name in ("checkpoints/best.ckpt", "elsewhere/last.ckpt"):
        scene.save(name, 3.0)
    scene.save("checkpoints/last.ckpt", 1.0)
    assert scene.file["steps"] == 3, "nothing new is known"
    scene.save("checkpoints/../checkpoints/last.ckpt", 3.0)
    assert (scene.file["test"], scene.file["weights_sha256"], scene.file["steps"]) == (None, average, 4)
    assert scene.file["epochs"][0]["test_accuracy"] == 0.75, "it stays what it was"
    scene.evaluate("test", test={"accuracy": 1.0})
    scene.recorder.on_test_end(scene.trainer, scene.module)
    assert (scene.file["test"], scene.file["weights_sha256"]) == ({"accuracy": 1.0}, average)


def test_a_checkpoint_of_weights_that_were_just_evaluated_has_their_results(scene: Scene) -> None:
    scene.begin()
    average = scene.weigh(3.0)
    scene.evaluate(val={"accuracy": 0.75})
    scene.weigh(1.0)  # those that are trained are put back
    scene.save("checkpoints/last.ckpt", 3.0)
    assert (scene.file["val"], scene.file["weights_sha256"]) == ({"accuracy": 0.75}, average)
    scene.end_epoch()
    assert (scene.file["val"], scene.file["weights_sha256"]) == ({"accuracy": 0.75}, average)


def test_what_else_was_measured_of_the_same_weights_stays(scene: Scene) -> None:
    scene.begin()
    scene.evaluate(val={"loss": 0.5, "f1": 0.25})
    scene.end_epoch()
    scene.evaluate("test", test={"accuracy": 0.75})
    scene.recorder.on_test_end(scene.trainer, scene.module)
    assert (scene.file["val"], scene.file["test"]) == ({"loss": 0.5, "f1": 0.25}, {"accuracy": 0.75})
    scene.evaluate(val={"loss": 0.125})
    scene.recorder.on_test_end(scene.trainer, scene.module)
    assert (scene.file["val"], scene.file["test"]) == ({"loss": 0.125, "f1": 0.25}, {"accuracy": 0.75})
    scene.weigh(2.0)
    scene.evaluate("test", test={"accuracy": 0.5})
    scene.recorder.on_test_end(scene.trainer, scene.module)
    assert (scene.file["val"], scene.file["test"]) == (None, {"accuracy": 0.5})


def test_only_training_and_test_are_timed(scene: Scene, clock: SimpleNamespace) -> None:
    scene.recorder.load_state_dict({"epochs": [], "fit_seconds": 100.0})
    scene.recorder.on_fit_start(scene.trainer, scene.module)
    clock.now += 10
    assert scene.recorder.state_dict()["fit_seconds"] == 110
    scene.recorder.on_fit_end(scene.trainer, scene.module)
    clock.now += 1000  # figures
    scene.recorder.on_test_start(scene.trainer, scene.module)
    clock.now += 0.98765
    scene.recorder.on_test_end(scene.trainer, scene.module)
    assert scene.file["fit_seconds"] == 110.988


def test_a_new_run_took_no_time_before(scene: Scene, clock: SimpleNamespace) -> None:
    scene.recorder.on_fit_start(scene.trainer, scene.module)
    clock.now += 2
    assert scene.recorder.fit_seconds == 2


def test_what_ended_the_run(scene: Scene) -> None:
    scene.begin()
    scene.trainer.max_steps = 3
    scene.recorder.on_fit_end(scene.trainer, scene.module)
    assert scene.run.results["ended_by"] == "trainer.max_steps"
    scene.trainer.max_steps = 4
    scene.recorder.on_fit_end(scene.trainer, scene.module)
    assert scene.run.results["ended_by"] == "trainer.max_epochs"


def test_a_failure_spoils_nothing_once_training_has_ended(scene: Scene, said: list[tuple[str, str]]) -> None:
    with pytest.raises(OSError, match="no\n space"), scene.recorder.late_failures_as_warnings():
        raise OSError("no\n space")
    scene.begin()
    scene.recorder.on_fit_end(scene.trainer, scene.module)
    said.clear()
    with scene.recorder.late_failures_as_warnings():
        raise OSError("no\n space " + 400 * "x")
    assert said == [("WARNING", f"after training: no space {291 * 'x'}")], "300 characters of it"
    with pytest.raises(KeyboardInterrupt), scene.recorder.late_failures_as_warnings():
        raise KeyboardInterrupt


def test_a_checkpoint_says_what_its_weights_are_for(scene: Scene) -> None:
    checkpoint: dict[str, Any] = {"state_dict": {}}
    scene.recorder.on_save_checkpoint(scene.trainer, scene.module, checkpoint)
    assert checkpoint == {
        "state_dict": {}, "classes": ["a", "b", "c"], "shape": [1, 1, 2], "is_handwriting": False,
        "test_sha256": "of the test set",
    }  # fmt: skip


def test_epochs_and_time_go_on_from_a_checkpoint(scene: Scene, clock: SimpleNamespace, tmp_path: Path) -> None:
    scene.begin()
    clock.now += 5
    scene.end_epoch()
    state = json.loads(json.dumps(scene.recorder.state_dict()))
    (tmp_path / "other").mkdir()
    other = Scene(tmp_path / "other", epochs=[{"epoch": 1}, {"epoch": 2}])  # as far as results.json had got
    other.recorder.load_state_dict(state)
    other.trainer.current_epoch = 1
    other.begin()
    clock.now += 2
    other.end_epoch()
    assert [(row["epoch"], row["seconds"]) for row in other.file["epochs"]] == [(1, 5.0), (2, 2.0)]
    assert other.file["fit_seconds"] == 7


@pytest.mark.parametrize("begins", ["on_sanity_check_start", "on_train_start", "on_test_start"])
@pytest.mark.parametrize("own", [signal.default_int_handler, signal.SIG_DFL])
def test_sigterm_is_taken_back_from_lightning(begins: str, own: Any, tmp_path: Path) -> None:
    """Its handler waits for all processes; it stays where the program had none of its own."""
    before = signal.signal(signal.SIGTERM, own)
    try:
        scene = Scene(tmp_path / "run")
        lightnings = lambda *_: None  # noqa: E731
        signal.signal(signal.SIGTERM, lightnings)
        getattr(scene.recorder, begins)(scene.trainer, scene.module)
        assert signal.getsignal(signal.SIGTERM) == (lightnings if own == signal.SIG_DFL else own)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_that_has_gone_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where there are several; any other failure of the network stays what it is."""
    run = Run(tmp_path / "run", {"status": "running", "epochs": []}, is_new=True)
    gloo = "[/gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:6573: Connection reset by peer"
    for is_several, message, expected in (
        (True, gloo, "another process of this run has ended, or can't be reached. Start it again"),
        (True, "mat1 and mat2 shapes cannot be multiplied", "mat1 and mat2"), (False, gloo, "[/gloo/"),
    ):  # fmt: skip
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda is_several=is_several: is_several)
        with pytest.raises((RunError, RuntimeError)) as raised, build.refusals_of_lightning(run):
            raise RuntimeError(message)
        assert str(raised.value).startswith(expected)
        assert isinstance(raised.value, RunError) == expected.startswith("another")
