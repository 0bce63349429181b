"""What a network does, counted: against counts by hand, scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_precision_recall_curve,
)

from mnist_lightning.datasets.source import noun
from mnist_lightning.evaluation.measures import Evaluation


@pytest.fixture(scope="module")
def random_evaluation() -> Evaluation:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (3000,), generator=generator)
    logits = torch.randn(3000, 10, generator=generator) + 2 * F.one_hot(labels, 10)
    return Evaluation(logits, labels)


def test_counts_by_hand() -> None:
    logits = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 2, 1], [0, 0, 9], [1, 0, 0]])
    evaluation = Evaluation(logits, torch.tensor([0, 1, 2, 2, 2]))
    assert evaluation.counts == {
        "accuracy": 3 / 5, "errors": 2, "total": 5,
        "loss": pytest.approx(F.cross_entropy(logits, torch.tensor([0, 1, 2, 2, 2])).item()),
    }  # fmt: skip
    assert evaluation.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 1]]
    assert evaluation.most_confused() == [
        {"true": 2, "predicted": 0, "count": 1},
        {"true": 2, "predicted": 1, "count": 1},
    ]
    assert evaluation.most_confident_errors(9).tolist() == [2, 4], "by the probability of the wrong answer"
    assert evaluation.most_confident_errors(1).tolist() == [2]


def test_per_class_equals_scikit_learn(random_evaluation: Evaluation) -> None:
    expected = precision_recall_fscore_support(random_evaluation.labels, random_evaluation.predicted)
    rows = random_evaluation.per_class()
    for name, values in zip(("precision", "recall", "f1", "images"), expected, strict=True):
        np.testing.assert_allclose([row[name] for row in rows], values, rtol=1e-6)


def test_precision_and_recall_equal_torchmetrics(random_evaluation: Evaluation) -> None:
    expected = multiclass_precision_recall_curve(
        random_evaluation.probabilities, random_evaluation.labels, 10, thresholds=101
    )
    for ours, theirs in zip(random_evaluation.precision_recall(), expected[:2], strict=True):
        assert ours.shape == (10, 102)
        torch.testing.assert_close(ours, theirs, equal_nan=True)


def test_precision_and_recall_by_hand() -> None:
    """Probabilities 0.9, 0.6 and 0.2 of class 0, of which the first and the last are right; at 0, 0.5 and 1."""
    probabilities = torch.tensor([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0]])
    nan = float("nan")
    precision, recall = Evaluation(probabilities.log(), torch.tensor([0, 1, 0])).precision_recall(thresholds=3)
    torch.testing.assert_close(
        precision[0], torch.tensor([2 / 3, 1 / 2, nan, 1]), equal_nan=True
    )  # at 0, 0.5, 1, beyond
    torch.testing.assert_close(recall[0], torch.tensor([1, 1 / 2, 0, 0]))


def test_calibration_equals_torchmetrics(random_evaluation: Evaluation) -> None:
    for bins in (10, 15):
        expected = multiclass_calibration_error(
            random_evaluation.probabilities, random_evaluation.labels, 10, n_bins=bins
        )
        reliability = random_evaluation.reliability(bins)
        assert reliability.expected_error == pytest.approx(expected.item(), abs=1e-6)
        assert int(reliability.counts.sum()) == 3000


def test_calibration_by_hand() -> None:
    """Four answers of confidence 0.9, of which one is wrong: 0.15 apart."""
    logits = torch.tensor([[9.0, 1.0]]).log().expand(4, 2)
    reliability = Evaluation(logits, torch.tensor([0, 0, 0, 1])).reliability(bins=10)
    assert reliability.expected_error == pytest.approx(0.15, abs=1e-6)


def answers(pairs: list[tuple[int, int]], classes: int, confidence: float = 0.9) -> Evaluation:
    """Return the evaluation of answers of one confidence, each given as (true, predicted)."""
    true, predicted = torch.tensor(pairs).T
    others = (1 - confidence) / (classes - 1)
    probabilities = torch.full((len(pairs), classes), others).scatter(1, predicted[:, None], confidence)
    return Evaluation(probabilities.log(), true)


def test_what_a_class_is_called() -> None:
    assert noun(["0", "1", "10"]) == "digit"
    assert noun(["0", "one"]) == noun(["cat", "dog"]) == "class"


def test_per_class_by_hand() -> None:
    """Class 0: one of its two images is right, and one of three answers; nobody ever says 2, and there is no 3."""
    rows = answers([(0, 0), (0, 1), (1, 0), (1, 1), (1, 1), (2, 0)], classes=4).per_class()
    assert [row["class"] for row in rows] == [0, 1, 2, 3]
    assert [row["images"] for row in rows] == [2, 3, 1, 0]
    assert [row["precision"] for row in rows] == pytest.approx([1 / 3, 2 / 3, 0, 0])
    assert [row["recall"] for row in rows] == pytest.approx([1 / 2, 2 / 3, 0, 0])
    assert [row["f1"] for row in rows] == pytest.approx([2 / 5, 2 / 3, 0, 0])
    [only, _] = answers([(0, 0)], classes=2).per_class()
    assert (only["precision"], only["recall"], only["f1"]) == (1, 1, 1)


def test_bins_of_confidence_by_hand() -> None:
    """Of two bins the first holds 0.5, too; of three, with 0.5, 0.5 and 1, the first is empty."""
    evaluation = Evaluation(torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 200.0]]), torch.tensor([0, 1, 1]))
    two, three = evaluation.reliability(2), evaluation.reliability(3)
    assert two.counts.tolist() == [2, 1]
    assert (two.confidence.tolist(), two.accuracy.tolist()) == ([0.5, 1], [0.5, 1])
    assert three.counts.tolist() == [0, 2, 1]
    assert (three.confidence.tolist(), three.accuracy.tolist()) == ([0, 0.5, 1], [0, 0.5, 1])
    assert (two.expected_error, three.expected_error) == (0, 0)
    assert len(evaluation.reliability().counts) == 15, "as Guo et al. have them"


def test_expected_calibration_error_is_weighted_by_the_images() -> None:
    """Three of confidence 0.9, all right: 0.1 apart; one of 0.6, wrong: 0.6 apart."""
    probabilities = torch.tensor([[0.9, 0.1]] * 3 + [[0.6, 0.4]])
    reliability = Evaluation(probabilities.log(), torch.tensor([0, 0, 0, 1])).reliability(10)
    assert reliability.expected_error == pytest.approx((3 * 0.1 + 0.6) / 4)


def test_what_was_confused_most_often_comes_first() -> None:
    evaluation = answers([(0, 1)] * 2 + [(1, 0)] * 3 + [(2, 1)] * 2 + [(2, 2)] * 9, classes=3)
    by_hand = [(1, 0, 3), (0, 1, 2), (2, 1, 2)]
    assert evaluation.most_confused() == [{"true": t, "predicted": p, "count": n} for t, p, n in by_hand]
    assert len(evaluation.most_confused(1)) == 1
    everything = answers([(t, p) for t in range(4) for p in range(4)], classes=4)
    assert [(pair["true"], pair["predicted"]) for pair in everything.most_confused()] == [
        (0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3), (2, 0), (2, 1), (2, 3), (3, 0),
    ]  # fmt: skip
    assert everything.confusion.diagonal().tolist() == [1, 1, 1, 1], "it is looked at, not changed"


def test_the_most_confident_errors_come_first() -> None:
    logits = torch.tensor([[2.0, 0], [3, 0], [0, 9], [2, 0], [4, 0]])
    evaluation = Evaluation(logits, torch.tensor([1, 1, 1, 1, 0]))
    assert evaluation.most_confident_errors(9).tolist() == [1, 0, 3]
    assert evaluation.most_confident_errors(2).tolist() == [1, 0]
