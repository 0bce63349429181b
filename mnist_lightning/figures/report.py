"""What is drawn of a trained network, by the names of the files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_lightning.datasets.source import noun
from mnist_lightning.evaluation.corruptions import corrupted
from mnist_lightning.evaluation.measures import Evaluation
from mnist_lightning.figures import of_images, of_run
from mnist_lightning.networks.layers import layer_outputs

MOST_ERRORS = 20  # that are shown
LONGEST_NAME = 12  # letters of a class
IDLE = (nn.Identity, nn.Dropout, nn.Dropout2d)  # layers that change nothing in an evaluation


def title(results: Mapping[str, Any], epochs: int) -> str:
    """Return what stands above each figure of a run."""
    return f"{results['name']}, seed {results['seed']}, epoch {epochs}"


def of_evaluation(evaluation: Evaluation, images: Tensor, title: str, classes: Sequence[str]) -> dict[str, Figure]:
    """Draw what the network makes of `images`, (N, H, W) or (N, C, H, W), the ones that were evaluated."""
    worst = evaluation.most_confident_errors(MOST_ERRORS)
    classes = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in classes]
    answers = (evaluation.labels, evaluation.predicted, evaluation.confidence)
    mistakes = zip(*(answer[worst].tolist() for answer in answers), strict=True)
    captions = [caption(classes[true], classes[guess], share) for true, guess, share in mistakes]
    confusion, bins = evaluation.confusion.numpy(), evaluation.reliability()
    precision, recall = (curve.numpy() for curve in evaluation.precision_recall())
    counts, confidence, accuracy = (column.numpy() for column in (bins.counts, bins.confidence, bins.accuracy))
    errors = f"{evaluation.counts['errors']:,} errors"
    total = f"{errors} in {evaluation.counts['total']:,} images"
    scores = f"precision and recall of each {noun(classes)}"
    expected = f"expected calibration error {bins.expected_error:.2%}"
    return {
        "confusion_matrix": of_run.confusion_matrix(confusion, classes, f"{title}\n{total}"),
        "misclassified": of_images.captioned(in_view(images[worst]), captions, f"{title}\nmost confident of {errors}"),
        "precision_recall": of_run.precision_recall(precision, recall, classes, f"{title}\n{scores}"),
        "reliability": of_run.reliability(counts, confidence, accuracy, f"{title}\n{expected}"),
    }


def caption(true: str, guess: str, share: float) -> str:
    """Return two lines on a mistake, by the names of the classes and the confidence."""
    said = f"{true} read as {guess}"
    return f"{said}\n{share:.1%}" if len(said) <= 14 else f"{true}, {share:.0%}\nread as {guess}"


def of_network(network: nn.Module, image: Tensor, title: str) -> dict[str, Figure]:
    """Draw the first layer's filters and what each layer makes of one normalized image, (1, C, H, W)."""
    layers = layer_outputs(network, image)
    changing = [layer for layer in layers if not isinstance(layer[1], IDLE)]
    maps = [(f"{name} {type(layer).__name__}", output[0].cpu().numpy()) for name, layer, output in changing]
    maps = [("input", image[0].float().cpu().numpy()), *((name, output) for name, output in maps if output.ndim == 3)]
    drawn = {}
    if len(maps) > 1:
        drawn["feature_maps"] = of_images.feature_maps(maps, f"{title}\nthe first test image, layer by layer")
    name, first = next(((name, layer) for name, layer, _ in layers if list(layer.parameters())), ("", None))
    if isinstance(first, nn.Conv2d):
        weights = first.weight.detach().float().cpu().numpy()  # (filters, channels, H, W)
        mean = "" if weights.shape[1] == 1 else ", the mean of their channels"
        part = of_images.part_of(len(weights))
        drawn["filters"] = of_images.filters(weights.mean(axis=1), f"{title}\nfilters of {name}{part}{mean}")
    return drawn


def in_view(images: Tensor) -> NDArray[Any]:
    """Return images as they are drawn: in colours where they have three channels, else in greys."""
    if images.ndim == 3 or images.shape[1] == 3:
        return images.numpy()
    return images[:, 0].numpy() if images.shape[1] == 1 else images.float().mean(dim=1).numpy()


def of_corruptions(image: Tensor, corrupted_results: Mapping[str, Any], title: str) -> Figure:
    """Draw one raw image, uint8 (H, W), under each corruption, with the accuracy on all of them."""
    rows = corrupted_results["corruptions"]
    examples = [corrupted(image[None], name, corrupted_results["seed"])[0].numpy() for name in rows]
    captions = [f"{name.replace('_', ' ')}\n{row['accuracy']:.1%}" for name, row in rows.items()]
    mean = f"{title}\n{corrupted_results['mean_accuracy']:.1%} right on average"
    return of_images.captioned(np.stack(examples), captions, mean)
