"""What a search found, and the curve of a range test, each as one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reslab.figures.axes import Axes, counts, linear, panel, powers, shares, side_by_side
from reslab.figures.svg import Element, Point
from reslab.words.phrases import say

if TYPE_CHECKING:
    from reslab.train.range_test import RangeTest


def draw_search(document: dict[str, Any], language: str = "en") -> str:
    """Every trial of a search (`search.json`) over its number and over its learning rate, as an SVG file."""
    leader = document["leader"]["trial"]
    trials = [trial for trial in document["trials"] if trial["val_accuracy"] is not None]
    finished = [(trial["trial"], _error(trial)) for trial in trials if trial["state"] == "complete"]
    errors = shares(min(error for _, error in finished), max(error for _, error in finished))
    axes = Axes(
        counts(0, max(1, *(trial["trial"] for trial in trials))), errors, say("search.trial"), say("figure.error")
    )
    parts = [axes.line("steps", _best_so_far(finished))]
    for trial in trials:
        parts += _dots(axes, trial["trial"], trial, leader)
    panels = [(axes, panel(axes, say("search.trials"), say("search.kinds"), parts))]
    rated = [(rate, trial) for trial in trials if (rate := trial["dials"].get("optim.lr"))]
    if rated:
        axes = Axes(powers([rate for rate, _ in rated]), errors, say("figure.rate"), say("figure.error"))
        parts = [dot for rate, trial in rated for dot in _dots(axes, rate, trial, leader)]
        panels.append((axes, panel(axes, say("search.rates"), "", parts)))
    return side_by_side(say("search.trials"), panels).file(language)


def draw_rates(test: "RangeTest", language: str = "en") -> str:
    """The losses of a range test over the rate, as an SVG file."""
    losses = linear(min(test.averages), min(max(test.averages), 2 * test.averages[0]))
    axes = Axes(powers(test.rates), losses, say("figure.rate"), say("curves.axis.loss"))
    parts = [
        axes.line(style, list(zip(test.rates, values, strict=True)))
        for style, values in (("steps", test.losses), ("training", test.averages))
    ]
    parts += axes.mark("axis", test.suggestion, say("range.suggestion", rate=test.suggestion))
    title = say("range.title")
    return side_by_side(title, [(axes, panel(axes, title, say("range.lines"), parts))]).file(language)


def _error(trial: dict[str, Any]) -> float:
    return 1 - trial["val_accuracy"]


def _best_so_far(finished: Sequence[Point]) -> list[Point]:
    """The least error of the finished trials up to each, as stairs."""
    points: list[Point] = []
    for number, error in finished:
        if points:
            points.append((number, points[-1][1]))
            error = min(error, points[-1][1])
        points.append((number, error))
    return points


def _dots(axes: Axes, x: float, trial: dict[str, Any], leader: int) -> list[Element]:
    """One trial; the default has a ring around it."""
    colour = "amber" if trial["trial"] == leader else "blue"
    point, title = (x, _error(trial)), f"{trial['trial']}: {100 * _error(trial):.2f} %"
    fill = "" if trial["state"] == "complete" else " hollow"
    ring = [axes.dot(f"trial {colour} ringed", point, title, radius=6.5)] if trial["trial"] == 0 else []
    return [*ring, axes.dot(f"trial {colour}{fill}", point, title)]
