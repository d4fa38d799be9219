"""Confidence intervals of a proportion, and of the mean of several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

import numpy as np
from jaxtyping import Int

_Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution
_RESAMPLES, _SEED = 1_000, 0


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of a share, such as the accuracies of the folds of a cross-validation."""

    values: tuple[float, ...]
    mean: float
    std: float
    """The sample's: n - 1 in the denominator."""
    low: float
    """Of the 95 % interval of the mean by Student's t, within [0, 1]."""
    high: float


def spread(shares: Sequence[float]) -> Spread:
    """Mean and standard deviation of two shares or more.

    The interval assumes that they are independent. Folds are not quite: any two share training pictures, and no estimate
    from one cross-validation can correct for that (Bengio and Grandvalet 2004). Take it as approximate.
    """
    from scipy.stats import t  # imported here, since a finished model works without scipy

    middle, std = mean(shares), stdev(shares)
    half = float(t.ppf(0.975, len(shares) - 1)) * std / sqrt(len(shares))
    return Spread(tuple(shares), middle, std, max(0.0, middle - half), min(1.0, middle + half))


def proportion(hits: int, n: int) -> Proportion:
    """`hits` of `n` with the Wilson score interval (Wilson 1927), which holds near 0 and 1 and for small n.

    n = 0 gives the value 0 with the interval [0, 1].
    """
    if n == 0:
        return Proportion(0.0, 0.0, 1.0)
    return Proportion(hits / n, _lower(hits, n), 1 - _lower(n - hits, n))


def _lower(hits: int, n: int) -> float:
    """The smaller root p of `n (hits/n - p)^2 = z^2 p (1 - p)`, in the form that cancels nothing: 0 hits give exactly 0."""
    spread = _Z95 * sqrt(_Z95**2 + 4 * hits * (n - hits) / n)
    return 2 * hits**2 / n / (2 * hits + _Z95**2 + spread)


def resamples(n: int) -> Iterator[Int[np.ndarray, " n"]]:
    """1,000 bootstrap samples of n pictures (Efron 1979): how often each is drawn. The same n gives the same samples."""
    dice = np.random.default_rng(_SEED)
    for _ in range(_RESAMPLES):
        yield np.bincount(dice.integers(n, size=n), minlength=n)


def percentiles(values: np.ndarray) -> Interval:
    """The middle 95 % of bootstrap values."""
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(float(low), float(high))
