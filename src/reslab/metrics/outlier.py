"""Scores that tell pictures like those of the training from others, out of logits and pooled features. numpy only.

Higher is stranger in all of them. A model uses `boundary_distance`: it needs one stored vector and no number that was
tuned on strange pictures. The others are what it was compared with (`reproduce/rejection.py`).

Shapes: logits `[n, classes]`; features `[n, d]`, the input of the linear layer; its weight `[classes, d]`, bias `[classes]`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from reslab.metrics.calibration import Scores, log_softmax, softmax
from reslab.metrics.neighbours import nearest_rows

Features = Float[np.ndarray, "n d"]
Weight = Float[np.ndarray, "classes d"]
OutlierScores = Float64[np.ndarray, "n"]

_TINY = 1e-12


def class_gaps(weight: Weight) -> Float64[np.ndarray, "classes classes"]:
    """Distance between the weights of each two classes."""
    exact = weight.astype(np.float64)
    squares = (exact**2).sum(1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * exact @ exact.T, 0))


def boundary_distance(logits: Scores, features: Features, gaps: np.ndarray, mean: np.ndarray) -> OutlierScores:
    """Minus the mean distance to the decision boundaries, over the distance to the mean of the training features: fDBD.

    The distance of features z, answered as class f, to the boundary with class c is
    `(logit_f - logit_c) / |w_f - w_c|` (Liu and Qin 2024, arXiv:2312.11536, equations 5 and 7).

    Args:
        gaps: what `class_gaps` gives.
        mean: `[d]`, of the training features.
    """
    exact, answered = logits.astype(np.float64), logits.argmax(1)
    margin = exact[np.arange(len(exact)), answered][:, None] - exact
    others = max(1, logits.shape[1] - 1)
    to_boundary = (margin / np.maximum(gaps[answered], _TINY)).sum(1) / others  # the margin to the answer itself is 0
    return -to_boundary / np.maximum(np.linalg.norm(features - mean.astype(np.float64), axis=1), _TINY)


def max_softmax(logits: Scores) -> OutlierScores:
    """Minus the highest probability (Hendrycks and Gimpel 2017, arXiv:1610.02136)."""
    return -softmax(logits).max(1)


def energy(logits: Scores) -> OutlierScores:
    """`-log sum exp` of the logits (Liu et al. 2020, arXiv:2010.03759, equation 4 with T = 1)."""
    return (log_softmax(logits)[:, 0] - logits[:, 0]).astype(np.float64)


def generalized_entropy(logits: Scores, gamma: float = 0.1, top: int = 100) -> OutlierScores:
    """`sum p^gamma (1 - p)^gamma` over the likeliest classes: GEN (Liu et al. 2023, CVPR, equation 4)."""
    p = np.sort(softmax(logits), axis=1)[:, -top:]
    return ((p * (1 - p)) ** gamma).sum(1)


def neighbour_distance(features: Features, known: Float[np.ndarray, "m d"], k: int = 50) -> OutlierScores:
    """Distance to the k-th nearest training picture, features at unit length (Sun et al. 2022, arXiv:2204.06507).

    Args:
        known: `[m, d]`, features of training pictures.
    """
    similarity = nearest_rows(features, known, k).similarity[:, -1]
    return np.sqrt(np.maximum(2 - 2 * similarity.astype(np.float64), 0))


@dataclass(frozen=True, slots=True)
class ResidualSpace:
    """What ViM keeps of the training: directions in which training features hardly vary (Wang et al. 2022, arXiv:2203.10807)."""

    origin: np.ndarray
    """`[d]`: the features for which all logits are equal, as nearly as can be."""
    directions: np.ndarray
    """`[d, d - kept]`."""
    scale: float
    """Makes the virtual logit of training pictures as large as their greatest logit, on average (equation 6)."""


def fit_residual_space(features: Features, logits: Scores, weight: Weight, bias: np.ndarray) -> ResidualSpace:
    """Principal directions of the training features; as many are kept as the authors keep of as many features."""
    d = features.shape[1]
    kept = 1000 if d >= 2048 else 512 if d >= 768 else d // 2
    origin = -np.linalg.pinv(weight.astype(np.float64)) @ bias
    centred = features - origin
    _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    directions = vectors[:, : d - kept]  # eigenvalues ascend
    scale = float(logits.max(1).mean() / np.maximum(np.linalg.norm(centred @ directions, axis=1).mean(), _TINY))
    return ResidualSpace(origin, directions, scale)


def virtual_logit(features: Features, logits: Scores, space: ResidualSpace) -> OutlierScores:
    """ViM: the length outside the principal space as one more logit, against the energy of the others (equation 7)."""
    return space.scale * np.linalg.norm((features - space.origin) @ space.directions, axis=1) + energy(logits)
