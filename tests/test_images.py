"""A person's own pictures: prepared as MNIST was, and read by the network."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import Program
from numpy.typing import NDArray
from PIL import Image
from test_train import fit

from mnist_lightning import predict
from mnist_lightning.errors import RunError
from mnist_lightning.images import PictureError, prepare, read_picture
from mnist_lightning.trained import load_run


def ring(size: int, radius: float, centre: tuple[float, float], ink: int, paper: int) -> NDArray[np.uint8]:
    """Draw a zero."""
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(y - centre[0], x - centre[1])
    return np.where(abs(distance - radius) < radius / 4, ink, paper).astype(np.uint8)


@pytest.mark.parametrize(("ink", "paper"), [(20, 240), (240, 20), (110, 160)])
@pytest.mark.parametrize("centre", [(100, 100), (60, 150)])
def test_ink_is_fitted_and_centred(ink: int, paper: int, centre: tuple[float, float]) -> None:
    prepared = prepare(ring(200, 40, centre, ink, paper))
    assert (prepared.shape, prepared.dtype, prepared.max()) == ((28, 28), np.uint8, 255)
    rows, columns = np.flatnonzero(prepared.max(axis=1) > 30), np.flatnonzero(prepared.max(axis=0) > 30)
    assert 19 <= rows[-1] - rows[0] + 1 <= 20
    assert 19 <= columns[-1] - columns[0] + 1 <= 20
    mass = [np.average(np.arange(28), weights=prepared.sum(axis=axis, dtype=float)) for axis in (0, 1)]
    assert mass == pytest.approx([14, 14], abs=0.51)
    assert prepared[14, 14] == 0, "the hole of the zero"


def test_shadow_and_specks_do_not_count() -> None:
    clean = ring(200, 40, (100, 100), 30, 230)
    clean[100:160, 132:142] = 30  # the stem of a nine, so that the middle is no matter of rounding
    shadow = np.linspace(0, 90, 200)[None, :] + np.zeros((200, 1))
    dirty = np.clip(clean - shadow * (clean / 230), 0, 255).astype(np.uint8)
    dirty[5:8, 5:8] = 20
    assert abs(prepare(dirty).astype(int) - prepare(clean)).mean() < 12


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_paper_is_said(value: int) -> None:
    with pytest.raises(PictureError, match="blank: nothing stands out"):
        prepare(np.full((50, 60), value, np.uint8))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1", "I;16"])
def test_modes_give_the_same_picture(mode: str, tmp_path: Path) -> None:
    grey = Image.fromarray(ring(100, 20, (50, 50), 0, 255))
    picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    picture.save(tmp_path / "zero.png")
    read = read_picture(tmp_path / "zero.png")
    assert abs(prepare(read).astype(int) - prepare(np.asarray(grey))).max() <= 1


@pytest.mark.parametrize("grey", [0, 255])
def test_transparent_is_paper(grey: int) -> None:
    ink = 255 - ring(100, 20, (50, 50), 0, 255)  # opaque black or white ink on nothing
    picture = Image.merge("RGBA", [Image.new("L", (100, 100), grey)] * 3 + [Image.fromarray(ink)])
    file = io.BytesIO()
    picture.save(file, "PNG")
    file.seek(0)
    assert np.array_equal(prepare(read_picture(file)), prepare(255 - ink))


def test_predict_answers_each_picture(program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path / "run", "data=digits", "trainer.max_epochs=3", "logger=none")
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(tmp_path / "zero.jpg")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    Image.new("L", (30, 30), 255).save(tmp_path / "blank.png")
    names = ["zero.jpg", "text.png", "empty.png", "blank.png", "missing.png"]
    ended = program("-m", "mnist_lightning.predict", "run", *names)
    assert ended.returncode == 1
    assert ended.stdout.startswith("zero.jpg: 0  ")
    said = dict(line.split(": ", 1) for line in ended.stderr.splitlines())
    assert said == {
        "text.png": "not a picture that Pillow can read",
        "empty.png": "not a picture that Pillow can read",
        "blank.png": "blank: nothing stands out from the paper",
        "missing.png": "No such file or directory",
    }
    capsys.readouterr()
    status = predict.main([str(tmp_path / "run" / "checkpoints" / "last.ckpt"), str(tmp_path / "zero.jpg"), "--json"])
    [answer] = json.loads(capsys.readouterr().out)
    assert set(answer) == {"file", "digit", "confidence", "second", "second_confidence"}
    assert (status, answer["digit"]) == (0, 0)


def test_a_strangers_checkpoint_runs_nothing(program: Program, tmp_path: Path) -> None:
    fit(tmp_path / "run", "data=digits", "trainer=smoke", "logger=none")

    class Payload:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "canary",)

    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(RunError, match=r"last.ckpt is not a checkpoint of this project, or damaged"):
        load_run(tmp_path / "run")
    ended = program("train.py", "resume=run", "trainer.max_epochs=2")
    assert ended.returncode == 1
    assert "last.ckpt is not a checkpoint of this project, or damaged" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "canary").exists()
