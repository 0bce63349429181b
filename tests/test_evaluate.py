"""The command that evaluates against results.json, and what it draws."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import PROJECT
from PIL import Image
from test_train import fit, read

from mnist_lightning import evaluate, load_run
from mnist_lightning.config import compose
from mnist_lightning.datasets.source import DIGITS
from mnist_lightning.evaluation.measures import Evaluation
from mnist_lightning.figures import of_images, of_run, report
from mnist_lightning.networks.cnn import CNN
from mnist_lightning.networks.convnet import ConvNet
from mnist_lightning.pictures.prepare import PictureError
from mnist_lightning.runs.errors import RunError, UsageError
from mnist_lightning.runs.weights import weights_sha256


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def test_deterministic_pytorch_needs_no_more_memory(deterministic: None) -> None:
    """As many images as MNIST has to test: torchmetrics would ask for 326 GB."""
    labels = torch.arange(10_000) % 10
    evaluation = Evaluation(9.0 * F.one_hot(labels, 10), labels)
    drawn = report.of_evaluation(evaluation, torch.zeros(10_000, 28, 28), "x", DIGITS)
    assert len(drawn) == 4
    precision, recall = evaluation.precision_recall()
    assert precision[:, 50:100].eq(1).all() and recall[:, 50:100].eq(1).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("evaluated") / "run"
    fit(directory, "data=digits", "trainer.max_epochs=2", "data.val_size=100", "logger=none")
    return directory


def test_evaluate_says_what_results_json_says(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    recorded = read(run)["test"]
    assert {key: found["test"][key] for key in ("accuracy", "errors", "total")} == {
        key: recorded[key] for key in ("accuracy", "errors", "total")
    }
    assert found["test"]["loss"] == pytest.approx(recorded["loss"], rel=1e-5)
    assert [found[key] for key in ("run", "checkpoint", "epochs", "dataset")] == [str(run), "last.ckpt", 2, "digits"]
    confusion = np.array(found["confusion_matrix"])
    assert confusion.trace() == recorded["total"] - recorded["errors"]
    assert sum(row["images"] for row in found["per_class"]) == recorded["total"]
    assert sum(row["images"] for row in found["reliability"]) == recorded["total"]
    assert len(found["most_confused"]) <= 10
    assert evaluate.main([str(run)]) == 0
    text = capsys.readouterr().out
    assert f"test accuracy      {recorded['accuracy']:.2%}, {recorded['errors']} errors in 360 images" in text
    first = found["most_confused"][0]
    assert f"{first['true']} read as {first['predicted']}" in text
    for name in ("confusion_matrix", "misclassified", "precision_recall", "reliability"):
        with Image.open(run / "figures" / f"{name}.png") as picture:
            assert picture.width > 500


def test_evaluate_under_corruptions(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = run / "checkpoints" / "best.ckpt"
    assert evaluate.main([str(best), "--corrupted", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["corrupted"]
    accuracies = [row["accuracy"] for row in found["corruptions"].values()]
    assert len(accuracies) == 15
    assert found["mean_accuracy"] == pytest.approx(sum(accuracies) / 15)
    assert all(row["total"] == 360 for row in found["corruptions"].values())
    assert (run / "figures" / "best" / "corrupted.png").exists(), "beside, not over, the figures of the last checkpoint"


def test_figures_of_a_perfect_network_are_drawn() -> None:
    logits = 9.0 * F.one_hot(torch.arange(20) % 10, 10)
    drawn = report.of_evaluation(Evaluation(logits, torch.arange(20) % 10), torch.rand(20, 28, 28), "all right", DIGITS)
    for figure in drawn.values():
        assert of_run.draw(figure).shape[2] == 3
    texts = [text.get_text() for text in drawn["confusion_matrix"].axes[0].texts]
    assert texts == ["2"] * 10
    assert "0 errors in 20 images" in drawn["confusion_matrix"].axes[0].get_title(loc="left")


def test_network_figures_hold_every_layer() -> None:
    drawn = report.of_network(CNN(channels=(4, 30)), torch.rand(1, 1, 28, 28), "x")
    [maps], [kernels] = (drawn[name].axes[:1] for name in ("feature_maps", "filters"))
    labels = [text.get_text() for text in maps.texts]
    assert labels[:3] == ["input  1×28×28", "features.0 Conv2d  4×24×24", "features.1 MaxPool2d  4×12×12"]
    assert labels[6] == "features.5 ReLU  30×4×4, the first 20"
    assert "filters of features.0" in drawn["filters"].texts[0].get_text()
    many = report.of_network(CNN(channels=(21, 4)), torch.rand(1, 1, 28, 28), "x")["filters"]
    assert many.texts[0].get_text().endswith("filters of features.0, the first 20")
    assert len(many.axes[0].images) == 20
    assert len(labels) == 7
    sizes = [np.asarray(image.get_array()).shape for image in maps.images]
    assert sizes == [(28, 28)] + 4 * [(24, 24)] + 8 * [(12, 12)] + 20 * [(8, 8)] + 40 * [(4, 4)], "at most 20 a layer"
    assert [np.asarray(image.get_array()).shape for image in kernels.images] == 4 * [(5, 5)]
    convnet = report.of_network(ConvNet([[4, 4]], channels_in=1, classes=10), torch.rand(1, 1, 28, 28), "x")[
        "feature_maps"
    ]
    of_layers = [text.get_text().split()[1] for text in convnet.axes[0].texts[1:]]
    assert of_layers == ["Conv2d", "ReLU", "BatchNorm2d"] * 2, "nothing that stays as it was"


def test_captioned_images_keep_their_greys() -> None:
    figure = of_images.captioned(np.full((1, 28, 28), 128, np.uint8), ["grey"], "x")
    assert figure.axes[0].images[0].get_clim() == (0, 255)


def test_missing_mnist_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path / "run", "data=digits", "trainer=smoke", "logger=none")
    trained = load_run(tmp_path / "run")
    trained.config.data = compose.own_data("mnist")
    with pytest.raises(RunError, match=r"MNIST was not found\.[\s\S]*none of the four files[\s\S]*--data FOLDER"):
        trained.test_set(tmp_path)


def test_own_pictures_are_read_nearly_as_well(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least 500 test images, laid on paper: at most two points below the plain ones."""
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    from own_pictures import render

    from mnist_lightning.pictures.prepare import prepare

    quick = ("optimizer.lr=0.03", "optimizer.momentum=0.9", "trainer.max_epochs=1", "trainer.limit_train_batches=300")
    fit(tmp_path / "run", f"data.search=[{mnist_root}]", "data.root=nowhere", "logger=none", *quick)
    trained = load_run(tmp_path / "run")
    images, labels = (part[:500] for part in trained.test_set())
    random = np.random.default_rng(0)
    pictures = np.stack([prepare(render(image, random)) for image in images.numpy()])
    plain, own = (float((trained.predict(batch) == labels).float().mean()) for batch in (images, pictures))
    assert plain > 0.9
    assert own >= plain - 0.02


