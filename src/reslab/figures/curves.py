"""Figures as inline SVG: pure functions from numbers to markup. Colours and type are the style sheet's business.

Every figure has a title and a description for those who do not see it; a phrase is drawn in English and carries its
Chinese along, like every other text of the page.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reslab.metrics.intervals import proportion
from reslab.words.phrases import Phrase, attribute, element, percent, say

FEW = 10
"""A bar of fewer pictures says little, and is drawn pale."""

_WIDTH = 360
_DOTS = 40  # more points than this would hide the line
_LEAST_TOP = 0.9  # shares that never leave 100 % are still drawn on an axis
_NUMBERS = 100  # counts from this on are written upright, since bars are narrower than three digits

Point = tuple[float, float]


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


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values come to lie inside the drawing."""

    x_range: Point
    y_range: Point
    left: float = 40
    right: float = _WIDTH - 8
    top: float = 46
    bottom: float = 208

    def x(self, value: float) -> float:
        return self._between(value, self.x_range, self.left, self.right)

    def y(self, value: float) -> float:
        return self._between(value, self.y_range, self.bottom, self.top)

    @staticmethod
    def _between(value: float, span: Point, start: float, end: float) -> float:
        return round(start + (value - span[0]) / (span[1] - span[0]) * (end - start), 1)


