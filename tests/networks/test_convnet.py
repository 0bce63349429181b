"""The network of 3×3 convolutions against the same written by hand, and its parameters against counts by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import PROJECT
from PIL import Image

from mnist_lightning.networks.convnet import ConvNet


def parameters(**settings: object) -> int:
    network = ConvNet(**settings, channels_in=1, classes=10)  # type: ignore[arg-type]
    return sum(p.numel() for p in network.parameters())


def test_parameters_are_those_of_the_formula() -> None:
    assert parameters() == 9 * 12 + 6 * 9 * 12 * 12 + 7 * 2 * 12 + 12 * 10 + 10 == 8182
    assert "8,182 parameters" in (PROJECT / "conf" / "model" / "convnet.yaml").read_text()
    stages = ((6, 8), (8,), (8, 8))
    ends = 9 * 6 + 8 * 10 + 10 + 2 * (6 + 4 * 8)
    assert parameters(stages=stages) == ends + 9 * (6 * 8 + 3 * 8 * 8)
    assert parameters(stages=stages, separable=True) == ends + 9 * (6 + 3 * 8) + 6 * 8 + 3 * 8 * 8
    assert parameters(stages=stages, shared=True) == ends + 9 * (6 * 8 + 8 * 8)
    assert parameters(stages=stages, shared=True, separable=True) == ends + 9 * (6 + 8) + 6 * 8 + 8 * 8


@pytest.mark.parametrize("training", [False, True])
def test_equals_the_hand_written_network(training: bool) -> None:
    """Two stages, shared separable convolutions, residual: images that are not square, sizes that do not divide."""
    torch.manual_seed(0)
    stages = ((4, 4, 4), (4, 6))
    network = ConvNet(stages, dropout=0.0, separable=True, shared=True, residual=True, channels_in=2, classes=3)
    x = torch.randn(5, 2, 9, 14)
    network(x)  # the norms have seen something
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    logits = network.train(training)(x)

    def norm(h: torch.Tensor, place: str) -> torch.Tensor:
        mean, variance = weights[f"{place}.running_mean"], weights[f"{place}.running_var"]
        if training:
            mean, variance = h.mean(dim=(0, 2, 3)), h.var(dim=(0, 2, 3), unbiased=False)
        scaled = (h - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        return scaled * weights[f"{place}.weight"][:, None, None] + weights[f"{place}.bias"][:, None, None]

    def separable(h: torch.Tensor, place: str) -> torch.Tensor:
        in_each, across = weights[f"{place}.convolution.0.weight"], weights[f"{place}.convolution.1.weight"]
        return F.conv2d(F.conv2d(h, in_each, padding=1, groups=len(in_each)), across)

    h = norm(F.conv2d(x, weights["features.0.convolution.weight"], padding=1).relu(), "features.0.norm")
    h = h + norm(separable(h, "features.1").relu(), "features.1.norm")
    h = norm(F.max_pool2d(separable(h, "features.1"), 2).relu(), "features.2.norm")  # (5, 4, 4, 7), the same weights
    h = h + norm(separable(h, "features.1").relu(), "features.3.norm")
    h = norm(separable(h, "features.4").relu(), "features.4.norm")
    expected = h.mean(dim=(2, 3)) @ weights["classifier.weight"].T + weights["classifier.bias"]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_no_padding_and_a_stride_make_images_smaller() -> None:
    network = ConvNet(((4, 4), (4,)), stride=2, padding=0, pooling="avg", channels_in=1, classes=10)
    sizes: list[tuple[int, ...]] = []
    for layer in network.features:
        layer.register_forward_hook(lambda *seen: sizes.append(tuple(seen[2].shape[2:])))
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sizes == [(13, 13), (5, 5), (3, 3)]


def test_dropout_is_everywhere_but_before_the_means() -> None:
    network = ConvNet(((4, 4), (4,)), dropout=0.25, channels_in=1, classes=10)
    assert [layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout)] == [0.25, 0.25, 0.0]


def test_evaluation_is_the_mean_of_three_views() -> None:
    """Images that are not square and have two channels; turned by Pillow, but for their border, which is continued."""
    torch.manual_seed(0)
    plain, three = (
        ConvNet(((4,), (6,)), test_time_rotation=angle, channels_in=2, classes=3).eval() for angle in (0.0, 12.0)
    )
    three.load_state_dict(plain.state_dict())
    images = torch.zeros(3, 2, 21, 33)
    images[:, :, 7:14, 10:24] = 30 * torch.rand(3, 2, 7, 14)

    def by_pillow(angle: float) -> torch.Tensor:
        planes = [
            Image.fromarray(plane.numpy()).rotate(angle, Image.Resampling.BILINEAR) for plane in images.flatten(0, 1)
        ]
        return torch.stack([torch.from_numpy(np.array(plane)) for plane in planes]).view_as(images)

    expected = (plain(images) + plain(by_pillow(12)) + plain(by_pillow(-12))) / 3
    torch.testing.assert_close(three(images), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(three(images[:1]), expected[:1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain(images), expected, atol=1e-3)
    plain.train()
    three.train()
    torch.manual_seed(1)
    trained = plain(images)
    torch.manual_seed(1)
    assert torch.equal(three(images), trained)
