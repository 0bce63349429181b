"""The fifteen corruptions against other implementations, exact counts and what their definitions say."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.feature import canny
from torch import Tensor

from mnist_lightning.evaluation import corruptions
from mnist_lightning.evaluation.corruptions import CORRUPTIONS, corrupted, gaussian_blur, line, plasma_fractals, warp


@pytest.fixture(scope="module")
def images() -> Tensor:
    """200 of scikit-learn's digits as grey values, uint8 (200, 28, 28)."""
    from mnist_lightning.datasets.digits import Digits

    return torch.from_numpy(Digits().read()[2][:200])


def test_there_are_the_fifteen_of_mnist_c() -> None:
    assert list(CORRUPTIONS) == [
        "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "shear", "scale", "rotate", "brightness",
        "translate", "stripe", "fog", "spatter", "dotted_line", "zigzag", "canny_edges",
    ]  # fmt: skip


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruption_is_a_function_of_its_seed(name: str, images: Tensor) -> None:
    before = images.clone()
    once, again, other = (corrupted(images, name, seed) for seed in (0, 0, 1))
    assert (once.shape, once.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before), "the images themselves stay as they were"
    assert torch.equal(once, again)
    is_random = name not in ("scale", "brightness", "stripe", "canny_edges")
    assert torch.equal(once, other) != is_random
    assert not torch.equal(once, images)


def test_noise_has_its_distribution() -> None:
    grey = torch.full((50, 28, 28), 128, dtype=torch.uint8)
    shot = corrupted(grey, "shot_noise")
    assert set(shot.unique().tolist()) == {0, 85, 170, 255}, "thirds of white"
    assert (shot == 0).float().mean() == pytest.approx(math.exp(-3 * 128 / 255), abs=0.01), "Poisson"
    impulse = corrupted(grey, "impulse_noise")
    for value in (0, 255):
        assert (impulse == value).float().mean() == pytest.approx(0.17 / 2, abs=0.005)
    assert (impulse == 128).float().mean() == pytest.approx(0.83, abs=0.005)


@pytest.mark.parametrize("sigma", [0.7, 1, 1.5])
def test_blur_equals_scipy(sigma: float, images: Tensor) -> None:
    expected = ndimage.gaussian_filter(images[:20].double().numpy(), (0, sigma, sigma), mode="nearest", truncate=4)
    np.testing.assert_allclose(gaussian_blur(images[:20].float(), sigma).numpy(), expected, atol=1e-3)


def test_canny_finds_the_edges_of_each_image_by_itself(images: Tensor) -> None:
    edges = corrupted(images, "canny_edges")
    for image, found in zip(images.numpy() / 255.0, edges.numpy(), strict=True):
        assert np.array_equal(found, 255 * canny(image))


def test_canny_outlines_a_square() -> None:
    """By hand: the slope at the two pixels beside a step is the same, so both are its edge."""
    square = torch.zeros(1, 28, 28, dtype=torch.uint8)
    square[0, 8:20, 8:20] = 255
    [edges] = corrupted(square, "canny_edges")
    assert set(edges.unique().tolist()) == {0, 255}
    for line_across in (edges[14], edges[:, 14]):
        assert line_across.nonzero().flatten().tolist() == [7, 8, 19, 20]


def test_warp_equals_scipy(images: Tensor) -> None:
    a, b, c, d = 0.9, -0.4, 0.3, 1.2
    one = torch.ones(20)
    warped = warp(images[:20].float(), columns=(a * one, b * one), rows=(c * one, d * one), shift=(2 * one, -1 * one))
    matrix, centre = np.array([[d, c], [b, a]]), np.array([13.5, 13.5])  # scipy's order is (y, x)
    offset = centre - matrix @ centre + np.array([-1, 2])
    expected = [
        ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")
        for image in images[:20].double().numpy()
    ]
    np.testing.assert_allclose(warped.numpy(), np.stack(expected), atol=0.05)