def test_three_lines_from_python(run: Path, tmp_path: Path) -> None:
    trained = load_run(run)
    images, _ = trained.test_set()
    by_hand = trained.network((images[:, None] / 255 - 0.1555) / 0.2772).softmax(1)
    torch.testing.assert_close(trained.probabilities(images), by_hand, rtol=0, atol=1e-5)
    assert torch.equal(trained.predict(images.numpy()), by_hand.argmax(1))
    assert trained.config.optimizer.lr == 0.01
    assert trained.predict(images[0]).shape == (1,)
    Image.fromarray(255 - images[3].numpy()).save(tmp_path / "own.png")
    assert trained.predict([tmp_path / "own.png", str(tmp_path / "own.png")]).shape == (2,)
    for wrong, message in (
        (images.float(), r"torch.float32 and shape \(360, 28, 28\): must be uint8, \(N, 28, 28\)"),
        (images[:, :20], r"shape \(360, 20, 28\)"),
        (images[:0], r"shape \(0, 28, 28\)"),
        ([], "at least one, or a list of files"),
        ("own.png", r"must be a list, as in \['own.png'\]"),
        ([images[0]], "Tensor in a list of pictures: must be a file, by its name or open"),
    ):
        with pytest.raises(ValueError, match=message):
            trained.predict(wrong)  # type: ignore[arg-type]
    with pytest.raises(PictureError, match=r"gone\.png: No such file or directory"):
        trained.predict(["gone.png"])


def test_a_checkpoint_is_found_from_beside_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_run(run).network.state_dict()
    for folder, name in ((run / "checkpoints", "last.ckpt"), (run / "figures", "../checkpoints/last.ckpt"), (run, ".")):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        assert weights_sha256(load_run(name).network.state_dict()) == weights_sha256(whole)


def test_a_folder_of_runs_names_one(run: Path) -> None:
    with pytest.raises(UsageError, match=rf"is not a run: there is no .*; {run} is one"):
        load_run(run.parent)


def test_numbers_are_printed_where_figures_cannot_be_written(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("figures"))
    (tmp_path / "run" / "figures").write_text("no folder")
    with pytest.raises(FileExistsError):
        evaluate.main([str(tmp_path / "run"), "--json"])
    assert json.loads(capsys.readouterr().out)["test"]["total"] == 360
