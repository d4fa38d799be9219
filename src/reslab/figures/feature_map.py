"""The map of the features: a dot for each picture, a colour for each class, a ring round each mistake."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reslab.figures.axes import Axes, Scale, ticks
from reslab.figures.svg import Drawing, Element, Point, circle, element, text
from reslab.words.phrases import say

COLOURS = 20
"""Classes with a colour of their own: `k0` to `k19` of the style sheet."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 440, 24, 404
_LEGEND, _ROW, _LONGEST = 458, 17, 22  # its place, the height of a row, letters of a name
_RING = 4.5


@dataclass(frozen=True, slots=True)
class Dot:
    """One picture."""

    place: Point
    label: str
    mistake: str = ""
    """What a pointer on a wrong answer shows; empty for a right one."""


def coloured(dots: Sequence[Dot]) -> list[str]:
    """The classes that have a colour: all, or the most frequent ones; in sorted order."""
    counts = Counter(dot.label for dot in dots)
    return sorted(sorted(counts, key=lambda label: (-counts[label], label))[:COLOURS])


def feature_map(dots: Sequence[Dot]) -> Drawing:
    """The figure; a unit is as long on both axes, so that distances can be compared."""
    x_scale, y_scale = _scales([dot.place for dot in dots])
    axes = Axes(
        x_scale, y_scale, say("map.axis.x"), say("map.axis.y"),
        left=_LEFT, right=_RIGHT, top=_TOP, bottom=_BOTTOM, names=12,
    )  # fmt: skip
    names, wrong = coloured(dots), [dot for dot in dots if dot.mistake]
    parts = axes.grid()
    styles = {name: f"k{number}" for number, name in enumerate(names)}
    others = [dot for dot in dots if dot.label not in styles]
    for style, mine in [("rest", others), *((styles[n], [d for d in dots if d.label == n]) for n in names)]:
        parts += [_spots(style, [axes.place(*dot.place) for dot in mine])] if mine else []
    parts += [circle("missed", axes.place(*dot.place), _RING, dot.mistake) for dot in wrong]
    legend = [(styles[name], name) for name in names] + ([("rest", say("map.others"))] if others else [])
    for number, (style, name) in enumerate(legend):
        y = _TOP + 6 + _ROW * number
        parts += [
            _spots(style, [(_LEGEND, y)]),
            text(_LEGEND + 10, y + 4, _short(name) if isinstance(name, str) else name),
        ]
    if wrong:
        y = _TOP + 6 + _ROW * len(legend)
        parts += [circle("missed", (_LEGEND, y), _RING), text(_LEGEND + 10, y + 4, say("map.mistake"))]
    classes = len({dot.label for dot in dots})
    described = say("map.desc", n=f"{len(dots):,}", classes=classes, wrong=f"{len(wrong):,}")
    return Drawing(say("map.heading"), 620, 436, parts, desc=described, key="chart-map")


def _scales(points: Sequence[Point]) -> tuple[Scale, Scale]:
    """Both axes, centred on the points, with one length of a unit."""
    ranges = [(min(values), max(values)) for values in zip(*points, strict=True)]
    lengths = (_RIGHT - _LEFT, _BOTTOM - _TOP)
    unit = max((high - low) / length for (low, high), length in zip(ranges, lengths, strict=True)) * 1.04 or 1.0
    x, y = (_scale((low + high) / 2, unit * n / 2) for (low, high), n in zip(ranges, lengths, strict=True))
    return x, y


def _scale(middle: float, half: float) -> Scale:
    low, high = middle - half, middle + half
    return Scale(low, high, tuple((value, f"{value:g}") for value in ticks(low, high) if low <= value <= high))


def _spots(style: str, places: Sequence[Point]) -> Element:
    """Dots as one path: lines without a length, whose round ends are what is seen."""
    return element("path", class_=f"spots {style}", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in places))


def _short(name: str) -> str:
    """A name as far as there is room; a Chinese character is as wide as two letters."""
    width = 0
    for number, letter in enumerate(name):
        width += 2 if ord(letter) > 0x2E80 else 1
        if width > _LONGEST:
            return name[:number] + "…"
    return name
