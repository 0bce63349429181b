"""train.py as a whole: what a run shows, leaves behind, and survives."""

import json
import re
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import warm
from conftest import PROJECT, Program, environment
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

import train
from mnist_lightning.config import build, check, compose, monitors
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.run import Run
from mnist_lightning.runs.weights import read_checkpoint, weights_sha256
from mnist_lightning.trained import load_run

FIGURES = (
    "accuracy", "confusion_matrix", "misclassified", "precision_recall", "reliability", "feature_maps", "filters",
)  # fmt: skip


def compose_config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(check.CONFIG_FOLDER), version_base="1.3"):
        return hydra_compose("config", overrides=list(overrides))


def fit(output_dir: Path, *overrides: str, figures: bool = False) -> dict[str, Any]:
    """Train in this process, as train.py's main does, and return results.json; figures take a second or two."""
    if not figures and "callbacks=none" not in overrides:
        overrides = (*overrides, "~callbacks.figures")
    config = compose_config(f"output_dir={output_dir}", *overrides)
    build.everything(config)
    with Run.create(str(output_dir), config.name, config.seed) as run:
        compose.save(config, run)
        train.train(config, run)
    return read(output_dir)


def go_on(output_dir: Path, *overrides: str) -> dict[str, Any]:
    """Resume in this process, and return results.json."""
    run = Run.open(output_dir, is_trusted="trust=true" in overrides)
    config = compose.resumed(run, overrides)
    run.results |= {"name": config.name, "seed": config.seed}
    build.everything(config, begins=run.checkpoint is None)
    with run:
        train.train(config, run)
    return read(output_dir)


