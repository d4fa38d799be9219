"""Shares with their intervals over a logarithmic axis, a line for each way, panels side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab.figures.axes import Axes, Scale, panel, shares, side_by_side
from reslab.figures.svg import Drawing, Words, segment

_APART = 1.07  # between two ways at the same place, so that their intervals do not hide each other


@dataclass(frozen=True, slots=True)
class Way:
    """One line."""

    style: str
    """A colour of the style sheet: `amber`, `green`, `blue` or `ink`."""
    name: Words
    points: Sequence[tuple[float, float, float, float]]
    """(place, share, low, high)."""


def ranges(title: Words, panels: Sequence[tuple[Words, Sequence[Way]]], x_axis: Words) -> Drawing:
    """One panel per data set (its name and its ways), all with the same upper axis, in percent."""
    lowest = min(low for _, ways in panels for way in ways for _, _, low, _ in way.points)
    highest = max(high for _, ways in panels for way in ways for _, _, _, high in way.points)
    drawn = []
    for name, ways in panels:
        places = sorted({place for way in ways for place, *_ in way.points})
        scale = Scale(places[0] / 1.3, places[-1] * 1.3, tuple((n, f"{n:g}") for n in places), log=True)
        axes = Axes(scale, shares(lowest, highest), x_axis, "")
        parts = axes.legend([(way.style, way.name) for way in ways])
        for number, way in enumerate(ways):
            apart = _APART ** (number - (len(ways) - 1) / 2)
            parts.append(axes.line(way.style, [(x * apart, share) for x, share, _, _ in way.points]))
            for x, share, low, high in way.points:
                parts.append(axes.dot(way.style, (x * apart, share)))
                ends = axes.place(x * apart, low), axes.place(x * apart, high)
                parts.append(segment(f"line {way.style}", *ends))
        drawn.append((axes, panel(axes, name, "", parts)))
    return side_by_side(title, drawn)
