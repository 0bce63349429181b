"""The exported files against the network: read back, held against arithmetic by hand, and refused where they differ."""

import json
import resource
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from test_train import fit, read
from torch import nn

from mnist_lightning import export, load_run
from mnist_lightning.runs.errors import RunError, UsageError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported") / "run"
    fit(directory, "data=digits", "trainer.max_epochs=2", "data.val_size=100", "logger=none")
    return directory


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    assert export.main([str(run)]) == 0
    return run / "export"


def by_hand(run: Path, images: torch.Tensor) -> np.ndarray:
    normalized = (images.double()[:, None] / 255 - 0.1555) / 0.2772
    with torch.no_grad():
        return load_run(run).network.double()(normalized).softmax(1).numpy()


def test_onnx_answers_as_the_network(run: Path, exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    [given], [answer] = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["N", 28, 28])
    assert (answer.name, answer.type, answer.shape) == ("probabilities", "tensor(float)", ["N", 10])
    images, _ = load_run(run).test_set()
    for count in (1, 7, 360):
        [found] = session.run(None, {"images": images[:count].numpy()})
        np.testing.assert_allclose(found, by_hand(run, images[:count]), atol=1e-5)


def test_onnx_says_what_it_is(run: Path, exported: Path) -> None:
    properties = {entry.key: entry.value for entry in onnx.load(exported / "model.onnx").metadata_props}
    assert json.loads(properties["classes"]) == list("0123456789")
    assert properties["weights_sha256"] == read(run)["weights_sha256"]
    assert [properties[key] for key in ("name", "seed", "checkpoint", "epochs")] == [
        "digits-cnn",
        "0",
        "last.ckpt",
        "2",
    ]


def test_program_answers_as_the_network(run: Path, exported: Path) -> None:
    notes = {"run.json": ""}
    program = torch.export.load(exported / "model.pt2", extra_files=notes)
    images, _ = load_run(run).test_set()
    for count in (1, 360):
        with torch.no_grad():
            np.testing.assert_allclose(program.module()(images[:count]), by_hand(run, images[:count]), atol=1e-5)
    assert json.loads(notes["run.json"])["weights_sha256"] == read(run)["weights_sha256"]


def test_files_name_no_folder_of_this_machine(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {"model.onnx", "model.pt2"}
    here = str(Path(export.__file__).parent).encode()
    assert here not in (exported / "model.onnx").read_bytes()


def test_another_checkpoint_and_another_network_are_exported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = ("model.channels=[4,8]", "model.kernel_size=3", "model.padding=same", "model.pooling=avg")
    fit(tmp_path / "run", "data=digits", "trainer=smoke", "data.val_size=100", "logger=none", *model)
    capfd.readouterr()
    assert export.main([str(tmp_path / "run" / "checkpoints" / "best.ckpt")]) == 0
    assert {path.name for path in (tmp_path / "run" / "export").iterdir()} == {"best.onnx", "best.pt2"}
    said = capfd.readouterr()
    assert (len(said.out.splitlines()), said.err) == (7, ""), "the exporters say nothing themselves"
    assert "as the network on 360 test images, probabilities at most" in said.out
    images, _ = load_run(tmp_path / "run").test_set()
    *_, opening, asking = said.out.splitlines()
    there = {"onnxruntime": onnxruntime, "images": images.numpy()}
    exec(opening, there)
    [answer] = eval(asking, there)
    assert answer.shape == (360, 10)


@pytest.mark.parametrize("older", [[], ["model.onnx", "model.pt2"]])
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_file_that_differs_is_never_there(
    suffix: str, older: list[str], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that spoils one weight is caught, and neither file of that export is left: older ones stay."""
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    folder = tmp_path / "run" / "export"
    folder.mkdir()
    for name in older:
        (folder / name).write_text("older")
    write, load = export.FORMATS[suffix]

    def spoil(program: torch.export.ExportedProgram, path: Path, properties: dict[str, str]) -> None:
        trained = load_run(run)
        nn.init.constant_(trained.network.classifier[1].bias[:1], 1e-3)  # type: ignore[index, union-attr]
        write(export.exported(trained), path, properties)

    monkeypatch.setitem(export.FORMATS, suffix, (spoil, load))
    with pytest.raises(RunError, match=rf"model{suffix} was not written: it would differ .* where 1e-05 is allowed"):
        export.main([str(tmp_path / "run")])
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(older, "older")


@pytest.mark.parametrize("suffix", export.FORMATS)
def test_full_disk_is_said(suffix: str, run: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    write, _ = export.FORMATS[suffix]
    program = export.exported(load_run(run))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(program, tmp_path / f"model{suffix}", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_missing_mnist_is_said_and_nothing_is_written(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("dataset: digits", "dataset: mnist"))
    with pytest.raises(RunError, match=r"MNIST was not found\.[\s\S]*nowhere/MNIST/raw[\s\S]*--data FOLDER"):
        export.main([str(tmp_path / "run"), "--data", str(tmp_path / "nowhere")])
    assert not (tmp_path / "run" / "export").exists()


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_missing_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=rf"^{name} can't be imported .*pip install 'onnx>.* \(the extra export\)"):
        export.main(["no run is looked for"])
