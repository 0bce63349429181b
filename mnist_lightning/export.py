"""Export a trained network, as ONNX and as a torch.export program: `python -m mnist_lightning.export RUN`."""

import copy
import io
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_lightning.datasets.source import raw_shape
from mnist_lightning.runs.errors import RunError, one_line
from mnist_lightning.runs.files import folder_within
from mnist_lightning.runs.run import LAST_CHECKPOINT
from mnist_lightning.terminal.command import answered, check_extra, parser_for_run, show

if TYPE_CHECKING:  # torch is imported only once the command line is understood
    from torch import Tensor
    from torch.export import ExportedProgram

    from mnist_lightning.trained import TrainedRun

TOLERANCE = 1e-5  # largest difference of a probability from the network's own
BATCH_SIZE = 1000  # images that are compared at once
ALONE = 20  # images that are also compared one by one


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what was written, how it compares with the network, and how it is used."""
    options = parser_for_run("export", __doc__, reads_data=True).parse_args(arguments)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime would send and store who uses it, from its import on
    check_extra("export")

    from mnist_lightning.trained import load_run

    trained = load_run(options.run)
    images, _ = trained.test_set(options.data)
    differences = write_verified(trained, images)
    for path, difference in differences.items():
        show(f"{path}  {path.stat().st_size / 1024:.0f} KiB")
        show(f"  as the network on {len(images):,} test images, probabilities at most {difference:.1e} apart")
    onnx_file = next(str(path) for path in differences if path.suffix == ".onnx")
    sizes, ink = ", ".join(map(str, raw_shape(trained.shape))), ", light ink on black" * trained.is_handwriting
    show(f'input "images": uint8 (N, {sizes}){ink}; output "probabilities": float32 (N, {len(trained.classes)})')
    show(f"session = onnxruntime.InferenceSession({onnx_file!r})")
    show('session.run(["probabilities"], {"images": images})')
    return 0


def write_verified(trained: "TrainedRun", images: "Tensor") -> dict[Path, float]:
    """Write both files, and return of each the largest difference of a probability from the network's own.

    Neither gets its name before both were read back and compared on the raw `images`: the two are always of one
    network. Where one of them differs, what was there before stays.
    """
    folder = folder_within(trained.directory, "export")
    with refused(folder):
        program = exported(trained)
    expected = trained.probabilities(images)
    stem = "model" if trained.checkpoint.name == LAST_CHECKPOINT.name else trained.checkpoint.stem
    differences: dict[Path, float] = {}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unverified-") as scratch:
        for suffix, (write, load) in FORMATS.items():
            path = folder / f"{stem}{suffix}"
            with refused(path):
                write(program, Path(scratch, path.name), identity(trained))
            differences[path] = compare(load(Path(scratch, path.name)), images, expected, path)
        for path in differences:
            Path(scratch, path.name).replace(path)
    return differences


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Say in one line what torch can't export, a network may do anything, and nothing of what it remarks on."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (OSError, RunError):
        raise
    except Exception as error:
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        reason = one_line(first, 300)
        raise RunError(f"{path} can't be written: torch can't export this network: {reason}") from error


def exported(trained: "TrainedRun") -> "ExportedProgram":
    """Return the network as a program from raw images, uint8 (N, …), to probabilities, float32 (N, classes)."""
    import torch

    from mnist_lightning.networks.layers import normalize

    mean, std = trained.scale

    class RawImages(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = copy.deepcopy(trained.network).to(memory_format=torch.contiguous_format)

        def forward(self, images: "Tensor") -> "Tensor":
            return self.network(normalize(images, mean, std)).softmax(dim=1)

    example = torch.zeros(2, *raw_shape(trained.shape), dtype=torch.uint8)
    program = torch.export.export(RawImages().eval(), (example,), dynamic_shapes={"images": {0: torch.export.Dim("N")}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names the folders of this machine
    return program


def identity(trained: "TrainedRun") -> dict[str, str]:
    """Return what a file says of itself: the names of the classes, and which weights of which run it holds."""
    from mnist_lightning.runs.weights import weights_sha256

    config = trained.config
    return {
        "classes": json.dumps([*trained.classes], ensure_ascii=False),
        "name": str(config.name),
        "seed": str(config.seed),
        "dataset": str(config.data.dataset),
        "checkpoint": trained.checkpoint.name,
        "epochs": str(trained.epochs),
        "weights_sha256": weights_sha256(trained.network.state_dict()),
        "made_by": "python -m mnist_lightning.export",
    }


def write_onnx(program: "ExportedProgram", path: Path, properties: dict[str, str]) -> None:
    import torch

    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["probabilities"]}
    onnx_program = torch.onnx.export(program, **names, dynamic_shapes={"images": {0: "N"}}, verbose=False)
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

    content = io.BytesIO()  # writing itself, torch turns a full disk into a RuntimeError
    torch.export.save(program, content, extra_files={"run.json": json.dumps(properties)})
    path.write_bytes(content.getvalue())


def load_program(path: Path) -> Callable[["Tensor"], "Tensor"]:
    import torch

    return torch.export.load(path).module()


FORMATS = {".onnx": (write_onnx, load_onnx), ".pt2": (write_program, load_program)}


def compare(answer: Callable[["Tensor"], "Tensor"], images: "Tensor", expected: "Tensor", path: Path) -> float:
    """Return the largest difference of a probability from `expected`, over all images and some of them alone."""
    import torch

    batches = [*images.split(BATCH_SIZE), *images[:ALONE].split(1)]
    with torch.inference_mode():
        found = torch.cat([answer(batch) for batch in batches])
    expected = torch.cat([expected, expected[:ALONE]])
    difference = float((found - expected).abs().max())
    others = int((found.argmax(dim=1) != expected.argmax(dim=1)).sum())
    if others or not difference <= TOLERANCE:
        raise RunError(
            f"{path} was not written: it would differ from the network in {others:,} of {len(found):,} predictions, "
            f"and in a probability by {difference:.1e}, where {TOLERANCE:.0e} is allowed"
        )
    return difference


if __name__ == "__main__":
    with answered():
        sys.exit(main())
