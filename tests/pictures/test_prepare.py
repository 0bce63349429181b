"""A person's own pictures: prepared as MNIST was, and read by the network."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ring
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import PictureError, fitted, prepare


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
    troubled, plain = prepare((trouble(sheet) + grain).clip(0, 255).astype(np.uint8)), prepare(sheet).astype(int)
    is_slanting = trouble(sheet)[0, 0] == trouble(sheet)[-1, -1] == 120  # straightened, its middle may be another
    moved = [np.roll(troubled, step, axis=0) for step in ((-1, 0, 1) if is_slanting else (0,))]
    assert min(abs(one - plain).mean() for one in moved) < 8


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


def test_faint_ink_is_fitted_too() -> None:
    """What is left of a thin line, once it is scaled, may have less ink anywhere than a stroke has at its sides."""
    ink = np.zeros((60, 90), np.float32)
    ink[30, 5:80] = 0.2
    assert fitted(ink).max() == 255


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_on_a_picture_it_is_prepared_or_blank(seed: int) -> None:
    """Lines, strips, boxes and discs in any colours, also cut off by the border; a warning is an error here."""
    random = np.random.default_rng(seed)
    width, height = random.integers(1, 385, 2).tolist()
    picture = Image.new("RGB", (width, height), tuple(random.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    for _ in range(random.integers(12)):
        shape: Any = [draw.line, draw.rectangle, draw.ellipse][random.integers(3)]
        left, right = np.sort(random.integers(-width // 3, width + width // 3 + 1, 2)).tolist()
        top, bottom = np.sort(random.integers(-height // 3, height + height // 3 + 1, 2)).tolist()
        shape((left, top, right, bottom), tuple(random.integers(0, 256, 3).tolist()), width=1 + seed % 9)
    try:
        prepared = prepare(np.asarray(picture))
    except PictureError as error:
        assert str(error).startswith("blank: ")
    else:
        assert (prepared.shape, prepared.dtype, prepared.max()) == ((28, 28), np.uint8, 255)
