"""The residual block as a drawing, and beside it the one that is drawn wrongly in many places."""

from reslab.figures.svg import Drawing, Element, Point, Words, circle, element, path, rect, text
from reslab.words.phrases import say

_WIDTH, _HEIGHT, _STEP = 84, 24, 34  # of a box, and from one box to the next
_HEAD = 3.5  # half the width of an arrow's head
_TOP, _MIDDLE, _BESIDE = 56, 86, 164  # the first box; the axis of the main path; that of the shortcut
_OTHER = 232  # where the second drawing begins


def residual_block() -> Drawing:
    """The block of He et al. 2015, figure 5 left: two ways from x to the sum; beside it the same parts in series."""
    series = element("g", *_series(), transform=f"translate({_OTHER},0)")
    return Drawing(say("block.title"), _OTHER + 2 * _MIDDLE - 16, 316, [*_parallel(), series])


def _parallel() -> list[Element]:
    """x, F(x) and the shortcut, the sum, ReLU, y."""
    boxes: list[Words] = ["3 × 3", say("block.norm"), "ReLU", "3 × 3", say("block.norm")]
    parts = [text(0, 10, say("block.right")), text(_MIDDLE, _TOP - 22, "x", anchor="middle")]
    top: float = _TOP
    parts += _arrow((_MIDDLE, top - 18), (_MIDDLE, top))
    for words in boxes:
        parts += _box(_MIDDLE, top, words)
        parts += _arrow((_MIDDLE, top + _HEIGHT), (_MIDDLE, top + _STEP))
        top += _STEP
    total = top + 10
    left = _MIDDLE - _WIDTH / 2 - 10
    parts += [
        path("axis line", [(left + 4, _TOP), (left, _TOP), (left, top - 10), (left + 4, top - 10)]),
        text(left - 5, (_TOP + top) / 2, "F(x)", anchor="end"),
        path("line blue", [(_MIDDLE, _TOP - 13), (_BESIDE, _TOP - 13), (_BESIDE, total), (_MIDDLE + 14, total)]),
        _head((_MIDDLE + 11, total), (-1, 0)),
        text(_BESIDE + 6, (_TOP + total) / 2, "x"),
        circle("card", (_MIDDLE, total), 10),
        text(_MIDDLE, total + 3.5, "+", anchor="middle"),
        *_arrow((_MIDDLE, total + 10), (_MIDDLE, total + 20)),
        *_box(_MIDDLE, total + 20, "ReLU"),
        *_arrow((_MIDDLE, total + 20 + _HEIGHT), (_MIDDLE, total + 56)),
        text(_MIDDLE, total + 68, "y", anchor="middle"),
    ]
    return parts


def _series() -> list[Element]:
    """One way only."""
    names = [say("block.input"), say("block.convolution", n=1), say("block.convolution", n=2)]
    names += [say("block.shortcut"), say("block.output")]
    parts, step = [text(0, 10, say("block.wrong"))], 46
    for number, words in enumerate(names):
        top = _TOP + number * step
        parts += _box(_MIDDLE - 16, top, words, "line amber" if number == 3 else "card")
        if number + 1 < len(names):
            parts += _arrow((_MIDDLE - 16, top + _HEIGHT), (_MIDDLE - 16, top + step))
    return parts


def _box(middle: float, top: float, words: Words, style: str = "card") -> list[Element]:
    return [
        rect(style, middle - _WIDTH / 2, top, _WIDTH, _HEIGHT, rx=4),
        text(middle, top + _HEIGHT / 2 + 3.5, words, anchor="middle"),
    ]


def _arrow(start: Point, end: Point) -> list[Element]:
    """Downwards."""
    return [path("axis line", [start, (end[0], end[1] - 4)]), _head(end, (0, 1))]


def _head(tip: Point, direction: tuple[int, int]) -> Element:
    """A triangle whose tip points in a direction along an axis."""
    (x, y), (right, down) = tip, direction
    back = x - 2 * _HEAD * right, y - 2 * _HEAD * down
    sides = [(back[0] + sign * _HEAD * down, back[1] + sign * _HEAD * right) for sign in (-1, 1)]
    return path("plus", [tip, *sides, tip])
