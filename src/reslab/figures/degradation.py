"""The study of degradation as one picture: training and validation error by epoch, and gradients layer by layer."""

from typing import Any

from reslab.figures.axes import Axes, Scale, counts, panel, powers, shares, side_by_side
from reslab.figures.svg import Drawing, Element
from reslab.words.phrases import say

_COLOURS = {20: "blue", 56: "amber", 110: "green"}
_RIGHT = 296

Panel = tuple[Axes, list[Element]]


def draw(document: dict[str, Any], language: str = "en") -> str:
    """The figure of a study (`degradation.study`) as an SVG file."""
    rows = _rows(document)
    panels = [*_error_panels(rows), _gradient_panel(rows)]
    return side_by_side(say("study.title"), panels).file(language)


def error_curves(document: dict[str, Any]) -> Drawing:
    """The panels of errors alone."""
    return side_by_side(say("study.title"), _error_panels(_rows(document)))


def _rows(document: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row for row in document["networks"]}


def _error_panels(rows: dict[str, Any]) -> list[Panel]:
    highest = max(
        epoch[kind] for row in rows.values() for epoch in row["epochs"] for kind in ("val_error", "train_error")
    )
    return [_error_panel(kind, rows, shares(0, highest)) for kind in ("plain", "resnet")]


def _error_panel(kind: str, rows: dict[str, Any], errors: Scale) -> Panel:
    epochs = {depth: rows[f"{kind}{depth}"]["epochs"] for depth in _COLOURS if f"{kind}{depth}" in rows}
    longest = max((len(each) for each in epochs.values()), default=1)
    axes = Axes(counts(1, longest), errors, say("curves.axis.epoch"), say("figure.error"), right=_RIGHT)
    parts = axes.legend([(_COLOURS[depth], say("study.layers", depth=depth)) for depth in epochs])
    for depth, each in epochs.items():
        for field, style in (("val_error", ""), ("train_error", " dashed")):
            points = [(number, epoch[field]) for number, epoch in enumerate(each, start=1)]
            parts.append(axes.line(_COLOURS[depth] + style, points))
    return axes, panel(axes, say(f"study.{kind}"), say("study.lines"), parts)


def _gradient_panel(rows: dict[str, Any]) -> Panel:
    depth = max(depth for depth in (20, 56) if f"plain{depth}" in rows and f"resnet{depth}" in rows)
    norms = {kind: rows[f"{kind}{depth}"]["gradients"]["end"] for kind in ("plain", "resnet")}
    axes = Axes(
        counts(1, len(norms["plain"])),
        powers([*norms["plain"], *norms["resnet"]]),
        say("study.convolution"),
        "",
        right=_RIGHT,
    )
    colours = {"plain": "amber", "resnet": "blue"}
    parts = axes.legend([(colour, say(f"study.short.{kind}")) for kind, colour in colours.items()])
    parts += [axes.line(colours[kind], list(enumerate(values, start=1))) for kind, values in norms.items()]
    return axes, panel(axes, say("study.gradients", depth=depth), "", parts)
