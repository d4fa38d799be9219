"""Which labels are likely wrong: what others say of each picture, out-of-fold probabilities or a margin, as one ranking.

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", arXiv:1911.00068.
"""

from collections.abc import Sequence

import numpy as np

_TOLERANCE = 1e-6  # a probability that equals its class's threshold but for rounding reaches it


def self_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of each picture's own label, float64 `[n]`: the lower, the more doubtful.

    Args:
        probabilities: float64 `[n, classes]`, by a network that was not trained on the picture.
        labels: int64 `[n]`.
    """
    return probabilities[np.arange(len(labels)), labels]


def normalized_margin(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of the label minus the largest other one, float64 `[n]` in [-1, 1]."""
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return self_confidence(probabilities, labels) - others.max(1)


def class_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean self-confidence of each class's pictures, float64 `[classes]` (equation 2); infinite without a picture.

    A class that is recognised badly is named with little confidence, so it takes less to belong to it.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, self_confidence(probabilities, labels), minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def confident_labels(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The likeliest class among those that reach their threshold, int64 `[n]`; -1 where none does (equation 1).

    Where it is another class than the label, confident learning counts the label as wrong.
    """
    reached = probabilities >= class_thresholds(probabilities, labels) - _TOLERANCE
    best = np.where(reached, probabilities, -np.inf).argmax(1)
    return np.where(reached.any(1), best, -1)


def rank_shares(values: np.ndarray) -> np.ndarray:
    """For each value the share of all that are no larger, float64 `[n]` in (0, 1]; equal ones in the order they came.

    A picture with 0.05 is among the most doubtful 5 %.
    """
    shares = np.empty(len(values))
    shares[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1) / max(1, len(values))
    return shares


def agreed_shares(rankings: Sequence[np.ndarray]) -> np.ndarray:
    """One ranking of several: for each picture the smallest share within which all of them have it, float64 `[n]`.

    Sorted by it, the pictures that every ranking doubts come first: the first ones are the intersection of the most doubtful
    ones of each. A ranking that lacks a picture has NaN for it.
    """
    return np.nanmax(np.stack(rankings), axis=0)
