"""Grids of numbers with a marked window: what a filter or a pooling window looks at, and the number that it gives.

They contain symbols instead of words, so that one file serves both languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reslab.figures.svg import Drawing, Element, rect, text

_CELL, _GAP, _TOP = 21, 26, 24
_DARK = 0.55  # ink from here on takes a number in the colour of the card
_LONG, _NARROW = 4, "font-size: 8px"  # numbers of so many characters are written smaller

Window = tuple[int, int, int, int]
"""First row, first column, rows and columns of a part of a grid."""


@dataclass(frozen=True, slots=True)
class Grid:
    """One grid of numbers under its name."""

    name: str
    values: np.ndarray
    """`[height, width]`, in ink, amber below zero; or the colours of pixels, uint8 `[height, width, 3]`, without numbers."""
    marked: Window | None = None
    """Framed in blue."""
    windows: tuple[Window, ...] = ()
    """Framed thinly."""


def grids(shown: Sequence[Grid], full: float | None = None) -> Drawing:
    """Grids side by side, all cells of one size, each with its number.

    Args:
        shown: from left to right.
        full: the size of a number that takes full ink, the same for all grids; without it each grid's own greatest.
    """
    parts: list[Element] = []
    left = 0.0
    for grid in shown:
        parts += _grid(grid, left, full or float(np.abs(grid.values).max()) or 1.0)
        left += grid.values.shape[1] * _CELL + _GAP
    height = _TOP + max(grid.values.shape[0] for grid in shown) * _CELL
    return Drawing(", ".join(grid.name for grid in shown), left - _GAP, height, parts)


def _grid(grid: Grid, left: float, full: float) -> list[Element]:
    rows, columns = grid.values.shape[:2]
    parts = [text(left, 12, grid.name)]
    if grid.values.ndim == 3:
        for row, column in np.ndindex(rows, columns):
            colour = "#" + bytes(grid.values[row, column].tolist()).hex()
            x, y = left + column * _CELL, _TOP + row * _CELL
            parts.append(rect("", x, y, _CELL - 1, _CELL - 1, fill=colour))
        return parts
    for (row, column), value in np.ndenumerate(grid.values):
        x, y, share = left + column * _CELL, _TOP + row * _CELL, min(1.0, abs(float(value)) / full)
        parts.append(rect("minus" if value < 0 else "plus", x, y, _CELL - 1, _CELL - 1, fill_opacity=f"{share:.2f}"))
        style, number = "number over" if share > _DARK else "number", f"{value + 0.0:g}".replace("-", "−")  # never "−0"
        narrow = _NARROW if len(number) >= _LONG else ""
        parts.append(text(x + _CELL / 2, y + _CELL / 2 + 3.5, number, style, "middle", style_=narrow))
    parts.append(_frame("frame", (0, 0, rows, columns), left))
    parts += [_frame("axis", window, left, fill="none") for window in grid.windows]
    return parts if grid.marked is None else [*parts, _frame("line blue", grid.marked, left)]


def _frame(style: str, window: Window, left: float, **attributes: object) -> Element:
    row, column, rows, columns = window
    x, y = left + column * _CELL - 0.5, _TOP + row * _CELL - 0.5
    return rect(style, x, y, float(columns * _CELL), float(rows * _CELL), **attributes)
