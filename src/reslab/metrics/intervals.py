"""How sure can one be of a proportion: intervals."""

from dataclasses import dataclass
from math import sqrt

_Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float


def proportion(hits: int, n: int) -> Proportion:
    """`hits` of `n` with the Wilson score interval (Wilson 1927): honest near 0 and 1 and for small n.

    n = 0 gives a value of 0 between 0 and 1: nothing is known.
    """
    if n == 0:
        return Proportion(0.0, 0.0, 1.0)
    return Proportion(hits / n, _lower(hits, n), 1 - _lower(n - hits, n))


def _lower(hits: int, n: int) -> float:
    """The smaller root p of `n (hits/n - p)^2 = z^2 p (1 - p)`, in the form that cancels nothing: 0 hits give exactly 0."""
    spread = _Z95 * sqrt(_Z95**2 + 4 * hits * (n - hits) / n)
    return 2 * hits**2 / n / (2 * hits + _Z95**2 + spread)
