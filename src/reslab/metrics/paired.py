"""Compare two models on the same pictures: only those on which they disagree carry information."""

from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from jaxtyping import Bool

LEVEL = 0.05
"""Significance level of the tests."""
A_BETTER, B_BETTER = "a is better", "b is better"

_RESAMPLES, _SEED = 10_000, 0
_POWER = 2.8  # standard errors: a true difference of so many is found in 80 % of tests at 5 %
_WORTH = 0.05  # a difference in accuracy that most people would want to see


@dataclass(frozen=True, slots=True)
class Comparison:
    """The accuracies of two models on the same pictures, and the uncertainty of their difference."""

    n: int
    a: float
    b: float
    difference: float
    """a - b."""
    low: float
    """Of the 95 % interval of the difference: paired bootstrap (Efron 1979), percentiles."""
    high: float
    p_value: float
    """McNemar's exact test (1947): the probability of so uneven a disagreement if neither is better."""
    only_a: int
    """Pictures that only the first answers correctly."""
    only_b: int
    verdict: str
    """`a is better`, `b is better`, `no difference shown`, or `too few pictures to tell`."""


def compare_paired(a: Bool[np.ndarray, " batch"], b: Bool[np.ndarray, " batch"]) -> Comparison:
    """Compare two models by which of the same pictures each answers correctly."""
    n, only_a, only_b = len(a), int((a & ~b).sum()), int((b & ~a).sum())
    difference = (only_a - only_b) / n
    low, high = _interval(only_a, only_b, n)
    p = mcnemar(only_a, only_b)
    return Comparison(
        n=n, a=float(a.mean()), b=float(b.mean()), difference=difference, low=low, high=high, p_value=p,
        only_a=only_a, only_b=only_b, verdict=_verdict(difference, low, high, p, (only_a + only_b) / n, n),
    )  # fmt: skip


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value: disagreements are tosses of a fair coin."""
    n, fewer = only_a + only_b, min(only_a, only_b)
    return min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)


def _interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Bootstrap over pictures: the counts of the three outcomes are multinomial, so no picture has to be resampled."""
    shares = np.array([only_a, only_b, n - only_a - only_b]) / n
    draws = np.random.default_rng(_SEED).multinomial(n, shares, _RESAMPLES)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def _verdict(difference: float, low: float, high: float, p: float, disagreement: float, n: int) -> str:
    if p < LEVEL and (low > 0 or high < 0):
        return A_BETTER if difference > 0 else B_BETTER
    return undecided(sqrt(max(disagreement, 1 / n) / n))


def undecided(error: float) -> str:
    """The verdict if no difference was found, by the standard error of the difference."""
    return "too few pictures to tell" if _POWER * error > _WORTH else "no difference shown"
