"""What a search found, and the curve of a range test, each as one picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reslab.figures.curves import ticks
from reslab.figures.drawing import between, power_of_ten, standalone, svg, text

if TYPE_CHECKING:
    from reslab.train.range_test import RangeTest

_WORDS = {
    "en": {
        "trials": "validation error by trial", "rates": "validation error by learning rate", "error": "error, %",
        "trial": "trial", "rate": "peak learning rate", "kinds": "amber: best · ringed: default · hollow: stopped early",
        "test": "loss while the rate grows", "loss": "loss", "suggestion": "suggested: {:g}",
        "average": "bold: average · pale: each step",
    },
    "zh": {
        "trials": "各次试验的验证错误率", "rates": "验证错误率与学习率", "error": "错误率，%",
        "trial": "第几次试验", "rate": "最高学习率", "kinds": "橙色：最佳 · 带圈：默认配置 · 空心：提前停止",
        "test": "学习率增大时的损失", "loss": "损失", "suggestion": "建议：{:g}",
        "average": "粗线：平均 · 细线：每一步",
    },
}  # fmt: skip

_PANEL, _GAP = 330, 28
_LEFT, _RIGHT, _HIGH, _LOW = 40, _PANEL - 4, 58, 218

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Dot:
    """One trial."""

    x: float
    y: float
    name: str
    hollow: bool = False
    ringed: bool = False
    best: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart; values above the upper end of `y` are drawn at it."""

    title: str
    note: str
    x_axis: str
    y_axis: str
    x: Point
    """From where to where; powers of ten where `logarithmic`."""
    y: Point
    lines: tuple[tuple[str, Sequence[Point]], ...] = ()
    """Class of the style sheet, and points."""
    dots: tuple[Dot, ...] = ()
    mark: tuple[float, str] | None = None
    """A place on the lower axis and its name."""
    logarithmic: bool = False

    def place(self, x: float, y: float) -> Point:
        """Where a point comes to lie."""
        x = math.log10(x) if self.logarithmic else x
        return between(x, self.x, (_LEFT, _RIGHT)), between(min(y, self.y[1]), self.y, (_LOW, _HIGH))


def draw_search(document: dict[str, Any], language: str = "en") -> str:
    """Every trial of a search (`search.json`) over its number and over its learning rate, as an SVG file."""
    words = _WORDS[language]
    shown = [trial for trial in document["trials"] if trial["val_accuracy"] is not None]
    errors = [100 * (1 - trial["val_accuracy"]) for trial in shown]
    finished = [error for trial, error in zip(shown, errors, strict=True) if trial["state"] == "complete"]
    levels = ticks(min(finished), max(finished))
    y = (max(0.0, levels[0]), levels[-1])
    dots = [
        Dot(trial["trial"], error, f"{trial['trial']}: {error:.2f} %", trial["state"] != "complete",
            trial["trial"] == 0, trial["trial"] == document["leader"]["trial"])
        for trial, error in zip(shown, errors, strict=True)
    ]  # fmt: skip
    last = max(1, *(dot.x for dot in dots))
    panels = [
        Panel(words["trials"], words["kinds"], words["trial"], words["error"], (0, last), y,
              (("steps", _best_so_far(dots)),), tuple(dots))
    ]  # fmt: skip
    rated = [(trial["dials"].get("optim.lr"), dot) for trial, dot in zip(shown, dots, strict=True)]
    rates = [rate for rate, _ in rated if rate]
    if rates:
        x = (math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)) + 1e-9))
        over = tuple(Dot(rate, d.y, d.name, d.hollow, d.ringed, d.best) for rate, d in rated if rate)
        panels.append(Panel(words["rates"], "", words["rate"], words["error"], x, y, (), over, logarithmic=True))
    return _drawn(panels, words["trials"], language)


def draw_rates(test: "RangeTest", language: str = "en") -> str:
    """The losses of a range test over the rate, as an SVG file."""
    words = _WORDS[language]
    levels = ticks(min(test.averages), min(max(test.averages), 2 * test.averages[0]))
    x = (math.floor(math.log10(test.rates[0])), math.ceil(math.log10(test.rates[-1]) - 1e-9))
    lines = tuple(
        (style, tuple(zip(test.rates, values, strict=True)))
        for style, values in (("steps", test.losses), ("training", test.averages))
    )
    mark = test.suggestion, words["suggestion"].format(test.suggestion)
    panel = Panel(words["test"], words["average"], words["rate"], words["loss"], x, (levels[0], levels[-1]), lines,
                  mark=mark, logarithmic=True)  # fmt: skip
    return _drawn([panel], words["test"], language)


def _best_so_far(dots: Sequence[Dot]) -> list[Point]:
    """The least error of the finished trials up to each, as stairs."""
    points: list[Point] = []
    for dot in (d for d in dots if not d.hollow):
        if points:
            points.append((dot.x, points[-1][1]))
        points.append((dot.x, min(dot.y, points[-1][1] if points else dot.y)))
    return points


def _drawn(panels: Sequence[Panel], title: str, language: str) -> str:
    body = Markup("").join(
        Markup('<g transform="translate({},0)">{}</g>').format(number * (_PANEL + _GAP), _panel(panel))
        for number, panel in enumerate(panels)
    )
    return standalone(svg(title, len(panels) * (_PANEL + _GAP) - _GAP, _LOW + 32, body), language)


def _panel(panel: Panel) -> Markup:
    parts = [text("", 0, 10, panel.title), text("unit", 0, 26, panel.note), text("unit", 0, _HIGH - 12, panel.y_axis)]
    parts.append(text("unit", _RIGHT, _LOW + 28, panel.x_axis, "end"))
    for level in (value for value in ticks(*panel.y) if panel.y[0] <= value <= panel.y[1]):
        y = between(level, panel.y, (_LOW, _HIGH))
        rule = Markup('<line class="rule" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts += [rule.format(_LEFT, _RIGHT, y=y), text("tick", _LEFT - 6, y + 4, f"{level:g}", "end")]
    for value in ticks(*panel.x, about=8, whole=True):
        if value <= panel.x[1]:
            name = power_of_ten(int(value)) if panel.logarithmic else f"{value:g}"
            parts.append(text("tick", between(value, panel.x, (_LEFT, _RIGHT)), _LOW + 15, name, "middle"))
    for style, points in panel.lines:
        route = "L".join(f"{x:.1f} {y:.1f}" for x, y in (panel.place(*point) for point in points))
        parts.append(Markup('<path class="line {}" d="M{}"/>').format(style, route))
    if panel.mark:
        x = panel.place(panel.mark[0], panel.y[0])[0]
        parts.append(Markup('<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(_HIGH, _LOW, x=x))
        parts.append(text("mark", x, _HIGH - 4, panel.mark[1], "middle"))
    return Markup("").join([*parts, *(_dot(panel, dot) for dot in panel.dots)])


def _dot(panel: Panel, dot: Dot) -> Markup:
    x, y = panel.place(dot.x, dot.y)
    colour = "amber" if dot.best else "blue"
    fill = "var(--card)" if dot.hollow else f"var(--{colour})"
    circle = Markup(
        '<circle cx="{:.1f}" cy="{:.1f}" r="{}" style="fill: {}; stroke: var(--{})"><title>{}</title></circle>'
    )
    ring = circle.format(x, y, 6.5, "none", colour, dot.name) if dot.ringed else Markup("")
    return ring + circle.format(x, y, 3, fill, colour, dot.name)
