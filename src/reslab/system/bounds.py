"""The bounds of every numeric option: one table for the command line and for Python."""

import math
import numbers
import operator
from dataclasses import dataclass
from typing import Any

from reslab.errors import ResLabError

_SEEDS = 2**64


@dataclass(frozen=True, slots=True)
class Bound:
    """A range of finite numbers."""

    low: float = 0.0
    high: float = 1e9
    whole: bool = False
    open_low: bool = False
    """The lowest number itself is left out."""
    open_high: bool = False

    def holds(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)


_COUNT, _SIDE, _SHARE = Bound(0, 10**6, whole=True), Bound(0, 8192, whole=True), Bound(0, 1, open_high=True)
_POSITIVE, _AT_LEAST_ONE, _POSITIVE_COUNT = (
    Bound(0, 3e38, open_low=True),
    Bound(1, whole=True),
    Bound(1, 10**6, whole=True),
)
_SEED = Bound(-math.inf, math.inf, whole=True)

BOUNDS: dict[str, Bound] = {
    "seed": _SEED, "split_seed": _SEED,
    "epochs": _COUNT, "batch_size": _COUNT, "accumulate": _COUNT, "patience": _COUNT, "folds": _COUNT, "fold": _COUNT,
    "size": _SIDE, "workers": Bound(0, 1024, whole=True), "log_every": _AT_LEAST_ONE,
    "minutes": Bound(0, 10**6), "save_seconds": Bound(), "seconds": Bound(0, 86400),
    "val": Bound(0, 0.8), "label_smoothing": _SHARE, "ema": _SHARE, "drop_path": _SHARE, "grow": _SHARE,
    "teacher_share": Bound(0, 1), "teacher_temperature": _POSITIVE,
    "start_decay": Bound(), "weight_decay": Bound(), "clip_norm": Bound(),
    "lr": _POSITIVE, "rest_lr": _POSITIVE, "momentum": _SHARE,
    "opset": Bound(1, 100, whole=True), "max_drop_points": Bound(0, 100),
    "mean": Bound(-1000, 1000), "std": Bound(0, 1000, open_low=True),
    "port": Bound(0, 65535, whole=True), "max_bytes": Bound(1, 2**40, whole=True), "max_pixels": _AT_LEAST_ONE,
    "max_files": _POSITIVE_COUNT, "queue": _POSITIVE_COUNT, "batch": _POSITIVE_COUNT,
    "rate": _POSITIVE, "timeout": Bound(0, 86400, open_low=True), "decode_seconds": Bound(0, 86400, open_low=True),
    "num_classes": _POSITIVE_COUNT,
}  # fmt: skip
"""Option -> its bounds. 0 often leaves the choice to the program; `seed` is taken modulo 2^64 (`data.draws`)."""


def bounded(name: str, value: Any) -> Any:
    """The number as a Python int or float, if it is within its bounds; a name without a row has 0 to 1e9.

    Raises:
        ResLabError: it is not a number, not finite, not whole where it must be, or out of bounds.
    """
    bound, flag = BOUNDS.get(name, Bound()), "--" + name.replace("_", "-")
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ResLabError(f"{flag} is a number, not {value!r:.80}")
    if bound.whole:
        try:
            number: Any = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise ResLabError(f"{flag} {value} is not a whole number", "give it without decimals") from None
    else:
        number = float(value)
    if not bound.holds(number):  # nor does any range hold NaN
        raise ResLabError(f"{flag} {number:.10g} {_fault(bound, number)}", _hint(bound))
    return number % _SEEDS if name == "seed" else number


def _fault(bound: Bound, number: float) -> str:
    if not math.isfinite(number):
        return "is not a finite number"
    if number < 0 <= bound.low:
        return "is negative"
    return f"is not between {bound.low:g} and {bound.high:,.10g}"


def _hint(bound: Bound) -> str:
    low = f"above {bound.low:g}" if bound.open_low else f"from {bound.low:g}"
    return f"give a {'whole ' if bound.whole else ''}number {low}, {'below' if bound.open_high else 'up to'} {bound.high:,.10g}"
