"""Take a trained network elsewhere, as ONNX and as a torch.export program: `python -m mnist_lightning.export RUN`."""

import argparse
import copy
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_lightning.command import answered
from mnist_lightning.errors import RunError, UsageError

if TYPE_CHECKING:  # torch is imported only once the command line is understood
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from mnist_lightning.trained import TrainedRun

TOLERANCE = 1e-5  # largest difference of a probability from the network's own
NEEDED = ("onnx", "onnxscript", "onnxruntime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files, compare them with the network on every test image, and only then give them their names."""
    parser = argparse.ArgumentParser(prog="python -m mnist_lightning.export", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory, or a checkpoint in one")
    parser.add_argument("--data", metavar="FOLDER", help="where MNIST/raw is, if not where the run found it")
    options = parser.parse_args(arguments)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(
            f"{', '.join(missing)} not installed: python -m pip install {' '.join(NEEDED)} (the extra export)"
        )

    from mnist_lightning.trained import load_run

    trained = load_run(options.run)
    images, _ = trained.test_set(options.data)
    expected = trained.probabilities(images)
    program = exported(trained)
    for suffix, (write, load) in FORMATS.items():
        path = destination(trained, suffix)
        scratch = path.with_name(f".{path.stem}.{os.getpid()}{suffix}")
        try:
            write(program, scratch, identity(trained))
            difference = compare(load(scratch), images, expected, path)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        print(f"{path}  {path.stat().st_size / 1024:.0f} KiB")
        print(f"  as the network on {len(images):,} test images, probabilities within {difference:.0e}", flush=True)
    print('  input "images": uint8 (N, 28, 28), light ink on black; output "probabilities": float32 (N, 10)')
    return 0


def exported(trained: "TrainedRun") -> "ExportedProgram":
    """Return the network as a program from raw images, uint8 (N, 28, 28), to probabilities, float32 (N, 10)."""
    import torch

    from mnist_lightning.network import normalize

    class RawImages(torch.nn.Module):
        def __init__(self, network: "nn.Module", mean: float, std: float) -> None:
            super().__init__()
            self.network, self.mean, self.std = network, mean, std

        def forward(self, images: "Tensor") -> "Tensor":
            return self.network(normalize(images, self.mean, self.std)).softmax(dim=1)

    network = copy.deepcopy(trained.network).to(memory_format=torch.contiguous_format)
    module = RawImages(network, trained.config.data.mean, trained.config.data.std).eval()
    example = torch.zeros(2, 28, 28, dtype=torch.uint8)
    program = torch.export.export(module, (example,), dynamic_shapes={"images": {0: torch.export.Dim("N")}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names the folders of this machine
    return program


def identity(trained: "TrainedRun") -> dict[str, str]:
    """Return what a file says of itself: the names of the classes, and which weights of which run it holds."""
    from mnist_lightning.weights import weights_sha256

    config = trained.config
    return {
        "classes": json.dumps([str(digit) for digit in range(10)]),
        "name": str(config.name),
        "seed": str(config.seed),
        "dataset": str(config.data.dataset),
        "checkpoint": trained.checkpoint.name,
        "epochs": str(trained.epochs),
        "weights_sha256": weights_sha256(trained.network.state_dict()),
        "made_by": "python -m mnist_lightning.export",
    }


def destination(trained: "TrainedRun", suffix: str) -> Path:
    """Return export/model.* for the last checkpoint, for another one a file of its name; the folder is made."""
    from mnist_lightning.run import LAST_CHECKPOINT

    is_last = trained.checkpoint.name == LAST_CHECKPOINT.name
    path = trained.directory / "export" / f"{'model' if is_last else trained.checkpoint.stem}{suffix}"
    path.parent.mkdir(exist_ok=True)
    return path


def write_onnx(program: "ExportedProgram", path: Path, properties: dict[str, str]) -> None:
    import torch

    onnx_program = torch.onnx.export(
        program,
        input_names=["images"],
        output_names=["probabilities"],
        dynamic_shapes={"images": {0: "N"}},
        verbose=False,
    )
    assert onnx_program is not None
    onnx_program.model.metadata_props.update(properties)
    onnx_program.save(str(path), external_data=False)


def load_onnx(path: Path) -> Callable[["Tensor"], "Tensor"]:
    import onnx
    import onnxruntime
    import torch

    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["probabilities"], {"images": images.numpy()})[0])


def write_program(program: "ExportedProgram", path: Path, properties: dict[str, str]) -> None:
    import torch

    torch.export.save(program, path, extra_files={"run.json": json.dumps(properties)})


def load_program(path: Path) -> Callable[["Tensor"], "Tensor"]:
    import torch

    module = torch.export.load(path).module()

    def answer(images: "Tensor") -> "Tensor":
        with torch.inference_mode():
            return module(images)

    return answer


FORMATS = {".onnx": (write_onnx, load_onnx), ".pt2": (write_program, load_program)}


def compare(answer: Callable[["Tensor"], "Tensor"], images: "Tensor", expected: "Tensor", path: Path) -> float:
    """Return the largest difference of a probability from `expected`, over all images at once and the first alone.

    Raises:
        RunError: it is larger than TOLERANCE, or a prediction differs.
    """
    import torch

    found = torch.cat([answer(images), answer(images[:1])])
    expected = torch.cat([expected, expected[:1]])
    difference = float((found - expected).abs().max())
    others = int((found.argmax(dim=1) != expected.argmax(dim=1)).sum())
    if others or not difference <= TOLERANCE:
        raise RunError(
            f"{path} was not written: it would differ from the network in {others:,} of {len(images):,} predictions, "
            f"and in a probability by {difference:.1e}, where {TOLERANCE:.0e} is allowed"
        )
    return difference


if __name__ == "__main__":
    with answered():
        sys.exit(main())
