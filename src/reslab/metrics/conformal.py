"""Sets of labels that contain the true one with a promised probability: split-conformal prediction. numpy only.

The promise holds for pictures that come as the calibration pictures did, on average over them and over calibration sets; its
proof asks nothing of the network (Vovk et al. 2005; Angelopoulos and Bates 2021, arXiv:2107.07511).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from reslab.errors import ResLabError
from reslab.metrics.calibration import Labels
from reslab.metrics.intervals import Proportion, proportion

COVERAGES = (0.90, 0.95, 0.99)
"""Coverages whose quantiles are stored."""

Method = Literal["lac", "raps", "class"]
"""`lac` gives the smallest sets, `raps` sets that grow with the difficulty, `class` a promise for every class."""

_LAMBDA = 0.01  # of RAPS: penalty per label beyond the first; fixed, not tuned

Probabilities = Float[np.ndarray, "n classes"]


@dataclass(frozen=True, slots=True)
class Conformal:
    """Quantiles of conformity scores, one row per coverage of `COVERAGES`."""

    n: int
    lac: tuple[float | None, ...]
    """None where there were too few pictures: every label is then in the set."""
    raps: tuple[float | None, ...]
    by_class: tuple[tuple[float | None, ...], ...]
    """Of `lac`, for each class by its own pictures."""
    counts: tuple[int, ...]
    """Pictures of each class."""


def fit_conformal(probabilities: Probabilities, labels: Labels) -> Conformal:
    """Quantiles of calibrated probabilities on pictures that did not train."""
    lac, raps = (_of_labels(score(probabilities), labels) for score in (lac_scores, raps_scores))
    classes = range(probabilities.shape[1])
    return Conformal(
        n=len(labels),
        lac=tuple(conformal_quantile(lac, c) for c in COVERAGES),
        raps=tuple(conformal_quantile(raps, c) for c in COVERAGES),
        by_class=tuple(tuple(conformal_quantile(lac[labels == k], c) for k in classes) for c in COVERAGES),
        counts=tuple(int((labels == k).sum()) for k in classes),
    )


def prediction_sets(
    probabilities: Probabilities, found: Conformal, coverage: float = 0.95, method: Method = "lac"
) -> Bool[np.ndarray, "n classes"]:
    """Which labels are in each picture's set.

    Raises:
        ResLabError: the coverage is not stored, or a promise for every class is asked for and a class had too few pictures.
    """
    row = check_coverage(coverage)
    if method not in get_args(Method):
        raise ResLabError(f"there is no kind of set {method!r}", f"one of {', '.join(get_args(Method))}")
    if method == "class":
        quantiles: Sequence[float | None] = found.by_class[row]
        if missing := [k for k, quantile in enumerate(quantiles) if quantile is None]:
            fewest = min(found.counts[k] for k in missing)
            raise ResLabError(
                f"{len(missing)} of {len(quantiles)} classes had too few validation pictures for a promise of {coverage:g} "
                f"of their own: one had {fewest}, and {needed(coverage)} are needed",
                "leave the kind of set out: then the promise is for all pictures together",
            )
        return lac_scores(probabilities) <= np.array(quantiles, np.float64)
    scores, quantile = (
        (lac_scores(probabilities), found.lac[row])
        if method == "lac"
        else (raps_scores(probabilities), found.raps[row])
    )
    return scores <= (np.inf if quantile is None else quantile)


@dataclass(frozen=True, slots=True)
class SetScore:
    """Prediction sets of one kind on labelled pictures."""

    method: Method
    coverage: float
    """Promised."""
    measured: Proportion
    """Share of the sets that contain the true label."""
    size: float
    """Mean number of labels in a set."""
    empty: int
    """Sets without a label: no label is likely enough to belong to a set of this coverage."""


def score_sets(probabilities: Probabilities, labels: Labels, found: Conformal) -> tuple[SetScore, ...]:
    """Every kind of set that the model can promise, at every coverage, on labelled pictures, n > 0."""
    scores = []
    for row, coverage in enumerate(COVERAGES):
        for method in get_args(Method):
            if method == "class" and None in found.by_class[row]:
                continue
            inside = prediction_sets(probabilities, found, coverage, method)
            sizes, hits = inside.sum(1), int(_of_labels(inside, labels).sum())
            measured = proportion(hits, len(labels))
            scores.append(SetScore(method, coverage, measured, float(sizes.mean()), int((sizes == 0).sum())))
    return tuple(scores)


def check_coverage(coverage: float) -> int:
    """The place of a coverage in `COVERAGES`.

    Raises:
        ResLabError: it is not stored.
    """
    if not 0 < coverage < 1:
        raise ResLabError(f"a coverage lies between 0 and 1, and this is {coverage:g}", "for example 0.95")
    if coverage not in COVERAGES:
        stored = ", ".join(f"{one:g}" for one in COVERAGES)
        raise ResLabError(f"model files hold the coverages {stored}, not {coverage:g}", "choose one of them")
    return COVERAGES.index(coverage)


def lac_scores(probabilities: Probabilities) -> Float[np.ndarray, "n classes"]:
    """One minus the probability of each label: least ambiguous sets (Sadinle et al. 2019, arXiv:1609.00451)."""
    return 1 - probabilities


def raps_scores(probabilities: Probabilities) -> Float[np.ndarray, "n classes"]:
    """Sum of the probabilities of the likelier labels, and a penalty for each label after the first.

    RAPS (Angelopoulos et al. 2021, arXiv:2009.14193, equation 4) with its random number u = 1: equal pictures get equal
    sets, no set is empty, and where most answers are right they contain the true label more often than promised.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, 1)
    above = np.cumsum(ordered, axis=1) - ordered + _LAMBDA * np.arange(probabilities.shape[1])
    scores = np.empty_like(above)
    np.put_along_axis(scores, order, above, axis=1)
    return scores


def conformal_quantile(scores: Float[np.ndarray, "n"], coverage: float) -> float | None:
    """The `ceil((n + 1) coverage)`-th smallest score; None where that is more than there are."""
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return None if rank > len(scores) else float(np.sort(scores)[rank - 1])


def needed(coverage: float) -> int:
    """The fewest pictures with which a coverage can be promised."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def coverage_band(n: int, pictures: int, coverage: float, share: float = 0.95) -> tuple[float, float]:
    """Within which the measured coverage of `pictures` new pictures lies with probability `share`, calibrated on `n`.

    Beta-binomial: the quantile is the `ceil((n + 1) coverage)`-th of n exchangeable scores (Vovk 2012, proposition 2a).
    """
    from scipy.stats import betabinom  # imported here, since a finished model works without scipy

    rank = math.ceil((n + 1) * coverage - 1e-9)
    low, high = betabinom(pictures, rank, n + 1 - rank).interval(share)
    return float(low) / pictures, float(high) / pictures


def _of_labels(scores: np.ndarray, labels: Labels) -> np.ndarray:
    return scores[np.arange(len(labels)), labels]
