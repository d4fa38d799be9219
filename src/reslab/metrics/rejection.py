"""When a model should say that it does not know: thresholds, and what they cost. numpy only.

Two doubts, told apart: an answer *may be wrong* where its probability is low, and a picture is *not from here* where its
outlier score is high (`metrics.outlier`). An answer without either is accepted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from reslab.metrics.intervals import Proportion, proportion
from reslab.system.sampling import evenly_spaced

KEEP = 0.95
"""Share of the validation pictures whose answers are accepted."""

RELIABLE = 50
"""Below so many validation pictures a threshold rests on the two or three strangest of them."""

STORED = 1000
"""Validation pictures whose confidence, outlier score and correctness are stored, so that thresholds can be moved."""

_POINTS = 100

Values = Float[np.ndarray, "n"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """When an answer is not accepted, fitted on pictures that did not train."""

    n: int
    """Pictures that it was fitted on."""
    min_confidence: float
    """An answer whose calibrated probability is lower *may be wrong*."""
    max_outlier: float | None
    """A picture whose outlier score is higher is *not from here*; None where the model gives no features."""
    confidence: tuple[float, ...] = ()
    """Of at most `STORED` of these pictures, as are the next two."""
    outlier: tuple[float, ...] = ()
    correct: tuple[bool, ...] = ()

    @property
    def reliable(self) -> bool:
        """Whether there were enough pictures for thresholds to mean something."""
        return self.n >= RELIABLE

    def may_be_wrong(self, confidence: Values) -> Bool[np.ndarray, "n"]:
        return np.asarray(confidence) < self.min_confidence

    def not_from_here(self, outlier: Values | None) -> Bool[np.ndarray, "n"] | None:
        """None where there is no outlier score to judge by."""
        return None if outlier is None or self.max_outlier is None else np.asarray(outlier) > self.max_outlier


@dataclass(frozen=True, slots=True)
class RejectionScore:
    """What the thresholds do to labelled pictures."""

    accepted: Proportion
    accuracy: Proportion | None
    """Of the accepted answers; None where there is none."""
    may_be_wrong: int
    not_from_here: int | None
    area_under_risk_coverage: float
    """Mean error of the answered over all shares of answered pictures, the surest first; 0 is best."""
    curve: tuple[tuple[float, float], ...]
    """Share answered and error of the answered, the surest first, at some points."""
    reliable: bool
    """Whether the thresholds were fitted on `RELIABLE` pictures or more."""


def score_rejection(
    rejection: Rejection, confidence: Values, outlier: Values | None, correct: Bool[np.ndarray, "n"]
) -> RejectionScore:
    """Judge the thresholds on labelled pictures, n > 0."""
    wrong, strange = rejection.may_be_wrong(confidence), rejection.not_from_here(outlier)
    accepted = ~wrong if strange is None else ~(wrong | strange)
    coverage, risk = risk_coverage(confidence, correct)
    points = evenly_spaced(len(correct), _POINTS)
    return RejectionScore(
        accepted=proportion(int(accepted.sum()), len(correct)),
        accuracy=proportion(int(correct[accepted].sum()), int(accepted.sum())) if accepted.any() else None,
        may_be_wrong=int(wrong.sum()),
        not_from_here=None if strange is None else int(strange.sum()),
        area_under_risk_coverage=float(risk.mean()),
        curve=tuple((float(coverage[i]), float(risk[i])) for i in points),
        reliable=rejection.reliable,
    )


def fit_rejection(confidence: Values, outlier: Values | None, correct: Bool[np.ndarray, "n"]) -> Rejection:
    """The two thresholds that reject the same share each, as much as leaves `KEEP` of the answers accepted.

    Args:
        confidence: calibrated probability of each answer.
        outlier: outlier scores, or None.
    """
    n = len(confidence)
    low = np.sort(confidence)
    high = None if outlier is None else np.sort(outlier)[::-1]

    def accepted(rejected: int) -> int:
        kept = confidence >= low[rejected]
        return int((kept if outlier is None or high is None else kept & (outlier <= high[rejected])).sum())

    most = max(k for k in range(int(n * (1 - KEEP)) + 1) if k == 0 or accepted(k) >= KEEP * n)
    chosen = evenly_spaced(n, STORED)
    return Rejection(
        n=n,
        min_confidence=float(low[most]),
        max_outlier=None if high is None else float(high[most]),
        confidence=tuple(_rounded(confidence[chosen])),
        outlier=() if outlier is None else tuple(_rounded(outlier[chosen])),
        correct=tuple(bool(one) for one in correct[chosen]),
    )


def auroc(known: Values, unknown: Float[np.ndarray, "m"]) -> float:
    """Probability that an unknown picture scores higher than a known one, ties counted half (Mann-Whitney)."""
    every = np.sort(known)
    below, not_above = (np.searchsorted(every, unknown, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(every)))


def false_positive_rate(known: Values, unknown: Float[np.ndarray, "m"], keep: float = KEEP) -> float:
    """Share of unknown pictures that pass the threshold which keeps `keep` of the known ones: FPR@95."""
    threshold = np.sort(known)[max(0, int(np.ceil(keep * len(known))) - 1)]
    return float((np.asarray(unknown) <= threshold).mean())


def risk_coverage(confidence: Values, correct: Bool[np.ndarray, "n"]) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and selective risk, the error of the answered, when only the surest are answered (El-Yaniv and Wiener 2010).

    Returns:
        Both `[n]`: answering the one surest picture, the two surest, ...
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    count = np.arange(1, len(order) + 1)
    return count / len(order), np.cumsum(~np.asarray(correct)[order]) / count


def area_under_risk_coverage(confidence: Values, correct: Bool[np.ndarray, "n"]) -> float:
    """Mean selective risk over all coverages (Geifman and El-Yaniv 2017)."""
    return float(risk_coverage(confidence, correct)[1].mean())


def _rounded(values: Values) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
