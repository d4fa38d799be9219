"""Scores of a classifier: pure functions of (logits, labels), in float64, exact sums over pictures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from reslab.metrics.calibration import (
    Labels,
    Scores,
    calibration_error_interval,
    expected_calibration_error,
    negative_log_likelihood,
    softmax,
)
from reslab.metrics.intervals import Interval, Proportion, proportion

TOP_K = 5


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One row of the per-class table. Undefined ratios (no such picture, no such answer) are 0, as in scikit-learn."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Score:
    """The scores of a model on `n` labelled pictures."""

    n: int
    top1: Proportion
    top5: Proportion | None
    """None below six classes, where it would be trivially high."""
    balanced_accuracy: float
    """Mean recall over the classes that occur."""
    majority_baseline: float
    """Accuracy of always answering the most frequent class of these pictures."""
    nll: float
    """Mean negative log likelihood, in nats."""
    ece: float
    """Expected calibration error over 15 bins of equal width."""
    ece_interval: Interval
    """See `calibration_error_interval`."""
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Row: true class; column: answer."""
    classes: tuple[str, ...]


def balanced_accuracy(answers: Labels, labels: Labels) -> float:
    """Mean recall over the classes that occur; labels and answers int `[n]`, n > 0."""
    return float(np.mean([(answers[labels == label] == label).mean() for label in np.unique(labels)]))


def score(logits: Scores, labels: Labels, classes: tuple[str, ...]) -> Score:
    """Score predictions.

    Args:
        logits: `[n, classes]`; calibrated ones give calibrated `nll` and `ece`.
        labels: int `[n]`, n > 0.
        classes: the names, in the order of the columns.
    """
    answers, probabilities = logits.argmax(axis=1), softmax(logits)
    matrix = confusion(labels, answers, len(classes))
    per_class = _per_class(matrix, classes)
    return Score(
        n=len(labels),
        top1=proportion(int(np.trace(matrix)), len(labels)),
        top5=proportion(_hits_in_top(logits, labels, TOP_K), len(labels)) if len(classes) > TOP_K else None,
        balanced_accuracy=balanced_accuracy(answers, labels),
        majority_baseline=float(matrix.sum(axis=1).max() / len(labels)),
        nll=negative_log_likelihood(logits, labels),
        ece=expected_calibration_error(probabilities, labels),
        ece_interval=calibration_error_interval(probabilities.max(axis=1), answers == labels),
        per_class=per_class,
        confusion=tuple(tuple(int(c) for c in row) for row in matrix),
        classes=classes,
    )


def confusion(labels: Labels, answers: Labels, num_classes: int) -> Int[np.ndarray, "classes classes"]:
    """int64 `[classes, classes]`: how often the true class (row) was answered as the column."""
    shape = (num_classes, num_classes)
    return np.bincount(np.ravel_multi_index((labels, answers), shape), minlength=num_classes**2).reshape(shape)


def _per_class(matrix: Int[np.ndarray, "classes classes"], classes: tuple[str, ...]) -> tuple[ClassScore, ...]:
    rows = []
    for k, label in enumerate(classes):
        hits, true, answered = int(matrix[k, k]), int(matrix[k].sum()), int(matrix[:, k].sum())
        precision = hits / answered if answered else 0.0
        recall = hits / true if true else 0.0
        f1 = 2 * hits / (true + answered) if true + answered else 0.0
        rows.append(ClassScore(label, true, precision, recall, f1))
    return tuple(rows)


def _hits_in_top(logits: Scores, labels: Labels, k: int) -> int:
    """Ranked by logits; on ties the earlier class comes first, as in argmax."""
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    ahead = (logits > own) | ((logits == own) & earlier)
    return int((ahead.sum(axis=1) < k).sum())
