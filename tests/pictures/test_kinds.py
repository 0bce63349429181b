"""Pictures as people take them: a digit is prepared on its sheet, among lines and by any pen as it is alone."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_lightning.pictures.paper import in_grey, paper_is_light
from mnist_lightning.pictures.picture_files import read_picture
from mnist_lightning.pictures.prepare import PictureError, prepare, without_colours
from mnist_lightning.pictures.sheet import sheets
from mnist_lightning.pictures.strokes import as_wide, bounds, filled_strokes, stroke_width, without_lines

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))
import picture_kinds

Pixels = NDArray[np.uint8]


def alone(digit: int, seed: int = 0) -> Pixels:
    """Return what a network is given of the digit in black on white."""
    random = np.random.default_rng(seed)
    return prepare(np.asarray(picture_kinds.plain(picture_kinds.written(digit, random), np.random.default_rng(seed))))


def of_kind(kind: str, digit: int, seed: int = 0) -> Pixels:
    random = np.random.default_rng(seed)
    picture = picture_kinds.KINDS[kind](picture_kinds.written(digit, random), np.random.default_rng(seed))
    assert isinstance(picture, Image.Image)
    return prepare(without_colours(np.asarray(picture)))


def likeness(one: Pixels, other: Pixels) -> float:
    """Return the correlation of two images, 1 where they are the same."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize(
    "kind",
    [
        "sheet on a desk, 3 to 10% desk", "sheet on a desk", "sheet on a desk, 70% desk",
        "yellow post-it, blue ink, on a desk", "slate on a desk", "dark card on a light table",
        "dark corners and a flash", "shadow with straight sides", "drawing app, dark", "drawing app, light",
        "circled", "underlined", "underlined, touching", "underlined twice", "dark ruled lines", "printed box",
        "printed box, touching", "cut out of a comb form", "between axes", "punched holes", "hollow",
        "two colours on dark", "rainbow", "fine liner", "bold",
    ],
)  # fmt: skip
def test_a_digit_comes_out_as_if_it_were_alone(kind: str) -> None:
    likenesses = [likeness(of_kind(kind, digit), alone(digit)) for digit in range(10)]
    assert np.count_nonzero(np.array(likenesses) > 0.65) >= 9, np.round(likenesses, 2)


def test_a_flash_on_dark_paper_is_not_taken_for_light_ink() -> None:
    for seed in np.ndindex(10, 10):
        random = np.random.default_rng(seed)
        lit = picture_kinds.KINDS["dark corners and a flash"](picture_kinds.written(seed[1], random), random)
        assert isinstance(lit, Image.Image)
        assert paper_is_light(in_grey(np.asarray(lit))), seed


def in_a_table(glyph: Image.Image) -> Image.Image:
    """In a cell of a table of dark lines, which have more ink than the digit."""
    canvas = Image.new("L", (460, 340), 240)
    draw = ImageDraw.Draw(canvas)
    for at in range(20, 460, 105):
        draw.line([(at, 0), (at, 340)], 40, 4)
    for at in range(15, 340, 77):
        draw.line([(0, at), (460, at)], 40, 4)
    canvas.paste(glyph.resize((round(glyph.width * 55 / glyph.height), 55)), (150, 103))
    return canvas


def near_an_edge(glyph: Image.Image) -> Image.Image:
    """On a sheet on a desk, where it ends."""
    canvas = Image.new("L", (480, 480), 90)
    ImageDraw.Draw(canvas).rectangle((130, 130, 340, 340), fill=235)
    small = glyph.resize((round(glyph.width * 90 / glyph.height), 90))
    canvas.paste(small, (340 - 20 - small.width, 190))
    return canvas


def on_a_sheet_that_goes_on(glyph: Image.Image) -> Image.Image:
    """On a sheet of which the picture shows a part, beside the desk."""
    canvas = Image.new("L", (480, 480), 90)
    ImageDraw.Draw(canvas).polygon([(-40, -40), (300, -40), (260, 300), (-40, 280)], fill=235)
    canvas.paste(glyph.resize((round(glyph.width * 100 / glyph.height), 100)), (90, 90))
    return canvas


@pytest.mark.parametrize("drawn", [in_a_table, near_an_edge, on_a_sheet_that_goes_on])
def test_a_digit_is_told_from_what_stands_out_more(drawn: Callable[[Image.Image], Image.Image]) -> None:
    likenesses = []
    for digit in range(10):
        ink = alone(digit)
        glyph = Image.fromarray((235 - 0.76 * ink).astype(np.uint8)[bounds(ink > 60)])
        likenesses.append(likeness(prepare(np.asarray(drawn(glyph))), alone(digit)))
    assert np.count_nonzero(np.array(likenesses) > 0.65) >= 9, np.round(likenesses, 2)