def digits_test_set() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the test set of the digits as the network sees it."""
    data = build.data(compose_config("data=digits").data)
    data.setup("test")
    return data.splits["test"].tensors


def read(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs on the digits, with a validation set."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    fit(
        directory,
        "data=digits",
        "trainer.max_epochs=3",
        "data.val_size=100",
        "trainer.log_every_n_steps=30",
        figures=True,
    )
    return directory


def test_run_directory_is_complete(finished: Path) -> None:
    files = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    events = {name for name in files if name.startswith("events.out.tfevents")}
    ends = sorted(re.sub(r".*\d", "", name) for name in events)
    assert ends == ["", ".hparams-end", ".hparams-start"]
    assert files - events == {
        ".lock",
        "config.yaml",
        "results.json",
        "train.log",
        "checkpoints/last.ckpt",
        "checkpoints/previous.ckpt",
        "checkpoints/best.ckpt",
        "seal.json",
        "figures/accuracy.svg",
        *(f"figures/{name}.png" for name in FIGURES),
    }
    last = read(finished)["test"]["accuracy"]
    assert f"Converge to: {100 * last:.0f}%" in (finished / "figures" / "accuracy.svg").read_text()
    log = (finished / "train.log").read_text()
    for part in (
        "features.0    Conv2d",
        "8,490",
        "step 30/84",
        "  3/3  0.",
        "errors in 360 images",
        "resume=",
    ):
        assert part in log


def test_results_have_their_fields_and_types(finished: Path) -> None:
    results = read(finished)
    types = {
        "status": str, "name": str, "seed": int, "dataset": str, "train_size": int, "val_size": int, "test_size": int,
        "parameters": int, "batch_size": int, "epochs": list, "test": dict, "val": dict, "weights_sha256": str,
        "fit_seconds": float, "total_seconds": float, "device": str, "devices": int, "threads": int, "versions": dict,
        "command": list, "started": str,
    }  # fmt: skip
    assert {key: type(results[key]) for key in types} == types
    sizes = [results[key] for key in ("train_size", "val_size", "test_size", "parameters", "batch_size")]
    assert sizes == [1337, 100, 360, 8490, 16]
    assert (results["status"], results["name"], results["dataset"]) == ("finished", "digits-cnn", "digits")
    assert [epoch["epoch"] for epoch in results["epochs"]] == [1, 2, 3]
    for epoch in results["epochs"]:
        assert set(epoch) == {
            "epoch", "train_loss", "test_loss", "test_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"
        }  # fmt: skip
        assert epoch["learning_rate"] == 0.01
    for stage, total in (("test", 360), ("val", 100)):
        assert results[stage]["total"] == total
        assert results[stage]["accuracy"] == (total - results[stage]["errors"]) / total
        assert results[stage]["accuracy"] == results["epochs"][-1][f"{stage}_accuracy"]
    assert set(results["versions"]) >= {"python", "torch", "lightning"}
    assert results["epochs"][-1]["train_loss"] < results["epochs"][0]["train_loss"]


def test_events_are_read_back_by_tag(finished: Path) -> None:
    events = EventAccumulator(str(finished)).Reload()
    tags = events.Tags()
    assert set(tags["scalars"]) == {
        "train/loss", "train/loss_epoch", "train/learning_rate", "test/loss", "test/accuracy", "val/loss",
        "val/accuracy",
    }  # fmt: skip
    assert set(tags["images"]) == {f"visual/{name}" for name in FIGURES}
    texts = {tag: events.Tensors(f"run/{tag}/text_summary")[0] for tag in ("command", "configuration", "layers")}
    shown = {tag: text.tensor_proto.string_val[0].decode() for tag, text in texts.items()}
    assert shown["command"].startswith("    python ")
    assert "    momentum: 0.5" in shown["configuration"]
    assert "8,490" in shown["layers"]
    assert {f"digit/{digit}" for digit in range(10)} <= set(tags["tensors"]), "precision and recall"
    [charts] = events.Tensors("custom_scalars__config__")
    layout = Layout.FromString(charts.tensor_proto.string_val[0])
    loss, _ = layout.category[0].chart
    assert list(loss.multiline.tag) == ["train/loss_epoch", "val/loss", "test/loss"]
    assert tags["graph"]
    graph = {node.op for node in GraphDef.FromString(events._graph).node}
    assert "aten::_convolution" in graph
    accuracies = [event.value for event in events.Scalars("test/accuracy")]
    assert accuracies == pytest.approx([epoch["test_accuracy"] for epoch in read(finished)["epochs"]])
    assert len(events.Scalars("train/loss")) == 3 * 84 // 30


def test_last_checkpoint_is_the_result_and_plain(finished: Path) -> None:
    trained = load_run(finished)
    assert weights_sha256(trained.network.state_dict()) == read(finished)["weights_sha256"]
    checkpoint = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == {f"network.{name}" for name in trained.network.state_dict()}


def test_config_runs_again(finished: Path, tmp_path: Path) -> None:
    """The resolved configuration alone gives the same weights."""
    config = compose.read(finished)
    config.output_dir = str(tmp_path / "again")
    build.everything(config)
    with Run.create(config.output_dir, config.name, config.seed) as run:
        train.train(config, run)
    assert read(tmp_path / "again")["weights_sha256"] == read(finished)["weights_sha256"]


def test_resumed_run_is_bit_identical_wherever_it_was_moved(finished: Path, tmp_path: Path) -> None:
    overrides = ("data=digits", "data.val_size=100", "trainer.log_every_n_steps=30")
    fit(tmp_path / "run", *overrides, "trainer.max_epochs=1")
    (tmp_path / "run").rename(tmp_path / "moved")
    results = go_on(tmp_path / "moved", "trainer.max_epochs=3")
    whole = read(finished)
    best = [load_run(path / "checkpoints" / "best.ckpt").network for path in (tmp_path / "moved", finished)]
    assert weights_sha256(best[0].state_dict()) == weights_sha256(best[1].state_dict())
    assert results["weights_sha256"] == whole["weights_sha256"]
    keys = ("epoch", "train_loss", "test_accuracy", "val_loss")
    assert [[e[k] for k in keys] for e in results["epochs"]] == [[e[k] for k in keys] for e in whole["epochs"]]
    assert results["test"] == whole["test"]
    scalars = [EventAccumulator(str(path)).Reload().Scalars("test/accuracy") for path in (tmp_path / "moved", finished)]
    assert sorted(e.step for e in scalars[0]) == [e.step for e in scalars[1]], "no ghost points"


def test_seeds_differ(finished: Path, tmp_path: Path) -> None:
    overrides = ("data=digits", "trainer=smoke", "logger=none", "callbacks=none")
    first, same, other = (fit(tmp_path / str(n), *overrides, f"seed={s}") for n, s in enumerate((0, 0, 1)))
    assert first["weights_sha256"] == same["weights_sha256"] != other["weights_sha256"]
    assert {path.name for path in (tmp_path / "0").iterdir()} == {
        ".lock",
        "config.yaml",
        "results.json",
        "seal.json",
        "train.log",
    }


@pytest.mark.parametrize("scheduler", ["constant", "onecycle"])
def test_two_optimizers_and_schedulers_train(tmp_path: Path, scheduler: str) -> None:
    overrides = ("data=digits", "optimizer=adam", "trainer.max_epochs=1", "logger=none")
    results = fit(tmp_path / "run", *overrides, f"scheduler={scheduler}", "trainer.enable_checkpointing=false")
    assert results["test"]["accuracy"] > 0.3
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_null_is_lightnings_word_for_true(tmp_path: Path) -> None:
    fit(tmp_path / "run", "data=digits", "trainer=smoke", "logger=none", "trainer.enable_checkpointing=null")
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_run_stopped_within_an_epoch_counts_its_final_weights(tmp_path: Path) -> None:
    results = fit(tmp_path / "run", "data=digits", "trainer.max_steps=100", "logger=none")
    network = load_run(tmp_path / "run").network
    images, labels = digits_test_set()
    with torch.inference_mode():
        errors = int((network(images).argmax(1) != labels).sum())
    assert results["test"] == results["test"] | {"errors": errors, "total": 360}


def test_mnist_is_trained_and_counted_exactly(mnist_root: Path, tmp_path: Path) -> None:
    results = fit(
        tmp_path / "run",
        f"data.root={mnist_root}",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=300",
        "logger=none",
    )
    assert (results["dataset"], results["train_size"], results["test"]["total"]) == ("mnist", 60_000, 10_000)
    assert 0.85 < results["test"]["accuracy"] < 0.97, "a third of an epoch"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[warm.Process, Path]]:
    """A long run in a process of its own, after its second epoch."""
    run = tmp_path / "run"
    words = ["data=digits", "trainer.max_epochs=500", "~callbacks.figures", f"output_dir={run}"]
    process = warm.start([PROJECT / "train.py", *words], cwd=tmp_path, env=environment())
    try:
        deadline = time.monotonic() + 200  # it takes seconds, but not where other programs have the cores
        while not (run / "results.json").exists() or len(read(run)["epochs"]) < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, run
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGTERM, 143, "interrupted"),  # others: test_faults.py
        (signal.SIGKILL, -9, "running"),
    ],
)
def test_stopped_run_goes_on_bit_for_bit(
    started: tuple[warm.Process, Path], tmp_path: Path, number: int, status: int, word: str
) -> None:
    process, run = started
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == status
    assert read(run)["status"] == word
    if number != signal.SIGKILL:
        assert f"python {PROJECT}/train.py resume={run}" in errors
        assert "Traceback" not in errors
    done = len(read(run)["epochs"])
    time.sleep(1)  # event files are named by the second; a process of its own would not have begun to train by then
    results = go_on(run, f"trainer.max_epochs={done + 2}")
    assert results["status"] == "finished"
    assert len(results["epochs"]) == done + 2
    whole = fit(tmp_path / "whole", "data=digits", f"trainer.max_epochs={done + 2}")
    assert results["weights_sha256"] == whole["weights_sha256"]
    logged = EventAccumulator(str(run)).Reload().Scalars("test/accuracy")
    assert len(logged) == len({event.step for event in logged}) == done + 2, "no ghost points"


def test_run_stopped_during_its_start_can_be_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("data=digits", "trainer=smoke", "~callbacks.figures", f"output_dir={run}")
    process = warm.start([PROJECT / "train.py", *words], cwd=tmp_path, env=environment())
    while not (run / "config.yaml").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert (process.returncode, len(errors.splitlines())) == (130, 1)
    assert read(run)["status"] == "interrupted"
    assert go_on(run)["status"] == "finished"


def test_diverged_run_keeps_its_last_good_checkpoint(program: Program, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(run, "data=digits", "trainer.max_epochs=1", "logger=none")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("lr: 0.01", "lr: 1.0e+30"))
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] = 1e30
    torch.save(checkpoint, run / "checkpoints" / "last.ckpt")
    (run / "results.json").write_text(json.dumps(read(run) | {"status": "interrupted"}))  # else it stays what it was
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    ended = program("train.py", f"resume={run}", "trainer.max_epochs=3", "trust=true")
    assert ended.returncode == 1
    assert "loss became" in ended.stderr
    assert "The last good checkpoint is" in ended.stderr
    assert "Traceback" not in ended.stderr
    results = read(run)
    assert results["status"] == "diverged"
    assert results["error"].startswith("the training loss became")
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_full_disk_keeps_the_checkpoint_before(program: Program, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the write fails in the middle."""
    run = tmp_path / "run"
    fit(run, "data=digits", "trainer.max_epochs=1")
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    limit = len(before) - 10_000
    ended = program(
        "train.py",
        f"resume={run}",
        "trainer.max_epochs=2",
        limits={resource.RLIMIT_FSIZE: (limit, limit)},
    )
    assert ended.returncode == 1, ended.stderr
    assert "last.ckpt can't be written: File too large. The checkpoint before it is whole" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    assert read(run)["status"] == "interrupted"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert len(go_on(run, "trainer.max_epochs=2")["epochs"]) == 2


