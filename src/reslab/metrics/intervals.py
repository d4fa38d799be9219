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
    share = hits / n
    shrink = 1 + _Z95**2 / n
    centre = (share + _Z95**2 / (2 * n)) / shrink
    reach = _Z95 / shrink * sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
    return Proportion(share, max(0.0, centre - reach), min(1.0, centre + reach))
