"""The predict command: one answer a picture, whatever is wrong with the others."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Program, environment, ring
from PIL import Image
from test_train import fit

from mnist_lightning import predict
from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import PictureError, prepare
from mnist_lightning.trained import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that reads the digits well enough to know a zero."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    fit(directory, "data=digits", "trainer.max_epochs=3", "logger=none")
    return directory


def bad_pictures(folder: Path) -> dict[str, str]:
    """Write what is no good picture into `folder`, and return what is to be said of it."""
    (folder / "text.png").write_text("no picture")
    (folder / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (folder / "empty.png").touch()
    Image.new("L", (30, 30), 255).save(folder / "blank.png")
    Image.new("1", (10_500, 10_500)).save(folder / "bomb.png")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8))
    noise.save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:3000])
    (folder / "whole.png").unlink()
    return {
        "text.png": "not a picture that can be read",
        "program.eps": "not a picture that can be read",
        "empty.png": "empty: there is nothing in it",
        "blank.png": "blank: nothing stands out from the paper",
        "bomb.png": "more than 100,000,000 pixels: make it smaller",
        "cut.png": "damaged: image file is truncated",
        "missing.png": "No such file or directory",
        "https://example.org/3.png": "No such file or directory: download it, and name the file",
    }


def test_predict_answers_each_picture(run: Path, program: Program, tmp_path: Path) -> None:
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(tmp_path / "zero.jpg")
    expected = bad_pictures(tmp_path)
    ended = program("-m", "mnist_lightning.predict", str(run), "zero.jpg", *expected, "zero.jpg")
    assert ended.returncode == 1
    assert [line.partition("  ")[0] for line in ended.stdout.splitlines()] == ["zero.jpg: 0"] * 2
    assert [line.partition(" (")[0] for line in ended.stderr.splitlines()] == [
        f"{name}: {message}" for name, message in expected.items()
    ]


HEAVY = """
import atexit, runpy, sys
atexit.register(lambda: print({"lightning", "torchmetrics", "torchvision", "pandas", "matplotlib"} & set(sys.modules)))
runpy.run_module("mnist_lightning.predict", run_name="__main__")
"""


def test_a_picture_is_read_without_what_trains_and_draws(run: Path, program: Program, tmp_path: Path) -> None:
    """Lightning and what it imports take two thirds of the time of starting."""
    Image.fromarray(ring(200, 40, (100, 100), 20, 240)).save(tmp_path / "0.png")
    ended = program("-c", HEAVY, str(run), str(tmp_path / "0.png"), is_cold=True)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "set()"), ended.stderr


def test_run_and_picture_exchanged_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zero = tmp_path / "zero.png"
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(zero)
    with pytest.raises(SystemExit, match="2"):
        predict.main([str(zero), str(run)])
    assert f"{zero} is no run: first comes RUN, a run directory or a checkpoint in one" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):  # as from an unset variable: "$photo"
        predict.main([str(run), ""])
    assert "an IMAGE is empty: name a picture" in capsys.readouterr().err


def test_predict_json_is_one_list(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zero, gone = tmp_path / "zero.png", tmp_path / "gone.png"
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(zero)
    assert predict.main([str(run / "checkpoints" / "last.ckpt"), str(gone), str(zero), "--json"]) == 1
    missing, answer = json.loads(capsys.readouterr().out)
    assert missing == {"file": str(gone), "error": "No such file or directory"}
    assert list(answer) == ["file", "digit", "confidence", "second", "second_confidence", "remark"]
    assert (answer["file"], answer["digit"]) == (str(zero), 0)
    probabilities = load_run(run).probabilities([zero])[0]
    assert answer["confidence"] == pytest.approx(probabilities[0].item(), abs=1e-6)
    assert answer["second"] == int(probabilities.argsort(descending=True)[1])


def test_predict_takes_folders_and_standard_input(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = ring(200, 40, (90, 110), 20, 240)
    for name in ("photos/b.png", "photos/deep/a.jpg", "photos/.hidden.png", "photos/c.download", "given.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(zero).save(tmp_path / name, "PNG")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "two.txt").write_text("no picture")
    given = (tmp_path / "given.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    monkeypatch.chdir(tmp_path)
    assert predict.main([str(run), "photos", "-", "--save-prepared", "photos"]) == 0
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == [
        "photos/b.png", "photos/c.download", "photos/deep/a.jpg", "standard input"
    ]  # fmt: skip
    assert said.err == "photos: left out 1 .txt\n"
    with Image.open("photos/b.png") as untouched, Image.open("photos/b-2.png") as saved:
        assert untouched.size == (200, 200)
        assert np.array_equal(np.asarray(saved), prepare(zero))
    assert {"a.png", "stdin.png"} <= {path.name for path in Path("photos").iterdir()}
    assert predict.main([str(run), "photos/b.png", "photos/deep/a.jpg", "--json", "--save-prepared", "again"]) == 0
    files = [answer["prepared"] for answer in json.loads(capsys.readouterr().out)]
    assert files == ["again/b.png", "again/a.png"], "so that it is known which is of which"
    assert predict.main([str(run), "texts"]) == 1
    assert capsys.readouterr().err == "texts: a folder without pictures: it has 1 .txt\n"


def test_what_is_left_out_of_a_folder_is_said_once(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEIC without its extra is a picture that could not be read: also in the list, and in the exit status."""
    monkeypatch.setattr("mnist_lightning.pictures.contents.find_spec", lambda name: None)
    zero = Image.fromarray(ring(200, 40, (90, 110), 20, 240))
    zero.save(tmp_path / "real.HEIC", "JPEG")
    for name in ("1.HEIC", "2.heic"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "form.pdf").write_bytes(b"%PDF-1.7")
    line = (
        f"{tmp_path}: left out 2 .heic (python -m pip install 'pillow-heif>=1.8.1' (the extra heic), or save them as "
        "JPEG), 1 .pdf (save the page as PNG)\n"
    )
    assert predict.main([str(run), str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert (said.err, said.out.partition("  ")[0]) == (line, f"{tmp_path}/real.HEIC: 0")
    assert predict.main([str(run), str(tmp_path), "--json"]) == 1
    said = capsys.readouterr()
    assert said.err == line
    assert [answer.get("error", answer.get("digit")) for answer in json.loads(said.out)] == [
        *["is a HEIC picture: python -m pip install 'pillow-heif>=1.8.1' (the extra heic), or save it as JPEG"] * 2, 0
    ]  # fmt: skip
    assert predict.main([str(run), str(tmp_path / "1.HEIC")]) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path}/1.HEIC: is a HEIC picture: python -m pip install 'pillow-heif>=1.8.1' (the extra heic), "
        "or save it as JPEG\n"
    )
    for name in ("1.HEIC", "2.heic"):
        (tmp_path / name).unlink()
    assert predict.main([str(run), str(tmp_path)]) == 0
    assert capsys.readouterr().err == f"{tmp_path}: left out 1 .pdf (save the page as PNG)\n"


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


def test_file_without_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_lightning.pictures.picture_files.MOST_BYTES", 1_000_000)
    with pytest.raises(PictureError, match="more than 1,000,000 bytes: make it smaller"):
        read_picture("/dev/zero")


@pytest.mark.parametrize(
    ("redirection", "status", "errors"),
    [
        ("<&-", 1, "standard input: empty: there is nothing in it\n"),
        ("< zero.png >&-", 0, ""),
    ],
)
def test_streams_may_be_closed(run: Path, tmp_path: Path, redirection: str, status: int, errors: str) -> None:
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(tmp_path / "zero.png")
    command = f"{sys.executable} -m mnist_lightning.predict {run} - {redirection}"
    ended = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (status, errors)
