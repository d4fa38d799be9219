"""Axes: where values come to lie, which of them are named, and the grid, lines and legend of a panel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reslab.figures.svg import Drawing, Element, Point, Words, circle, element, path, segment, text
from reslab.words.phrases import TABLES

_GAP = 28  # between panels side by side
_SAMPLE = 18  # length of a line's sample in the legend


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis; a value beyond an end is drawn at that end."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    """The values that are named, and their names."""
    log: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, from 0 to 1."""
        ends = self.low, min(max(value, self.low), self.high), self.high
        low, place, high = map(math.log10, ends) if self.log else ends
        return (place - low) / (high - low)


def ticks(low: float, high: float, about: int = 5, whole: bool = False) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from at most `low` to at least `high`.

    Args:
        about: roughly how many.
        whole: integers only.
    """
    raw = (high - low or 1.0) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, max(last, first + 1) + 1)]


def linear(low: float, high: float, unit: float = 1) -> Scale:
    """From one round number to another, at least from `low` to `high`; a value is written `unit` times as large."""
    levels = ticks(low, high)
    return Scale(levels[0], levels[-1], tuple((value, f"{unit * value:g}") for value in levels))


def shares(low: float, high: float = 1.0) -> Scale:
    """Shares, written in percent."""
    return linear(low, high, unit=100)


def counts(first: float, last: float) -> Scale:
    """From `first` to exactly `last`, with whole numbers named."""
    last = max(last, first + 1) if first else last
    named = (first, *(n for n in ticks(0, last, about=6, whole=True) if first < n <= last))
    return Scale(first, last, tuple((value, f"{value:g}") for value in named))


def powers(values: Sequence[float]) -> Scale:
    """A logarithmic axis between powers of ten that hold every value above zero."""
    exponents = [math.log10(value) for value in values if value > 0]
    low = math.floor(min(exponents) + 1e-9)
    high = max(math.ceil(max(exponents) - 1e-9), low + 1)
    step = max(1, math.ceil((high - low) / 6))
    return Scale(10.0**low, 10.0**high, tuple((10.0**n, _power(n)) for n in range(low, high + 1, step)), log=True)


def _power(exponent: int) -> str:
    """`10⁻³`"""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


@dataclass(frozen=True, slots=True)
class Axes:
    """Two scales in a rectangle of the drawing."""

    x: Scale
    y: Scale
    x_name: Words
    y_name: Words
    left: float = 40
    right: float = 326
    top: float = 58
    bottom: float = 218
    names: float = 46
    """The height of the upper axis' name and of the legend."""
    font: float = 10

    def place(self, x: float, y: float) -> Point:
        """Where a pair of values comes to lie."""
        return (
            self.left + self.x.share(x) * (self.right - self.left),
            self.bottom - self.y.share(y) * (self.bottom - self.top),
        )

    def grid(self) -> list[Element]:
        """Horizontal rules, the lower axis, and every name beside them."""
        parts = []
        for value, name in self.y.ticks:
            _, y = self.place(self.x.low, value)
            parts += [
                segment("rule", (self.left, y), (self.right, y)),
                text(self.left - 6, y + 4, name, "tick", "end"),
            ]
        parts.append(segment("axis", (self.left, self.bottom), (self.right, self.bottom)))
        for value, name in self.x.ticks:
            parts.append(text(self.place(value, self.y.low)[0], self.bottom + 15, name, "tick", "middle"))
        parts.append(text(self.right, self.bottom + 28, self.x_name, "unit", "end"))
        return [*parts, text(0, self.names, self.y_name, "unit")]

    def line(self, style: str, points: Sequence[Point]) -> Element:
        """A line through values."""
        return path(f"line {style}", [self.place(*point) for point in points])

    def dot(self, style: str, point: Point, title: Words = "", radius: float = 3) -> Element:
        """A dot at a pair of values."""
        return circle(f"dot {style}", self.place(*point), radius, title)

    def mark(self, style: str, x: float, words: Words) -> list[Element]:
        """A vertical line at a value of the lower axis, with words above it that lean to the middle."""
        place, _ = self.place(x, self.y.low)
        anchor = "end" if place > (self.left + self.right) / 2 else "start"
        return [
            segment(style, (place, self.top - 5), (place, self.bottom)),
            text(place, self.top - 8, words, "mark", anchor),
        ]

    def legend(self, lines: Sequence[tuple[str, Words]]) -> list[Element]:
        """Samples of lines (style and name), right-aligned, with room for the longer language."""
        widths = [_SAMPLE + 5 + self.font * (0.55 * _length(name) + 1) for _, name in lines]
        parts, x = [], self.right + 0.6 * self.font - sum(widths)
        for (style, name), width in zip(lines, widths, strict=True):
            parts += [
                path(f"line {style}", [(x, self.names - 4), (x + _SAMPLE, self.names - 4)]),
                text(x + _SAMPLE + 5, self.names, name),
            ]
            x += width
        return parts


def _length(words: Words) -> int:
    """About how many letters wide words are; a Chinese sign is as wide as two."""
    texts = [words] if isinstance(words, str) else [words.text(language) for language in TABLES]
    return max(sum(2 if ord(sign) > 0x2E80 else 1 for sign in each) for each in texts)


def panel(axes: Axes, title: Words, note: Words, parts: Sequence[Element]) -> list[Element]:
    """Axes under a title and a note, and what is drawn between them."""
    head = [text(0, 10, title), *([text(0, 26, note, "unit")] if note else [])]
    return [*head, *axes.grid(), *parts]


def side_by_side(title: Words, panels: Sequence[tuple[Axes, Sequence[Element]]]) -> Drawing:
    """A figure of panels."""
    parts, x = [], 0.0
    for axes, content in panels:
        parts.append(element("g", *content, transform=f"translate({x:g},0)"))
        x += axes.right + 4 + _GAP
    return Drawing(title, x - _GAP, panels[0][0].bottom + 32, parts)
