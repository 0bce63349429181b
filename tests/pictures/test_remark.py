"""What is said beside an answer: of two things, of what no digit looks like, and of a digit nothing."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_lightning.config import build, compose
from mnist_lightning.datasets.source import balanced_draw
from mnist_lightning.pictures.likeness import coarse, known_digits
from mnist_lightning.pictures.prepare import prepare
from mnist_lightning.pictures.remark import UNLIKE, are_two, remark_on, strangeness

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))
import picture_kinds

SOMETHING_ELSE = "it may be something else"


def drawn(points: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint8]:
    return prepare(np.asarray(picture_kinds.plain(points, random)))


def digit_of(digit: int, seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng((digit, seed))
    return drawn(picture_kinds.written(digit, random), random)


def sure_of(digit: int, probability: float = 0.95) -> list[float]:
    return [probability if each == digit else (1 - probability) / 9 for each in range(10)]


def test_two_things_side_by_side_are_remarked_and_one_is_not() -> None:
    random = np.random.default_rng(0)
    pairs = [drawn(picture_kinds.pair(random), random) for _ in range(10)]
    assert np.count_nonzero([are_two(pair) for pair in pairs]) >= 5
    assert not any(are_two(digit_of(digit, seed)) for digit in range(10) for seed in range(3))
    two = next(pair for pair in pairs if are_two(pair))
    assert remark_on(two, sure_of(1)) == "there may be two things on it: show one at a time"


def test_an_unsure_answer_is_remarked_whatever_is_on_the_picture() -> None:
    assert remark_on(digit_of(3, 0), sure_of(3)) is None
    assert remark_on(digit_of(3, 0), sure_of(3, 0.35)) == SOMETHING_ELSE
    coloured = np.zeros((3, 28, 28), np.uint8)
    assert remark_on(coloured, sure_of(3)) is None
    assert remark_on(coloured, sure_of(3, 0.35)) == SOMETHING_ELSE


def test_what_is_unlike_the_digit_it_is_taken_for_is_remarked() -> None:
    letters = [drawn(np.concatenate(strokes), np.random.default_rng(0)) for strokes in picture_kinds.LETTERS]
    strange = np.array([[strangeness(letter, sure_of(digit)) > UNLIKE for digit in range(10)] for letter in letters])
    assert strange.mean() >= 0.5
    letter, digit = np.argwhere(strange)[0]
    assert remark_on(letters[letter], sure_of(digit)) == SOMETHING_ELSE
    assert remark_on(letters[letter], sure_of(digit), "ABCDEFGHIJ") is None, "what those look like is not known"
    digits = [remark_on(digit_of(digit, seed), sure_of(digit)) for digit in range(10) for seed in range(5)]
    assert digits.count(None) >= 48
    assert remark_on(digit_of(0, 0), sure_of(1)) == SOMETHING_ELSE, "a digit that was taken for another"


def test_what_is_known_of_the_digits_is_what_mnist_shows(mnist_root: Path) -> None:
    images, labels, *_ = build.source(compose.own_data("mnist"), mnist_root).checked(may_download=False)
    means, components = known_digits()
    rest = np.setdiff1d(np.arange(len(labels)), balanced_draw(labels, 10_000, 0))
    for digit in range(10):
        seen = coarse(images[rest][labels[rest] == digit])
        nearest = np.argmin([np.square(seen - mean).sum(1) for mean in means[digit]], axis=0)
        assert np.bincount(nearest).min() > 200
        for number, (mean, axes) in enumerate(zip(means[digit], components[digit], strict=True)):
            group = seen[nearest == number]
            assert np.abs(group.mean(0) - mean).max() < 0.03, "k-means has nearly come to rest"
            principal = np.linalg.svd(group - group.mean(0), full_matrices=False)[2][:8]
            assert np.linalg.norm(axes @ principal.T, axis=0) == pytest.approx(np.ones(8), abs=0.05)
