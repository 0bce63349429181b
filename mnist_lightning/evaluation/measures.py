"""What a network does on a set of images: counts, calibration, and what it takes for what."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

BINS = 15  # of confidence, as Guo et al. 2017, "On Calibration of Modern Neural Networks", have them


@dataclass(frozen=True)
class Reliability:
    """The images in bins of equal width by confidence, the probability of the predicted class.

    Attributes:
        counts: int64 (bins,), images in each.
        confidence, accuracy: float32 (bins,), their means there, fractions; 0 where a bin is empty.
    """

    counts: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def expected_error(self) -> float:
        """Expected calibration error, a fraction: how far confidence and accuracy are apart, weighted by the images."""
        return float(((self.confidence - self.accuracy).abs() * self.counts).sum() / self.counts.sum())


def counts(confusion: Tensor, loss: float) -> dict[str, Any]:
    """Return accuracy (fraction), errors, total (images) and mean loss from counts, true by predicted class."""
    total = int(confusion.sum())
    errors = total - int(confusion.trace())
    return {"accuracy": (total - errors) / total, "errors": errors, "total": total, "loss": loss}


class Evaluation:
    """The answers of a network, logits float32 (N, classes), on images with `labels`, int64 (N,)."""

    def __init__(self, logits: Tensor, labels: Tensor) -> None:
        self.labels = labels
        self.classes = logits.shape[1]
        self.probabilities = logits.softmax(dim=1)
        self.confidence, self.predicted = self.probabilities.max(dim=1)
        self.is_error = self.predicted != labels
        self.confusion = multiclass_confusion_matrix(self.predicted, labels, self.classes)  # int64, true by predicted
        self.counts = counts(self.confusion, float(F.cross_entropy(logits, labels)))

    def per_class(self) -> list[dict[str, Any]]:
        """Return for each class its number of images, precision, recall and F1 score (fractions)."""
        right, images, read = self.confusion.diagonal(), self.confusion.sum(dim=1), self.confusion.sum(dim=0)
        scores = [right / of.clamp(min=1) for of in (read, images, (images + read) / 2)]
        names = ("class", "images", "precision", "recall", "f1")
        columns = [column.tolist() for column in (torch.arange(self.classes), images, *scores)]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def reliability(self, bins: int = BINS) -> Reliability:
        """Return accuracy against confidence."""
        bin_of_each = (self.confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)  # bins are open below
        counts = bin_of_each.bincount(minlength=bins)
        sums = (bin_of_each.bincount(of.double(), minlength=bins) for of in (self.confidence, ~self.is_error))
        return Reliability(counts, *((one / counts.clamp(min=1)).float() for one in sums))

    def most_confused(self, most: int = 10) -> list[dict[str, int]]:
        """Return the pairs of classes that were confused most often, in one direction: true, predicted, count."""
        counts = self.confusion.clone().fill_diagonal_(0)
        order = counts.flatten().argsort(descending=True, stable=True)[:most].tolist()
        pairs = [(place // self.classes, place % self.classes) for place in order]
        return [{"true": t, "predicted": p, "count": int(counts[t, p])} for t, p in pairs if counts[t, p]]

    def most_confident_errors(self, most: int) -> Tensor:
        """Return the indices of the wrongly read images, int64 (up to `most`,), the most confident first."""
        errors = self.is_error.nonzero().flatten()
        return errors[self.confidence[errors].argsort(descending=True, stable=True)][:most]

    def precision_recall(self, thresholds: int = 101) -> tuple[Tensor, Tensor]:
        """Return precision and recall of each class, float32 (classes, thresholds + 1), by rising threshold.

        A precision is NaN where no image reaches the threshold. These are the values of torchmetrics, whose own
        function takes 326 GB for MNIST where PyTorch is to be deterministic.
        """
        is_class = F.one_hot(self.labels, self.classes).bool()
        reached = [self.probabilities >= threshold for threshold in torch.linspace(0, 1, thresholds)]
        read = torch.stack([one.sum(dim=0) for one in reached], dim=1)  # (classes, thresholds)
        right = torch.stack([(one & is_class).sum(dim=0) for one in reached], dim=1)
        precision, recall = right / read, right / is_class.sum(dim=0)[:, None]
        return F.pad(precision, (0, 1), value=1.0), F.pad(recall, (0, 1))
