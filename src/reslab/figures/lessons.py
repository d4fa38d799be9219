"""Pictures of the lessons: feature maps as tiles, and lines over a logarithmic axis.

They contain symbols instead of words, so that one file serves both languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reslab.figures.axes import Axes, counts, powers
from reslab.figures.svg import Drawing, Element, rect, text

_TILE, _GAP, _TOP = 128, 20, 24
_READABLE = 16  # a map of so many cells at most shows its numbers
_DARK = 0.55  # ink from here on takes a number in the colour of the card


@dataclass(frozen=True, slots=True)
class Tile:
    """One map under its name."""

    name: str
    values: np.ndarray
    """`[height, width]`. The greatest size is full ink; below zero the ink is amber."""


def tiles(shown: Sequence[Tile]) -> Drawing:
    """Maps side by side, a square for each value."""
    parts = [part for number, tile in enumerate(shown) for part in _tile(tile, number * (_TILE + _GAP))]
    width = len(shown) * (_TILE + _GAP) - _GAP
    return Drawing(", ".join(tile.name for tile in shown), width, _TOP + _TILE, parts)


def log_lines(lines: Sequence[tuple[str, Sequence[float]]], x_axis: str, y_axis: str) -> Drawing:
    """Up to three lines of (name, values at 1, 2, 3, …) over a logarithmic axis."""
    styles = ("training", "validation", "third")
    axes = Axes(
        counts(1, max(len(values) for _, values in lines)), powers([v for _, values in lines for v in values]),
        x_axis, y_axis, left=46, right=352, top=34, bottom=208, names=10,
    )  # fmt: skip
    parts = axes.grid()
    for style, (_, values) in zip(styles, lines, strict=False):
        parts.append(axes.line(style, list(enumerate(values, start=1))))
    parts += axes.legend([(style, name) for style, (name, _) in zip(styles, lines, strict=False)])
    return Drawing(f"{y_axis}: " + ", ".join(name for name, _ in lines), axes.right + 8, axes.bottom + 28, parts)


def _tile(tile: Tile, left: float) -> list[Element]:
    rows, columns = tile.values.shape
    side = _TILE / max(rows, columns)
    greatest = float(np.abs(tile.values).max()) or 1.0
    parts = [text(left, 12, tile.name)]
    for (row, column), value in np.ndenumerate(tile.values):
        x, y, share = left + column * side, _TOP + row * side, abs(float(value)) / greatest
        style = "minus" if value < 0 else "plus"
        parts.append(rect(style, x, y, side - 1, side - 1, fill_opacity=f"{share:.2f}"))
        if tile.values.size <= _READABLE:
            style = "number over" if share > _DARK else "number"
            parts.append(text(x + side / 2, y + side / 2 + 4, f"{value:g}".replace("-", "−"), style, "middle"))
    return [*parts, rect("frame", left - 1, _TOP - 1, columns * side + 1, rows * side + 1)]
