"""What a network's layers are asked, and that they stay as they were."""

import torch
from torch import nn

from mnist_lightning.networks.layers import logits_of


def test_each_image_is_read_once_and_the_layers_stay_as_they_were() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(4, 3), nn.Dropout(0.9))
    network.train()
    network[1].eval()  # frozen
    images = torch.randn(7, 1, 2, 2)
    seen: list[int] = []
    hook = network.register_forward_pre_hook(lambda layer, inputs: seen.append(len(inputs[0])))
    logits = logits_of(network, images, batch_size=3)
    hook.remove()
    assert seen == [3, 3, 1] and not logits.requires_grad
    torch.testing.assert_close(logits, network[2](images.flatten(1)).detach())
    assert [layer.training for layer in network.modules()] == [True, True, False, True, True]
