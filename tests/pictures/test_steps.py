"""The steps that prepare a picture, each by hand: exact pixels in, exact pixels out."""

import numpy as np
import pytest
from conftest import ring
from numpy.typing import NDArray
from PIL import Image

from mnist_lightning.pictures import paper, strokes
from mnist_lightning.pictures import prepare as steps
from mnist_lightning.pictures.prepare import prepare

SEVEN = np.zeros((20, 12), bool)  # as high as a digit of MNIST: nothing is to be scaled
SEVEN[:3], SEVEN[3:, 8:10], SEVEN[10, 4:], SEVEN[19, 5:] = True, True, True, True  # with a bar, on a foot


def on_sheet(form: NDArray[np.bool_], ink: int, paper: int) -> NDArray[np.uint8]:
    sheet = np.full((60, 70), paper, np.uint8)
    sheet[30 : 30 + form.shape[0], 10 : 10 + form.shape[1]][form] = ink
    return sheet


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (40, 200)])
@pytest.mark.parametrize("form", [SEVEN, SEVEN.T, SEVEN[::-1]], ids=["upright", "lying", "upside down"])
def test_a_digit_of_the_right_size_comes_out_pixel_by_pixel(form: NDArray[np.bool_], ink: int, paper: int) -> None:
    expected = np.zeros((28, 28), np.uint8)
    top, left = (round(14 - places.mean()) for places in np.nonzero(form))
    expected[top : top + form.shape[0], left : left + form.shape[1]][form] = 255
    assert np.array_equal(prepare(on_sheet(form, ink, paper)), expected)


def test_a_digit_whose_mass_is_at_its_side_stays_within_the_image() -> None:
    form = np.zeros((20, 20), bool)
    form[:, :3] = form[:1] = True  # centred by its mass, it would begin at 10 and end beyond 28
    prepared = prepare(on_sheet(form, 0, 255))
    assert np.flatnonzero(prepared.max(axis=0)).tolist() == list(range(8, 28))
    prepared = prepare(on_sheet(form[::-1, ::-1], 0, 255))
    assert np.flatnonzero(prepared.max(axis=0)).tolist() == list(range(20))


def test_a_thin_line_becomes_as_wide_as_the_strokes_of_mnist() -> None:
    sheet = np.full((500, 300), 255, np.uint8)
    sheet[50:450, 100:103] = 0
    prepared = prepare(sheet).astype(float) / 255
    assert prepared[10:18].sum(axis=1) == pytest.approx(2.5, abs=0.6), "pixels in a row"
    assert np.count_nonzero(prepared.max(axis=1) > 0.2) in (19, 20)


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        ([[0.0, 0.5, 1.0]], [[0, 128, 255]]),
        ([[-1.0, 0.0, 1.0]], [[0, 128, 255]]),
        ([[0.0, 3.0, 4.0]], [[0, 191, 255]]),
        ([[2.0, 3.0, 3.0]], [[128, 191, 191]]),
        ([[0.0, 0.0, 0.0]], [[0, 0, 0]]),
        ([[0, 100, 200]], [[0, 100, 199]]),
    ],
)
def test_whole_and_broken_numbers_become_greys(values: list[list[float]], greys: list[list[int]]) -> None:
    """They are stretched to the next power of two, not to their own range: an even picture stays even."""
    array = np.array(values, np.int32 if isinstance(values[0][0], int) else np.float32)
    assert np.asarray(steps.on_paper(Image.fromarray(array))).tolist() == greys


@pytest.mark.parametrize(("ink", "paper"), [(128, 255), (129, 0)])
def test_paper_behind_what_is_transparent_is_unlike_the_ink(ink: int, paper: int) -> None:
    pixels = np.array([[[ink, ink, ink, 255], [255 - ink, 0, 9, 0]]], np.uint8)
    assert np.asarray(steps.on_paper(Image.fromarray(pixels))).tolist() == [[[ink] * 3, [paper] * 3]]


def halves(left: object, right: object, mode: str = "RGB") -> Image.Image:
    picture = Image.new(mode, (128, 64), left)  # type: ignore[arg-type]
    picture.paste(right, (64, 0, 128, 64))  # type: ignore[arg-type]
    return picture


def test_the_colour_that_shows_most_is_taken_where_grey_shows_little() -> None:
    assert paper.spread(halves(100, 137, "L")) == 37
    for right, greys in ((205, [100, 205]), (209, [30, 62])):  # 31 and 32 apart
        assert np.unique(paper.in_grey(np.asarray(halves((100, 0, 0), (right, 0, 0))))).tolist() == greys
    assert np.unique(paper.in_grey(np.asarray(halves(100, 105, "L")))).tolist() == [100, 105]


