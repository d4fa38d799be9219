"""What a person's number or word may be: each is checked here, on the command line and in Python alike."""

import math
import numbers
import operator
from dataclasses import dataclass
from typing import Any

from reslab.errors import ResLabError, nearest


@dataclass(frozen=True, slots=True)
class OneOf:
    """A choice of words."""

    known: tuple[str, ...]

    def check(self, flag: str, value: Any) -> Any:
        """The word itself.

        Raises:
            ResLabError: it is none of them.
        """
        if value not in self.known:
            raise ResLabError(f"{flag} {value} is unknown", nearest(value, filter(None, self.known)))
        return value


@dataclass(frozen=True, slots=True)
class Bound:
    """A range of finite numbers."""

    low: float = 0.0
    high: float = 1e9
    whole: bool = False
    open_low: bool = False
    """The lowest number itself is left out."""
    open_high: bool = False
    modulo: int = 0
    """What the number is reduced by; 0 leaves it as it is."""

    def holds(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def check(self, flag: str, value: Any) -> Any:
        """The number as Python's own int or float.

        Raises:
            ResLabError: it is no number, not finite, not whole where it must be, or out of range.
        """
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ResLabError(f"{flag} is a number, not {value!r:.80}")
        if self.whole:
            try:
                number: Any = operator.index(value)  # type: ignore[arg-type]
            except TypeError:
                raise ResLabError(f"{flag} {value} is not a whole number", "give a whole number") from None
        else:
            number = float(value)
        if not self.holds(number):  # nor does any range hold NaN
            raise ResLabError(f"{flag} {number:.10g} {self._fault(number)}", self._hint())
        return number % self.modulo if self.modulo else number

    def _fault(self, number: float) -> str:
        if not math.isfinite(number):
            return "is not a finite number"
        if number < 0 <= self.low:
            return "is negative"
        return f"is not between {self.low:g} and {self.high:,.10g}"

    def _hint(self) -> str:
        low = f"above {self.low:g}" if self.open_low else f"from {self.low:g}"
        high = f"{'below' if self.open_high else 'up to'} {self.high:,.10g}"
        return f"give a {'whole ' if self.whole else ''}number {low}, {high}"


COUNT, POSITIVE_COUNT = Bound(0, 10**6, whole=True), Bound(1, 10**6, whole=True)
SHARE, POSITIVE, AT_LEAST_ONE = Bound(0, 1, open_high=True), Bound(0, 3e38, open_low=True), Bound(1, whole=True)
SEED = Bound(-math.inf, math.inf, whole=True, modulo=2**64)  # as `data.draws` takes it

BOUNDS: dict[str, Bound] = {
    "opset": Bound(1, 100, whole=True), "max_drop_points": Bound(0, 100), "coverage": Bound(0, 1, open_low=True, open_high=True),
    "seconds": Bound(0, 86400),
    "mean": Bound(-1000, 1000), "std": Bound(0, 1000, open_low=True),
    "top": Bound(1, 1000, whole=True),
    "port": Bound(0, 65535, whole=True), "max_bytes": Bound(1, 2**40, whole=True), "max_pixels": AT_LEAST_ONE,
    "max_files": POSITIVE_COUNT, "queue": POSITIVE_COUNT, "batch": POSITIVE_COUNT, "processes": POSITIVE_COUNT,
    "rate": POSITIVE, "timeout": Bound(0, 86400, open_low=True), "decode_seconds": Bound(0, 86400, open_low=True),
}  # fmt: skip
"""Option -> what its number may be; those of a training stand beside its settings (`train.config.SETTINGS`)."""