@pytest.mark.parametrize(
    "drawn",
    [
        [(120, 100), (362, 143), (319, 385), (77, 342)],  # turned by 10 degrees
        [(330, 90), (430, 265), (255, 365), (155, 190)],  # by 60
        [(160, 90), (320, 90), (380, 370), (100, 370)],  # seen from below
    ],
)
def test_a_sheet_is_found_with_its_corners(drawn: list[tuple[int, int]]) -> None:
    """A little within its own, by 4% of the picture at most."""
    canvas = Image.new("L", (480, 480), 60)
    ImageDraw.Draw(canvas).polygon(drawn, fill=230)
    [(region, corners)] = sheets(np.asarray(canvas))
    white = np.asarray(canvas) > 100
    assert region.mean() == pytest.approx(white.mean(), rel=0.15)
    places = 5 * (corners + 0.5)
    first = int(np.array(drawn).sum(axis=1).argmin())
    assert np.abs(places - np.roll(drawn, -first, axis=0)).max() < 20
    assert all(white[int(y), int(x)] for x, y in places)


def test_a_sheet_that_the_border_cuts_off_is_turned_by_its_own_sides() -> None:
    canvas = Image.new("L", (480, 480), 60)
    ImageDraw.Draw(canvas).polygon([(120, -140), (362, -97), (319, 145), (77, 102)], fill=230)  # by 10 degrees
    [(_, corners)] = sheets(np.asarray(canvas))
    below = corners[2] - corners[3]
    assert np.degrees(np.arctan2(below[1], below[0])) == pytest.approx(10, abs=2)
    assert np.abs(5 * (corners[2:] + 0.5) - [(319, 145), (77, 102)]).max() < 20


def test_a_digit_on_a_turned_sheet_stands_upright() -> None:
    seven = [(-50, -90), (60, -90), (-10, 100)]
    canvas = Image.new("L", (600, 600), 70)
    draw = ImageDraw.Draw(canvas)
    turn = np.exp(1j * np.radians(25))
    moved = [[(300 + z.real, 300 + z.imag) for z in turn * np.array([x + 1j * y for x, y in form])] for form in (
        [(-150, -180), (150, -180), (150, 180), (-150, 180)], seven,
    )]  # fmt: skip
    draw.polygon(moved[0], fill=235)
    draw.line(moved[1], fill=30, width=14)
    plain = Image.new("L", (300, 360), 235)
    ImageDraw.Draw(plain).line([(150 + x, 180 + y) for x, y in seven], fill=30, width=14)
    assert likeness(prepare(np.asarray(canvas)), prepare(np.asarray(plain))) > 0.9


@pytest.mark.parametrize("form", ["disc", "gradient", "even", "stripe"])
def test_what_has_no_straight_sides_or_no_edge_is_no_sheet(form: str) -> None:
    y, x = np.mgrid[:480, :480]
    picture = {
        "disc": np.where(np.hypot(x - 240, y - 240) < 150, 230, 60),
        "gradient": 40 + x * 0.4,
        "even": np.full((480, 480), 200),
        "stripe": np.where(abs(y - 240) < 4, 30, 230),
    }[form]
    assert not [region for region, _ in sheets(picture.astype(np.uint8)) if 0.05 < region.mean() < 0.4]


def test_a_line_through_a_digits_foot_goes_and_the_stroke_stays() -> None:
    ink = np.zeros((200, 200), np.float32)
    ink[40:150, 95:105] = 1  # a 1
    without = ink.copy()
    ink[146:150, 20:180] = 1  # the line that it stands on
    kept = without_lines(ink, ink.shape)
    assert kept[:, :80].sum() == kept[:, 120:].sum() == 0
    assert kept[40:140, 95:105].all() and abs(kept.sum() - without.sum()) < 0.1 * without.sum()


@pytest.mark.parametrize("bar", [(40, 44), (88, 92)], ids=["of a 7", "of a 4"])
def test_a_bar_of_the_digits_own_stays(bar: tuple[int, int]) -> None:
    ink = np.zeros((200, 200), np.float32)
    ink[40:160, 120:126] = 1
    ink[bar[0] : bar[1], 60:126] = 1
    assert np.array_equal(without_lines(ink, ink.shape), ink)


