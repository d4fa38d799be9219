"""Figures of the lessons: maps as tiles, lines on a logarithmic axis, and any figure as an SVG file of its own.

The two kinds drawn here speak in symbols, so that one file serves both languages.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from reslab.figures.curves import ticks

_STYLE = """
svg { --card: #ffffff; --ink: #1d2329; --quiet: #5c6670; --rule: #e2e0da; --blue: #2a5f9e; --amber: #b4540f; --green: #2f7a4d;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
@media (prefers-color-scheme: dark) { svg { --card: #1b1f23; --ink: #e4e6e8; --quiet: #9aa4ae; --rule: #2d3238;
  --blue: #7fb0e6; --amber: #eda05a; --green: #7cc79a; } }
.card { fill: var(--card); stroke: var(--rule); }
text { fill: var(--ink); font-size: 10px; }
.number { font-size: 9.5px; } .number.over { fill: var(--card); }
.tick, .unit, .mark { fill: var(--quiet); font-size: 9.5px; }
.rule { stroke: var(--rule); } .axis { stroke: var(--quiet); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.first, .training { stroke: var(--blue); } .second, .validation { stroke: var(--amber); stroke-dasharray: 6 3; }
.third { stroke: var(--green); stroke-dasharray: 2 3; }
.steps { stroke: var(--blue); stroke-width: 1; opacity: 0.4; }
.dot { stroke: none; } .dot.training { fill: var(--blue); } .dot.validation { fill: var(--amber); }
.frame { fill: none; stroke: var(--rule); } .plus { fill: var(--ink); } .minus { fill: var(--amber); }
"""
"""The colours of a run's page (`report/style.css`), as far as figures need them."""

_MARGIN = 16
_SCALE = 1.5
_TILE, _GAP, _TOP = 128, 20, 24
_READABLE = 16  # a map of so many cells at most shows its numbers
_DARK = 0.55  # ink from here on takes a number in the colour of the card
_LEFT, _RIGHT, _HIGH, _LOW = 46, 352, 34, 208

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PLACE, _SHADE = 0.25, 0.02  # what another machine's rounding may move: pixels, and what has two decimals


@dataclass(frozen=True, slots=True)
class Tile:
    """One map under its name."""

    name: str
    values: np.ndarray
    """`[height, width]`. The greatest size is full ink; below zero the ink is amber."""


def tiles(shown: Sequence[Tile]) -> Markup:
    """Maps side by side, a square for each value."""
    parts = [_tile(tile, index * (_TILE + _GAP)) for index, tile in enumerate(shown)]
    return svg(
        ", ".join(t.name for t in shown), len(shown) * (_TILE + _GAP) - _GAP, _TOP + _TILE, Markup("").join(parts)
    )


def log_lines(lines: Sequence[tuple[str, Sequence[float]]], x_axis: str, y_axis: str) -> Markup:
    """Up to three lines of (name, values at 1, 2, 3, …) over a logarithmic axis."""
    powers = [math.log10(v) for _, values in lines for v in values]
    low, high, last = math.floor(min(powers)), math.ceil(max(powers)), max(len(values) for _, values in lines)
    step = max(1, math.ceil((high - low) / 6))
    body = [text("unit", 0, 10, y_axis), text("unit", _RIGHT, _LOW + 28, x_axis, "end")]
    for power in range(low, high + 1, step):
        y = between(power, (low, high), (_LOW, _HIGH))
        body.append(Markup('<line class="rule" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(_LEFT, _RIGHT, y=y))
        body.append(text("tick", _LEFT - 6, y + 4, power_of_ten(power), "end"))
    for number in (1, *(int(n) for n in ticks(0, last, about=6, whole=True) if 1 < n <= last)):
        body.append(text("tick", between(number, (1, last), (_LEFT, _RIGHT)), _LOW + 15, str(number), "middle"))
    for style, (name, values), place in zip(("first", "second", "third"), lines, (120, 186, 272), strict=False):
        points = [
            (between(i + 1, (1, last), (_LEFT, _RIGHT)), between(math.log10(v), (low, high), (_LOW, _HIGH)))
            for i, v in enumerate(values)
        ]
        body += [_path(style, points), _path(style, [(place, 6), (place + 18, 6)]), text("", place + 23, 10, name)]
    return svg(f"{y_axis}: " + ", ".join(name for name, _ in lines), _RIGHT + 8, _LOW + 28, Markup("").join(body))


def standalone(figure: str, language: str) -> str:
    """An SVG file in that language, with its own colours, on a card that is legible on any page."""
    drawing = re.sub(r' data-zh="([^"]*)">([^<]*)', r">\1" if language == "zh" else r">\2", str(figure))
    width, height = (int(n) for n in re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawing)[0])
    outer = (-_MARGIN, -_MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN)
    box = " ".join(str(n) for n in outer)
    drawing = re.sub(
        r'<svg ([^>]*)viewBox="[^"]*"',
        rf'<svg xmlns="http://www.w3.org/2000/svg" \1viewBox="{box}" width="{_SCALE * outer[2]:.0f}"',
        drawing,
    )
    card = f'<rect class="card" x="{outer[0] + 1}" y="{outer[1] + 1}" width="{outer[2] - 2}" height="{outer[3] - 2}" rx="8"/>'
    head, rest = drawing.split(">", 1)
    return f"{head}>\n<style>{_STYLE}</style>\n{card}\n" + rest.replace("><", ">\n<") + "\n"


def alike(one: str, other: str) -> bool:
    """Whether two drawings are the same, but for another machine's rounding."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(abs(float(a) - float(b)) < (_SHADE if re.search(r"\.\d\d", a) else _PLACE) for a, b in pairs)


def svg(title: str, width: int, height: int, body: Markup) -> Markup:
    """A drawing of that size, and its name for those who do not see it."""
    frame = Markup('<svg class="chart" role="img" viewBox="0 0 {} {}"><title>{}</title>{}</svg>')
    return frame.format(width, height, title, body)


def _tile(tile: Tile, left: int) -> Markup:
    rows, columns = tile.values.shape
    side = _TILE / max(rows, columns)
    greatest = float(np.abs(tile.values).max()) or 1.0
    numbers = tile.values.size <= _READABLE
    parts = [text("", left, 12, tile.name)]
    for (row, column), value in np.ndenumerate(tile.values):
        x, y, share = left + column * side, _TOP + row * side, abs(float(value)) / greatest
        square = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill-opacity="{:.2f}"/>')
        style = "minus" if value < 0 else "plus"
        parts.append(square.format(style, x, y, side - 1, side - 1, share))
        if numbers:
            parts.append(
                text(
                    "number over" if share > _DARK else "number",
                    x + side / 2,
                    y + side / 2 + 4,
                    f"{value:g}".replace("-", "−"),
                    "middle",
                )
            )
    outline = Markup('<rect class="frame" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
    parts.append(outline.format(left - 1, _TOP - 1, columns * side + 1, rows * side + 1))
    return Markup("").join(parts)


def text(style: str, x: float, y: float, words: str, anchor: str = "start") -> Markup:
    """Words at a place."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        style, x, y, anchor, words
    )


def _path(style: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<path class="line {}" d="M{}"/>').format(style, "L".join(f"{x:.1f} {y:.1f}" for x, y in points))


def between(value: float, span: tuple[float, float], place: tuple[float, float]) -> float:
    """Where a value of `span` comes to lie in `place`."""
    return place[0] + (value - span[0]) / (span[1] - span[0]) * (place[1] - place[0])


def power_of_ten(power: int) -> str:
    """`10⁻³`"""
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
