"""The charts of a run's page: pure functions from numbers to SVG. Colours and fonts are in the style sheet.

Every figure has a title and a description for readers who do not see it, and holds phrases, so that the page can show
both languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reslab.figures.axes import Axes, counts, linear, shares
from reslab.figures.svg import Drawing, Element, Point, circle, element, path, rect, segment, text
from reslab.metrics.intervals import proportion
from reslab.words.phrases import Phrase, percent, say

FEW = 10
"""A bar of fewer pictures is uncertain and drawn pale."""

_WIDTH = 360
_DOTS = 40  # more points than this would hide the line
_LEAST_TOP = 0.9  # shares that never leave 100 % are still drawn on an axis
_NUMBERS = 100  # counts from this on are written upright, since bars are narrower than three digits


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    style: str
    """`training`, `validation`, `steps` or `rate`: a class of the style sheet, and the key of its name in `words`."""
    points: tuple[Point, ...]
    """(epoch, value); the epoch counts finished ones, so a point within the first lies below 1."""


@dataclass(frozen=True, slots=True)
class Curves:
    """A chart of values over epochs."""

    key: str
    """`accuracy`, `mean_ap`, `loss` or `rate`."""
    series: tuple[Series, ...]
    best: int | None = None
    """The epoch to mark."""
    share: bool = False
    """Values are shares, shown in percent up to 100."""


def curves(chart: Curves) -> Drawing:
    """A line chart with axes, units, a legend and the best epoch marked."""
    values = [y for series in chart.series for _, y in series.points]
    epochs = max(x for series in chart.series for x, _ in series.points)
    axes = Axes(
        counts(0, epochs),
        shares(min(*values, _LEAST_TOP)) if chart.share else linear(0, max(values)),
        say("curves.axis.epoch"), say(f"curves.axis.{chart.key}"),
        right=_WIDTH - 8, top=46, bottom=208, names=14, font=12,
    )  # fmt: skip
    parts = [*axes.grid(), *_best(axes, chart)]
    for series in chart.series:
        parts += _line(axes, series, chart.share)
    if len(chart.series) > 1:
        parts += axes.legend([(series.style, say(f"curves.{series.style}")) for series in chart.series])
    return Drawing(
        say(f"curves.{chart.key}"), _WIDTH, 236, parts, desc=_description(chart, epochs), key=f"chart-{chart.key}"
    )


def _line(axes: Axes, series: Series, share: bool) -> list[Element]:
    """One line, with dots that show their value where there is room for them."""
    parts = [axes.line(series.style, series.points)]
    if len(series.points) <= _DOTS and series.style != "steps":
        for epoch, value in series.points:
            title = say("curves.point", x=f"{epoch:g}", y=_shown(value, share))
            parts.append(axes.dot(series.style, (epoch, value), title))
    return parts


def _best(axes: Axes, chart: Curves) -> list[Element]:
    """A dashed line at the best epoch, and a ring round its validation value."""
    if chart.best is None:
        return []
    validation = [point for series in chart.series if series.style == "validation" for point in series.points]
    rings = [circle("ring", axes.place(*point), 6.5) for point in validation if point[0] == chart.best]
    return [*axes.mark("best", chart.best, say("curves.mark", epoch=chart.best)), *rings]


def _description(chart: Curves, epochs: float) -> Phrase:
    """The chart in a sentence: where each line begins and ends."""
    parts = [
        say(
            "curves.from_to", name=say(f"curves.{series.style}"),
            first=_shown(series.points[0][1], chart.share), last=_shown(series.points[-1][1], chart.share),
        )
        for series in chart.series
        if series.style != "steps"
    ]  # fmt: skip
    what = parts[0]
    for part in parts[1:]:
        what = say("curves.and", first=what, second=part)
    return say("curves.desc", what=what, epochs=f"{epochs:g}")


def _shown(value: float, share: bool) -> str:
    return percent(value) if share else f"{value:.4g}"


def reliability(bins: Sequence[dict[str, Any]]) -> Drawing:
    """Accuracy per bin of confidence against the diagonal, with the number of pictures in each bin below.

    Args:
        bins: `metrics.calibration.Bin` as dictionaries: low, high, n, confidence, accuracy.
    """
    axes = Axes(
        shares(0), shares(0), say("calibration.axis.x"), say("calibration.axis.y"),
        right=_WIDTH - 8, top=24, bottom=250, names=12,
    )  # fmt: skip
    filled = [one for one in bins if one["n"]]
    parts = [*axes.grid(), *(_bar(axes, one) for one in filled)]
    parts += [path("diagonal", [axes.place(0, 0), axes.place(1, 1)]), *_numbers(axes, filled)]
    total = sum(one["n"] for one in bins)
    return Drawing(
        say("calibration.diagram"), _WIDTH, 360, parts,
        desc=say("calibration.desc", n=f"{total:,}"), key="chart-reliability",
    )  # fmt: skip


def _sides(axes: Axes, one: dict[str, Any]) -> Point:
    """The left and the right end of a bin's bar."""
    return axes.place(one["low"], 0)[0] + 1, axes.place(one["high"], 0)[0] - 1