def test_three_processes_do_what_one_does(program: Program, tmp_path: Path) -> None:
    """Of two batches of 717 and one of 2 images, and of one held-out image, so that devices are left without."""
    common = (
        "data=digits", "data.batch_size=717", "data.val_size=1", "trainer.max_epochs=3", "logger=none", "model=mlp",
        "model.dropout=0", "optimizer.lr=0.1",
        "trainer.accelerator=cpu",
    )  # fmt: skip
    one = fit(tmp_path / "one", *common)
    on_three = ("trainer=ddp", "trainer.devices=3", "~callbacks.figures", f"output_dir={tmp_path}/two")
    ended = program("train.py", *common, *on_three)
    assert (ended.returncode, ended.stderr) == (0, "")
    three = read(tmp_path / "two")
    assert (three["devices"], three["batch_size"], three["test"]["total"], three["val"]["total"]) == (3, 717, 360, 1)
    assert three["test"]["errors"] == one["test"]["errors"]
    weights = [read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"] for name in ("one", "two")]
    for mine, other in zip(*(of.values() for of in weights), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    for mine, other in zip(three["epochs"], one["epochs"], strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
    ended = program("train.py", "resume=two", "trainer.max_epochs=4", "trainer.devices=1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [epoch["epoch"] for epoch in read(tmp_path / "two")["epochs"]] == [1, 2, 3, 4]
    said = (tmp_path / "two" / "train.log").read_text()
    assert "devices 3 before, 1 now" in said


@pytest.mark.parametrize(
    ("overrides", "status", "message"),
    [
        (["optimizer.lrr=0.1"], 2, "Did you mean optimizer.lr?"),
        (["data.batch_size=0"], 2, "data.batch_size=0: must be at least 1"),
        (["seed"], 2, "seed: not understood. Settings are written key=value"),
        (["resume=nowhere"], 2, "nowhere is not a run: there is no nowhere/results.json"),
        (["resume=5"], 2, "5 is not a run: there is no 5/results.json"),
        (["output_dir=/proc"], 2, "output_dir=/proc exists and is not empty: name another"),
    ],
)
def test_mistakes_end_with_one_message(
    program: Program, tmp_path: Path, overrides: list[str], status: int, message: str
) -> None:
    needs_torch = overrides[0].startswith(("data.batch_size", "output_dir=/proc"))
    ended = program(*([] if needs_torch else ["-X", "importtime"]), str(PROJECT / "train.py"), *overrides)
    assert ended.returncode == status
    [said] = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
    assert message in said
    assert not re.search(r"\| +torch$", ended.stderr, re.MULTILINE), "answered before torch is imported"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.limit_train_batches=0.001", "You requested to check 0.001 of the `train_dataloader`"),
        ("trainer.val_check_interval=100", "`val_check_interval` (100) must be less than or equal to"),
        ("+callbacks.x={_target_:lightning.pytorch.callbacks.LearningRateMonitor}", "`Trainer` that has no logger"),
        ("+callbacks.x={_target_:lightning.pytorch.callbacks.BackboneFinetuning}", "has no attribute 'backbone'"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_a_step(override: str, message: str, tmp_path: Path) -> None:
    """Also where a run is gone on with, which stays as it was."""
    fit(tmp_path / "run", "data=digits", "trainer=smoke", "logger=none")
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.*") if path.suffix in (".yaml", ".ckpt")}
    new = partial(fit, tmp_path / "new", "data=digits", "trainer.max_epochs=1", "logger=none")
    for use in (new, partial(go_on, tmp_path / "run")):
        if "callbacks" in override and use is not new:
            continue
        with pytest.raises(UsageError) as refused:
            use(override, *(["trainer.max_epochs=2"] if use is not new else []))
        assert message in str(refused.value)
    assert not (tmp_path / "new").exists()
    assert read(tmp_path / "run")["status"] == "finished"
    assert {path: path.read_bytes() for path in before} == before


def test_resume_changes_only_what_it_may(finished: Path) -> None:
    again = re.escape(f"run it again: python train.py again={finished} 'model.channels=[4, 8]'")
    with pytest.raises(UsageError, match=rf"channels=\[4, 8\]: a resumed run stays the same experiment; .* {again}$"):
        compose.resumed(Run.open(finished), ["resume=x", "model.channels=[4, 8]"])
    with pytest.raises(
        UsageError, match=r"trainer.max_epoch=9: there is no such setting. Did you mean trainer.max_epochs"
    ):
        compose.resumed(Run.open(finished), ["trainer.max_epoch=9"])
    config = compose.resumed(Run.open(finished), ["trainer.max_epochs=int(9.0)", "trainer.max_time=1:00:00:00"])
    assert (config.trainer.max_epochs, config.trainer.max_time) == (9, "1:00:00:00"), "by Hydra's own grammar"


def test_refused_resume_changes_nothing(program: Program, tmp_path: Path) -> None:
    fit(tmp_path / "run", "data=digits", "trainer=smoke", "logger=none")
    before = (read(tmp_path / "run"), (tmp_path / "run" / "config.yaml").read_text())
    ended = program("train.py", "resume=run", "trainer.max_epochs=2", "trainer.strategy=none")
    assert ended.returncode == 2, ended.stderr
    assert "You selected an invalid strategy name" in ended.stderr
    after = read(tmp_path / "run") | {"total_seconds": before[0]["total_seconds"]}
    assert (after, (tmp_path / "run" / "config.yaml").read_text()) == before


def test_finished_run_has_nothing_left_to_do(program: Program, finished: Path) -> None:
    before = (finished / "results.json").read_bytes()
    ended = program("train.py", f"resume={finished}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "is finished: it has its 3 epochs. For more, add trainer.max_epochs=N" in ended.stdout
    assert (finished / "results.json").read_bytes() == before


def test_nothing_heavy_is_imported_for_help(program: Program) -> None:
    ended = program("-X", "importtime", str(PROJECT / "train.py"), "--help")
    assert ended.returncode == 0
    assert "Six commands to start with" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 60, "no line is broken on a narrow terminal"
    assert f"\nsweep: {', '.join(sorted(file.stem for file in PROJECT.glob('conf/sweep/*.yaml')))}\n" in ended.stdout
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "lightning", "torchvision", "matplotlib", "rich", "tensorboard"}


def test_the_best_checkpoint_has_the_accuracy_it_was_chosen_for(tmp_path: Path) -> None:
    """Evaluated after 22 and 44 of 45 batches: neither is the end of the epoch, of which nothing is said then."""
    words = ("data=digits", "data.val_size=200", "trainer.val_check_interval=0.5", "trainer.limit_train_batches=45")
    results = fit(tmp_path / "run", *words, "trainer.max_epochs=2", "logger=none")
    assert [epoch["val_accuracy"] for epoch in results["epochs"]] == [None, None]
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    chosen = next(of for name, of in content["callbacks"].items() if "val/accuracy" in name)
    data = build.data(compose.read(tmp_path / "run").data)
    data.setup()
    images, labels = data.splits["val"].tensors
    with torch.inference_mode():
        found = (load_run(checkpoint).network(images).argmax(1) == labels).float().mean()
    assert found == pytest.approx(float(chosen["best_model_score"]))


def test_what_is_evaluated_is_what_the_run_was_tested_on(finished: Path) -> None:
    run = load_run(finished)
    with pytest.raises(RunError, match="was tested on other images"):
        replace(run, test_sha256="0" * 64).test_set()
    assert len(run.test_set()[0]) == 360


def test_a_metric_of_ones_own_that_nobody_measures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known once a batch was evaluated: before the first step, and the run leaves nothing."""
    monkeypatch.setattr(monitors, "has_own_classes", lambda config: True)
    stop = "+callbacks.x={_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val/f1}"
    with pytest.raises(UsageError, match=r"monitor=val/f1: there is no such metric. There are: val/loss, val/accuracy"):
        fit(tmp_path / "run", "data=digits", "data.val_size=200", "trainer=smoke", stop)
    assert not (tmp_path / "run").exists()


def test_the_terminal_says_that_a_run_is_resumed_why_it_ended_and_what_took_its_time(
    tmp_path: Path, program: Program
) -> None:
    short = ("data=digits", "trainer.limit_train_batches=5", "logger=none", "~callbacks.figures")
    ended = program("train.py", *short, "trainer.max_epochs=1", "trainer.profiler=simple", "output_dir=run")
    assert ended.stdout.count("FIT Profiler Report") == 1
    report = (tmp_path / "run" / "profile.txt").read_text()
    assert report.count("FIT Profiler Report") == 1 and "run_training_epoch" in report
    reached = read(tmp_path / "run")["epochs"][0]["test_accuracy"]
    stops = "{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val/loss,stopping_threshold:9}"
    words = (f"+callbacks.stop={stops}", "trainer.max_epochs=4", "data.val_size=100")
    resumed = program("train.py", "resume=run", "trainer.max_epochs=2", "trainer.profiler=null")
    assert resumed.returncode == 0, resumed.stderr
    assert f"resumed after epoch 1: test accuracy {reached:.2%}\n" in resumed.stdout
    stopped = program("train.py", *short, *words, "output_dir=stopped")
    [line] = [line for line in stopped.stdout.splitlines() if line.startswith("ended by")]
    assert line.startswith(
        "ended by       EarlyStopping after 1 epoch, step 5: Stopping threshold reached: val/loss = "
    )