def test_shapes_move_as_published(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corruptions, "signs", lambda count, generator: torch.ones(count))
    moved = corrupted(images, "translate")
    assert torch.equal(moved[:, :25, :25], images[:, 3:, 3:]), "three pixels"
    assert not moved[:, 25:].any()
    angle = 0.4
    matrices = {
        "rotate": [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]],
        "shear": [[math.cos(angle), 0], [-math.sin(angle), 1]],
        "scale": [[1 / 0.7, 0], [0, 1 / 0.7]],
    }
    for name, rows in matrices.items():
        matrix, centre = np.array(rows), np.array([13.5, 13.5])
        expected = ndimage.affine_transform(
            images[0].double().numpy(), matrix, centre - matrix @ centre, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(corrupted(images, name)[0].numpy(), expected, atol=0.6, err_msg=name)


def test_light_is_exact(images: Tensor) -> None:
    brighter = (images.double() + 127.5).clamp(max=255)
    torch.testing.assert_close(corrupted(images, "brightness").double(), brighter, rtol=0, atol=0.5001)
    striped = corrupted(images, "stripe")
    assert torch.equal(striped[:, :, 7:21], images[:, :, 7:21])
    for outside in (slice(0, 7), slice(21, 28)):
        assert torch.equal(striped[:, :, outside], 255 - images[:, :, outside])


def test_motion_blur_keeps_what_moves() -> None:
    dot = torch.zeros(100, 28, 28, dtype=torch.uint8)
    dot[:, 14, 20] = 255
    blurred = corrupted(dot, "motion_blur").double()
    weights = np.exp(-(np.arange(21) ** 2) / 18)
    assert blurred[:, 14, 20].numpy() == pytest.approx(255 * weights[0] / weights.sum(), abs=0.5)
    assert blurred.sum((1, 2)).numpy() == pytest.approx(255, abs=6), "rounding of some ten pixels"
    assert not blurred[:, :, 21:].any(), "a half Gaussian: all to one side"


def test_line_equals_its_formula() -> None:
    def expected(left: float, start: float, right: float, end: float) -> np.ndarray:
        drawn = np.zeros((28, 28))
        for column in range(math.floor(left), min(math.ceil(right), 28)):
            height = start + (end - start) / (right - left) * (column - left)
            for row in range(28):
                if abs(row - height) < 2.3:
                    drawn[row, column] = max(0, math.log(1 - abs(row - height) / 2.3) + 1)
        return drawn

    for ends in ((0, 3, 27, 20), (2.5, 25, 7.25, 4.5)):
        np.testing.assert_allclose(line(*torch.tensor(ends).float()[:, None])[0].numpy(), expected(*ends), atol=1e-5)
    dotted = corrupted(torch.zeros(1, 28, 28, dtype=torch.uint8), "dotted_line")[0]
    assert dotted.amax(0).gt(0).tolist() == [column // 2 % 2 == 1 and column < 27 for column in range(28)]
    zigzag = corrupted(torch.zeros(50, 28, 28, dtype=torch.uint8), "zigzag")
    assert zigzag.amax((0, 1)).gt(0).tolist()[2:25] == [True] * 23
    assert not zigzag[:, :, 27].any()


def test_fractals_span_black_to_white() -> None:
    clouds = plasma_fractals(20, 1.4, torch.Generator().manual_seed(0), size=16)
    assert clouds.amin((1, 2)).tolist() == [0] * 20
    assert clouds.amax((1, 2)).tolist() == [1] * 20
    smooth = plasma_fractals(20, 3, torch.Generator().manual_seed(0), size=16)
    roughness = [(cloud[:, 1:] - cloud[:, :-1]).abs().mean() for cloud in (clouds, smooth)]
    assert roughness[1] < roughness[0] < 1 / 3, "1/3: neighbours that know nothing of each other"


def test_spatter_covers_with_mud(images: Tensor) -> None:
    white = torch.full((200, 28, 28), 255, dtype=torch.uint8)
    covered = corrupted(white, "spatter")
    assert 63 <= covered.min() < 80, "the grey of mud, 63 of 255"
    share = (covered < 255).float().mean()
    assert 0.03 < share < 0.4