def ticks(low: float, high: float, about: int = 5, whole: bool = False) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from at most `low` to at least `high`.

    Args:
        about: roughly how many.
        whole: integers only.
    """
    raw = (high - low or 1.0) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, max(last, first + 1) + 1)]


def curves(chart: Curves) -> Markup:
    """A line chart with axes, units, a legend and the best epoch marked."""
    values = [y for series in chart.series for _, y in series.points]
    epochs = ticks(0, max(x for series in chart.series for x, _ in series.points), about=6, whole=True)
    low = min(*values, _LEAST_TOP) if chart.share else 0.0
    levels = ticks(low, 1.0 if chart.share else max(values))
    last = max(x for series in chart.series for x, _ in series.points)
    frame = _Frame((0, last), (levels[0], levels[-1]))
    body = [
        _y_axis(frame, levels, [f"{100 * v:g}" if chart.share else f"{v:g}" for v in levels]),
        _x_axis(frame, [e for e in epochs if e <= last], 1, say("curves.axis.epoch")),
        element("text", say(f"curves.axis.{chart.key}"), x=0, y=14, class_="unit"),
        _best(frame, chart),
        *(_line(frame, series, chart.share) for series in chart.series),
        _legend(chart.series),
    ]
    return _svg(f"chart-{chart.key}", say(f"curves.{chart.key}"), _told(chart), 236, body)


def reliability(bins: Sequence[dict[str, Any]]) -> Markup:
    """Accuracy per bin of confidence against the diagonal, with the number of pictures in each bin below.

    Args:
        bins: `metrics.calibration.Bin` as dictionaries: low, high, n, confidence, accuracy.
    """
    frame = _Frame((0, 1), (0, 1), top=24, bottom=250)
    levels = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    total = sum(b["n"] for b in bins)
    body = [
        element("text", say("calibration.axis.y"), x=0, y=12, class_="unit"),
        _y_axis(frame, levels, [f"{100 * v:g}" for v in levels]),
        *(_bar(frame, b) for b in bins if b["n"]),
        _path("diagonal", [(frame.x(0), frame.y(0)), (frame.x(1), frame.y(1))]),
        _x_axis(frame, levels, 100, say("calibration.axis.x")),
        _counts(frame, bins),
    ]
    return _svg("chart-reliability", say("calibration.diagram"), say("calibration.desc", n=f"{total:,}"), 360, body)


def whisker(value: float, low: float, high: float) -> Markup:
    """A share and its interval on a line from 0 to 100 %, as wide as its place: for table rows, hidden from readers."""
    return Markup(
        '<svg class="whisker" aria-hidden="true" height="14"><line class="track" x1="0" x2="100%" y1="7" y2="7"/>'
        '<line class="reach" x1="{:.2f}%" x2="{:.2f}%" y1="7" y2="7"/><circle cx="{:.2f}%" cy="7" r="3.5"/></svg>'
    ).format(100 * low, 100 * high, 100 * value)


def score_bar(top1: dict[str, float], baseline: float) -> Markup:
    """Accuracy, its interval and the baseline on one scale from 0 to 100 %."""
    value, low, high = top1["value"], top1["low"], top1["high"]
    told = say("score.bar", value=percent(value), low=percent(low), high=percent(high), baseline=percent(baseline))
    parts = [
        Markup('<rect class="track" x="0" y="10" width="100%" height="8" rx="4"/>'),
        Markup('<rect class="reach" x="{:.2f}%" y="7" width="{:.2f}%" height="14" rx="3"/>').format(
            100 * low, 100 * (high - low)
        ),
        Markup('<circle cx="{:.2f}%" cy="14" r="6"/>').format(100 * value),
        Markup('<line class="baseline" x1="{0:.2f}%" x2="{0:.2f}%" y1="4" y2="26"/>').format(100 * baseline),
        element(
            "text", say("score.baseline_mark", value=percent(baseline)), x=f"{100 * baseline:.2f}%", y=42,
            text_anchor=_anchor(baseline),
        ),
    ]  # fmt: skip
    ends = [("0", 0.0, baseline > 0.3), ("100", 1.0, baseline < 0.7)]
    parts += [
        Markup('<text x="{:.0f}%" y="42" text-anchor="{}">{}\u202f%</text>').format(100 * at, _anchor(at), text)
        for text, at, free in ends
        if free
    ]
    return Markup('<svg class="score-bar" role="img" height="46" {}>{}</svg>').format(
        attribute("aria-label", told), Markup("").join(parts)
    )


def _svg(key: str, title: Phrase, desc: Phrase, height: int, body: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" role="img" viewBox="0 0 {} {}" aria-labelledby="{key}-title {key}-desc">{}{}{}</svg>'
    ).format(
        _WIDTH,
        height,
        element("title", title, id=f"{key}-title"),
        element("desc", desc, id=f"{key}-desc"),
        Markup("").join(body),
        key=key,
    )


def _y_axis(frame: _Frame, levels: Sequence[float], labels: Sequence[str]) -> Markup:
    """Horizontal rules with their values."""
    rule = Markup('<line class="rule" x1="{}" x2="{}" y1="{y}" y2="{y}"/>')
    text = Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>')
    parts = []
    for level, label in zip(levels, labels, strict=True):
        y = frame.y(level)
        parts += [rule.format(frame.left, frame.right, y=y), text.format(frame.left - 6, y + 4, label)]
    return Markup("").join(parts)


def _x_axis(frame: _Frame, values: Sequence[float], scale: float, unit: Phrase) -> Markup:
    """The lower axis; a value is written `scale` times as large."""
    text = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{:g}</text>')
    parts = [
        Markup('<line class="axis" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
            frame.left, frame.right, y=frame.bottom
        ),
        *(text.format(frame.x(value), frame.bottom + 15, round(scale * value, 6)) for value in values),
        element("text", unit, x=frame.right, y=frame.bottom + 28, text_anchor="end", class_="unit"),
    ]
    return Markup("").join(parts)


def _legend(series: Sequence[Series]) -> Markup:
    """Names beside samples of the lines, right-aligned in equal slots so that either language fits."""
    if len(series) < 2:
        return Markup("")
    parts = []
    for number, one in enumerate(series):
        x = _WIDTH - 88 * (len(series) - number) + 4
        parts.append(_path(f"line {one.style}", [(x, 10), (x + 18, 10)]))
        parts.append(element("text", say(f"curves.{one.style}"), x=x + 23, y=14))
    return Markup("").join(parts)


def _line(frame: _Frame, series: Series, share: bool) -> Markup:
    """One line, with dots that tell their value where there is room for them."""
    points = [(frame.x(x), frame.y(y)) for x, y in series.points]
    parts = [_path(f"line {series.style}", points)]
    if len(points) <= _DOTS and series.style != "steps":
        for (x, y), (epoch, value) in zip(points, series.points, strict=True):
            told = say("curves.point", x=f"{epoch:g}", y=percent(value) if share else f"{value:.4g}")
            dot = Markup('<circle class="dot {}" cx="{}" cy="{}" r="3">{}</circle>')
            parts.append(dot.format(series.style, x, y, element("title", told)))
    return Markup("").join(parts)


def _best(frame: _Frame, chart: Curves) -> Markup:
    """A dashed line at the best epoch, and a ring round its validation value."""
    if chart.best is None:
        return Markup("")
    x = frame.x(chart.best)
    at_end = x > (frame.left + frame.right) / 2
    words = element(
        "text", say("curves.mark", epoch=chart.best), x=x, y=frame.top - 8, class_="mark",
        text_anchor="end" if at_end else "start",
    )  # fmt: skip
    rings = [
        Markup('<circle class="ring" cx="{}" cy="{}" r="6.5"/>').format(x, frame.y(value))
        for series in chart.series
        for epoch, value in series.points
        if series.style == "validation" and epoch == chart.best
    ]
    return _path("best", [(x, frame.top - 5), (x, frame.bottom)]) + words + Markup("").join(rings)


def _bar(frame: _Frame, one: dict[str, Any]) -> Markup:
    """One bin: how often it was right, and how sure one can be of that."""
    left, right, top = frame.x(one["low"]) + 1, frame.x(one["high"]) - 1, frame.y(one["accuracy"])
    share = proportion(round(one["accuracy"] * one["n"]), one["n"])
    told = say(
        "calibration.bar", low=percent(one["low"], 0), high=percent(one["high"], 0), n=f"{one['n']:,}",
        accuracy=percent(one["accuracy"], 1),
    )  # fmt: skip
    pale = " pale" if one["n"] < FEW else ""
    middle = round((left + right) / 2, 1)
    return Markup(
        '<g class="bin{}">{}<rect x="{}" y="{}" width="{:.1f}" height="{:.1f}"/>'
        '<line class="reach" x1="{x}" x2="{x}" y1="{}" y2="{}"/></g>'
    ).format(
        pale,
        element("title", told),
        left,
        top,
        right - left,
        max(frame.bottom - top, 1),
        frame.y(share.low),
        frame.y(share.high),
        x=middle,
    )


def _counts(frame: _Frame, bins: Sequence[dict[str, Any]]) -> Markup:
    """How many pictures each bin holds: bars that hang side by side with their numbers."""
    floor, room = 352.0, 36.0
    greatest = max((b["n"] for b in bins), default=0) or 1
    parts = [element("text", say("calibration.axis.n"), x=0, y=floor - room - 12, class_="unit")]
    for one in bins:
        if not one["n"]:
            continue
        left, right = frame.x(one["low"]) + 1, frame.x(one["high"]) - 1
        height = max(1.0, room * one["n"] / greatest)
        middle, top = round((left + right) / 2, 1), round(floor - height, 1)
        parts.append(
            Markup('<rect class="count" x="{}" y="{}" width="{:.1f}" height="{:.1f}"/>').format(
                left, top, right - left, height
            )
        )
        upright = greatest >= _NUMBERS
        turn = Markup(' transform="rotate(-90 {} {})"').format(middle + 3.5, top - 3) if upright else ""
        text = Markup('<text class="tick" x="{}" y="{}" text-anchor="{}"{}>{:,}</text>')
        x = middle + 3.5 if upright else middle
        parts.append(text.format(x, top - 3, "start" if upright else "middle", turn, one["n"]))
    parts.append(
        Markup('<line class="axis" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(frame.left, frame.right, y=floor)
    )
    return Markup("").join(parts)


def _path(style: str, points: Sequence[Point]) -> Markup:
    route = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
    return Markup('<path class="{}" d="{}"/>').format(style, route)


def _told(chart: Curves) -> Phrase:
    """The chart in a sentence: where each line begins and ends."""

    def shown(value: float) -> str:
        return percent(value) if chart.share else f"{value:.4g}"

    parts = [
        say("curves.from_to", name=say(f"curves.{s.style}"), first=shown(s.points[0][1]), last=shown(s.points[-1][1]))
        for s in chart.series
        if s.style != "steps"
    ]
    what = parts[0]
    for part in parts[1:]:
        what = say("curves.and", first=what, second=part)
    epochs = max(x for series in chart.series for x, _ in series.points)
    return say("curves.desc", what=what, epochs=f"{epochs:g}")


def _anchor(share: float) -> str:
    """Which way a text beside a place on a 0..1 scale must lean to stay inside."""
    return "start" if share < 0.15 else "end" if share > 0.85 else "middle"
