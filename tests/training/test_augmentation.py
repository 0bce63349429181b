"""Augmentation against interpolation by hand, and what it must leave alone."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from test_train import compose_config, fit
from torch import Generator, Tensor

from mnist_lightning.training.augmentation import Augmentation
from mnist_lightning.training.ink import Ink, of_three
from mnist_lightning.training.warp import Warp, pixels


def drawn(augmentation: Augmentation, images: Tensor, seed: int = 0) -> Tensor:
    return augmentation.augment(images.clone(), Generator().manual_seed(seed))


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(1))


ALL = {
    "warp": Warp(rotation=20, shift=2, scale=0.2, shear=0.2, elastic=1),
    "ink": Ink(width=1, blur=0.5, light=0.5, shade=0.5, noise=0.3),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (1, 3, 20, 25), (2, 1, 28, 28)])
def test_shape_and_determinism(name: str, shape: tuple[int, ...]) -> None:
    x = images(*shape)
    first, same, other = (drawn(ALL[name], x, seed) for seed in (0, 0, 1))
    assert first.shape == x.shape and first.dtype == x.dtype
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert all(not torch.equal(one, changed) for one, changed in zip(x, first, strict=True)), "each image is changed"


@pytest.mark.parametrize("nothing", [Warp(), Ink()])
def test_no_strength_is_the_identity(nothing: Augmentation) -> None:
    x = images(4, 2, 21, 28)
    torch.testing.assert_close(drawn(nothing, x), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("limits", [{"rotation": 40.0}, {"shift": 3.0}, {"scale": 0.5}, {"shear": 0.5}])
def test_warp_is_the_affine_map_of_its_draw(limits: dict[str, float]) -> None:
    """Against scipy's interpolation by the matrix that the same draw gives, within the image."""
    x = torch.from_numpy(ndimage.gaussian_filter(images(3, 1, 24, 31).numpy(), (0, 0, 2, 2)))
    changed = drawn(Warp(**limits), x)
    draw = 2 * torch.rand(3, 6, generator=Generator().manual_seed(0)).double() - 1
    full = {"rotation": 0.0, "shift": 0.0, "scale": 0.0, "shear": 0.0} | limits
    for image, result, (a, b, c, d, e, f) in zip(x[:, 0], changed[:, 0], draw.tolist(), strict=True):
        angle, shear = math.radians(a * full["rotation"]), b * full["shear"]
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        slant, size = torch.tensor([[1, shear], [0, 1]]), torch.tensor([c, d]).mul(full["scale"]).exp().diag()
        matrix = (turn @ slant @ size).flip(0, 1).double().numpy()  # of (row, column)
        middle = torch.tensor([23 / 2, 15.0]).double().numpy()
        offset = middle - matrix @ middle + [f * full["shift"], e * full["shift"]]
        expected = ndimage.affine_transform(image.double().numpy(), matrix, offset, order=1, mode="nearest")
        torch.testing.assert_close(result.double(), torch.from_numpy(expected), rtol=0, atol=1e-4)


def test_elastic_is_smooth_and_as_strong_as_it_says() -> None:
    """A column ramp shows how far each pixel was moved sideways."""
    ramp = torch.arange(200.0).expand(400, 1, 200, 200)
    moved = (drawn(Warp(elastic=1.5), ramp) - ramp)[:, 0, :, 20:-20]
    assert moved.square().mean().sqrt().item() == pytest.approx(1.5, rel=0.1)
    assert moved.diff(dim=2).abs().max() < 0.5
    waves = pixels(20, 30, 4, torch.device("cpu"))[3:]
    torch.testing.assert_close(waves @ waves.T / 600, torch.eye(24), rtol=0, atol=1e-4)


def test_neighbourhoods_are_those_of_pooling() -> None:
    x = images(3, 2, 9, 14)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    assert torch.equal(of_three(x, torch.maximum), F.max_pool2d(padded, 3, stride=1))
    weights = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).expand(2, 1, 3, 3) / 16
    blurred = of_three(x, lambda one, other: (one + other) / 2)
    torch.testing.assert_close(blurred, F.conv2d(padded, weights, groups=2))
    share = torch.rand(3, 1, 1, 1, generator=Generator().manual_seed(0)) * 0.7
    torch.testing.assert_close(drawn(Ink(blur=0.7), x), x + share * (blurred - x))


def test_ink_stays_between_what_it_may_reach() -> None:
    x = torch.zeros(200, 1, 12, 12)
    x[:, :, 5:7, 3:9] = 1
    wide = drawn(Ink(width=1), x)
    thin, thick = wide[:100], wide[100:]
    assert (thin <= x[:100]).all() and (thick >= x[100:]).all()
    assert wide[:, :, 5:7, 4:8].min() < 0.1 and thick[:, :, 4, 3:9].max() > 0.9
    assert (thick[:, :, :4] == 0).all(), "by one pixel"
    light = drawn(Ink(light=0.4), x)
    assert light.amin() >= 0 and 0.35 < light[:, 0, 0, 0].max() <= 0.4
    assert (light[:, :, :5].amax((1, 2, 3)) - light[:, :, :5].amin((1, 2, 3))).abs().max() < 1e-6
    shade = drawn(Ink(shade=0.4), x)[:, 0]
    corners = torch.stack([shade[:, 0, 0], shade[:, 0, -1], shade[:, -1, 0], shade[:, -1, -1]])
    torch.testing.assert_close(corners.amin(0), torch.zeros(200))
    assert 0.3 < corners.max() <= 0.4
    noise = drawn(Ink(noise=0.2), x) - x
    assert noise.abs().max() <= 0.2 and abs(noise.mean()) < 0.01 < noise.std()


def test_a_run_with_both_ends_with_the_same_bits(tmp_path: Path) -> None:
    overrides = ("data=digits", "callbacks=warp_ink", "logger=none", "trainer.limit_train_batches=5")
    whole = [fit(tmp_path / f"{n}", *overrides, "trainer.max_epochs=1")["weights_sha256"] for n in range(2)]
    assert whole[0] == whole[1]
    assert compose_config("callbacks=warp").callbacks.warp.rotation == 10
