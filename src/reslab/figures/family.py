"""The blocks of the family, drawn in one style: the residual on the left, the shortcut on the right, their sum below.

They contain symbols instead of words, so that one file serves both languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab.figures.svg import Drawing, Element, circle, element, path, rect, segment, text

_COLUMN, _BOX, _AXIS, _SIDE = 132, 78, 42, 106  # a diagram, a box in it, the middles of residual and shortcut
_SMALL = 44  # a box on the shortcut
_TALL, _THIN, _SPACE = 20, 13, 7  # heights of a convolution and of anything else, and what lies between
_HEAD = 34  # from the name to the first box
_LINE = 12  # from one line of the name to the next


@dataclass(frozen=True, slots=True)
class Sketch:
    """One block: what its boxes say, from the input on."""

    name: str
    residual: tuple[str, ...]
    """A convolution is `kernel, channels`; `/2` is its stride, `g32` its groups."""
    shortcut: tuple[str, ...] = ()
    """Empty for the identity."""
    after: tuple[str, ...] = ()
    """What follows the sum."""


_NARROW, _WIDE = ("1×1, 64", "BN · ReLU", "3×3, 64", "BN · ReLU", "1×1, 256", "BN"), ("ReLU",)
_LATE = ("1×1, 128", "BN · ReLU", "3×3, 128 /2", "BN · ReLU", "1×1, 512", "BN")

FAMILY: tuple[tuple[Sketch, str, int, int], ...] = (
    (Sketch("basic", ("3×3, 64", "BN · ReLU", "3×3, 64", "BN"), after=_WIDE), "resnet34", 0, 1),
    (Sketch("bottleneck", _NARROW, after=_WIDE), "resnet50", 0, 1),
    (
        Sketch("pre-activation", ("BN · ReLU", "1×1, 64", "BN · ReLU", "3×3, 64", "BN · ReLU", "1×1, 256")),
        "preact_resnet50", 0, 1,
    ),
    (
        Sketch("wide", ("1×1, 128", "BN · ReLU", "3×3, 128", "BN · ReLU", "1×1, 256", "BN"), after=_WIDE),
        "wide_resnet50_2", 0, 1,
    ),
    (
        Sketch("ResNeXt", ("1×1, 128", "BN · ReLU", "3×3, 128 g32", "BN · ReLU", "1×1, 256", "BN"), after=_WIDE),
        "resnext50_32x4d", 0, 1,
    ),
    (Sketch("SE", (*_NARROW, "× σ(…)"), after=_WIDE), "seresnet50", 0, 1),
    (
        Sketch("v1, stride 2", ("1×1, 128 /2", "BN · ReLU", "3×3, 128", "BN · ReLU", "1×1, 512", "BN"),
               ("1×1 /2", "BN"), _WIDE),
        "resnet50 v1", 1, 0,
    ),
    (Sketch("v1.5, stride 2", _LATE, ("1×1 /2", "BN"), _WIDE), "resnet50", 1, 0),
    (Sketch("D, stride 2", _LATE, ("avg /2", "1×1", "BN"), _WIDE), "resnet50d", 1, 0),
)  # fmt: skip
"""Each block with the network, the stage and the number in it where it is found; a test compares their convolutions."""


def sketches(shown: Sequence[Sketch], columns: int) -> Drawing:
    """Diagrams in rows of `columns`."""
    parts: list[Element] = []
    top = 0
    for start in range(0, len(shown), columns):
        row = shown[start : start + columns]
        for place, sketch in enumerate(row):
            parts.append(element("g", *_sketch(sketch), transform=f"translate({place * _COLUMN},{top})"))
        top += max(_height(sketch) for sketch in row) + 22
    return Drawing(", ".join(sketch.name for sketch in shown), columns * _COLUMN - 4, top - 22, parts)


def family() -> Drawing:
    """Every block of the family."""
    return sketches([sketch for sketch, _, _, _ in FAMILY], columns=5)


def _tall(label: str) -> bool:
    return "," in label or label.startswith("1×1")


def _heights(labels: Sequence[str]) -> list[int]:
    return [_TALL if _tall(label) else _THIN for label in labels]


def _height(sketch: Sketch) -> int:
    return _HEAD + sum(h + _SPACE for h in _heights((*sketch.residual, *sketch.after))) + 38


def _boxes(labels: Sequence[str], middle: float, top: float, width: float) -> tuple[list[Element], float]:
    """Boxes one below the other with lines between them, and where the last one ends."""
    parts: list[Element] = []
    for label, height in zip(labels, _heights(labels), strict=True):
        parts += [
            segment("axis", (middle, top), (middle, top + _SPACE)),
            rect("card", middle - width / 2, top + _SPACE, width, height, rx=3),
            *([rect("plus", middle - width / 2, top + _SPACE, width, height, rx=3, fill_opacity="0.09")]
              if _tall(label) else []),
            text(middle, top + _SPACE + height / 2 + 3.5, label, "" if _tall(label) else "tick", "middle"),
        ]  # fmt: skip
        top += _SPACE + height
    return parts, top


def _sketch(sketch: Sketch) -> list[Element]:
    """One diagram: the name, x, both ways, the sum, what follows it, and y."""
    fork = _HEAD - _SPACE - 4
    residual, end = _boxes(sketch.residual, _AXIS, fork + 4, _BOX)
    sum_at = end + _SPACE + 7
    inside = sum(h + _SPACE for h in _heights(sketch.shortcut))
    first = (fork + sum_at - inside) / 2
    shortcut, last = _boxes(sketch.shortcut, _SIDE, first, _SMALL)
    after, bottom = _boxes(sketch.after, _AXIS, sum_at + 7, _BOX)
    way = [(_AXIS, fork), (_SIDE, fork), (_SIDE, sum_at), (_AXIS + 9, sum_at)]
    return [
        text(0, 10, sketch.name),
        segment("axis", (_AXIS, _HEAD - 18), (_AXIS, fork + 4)),
        text(_AXIS - 12, _HEAD - 12, "x", "tick"),
        path("line blue", way),
        _arrow(_AXIS + 8, sum_at),
        *residual,
        *shortcut,
        segment("axis", (_AXIS, end), (_AXIS, sum_at - 7)),
        circle("card", (_AXIS, sum_at), 7),
        text(_AXIS, sum_at + 3.5, "+", "", "middle"),
        *after,
        segment("axis", (_AXIS, bottom), (_AXIS, bottom + _SPACE + 5)),
        text(_AXIS - 12, bottom + _SPACE + 6, "y", "tick"),
    ]


def _arrow(x: float, y: float) -> Element:
    """The head of an arrow that points to the left."""
    return element("path", class_="plus", d=f"M{x:g} {y:g}l7 -4v8z")
