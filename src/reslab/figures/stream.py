"""What can be read from a network after each of its blocks: shares over the number of the block."""

from collections.abc import Sequence

from reslab.figures.axes import Axes, counts, shares
from reslab.figures.svg import Drawing

_STYLES = ("training", "validation", "third")


def by_block(lines: Sequence[tuple[str, Sequence[float]]], x_axis: str, y_axis: str) -> Drawing:
    """Up to three lines of (name, shares after 0, 1, 2, … blocks). Symbols instead of words serve both languages."""
    blocks = max(len(values) for _, values in lines) - 1
    axes = Axes(
        counts(0, blocks), shares(0), x_axis, y_axis, left=34, right=352, top=34, bottom=208, names=10,
    )  # fmt: skip
    parts = axes.grid()
    for style, (_, values) in zip(_STYLES, lines, strict=False):
        points = list(enumerate(values))
        parts += [axes.line(style, points), *(axes.dot(style, point) for point in points)]
    parts += axes.legend([(style, name) for style, (name, _) in zip(_STYLES, lines, strict=False)])
    return Drawing(f"{y_axis}: " + ", ".join(name for name, _ in lines), axes.right + 8, axes.bottom + 28, parts)