def _bar(axes: Axes, one: dict[str, Any]) -> Element:
    """One bin: its accuracy and the 95 % interval."""
    left, right = _sides(axes, one)
    middle, top = axes.place((one["low"] + one["high"]) / 2, one["accuracy"])
    interval = proportion(round(one["accuracy"] * one["n"]), one["n"])
    low, high = (axes.place(0, value)[1] for value in (interval.low, interval.high))
    title = say(
        "calibration.bar", low=percent(one["low"], 0), high=percent(one["high"], 0), n=f"{one['n']:,}",
        accuracy=percent(one["accuracy"], 1),
    )  # fmt: skip
    return element(
        "g", element("title", title), rect("", left, top, right - left, max(axes.bottom - top, 1.0)),
        segment("reach", (middle, low), (middle, high)), class_="bin pale" if one["n"] < FEW else "bin",
    )  # fmt: skip


def _numbers(axes: Axes, bins: Sequence[dict[str, Any]]) -> list[Element]:
    """How many pictures each bin holds: bars below the diagram, with their numbers."""
    floor, room = 352.0, 36.0
    greatest = max((one["n"] for one in bins), default=1)
    parts = [text(0, floor - room - 12, say("calibration.axis.n"), "unit")]
    for one in bins:
        left, right = _sides(axes, one)
        height = max(1.0, room * one["n"] / greatest)
        x, y, anchor, turn = (left + right) / 2, floor - height - 3, "middle", ""
        if greatest >= _NUMBERS:
            x, anchor = x + 3.5, "start"
            turn = f"rotate(-90 {x:.1f} {y:.1f})"
        parts += [
            rect("count", left, floor - height, right - left, height),
            text(x, y, f"{one['n']:,}", "tick", anchor, transform=turn),
        ]
    return [*parts, segment("axis", (axes.left, floor), (axes.right, floor))]


def whisker(value: float, low: float, high: float) -> Element:
    """A share and its interval on a line from 0 to 100 %, as wide as its place: for table rows, hidden from readers."""
    return element(
        "svg",
        element("line", class_="track", x1=0, x2="100%", y1=7, y2=7),
        element("line", class_="reach", x1=_along(low), x2=_along(high), y1=7, y2=7),
        element("circle", cx=_along(value), cy=7, r=3.5),
        class_="whisker", aria_hidden="true", height=14,
    )  # fmt: skip


def score_bar(top1: dict[str, float], baseline: float) -> Element:
    """Accuracy, its interval and the baseline on one scale from 0 to 100 %."""
    value, low, high = top1["value"], top1["low"], top1["high"]
    label = say("score.bar", value=percent(value), low=percent(low), high=percent(high), baseline=percent(baseline))
    words = say("score.baseline_mark", value=percent(baseline))
    ends = [(0.0, baseline > 0.3), (1.0, baseline < 0.7)]
    return element(
        "svg",
        element("rect", class_="track", x=0, y=10, width="100%", height=8, rx=4),
        element("rect", class_="reach", x=_along(low), y=7, width=_along(high - low), height=14, rx=3),
        element("circle", cx=_along(value), cy=14, r=6),
        element("line", class_="baseline", x1=_along(baseline), x2=_along(baseline), y1=4, y2=26),
        text(_along(baseline), 42, words, anchor=_anchor(baseline)),
        *(text(_along(at), 42, percent(at, 0), anchor=_anchor(at)) for at, free in ends if free),
        class_="score-bar", role="img", height=46, aria_label=label,
    )  # fmt: skip


def _along(share: float) -> str:
    return f"{100 * share:.2f}%"


def _anchor(share: float) -> str:
    """Which way a text beside a place on a 0..1 scale must lean to stay inside."""
    return "start" if share < 0.15 else "end" if share > 0.85 else "middle"
