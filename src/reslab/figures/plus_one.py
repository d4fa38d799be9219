"""Pictures of lesson 7: gradients layer by layer, and what is left of a network without one of its blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

from reslab.figures.axes import Axes, Scale, counts, panel, powers, shares, side_by_side
from reslab.figures.svg import Drawing, Element, rect, segment, text
from reslab.words.phrases import percent, say

_RIGHT = 296
_COLOURS = {"plain": "amber", "resnet": "blue"}
_BAR = 0.35  # half a bar's width, of the place for it


def gradient_flow(runs: Sequence[Mapping[str, Any]], depth: int) -> Drawing:
    """Gradient norms of every convolution before and after training, plain and residual; a line per run.

    Args:
        runs: rows of `degradation.json`.
    """
    chosen = {kind: [run for run in runs if run["name"] == f"{kind}{depth}"] for kind in _COLOURS}
    every = [each for rows in chosen.values() for run in rows for side in run["gradients"].values() for each in side]
    panels = []
    for when in ("start", "end"):
        axes = Axes(counts(1, depth - 1), powers(every), say("study.convolution"), "", right=_RIGHT)
        parts = _stages(axes, depth)
        parts += axes.legend([(colour, say(f"study.short.{kind}")) for kind, colour in _COLOURS.items()])
        for kind, colour in _COLOURS.items():
            parts += [axes.line(colour, list(enumerate(run["gradients"][when], start=1))) for run in chosen[kind]]
        panels.append((axes, panel(axes, say(f"gradients.{when}", depth=depth), "", parts)))
    return side_by_side(say("gradients.title"), panels)


def _stages(axes: Axes, depth: int) -> list[Element]:
    """Dashed lines where the second and the third stage begin."""
    each = (depth - 2) // 3
    places = [axes.place(2 + number * each, axes.y.low)[0] for number in (1, 2)]
    return [segment("rule dashed", (x, axes.top), (x, axes.bottom)) for x in places]


def lesions(document: Mapping[str, Any]) -> Drawing:
    """Accuracy with each block removed in turn, as bars; a line for the whole network, and one for guessing."""
    removed = document["removed"]
    names = [str(number) for number in range(1, len(removed) + 1)]
    blocks = Scale(0, len(names), tuple((number - 0.5, name) for number, name in enumerate(names, start=1)))
    axes = Axes(blocks, shares(0), say("lesion.block"), say("curves.axis.accuracy"), right=360, top=30, names=14)
    parts = axes.grid()
    for number, (place, score) in enumerate(removed.items()):
        (left, top), (right, _) = (axes.place(number + side, score["accuracy"]) for side in (0.5 - _BAR, 0.5 + _BAR))
        style = "dot amber" if place.endswith(".0") and number else "dot blue"
        parts += [
            rect(style, left, top, right - left, axes.bottom - top),
            text((left + right) / 2, top - 4, percent(score["accuracy"], 0), "tick", "middle"),
        ]
    for level in (document["whole"]["accuracy"], 0.1):
        parts.append(segment("rule dashed", axes.place(0, level), axes.place(len(names), level)))
    return Drawing(say("lesion.title"), axes.right + 8, axes.bottom + 32, parts)
