"""What is drawn of a trained network, by the names of the files."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor, nn

from mnist_lightning.evaluation.corruptions import corrupted
from mnist_lightning.evaluation.measures import Evaluation
from mnist_lightning.figures import of_images, of_run
from mnist_lightning.networks.layers import layer_outputs

MOST_ERRORS = 20  # that are shown


def title(results: Mapping[str, Any], epochs: int) -> str:
    """Return what stands above each figure of a run."""
    return f"{results['name']}, seed {results['seed']}, epoch {epochs}"


def of_evaluation(evaluation: Evaluation, images: Tensor, title: str) -> dict[str, Figure]:
    """Draw what the network makes of `images`, (N, H, W), the ones that were evaluated."""
    worst = evaluation.most_confident_errors(MOST_ERRORS)
    answers = (evaluation.labels, evaluation.predicted, evaluation.confidence)
    mistakes = [answer[worst].tolist() for answer in answers]
    precision, recall = evaluation.precision_recall()
    bins = evaluation.reliability()
    errors = f"{evaluation.counts['errors']:,} errors"
    return {
        "confusion_matrix": of_run.confusion_matrix(
            evaluation.confusion.numpy(), f"{title}\n{errors} in {evaluation.counts['total']:,} images"
        ),
        "misclassified": of_images.captioned(
            images[worst].numpy(),
            [f"{true} read as {guess}\n{share:.1%}" for true, guess, share in zip(*mistakes, strict=True)],
            f"{title}\nmost confident of {errors}",
        ),
        "precision_recall": of_run.precision_recall(
            precision.numpy(), recall.numpy(), f"{title}\nprecision and recall of each digit"
        ),
        "reliability": of_run.reliability(
            bins.counts.numpy(), bins.confidence.numpy(), bins.accuracy.numpy(),
            f"{title}\nexpected calibration error {bins.expected_error:.2%}",
        ),
    }  # fmt: skip


def of_network(network: nn.Module, image: Tensor, title: str) -> dict[str, Figure]:
    """Draw the first layer's filters and what each layer makes of one normalized image, (1, 1, H, W)."""
    layers = layer_outputs(network, image)
    maps = [(f"{name} {type(layer).__name__}", output[0].cpu().numpy()) for name, layer, output in layers]
    maps = [("input", image[0].cpu().numpy()), *((name, output) for name, output in maps if output.ndim == 3)]
    drawn = {"feature_maps": of_images.feature_maps(maps, f"{title}\nthe first test image, layer by layer")}
    first = next((name, layer) for name, layer, _ in layers if list(layer.parameters()))
    if isinstance(first[1], nn.Conv2d):
        weights = first[1].weight.detach().cpu().numpy()  # (filters, 1, H, W): the images are grey
        drawn["filters"] = of_images.filters(
            weights[:, 0], f"{title}\nfilters of {first[0]}{of_images.part_of(len(weights))}"
        )
    return drawn


def of_corruptions(image: Tensor, corrupted_results: Mapping[str, Any], title: str) -> Figure:
    """Draw one raw image, uint8 (H, W), under each corruption, with the accuracy on all of them."""
    rows = corrupted_results["corruptions"]
    examples = [corrupted(image[None], name, corrupted_results["seed"])[0].numpy() for name in rows]
    captions = [f"{name.replace('_', ' ')}\n{row['accuracy']:.1%}" for name, row in rows.items()]
    mean = f"{title}\n{corrupted_results['mean_accuracy']:.1%} right on average"
    return of_images.captioned(np.stack(examples), captions, mean)