def test_hollow_strokes_are_filled_and_loops_are_not() -> None:
    stroke = np.zeros((120, 40), np.float32)
    stroke[10:110, 10:30] = 1
    stroke[14:106, 14:26] = 0  # 92 by 12: a strip
    assert filled_strokes(stroke)[10:110, 10:30].all()
    loop = np.zeros((120, 90), np.float32)
    loop[10:110, 10:80] = 1
    loop[14:106, 14:76] = 0  # 92 by 62: the inside of a 0
    assert np.array_equal(filled_strokes(loop), loop)


@pytest.mark.parametrize("width", [1, 2, 4, 8, 14, 20, 30])
def test_strokes_become_as_wide_as_those_of_mnist(width: int) -> None:
    ring = np.hypot(*np.mgrid[-60:61, -60:61])
    ink = ((ring <= 60) & (ring > 60 - width)).astype(np.float32)
    wide = as_wide(ink)
    assert 2.2 <= 20 * stroke_width(wide > 0.5) / max(wide.shape) <= 3.9
    assert wide[len(wide) // 2, wide.shape[1] // 2] == 0, "the hole stays"


def test_a_note_that_differs_from_the_desk_in_colour_alone_is_a_sheet() -> None:
    desk = Image.new("RGB", (900, 700), (205, 208, 212))
    draw = ImageDraw.Draw(desk)
    draw.rectangle([300, 200, 630, 530], fill=(250, 226, 90))
    seven = [(390, 260), (510, 260), (434, 460)]
    draw.line(seven, fill=(25, 25, 25), width=9)
    plain = Image.new("L", (330, 330), 255)
    ImageDraw.Draw(plain).line([(x - 300, y - 200) for x, y in seven], fill=0, width=9)
    assert likeness(prepare(np.asarray(desk)), prepare(np.asarray(plain))) > 0.9


def test_a_window_is_not_taken_for_the_digit_in_it() -> None:
    screen = Image.new("RGB", (1000, 700), (52, 101, 164))
    draw = ImageDraw.Draw(screen)
    draw.rectangle([120, 80, 860, 620], fill="white", outline=(90, 90, 90))
    draw.rectangle([120, 80, 860, 142], fill=(222, 222, 222))
    draw.line([(498, 250), (498, 510)], fill=(30, 30, 30), width=8)
    rows, columns = np.nonzero(prepare(without_colours(np.asarray(screen))) > 64)
    assert np.ptp(rows) > 3 * np.ptp(columns), "a 1"


def test_a_hairline_is_widened_where_it_crosses_itself_too() -> None:
    paper = Image.new("RGB", (800, 800), "white")
    draw = ImageDraw.Draw(paper)
    draw.ellipse([280, 150, 480, 380], outline="black")
    draw.line([(480, 265), (420, 650)], fill="black")
    paper.save(file := io.BytesIO(), "PNG")
    file.seek(0)
    rows, columns = np.nonzero(prepare(read_picture(file)) > 64)
    assert np.ptp(rows) >= 18 and np.ptp(columns) >= 6, "the whole 9"


def test_a_digit_is_found_among_thousands_of_dots() -> None:
    """Comparing each with each of them would take hours."""
    random = np.random.default_rng(0)
    sheet = np.asarray(picture_kinds.plain(picture_kinds.written(3, random), np.random.default_rng(0))).copy()
    y, x = np.mgrid[: len(sheet), : len(sheet)]
    sheet[(y % 8 < 2) & (x % 8 < 2) & (sheet.min(axis=2) > 150)] = 120
    assert likeness(prepare(without_colours(sheet)), alone(3)) > 0.65
    prepare(np.where((y % 8 < 3) & (x % 8 < 3), 20, 235).astype(np.uint8))  # nothing but dots


def test_only_lines_are_blank() -> None:
    sheet = np.full((300, 300), 230, np.uint8)
    for row in (60, 130, 200):
        sheet[row : row + 3] = 40
    with pytest.raises(PictureError, match="blank"):
        prepare(sheet)


def test_a_strip_is_no_sheet() -> None:
    desk = Image.new("L", (384, 384), 90)
    ImageDraw.Draw(desk).line([(20, 150), (364, 150)], fill=220, width=12)
    assert all(region.any() for region, _ in sheets(np.asarray(desk)))
    with pytest.raises(PictureError, match="blank"):
        prepare(np.asarray(desk))
