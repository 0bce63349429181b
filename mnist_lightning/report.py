"""What is drawn of a trained network, by the names of the files."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor, nn

from mnist_lightning import figures, grids
from mnist_lightning.evaluation import Evaluation
from mnist_lightning.network import layer_outputs

MOST_ERRORS = 24  # that are shown


def title(results: Mapping[str, Any], epochs: int) -> str:
    """Return what stands above each figure of a run."""
    return f"{results['name']}, seed {results['seed']}, epoch {epochs}"


def of_evaluation(evaluation: Evaluation, images: Tensor, title: str) -> dict[str, Figure]:
    """Draw what the network makes of `images`, (N, H, W), the ones that were evaluated."""
    worst = evaluation.most_confident_errors(MOST_ERRORS)
    precision, recall = evaluation.precision_recall()
    bins = evaluation.reliability()
    return {
        "confusion_matrix": figures.confusion_matrix(
            evaluation.confusion.numpy(), f"{title}: {evaluation.errors:,} errors in {evaluation.total:,} images"
        ),
        "misclassified": grids.mistakes(
            images[worst].numpy(),
            evaluation.labels[worst].tolist(),
            evaluation.predicted[worst].tolist(),
            evaluation.confidence[worst].tolist(),
            f"{title}: the most confident of {evaluation.errors:,} errors",
        ),
        "precision_recall": figures.precision_recall(precision.numpy(), recall.numpy(), title),
        "reliability": figures.reliability(
            bins.counts.numpy(), bins.confidence.numpy(), bins.accuracy.numpy(),
            f"{title}: expected calibration error {bins.expected_error:.2%}",
        ),
    }  # fmt: skip


def of_network(network: nn.Module, image: Tensor, title: str) -> dict[str, Figure]:
    """Draw the first layer's filters and what each layer makes of one normalized image, (1, 1, H, W)."""
    layers = layer_outputs(network, image)
    maps = [(f"{name} {type(layer).__name__}", output[0].cpu().numpy()) for name, layer, output in layers]
    maps = [("input", image[0].cpu().numpy()), *((name, output) for name, output in maps if output.ndim == 3)]
    drawn = {"feature_maps": grids.feature_maps(maps, f"{title}: the first test image, layer by layer")}
    first = next((name, layer) for name, layer, _ in layers if list(layer.parameters()))
    if isinstance(first[1], nn.Conv2d):
        weights = first[1].weight.detach().cpu().numpy()  # (filters, 1, H, W): the images are grey
        drawn["filters"] = grids.filters(weights[:, 0], f"{title}: filters of {first[0]}")
    return drawn
