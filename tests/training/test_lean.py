"""What is left out of each step makes no difference but time."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from test_train import fit, read_checkpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mnist_lightning.data import BatchLoader
from mnist_lightning.module import Classifier
from mnist_lightning.runs.errors import UsageError
from mnist_lightning.training.lean import STEP_HOOKS


def test_batches_are_those_of_a_plain_loader() -> None:
    images = TensorDataset(torch.rand(10, 1, 4, 4), torch.arange(10))
    order = [torch.tensor([3, 1, 2]), torch.tensor([9]), torch.tensor([0, 0])]
    state = torch.get_rng_state()
    quick, plain = (kind(images, batch_size=None, sampler=order) for kind in (BatchLoader, DataLoader))
    assert len(quick) == len(plain) == 3
    batches = [*quick]
    assert torch.equal(torch.get_rng_state(), state), "nothing is drawn: dropout is the same in a resumed run"
    for mine, other in zip(batches, plain, strict=True):
        assert all(torch.equal(*pair) for pair in zip(mine, other, strict=True))


def test_gradients_are_dropped_as_the_optimizer_would() -> None:
    class Own(torch.optim.SGD):
        asked = 0

        def zero_grad(self, set_to_none: bool = True) -> None:
            self.asked += 1

    module = Classifier(nn.Linear(2, 3))
    parameters = [*module.parameters()]
    for optimizer in (torch.optim.SGD(parameters), Own(parameters)):
        module.network(torch.ones(1, 2)).sum().backward()
        module.optimizer_zero_grad(0, 0, optimizer)
        if isinstance(optimizer, Own):
            assert optimizer.asked == 1 and parameters[0].grad is not None
        else:
            assert all(parameter.grad is None for parameter in parameters)


def test_lightning_finds_the_arguments_of_training_steps() -> None:
    class Other(Classifier):
        def training_step(self, batch: Any, number: int, further: int = 0) -> Any:
            return None

    mine, other = Classifier(nn.Linear(2, 3)).training_step, Other(nn.Linear(2, 3)).training_step
    found = [is_param_in_hook_signature(step, "batch_idx", min_args=2) for step in (mine, other)]
    assert found == [True, True]
    assert is_param_in_hook_signature(mine, "batch_idx") and not is_param_in_hook_signature(other, "batch_idx")


def test_a_compiled_network_leaves_checkpoints_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a backend that only counts: what torch.compile itself makes of a network is tested there."""
    compiled = []

    def counting(graph: torch.fx.GraphModule, _: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    torch._dynamo.register_backend(counting, "counting")
    words = ("data=digits", "logger=none", "trainer.max_epochs=1", "trainer.limit_train_batches=3")
    plain = fit(tmp_path / "plain", *words)
    found = fit(tmp_path / "compiled", *words, "callbacks=compile", "callbacks.compile.backend=counting")
    assert compiled
    assert found["weights_sha256"] == plain["weights_sha256"]
    names = [
        [*read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"]]
        for name in ("plain", "compiled")
    ]
    assert names[0] == names[1]
    with pytest.raises(UsageError, match=r"callbacks\.compile: the network can't be compiled: .*nowhere"):
        fit(tmp_path / "none", *words, "callbacks=compile", "callbacks.compile.backend=nowhere")


@pytest.mark.parametrize("hook", STEP_HOOKS)
def test_a_hook_of_ones_own_is_kept(hook: str) -> None:
    own = type("Own", (Classifier,), {hook: lambda *_: None})(nn.Linear(2, 3))
    idle = {name for name in STEP_HOOKS if getattr(own, name) is None}
    written = {name for name in STEP_HOOKS if getattr(Classifier, name) is not getattr(LightningModule, name)}
    assert idle == {*STEP_HOOKS} - written - {hook}
