"""Gains with their intervals, a row for each step of a ladder; with symbols for names one file serves both languages."""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab.figures.axes import Axes, linear
from reslab.figures.svg import Drawing, circle, segment, text

_ROW, _TOP, _LEFT, _RIGHT = 22, 12, 76, 360


@dataclass(frozen=True, slots=True)
class Gain:
    """What one change has brought."""

    name: str
    value: float
    """In percentage points, as are the ends of its 95 % interval."""
    low: float
    high: float


def gains(rows: Sequence[Gain], axis: str) -> Drawing:
    """A dot and an interval for each row, and a line at zero; filled dots where the interval leaves zero out."""
    bottom = _TOP + _ROW * len(rows)
    scale = linear(min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows)))
    axes = Axes(scale, linear(0, 1), axis, "", left=_LEFT, right=_RIGHT, top=_TOP, bottom=bottom)
    parts = [segment("axis", (axes.place(0, 0)[0], _TOP - 4), (axes.place(0, 0)[0], bottom))]
    for value, name in scale.ticks:
        parts.append(text(axes.place(value, 0)[0], bottom + 15, name.replace("-", "−"), "tick", "middle"))
    parts.append(segment("axis", (_LEFT, bottom), (_RIGHT, bottom)))
    parts.append(text(_RIGHT, bottom + 30, axis, "unit", "end"))
    for number, row in enumerate(rows):
        y = _TOP + _ROW * (number + 0.5)
        low, middle, high = (axes.place(each, 0)[0] for each in (row.low, row.value, row.high))
        clear = row.low > 0 or row.high < 0
        parts += [
            text(_LEFT - 10, y + 4, row.name, "", "end"),
            segment("line ink", (low, y), (high, y)),
            circle("dot ink" if clear else "line ink", (middle, y), 4),
        ]
    return Drawing(f"{axis}: " + ", ".join(row.name for row in rows), _RIGHT + 8, bottom + 36, parts)
