"""A person's own pictures: prepared as MNIST was, and read by the network."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Program
from numpy.typing import NDArray
from PIL import Image
from test_train import fit

from mnist_lightning import predict
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


Y, X = np.mgrid[:400, :400]
SHADOW = np.where(X + Y / 3 > 230, 0.65, 1.0)
TABLE = (X < 25 + Y / 20) | (Y > 380)  # it is seen on two sides of the sheet
RULES = np.where(Y % 47 < 2, 0.65, 1.0)


@pytest.mark.parametrize(
    "trouble",
    [
        lambda sheet: sheet * SHADOW,
        lambda sheet: np.where(TABLE, 60, sheet),
        lambda sheet: np.where(TABLE[::-1, ::-1] | TABLE, 120, sheet),
        lambda sheet: sheet * np.where(sheet > 128, RULES, 1.0),
        lambda sheet: sheet * np.where(sheet > 128, RULES * RULES.T, 1.0),
        lambda sheet: sheet * (1 - 0.8 * np.hypot(X - 200, Y - 200) ** 2 / 80_000),
    ],
    ids=["shadow", "table on two sides", "table on four sides", "ruled", "squared", "vignette"],
)
def test_digit_is_found_all_the_same(trouble: Callable[[NDArray[np.uint8]], NDArray[np.float64]]) -> None:
    sheet = ring(400, 70, (210, 190), 30, 220)
    sheet[210:310, 245:275] = 30  # the stem of a nine
    grain = np.random.default_rng(0).normal(0, 3, sheet.shape)
    troubled = (trouble(sheet) + grain).clip(0, 255).astype(np.uint8)
    assert abs(prepare(troubled).astype(int) - prepare(sheet)).mean() < 8


def test_small_digit_in_a_large_picture_is_found() -> None:
    small = ring(512, 9, (300, 200), 40, 220)
    assert abs(prepare(small).astype(int) - prepare(small[280:320, 180:220])).mean() < 8


@pytest.mark.parametrize("ink", [20, 230])
def test_tight_crop_keeps_ink_and_paper_apart(ink: int) -> None:
    sheet = ring(200, 60, (100, 100), ink, 250 - ink)
    assert abs(prepare(sheet[25:175, 25:175]).astype(int) - prepare(sheet)).mean() < 8


@pytest.mark.parametrize("side", [60, 400])
def test_mere_grain_is_blank(side: int) -> None:
    grain = np.random.default_rng(0).normal(200, 8, (side, side)).clip(0, 255).astype(np.uint8)
    with pytest.raises(PictureError, match="blank"):
        prepare(grain)


def test_nearly_even_16_bits_are_blank(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(59_800, 60_200, (100, 100)).astype(np.uint16)
    values[40:60, 40:60] = 59_800
    Image.fromarray(values).save(tmp_path / "even.png")
    with pytest.raises(PictureError, match="blank"):
        prepare(read_picture(tmp_path / "even.png"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_damage(value: float, tmp_path: Path) -> None:
    values = ring(100, 20, (50, 50), 0, 1).astype(np.float32)
    values[3, 3] = value
    Image.fromarray(values).save(tmp_path / "zero.tiff")
    with pytest.raises(PictureError, match="damaged: some of its values are no numbers"):
        read_picture(tmp_path / "zero.tiff")


def test_ink_may_differ_from_paper_by_its_colour_alone(tmp_path: Path) -> None:
    is_ink = ring(200, 40, (100, 100), 1, 0)
    red, green = (210, 60, 60), (63, 135, 60)
    assert len({Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)) for colour in (red, green)}) == 1
    Image.fromarray(np.where(is_ink[..., None], green, red).astype(np.uint8)).save(tmp_path / "zero.png")
    prepared = prepare(read_picture(tmp_path / "zero.png"))
    assert abs(prepared.astype(int) - prepare(ring(200, 40, (100, 100), 60, 210))).mean() < 8


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


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_any_range_of_greys_is_read(kind: type, tmp_path: Path) -> None:
    zero = ring(100, 20, (50, 50), 10, 240)
    Image.fromarray((zero.astype(np.float64) * 200).astype(kind)).save(tmp_path / "zero.tiff")
    assert abs(prepare(read_picture(tmp_path / "zero.tiff")).astype(int) - prepare(zero)).max() <= 2


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


def test_predict_json_is_one_list(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zero, gone = tmp_path / "zero.png", tmp_path / "gone.png"
    Image.fromarray(ring(200, 40, (90, 110), 20, 240)).save(zero)
    assert predict.main([str(run / "checkpoints" / "last.ckpt"), str(gone), str(zero), "--json"]) == 1
    missing, answer = json.loads(capsys.readouterr().out)
    assert missing == {"file": str(gone), "error": "No such file or directory"}
    assert list(answer) == ["file", "digit", "confidence", "second", "second_confidence"]
    assert (answer["file"], answer["digit"]) == (str(zero), 0)
    probabilities = load_run(run).probabilities([zero])[0]
    assert answer["confidence"] == pytest.approx(probabilities[0].item(), abs=1e-6)
    assert answer["second"] == int(probabilities.argsort(descending=True)[1])


def test_predict_takes_folders_and_standard_input(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = ring(200, 40, (90, 110), 20, 240)
    for name in ("photos/b.png", "photos/deep/a.jpg", "photos/.hidden.png", "empty/x", "given.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(zero).save(tmp_path / name, "PNG")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    given = (tmp_path / "given.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    monkeypatch.chdir(tmp_path)
    assert predict.main([str(run), "photos", "-", "--save-prepared", "photos"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "photos/b.png", "photos/deep/a.jpg", "-"
    ]  # fmt: skip
    with Image.open("photos/b.png") as untouched, Image.open("photos/b-2.png") as saved:
        assert untouched.size == (200, 200)
        assert np.array_equal(np.asarray(saved), prepare(zero))
    assert {"a.png", "stdin.png"} <= {path.name for path in Path("photos").iterdir()}
    assert predict.main([str(run), "empty"]) == 1
    assert capsys.readouterr().err == "empty: a folder without pictures\n"