def test_arithmetic_is_done_on_at_most_768_pixels_a_side() -> None:
    sizes = {side: steps.shrunk(Image.new("L", (side, 2))).size[0] for side in (100, 384, 767, 768, 2000)}
    assert sizes == {100: 100, 384: 384, 767: 767, 768: 384, 2000: 400}


def test_the_outermost_pixels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert sorted(paper.border(grey).tolist()) == [0, 0, 1, 2, 3, 3, 4, 7, 8, 8, 9, 10, 11, 11]


@pytest.mark.parametrize("deviation", [3, 10])
def test_grain_is_the_deviation_of_noise(deviation: int) -> None:
    noise = np.random.default_rng(0).normal(128, deviation, (200, 200)).round().clip(0, 255).astype(np.uint8)
    assert paper.grain(noise) == pytest.approx(deviation, rel=0.1)
    assert paper.grain(np.array([[0, 10, 20, 30]], np.uint8)) == pytest.approx(10 / (0.6745 * 2**0.5))
    assert paper.grain(np.array([[7, 7, 7, 200]], np.uint8)) == 0


def test_ink_within_a_thirtieth_of_the_border_is_not_inside() -> None:
    for row, column, is_so in ((3, 50, True), (2, 50, False), (56, 50, True), (57, 50, False), (30, 3, False)):
        ink = np.zeros((60, 90), np.float32)
        ink[row, column] = 0.5
        assert paper.is_inside(ink) == is_so, (row, column)
    ink = np.zeros((60, 90), np.float32)
    ink[30, 4] = ink[30, 85] = 1
    assert paper.is_inside(ink)
    ink[30, 86] = 0.1
    assert not paper.is_inside(ink)


def test_a_few_darker_pixels_are_not_what_the_ink_is_measured_by() -> None:
    """Of 28×28 pixels one may be darker than the ink. With two of them, the ink has 155 of 255, of which 0.25 to 0.75
    of full contrast are 0 to 1."""
    sheet = np.full((28, 28), 255, np.uint8)
    sheet[8:20, 12:16] = 100
    sheet[12, 13] = 0
    assert np.unique(paper.find_ink(sheet)).tolist() == [0, 1]
    sheet[15, 14] = 0
    assert np.unique(paper.find_ink(sheet)) == pytest.approx([0, (155 / 255 - 0.25) / 0.5, 1])


def test_specks_are_less_than_a_tenth_of_the_largest_part() -> None:
    ink = np.zeros((40, 40), np.float32)
    ink[10:15, 10:14] = 1  # 20 of ink
    ink[15, 14] = 0.5  # it touches by a corner
    ink[30, 30:32] = 1  # 2: a tenth of 20.5 is more
    kept = strokes.digit_only(ink, ink.shape)
    assert kept.sum() == 20.5 and kept.dtype == np.float32
    ink[30, 32] = 0.125
    assert strokes.digit_only(ink, ink.shape).sum() == 20.5 + 2.125
    ink[15, 14] = ink[30, 32] = 0
    assert strokes.digit_only(ink, ink.shape).sum() == 22, "exactly a tenth"


def test_a_table_runs_along_most_of_a_side() -> None:
    ink = np.zeros((40, 50), np.float32)
    ink[:2, :40] = 1  # four fifths of the upper side: 80
    ink[20:22, 20:22] = 1  # the digit: 4
    assert strokes.digit_only(ink, ink.shape).sum() == 4
    ink[:2, 39] = 0
    assert strokes.digit_only(ink, ink.shape).sum() == 78, "less of the side: the other is a speck"
    ink[:2, 39], ink[20:22, 20:22] = 1, 0
    ink[20, 20] = 1  # beside it there is next to nothing
    assert strokes.digit_only(ink, ink.shape).sum() == 80
    for turned in (ink, ink[::-1], ink.T, ink.T[:, ::-1]):
        with_digit = turned.copy()
        with_digit[19:23, 19:31] = 0
        with_digit[20:22, 20:22] = 1
        assert strokes.digit_only(with_digit, with_digit.shape).sum() == 4


def test_a_remnant_of_a_line_is_not_taken_for_the_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the digit goes with the lines that it touches, what is left is fainter than a digit: less ink is taken."""
    picture, above = ring(200, 40, (100, 100), 30, 230), paper.ink_above

    def only_a_remnant(least: float, contrast: NDArray[np.float32], is_sheet: bool) -> NDArray[np.float32]:
        ink = above(least, contrast, is_sheet)
        if least < 0.4:
            ink = np.zeros_like(ink)
            ink[150, 60:120] = 0.6
        return ink

    expected = above(0.4, paper.contrast_of(picture)[0], False)
    monkeypatch.setattr(paper, "ink_above", only_a_remnant)
    assert np.array_equal(paper.find_ink(picture), expected)
