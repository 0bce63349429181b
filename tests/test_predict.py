"""The predict command on names and folders that make trouble."""

import json
import os
from pathlib import Path

import pytest
from conftest import Program
from PIL import Image
from test_images import ring
from test_train import fit

from mnist_lightning import predict
from mnist_lightning.trained import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained") / "run"
    fit(directory, "data=digits", "trainer.max_epochs=3", "logger=none")
    return directory


def test_names_that_are_no_text_are_escaped(run: Path, program: Program, tmp_path: Path) -> None:
    """A name of bytes that are no UTF-8, one with a line break, and one that would colour the terminal."""
    names = ["bad\udcff.png", "two\nlines.png", "\x1b[31mred.png"]
    for name in names:
        Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(tmp_path / "zero.png")
        os.link(tmp_path / "zero.png", tmp_path / name)
    ended = program("-m", "mnist_lightning.predict", str(run), *names)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.partition(": 0 ")[0] for line in ended.stdout.splitlines()] == [
        r"bad\udcff.png", r"two\nlines.png", r"\x1b[31mred.png"
    ]  # fmt: skip
    ended = program("-m", "mnist_lightning.predict", str(run), "--json", *names)
    assert [answer["file"] for answer in json.loads(ended.stdout)] == names


def test_picture_that_cannot_be_saved_is_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predict, "save", no_space)
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(tmp_path / "zero.png")
    assert (
        predict.main([str(run), str(tmp_path / "zero.png"), "--json", "--save-prepared", str(tmp_path / "seen")]) == 1
    )
    [answer] = json.loads(capsys.readouterr().out)
    assert answer["error"] == f"can't be written into {tmp_path}/seen: No space left on device"


def test_answers_do_not_depend_on_what_is_asked_at_once(run: Path, tmp_path: Path) -> None:
    zero = tmp_path / "zero.png"
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(zero)
    names = [str(zero), str(tmp_path / "gone.png")] * 20
    answers = list(predict.predict(run, names))
    assert [answer["file"] for answer in answers] == names
    confidence = load_run(run).probabilities([zero])[0, 0].item()
    assert [answer.get("confidence") for answer in answers] == [pytest.approx(confidence), None] * 20
