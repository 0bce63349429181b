"""The network against the tutorial's table and against the same network written by hand."""

import pytest
import torch
import torch.nn.functional as F
from conftest import PROJECT
from torch import nn

from mnist_lightning.networks.cnn import CNN
from mnist_lightning.networks.layers import layer_table
from mnist_lightning.networks.mlp import MLP


def test_parameters_are_the_tutorials() -> None:
    assert [p.numel() for p in CNN().parameters()] == [250, 10, 5000, 20, 3200, 10]
    assert sum(p.numel() for p in CNN().parameters()) == 8490


def test_the_mlp_has_as_many_parameters_as_its_file_says() -> None:
    mlp = MLP(channels_in=1, image_size=28, classes=10)
    assert sum(p.numel() for p in mlp.parameters()) == 784 * 128 + 128 + 128 * 10 + 10
    said = (PROJECT / "conf" / "model" / "mlp.yaml").read_text()
    assert f"{sum(p.numel() for p in mlp.parameters()):,} parameters" in said


def test_layer_table_is_the_tutorials() -> None:
    network = CNN()
    assert [row[1:] for row in layer_table(network, torch.zeros(1, 1, 28, 28))] == [
        ("Conv2d", (10, 24, 24), 260),
        ("MaxPool2d", (10, 12, 12), 0),
        ("ReLU", (10, 12, 12), 0),
        ("Conv2d", (20, 8, 8), 5020),
        ("MaxPool2d", (20, 4, 4), 0),
        ("ReLU", (20, 4, 4), 0),
        ("Flatten", (320,), 0),
        ("Linear", (10,), 3210),
    ]
    assert network.training, "looking at it changes nothing"


def test_same_seed_gives_the_hand_written_network() -> None:
    torch.manual_seed(3)
    network = CNN()
    torch.manual_seed(3)
    conv1, conv2, linear = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5), nn.Linear(320, 10)
    x = torch.randn(7, 1, 28, 28)
    h = F.relu(F.max_pool2d(conv1(x), 2))  # (N, 10, 12, 12)
    h = F.relu(F.max_pool2d(conv2(h), 2))  # (N, 20, 4, 4)
    assert torch.equal(network(x), linear(h.flatten(1)))


def test_average_pooling_is_a_choice() -> None:
    x = torch.randn(2, 1, 28, 28)
    network = CNN(pooling="avg")
    first = F.relu(F.avg_pool2d(network.features[0](x), 2))
    assert torch.equal(network.features[:3](x), first)
    with pytest.raises(ValueError, match="pooling='sum': must be one of max, avg"):
        CNN(pooling="sum")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "flattened"),
    [
        ({"channels": (4, 8, 16), "kernel_size": 3, "padding": 1}, 16 * 3 * 3),
        ({"kernel_size": 7, "padding": "same"}, 20 * 7 * 7),
        ({"image_size": 32}, 20 * 5 * 5),
        ({"channels": (3,)}, 3 * 12 * 12),
        ({"channels": ()}, 28 * 28),
    ],
)
def test_flattened_size_is_found(arguments: dict, flattened: int) -> None:
    network = CNN(**arguments)
    assert network.classifier[1].in_features == flattened
    size = arguments.get("image_size", 28)
    assert network(torch.zeros(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kernel_size": 29},
            r"convolution 1: kernel_size=29 is larger than the 28×28 image .*padding='same', helps",
        ),
        ({"kernel_size": 13}, r"convolution 2: kernel_size=13 is larger than the 8×8 image that reaches it"),
        ({"kernel_size": 28}, r"pooling 1: its 2×2 window is larger than the 1×1 that convolution 1 leaves"),
        (
            {"channels": (4,) * 5, "padding": "same"},
            r"pooling 5: .* larger than the 1×1 that convolution 5 leaves",
        ),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CNN(**arguments)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_every_size_that_passes_the_check_runs() -> None:
    """The arithmetic of check_sizes against PyTorch's own: it refuses exactly what PyTorch can't do."""
    refused = 0
    for kernel_size in range(1, 16):
        for padding in (0, 1, 3, "same"):
            for image_size in (5, 8, 28):
                arguments: dict = {
                    "kernel_size": kernel_size,
                    "padding": padding,
                    "image_size": image_size,
                    "channels": (1, 1),
                }
                try:
                    CNN(**arguments)(torch.zeros(1, 1, image_size, image_size))
                except ValueError:
                    refused += 1
                    layers: list[nn.Module] = []
                    for _ in range(2):
                        layers += [nn.Conv2d(1, 1, kernel_size, padding=padding), nn.MaxPool2d(2)]
                    with pytest.raises(RuntimeError):
                        nn.Sequential(*layers)(torch.zeros(1, 1, image_size, image_size))
    assert refused > 20
