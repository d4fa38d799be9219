"""The study of degradation as one picture: training and validation error by epoch, and gradients layer by layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reslab.figures.curves import ticks
from reslab.figures.drawing import between, power_of_ten, standalone, svg, text

_WORDS = {
    "en": {
        "plain": "plain networks", "resnet": "residual networks", "gradients": "size of the gradient, trained, {} layers",
        "error": "error, %", "epoch": "epoch", "layer": "convolution", "layers": "{} layers",
        "kinds": "solid: validation · dashed: training", "short plain": "plain", "short resnet": "residual",
    },
    "zh": {
        "plain": "普通网络", "resnet": "残差网络", "gradients": "训练后的梯度大小，{} 层",
        "error": "错误率，%", "epoch": "轮", "layer": "第几层卷积", "layers": "{} 层",
        "kinds": "实线：验证集 · 虚线：训练集", "short plain": "普通", "short resnet": "残差",
    },
}  # fmt: skip

_PANEL, _GAP = 300, 28
_LEFT, _RIGHT, _HIGH, _LOW = 40, _PANEL - 4, 58, 218
_COLOURS = ("blue", "amber", "green")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its values at 1, 2, 3, …"""

    name: str
    colour: str
    values: tuple[float, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. Values are drawn as they are, or by their power of ten."""

    title: str
    y_axis: str
    x_axis: str
    lines: tuple[Line, ...]
    span: tuple[float, float]
    logarithmic: bool = False
    note: str = ""


def draw(document: dict[str, Any], language: str = "en") -> str:
    """The figure of a study (`degradation.study`) as an SVG file."""
    words = _WORDS[language]
    rows = {row["name"]: row for row in document["networks"]}
    highest = max(value for row in document["networks"] for e in row["epochs"] for value in _errors(e))
    panels = [_error_panel(kind, rows, (0, highest), words) for kind in ("plain", "resnet")]
    panels.append(_gradient_panel(rows, words))
    body = Markup("").join(
        Markup('<g transform="translate({},0)">{}</g>').format(number * (_PANEL + _GAP), _drawn(panel))
        for number, panel in enumerate(panels)
    )
    width = len(panels) * (_PANEL + _GAP) - _GAP
    return standalone(svg(f"{words['plain']}, {words['resnet']}: {words['error']}", width, _LOW + 32, body), language)


def _errors(epoch: dict[str, float]) -> tuple[float, float]:
    return 100 * epoch["val_error"], 100 * epoch["train_error"]


def _error_panel(kind: str, rows: dict[str, Any], span: tuple[float, float], words: dict[str, str]) -> Panel:
    lines = []
    for depth, colour in zip((20, 56, 110), _COLOURS, strict=True):
        epochs = rows.get(f"{kind}{depth}", {"epochs": []})["epochs"]
        if epochs:
            validation, training = zip(*map(_errors, epochs), strict=True)
            lines.append(Line(words["layers"].format(depth), colour, validation))
            lines.append(Line("", colour, training, dashed=True))
    return Panel(words[kind], words["error"], words["epoch"], tuple(lines), span, note=words["kinds"])


def _gradient_panel(rows: dict[str, Any], words: dict[str, str]) -> Panel:
    depth = max(depth for depth in (20, 56) if f"plain{depth}" in rows and f"resnet{depth}" in rows)
    lines = tuple(
        Line(words[f"short {kind}"], colour, tuple(rows[f"{kind}{depth}"]["gradients"]["end"]))
        for kind, colour in (("plain", "amber"), ("resnet", "blue"))
    )
    powers = [math.log10(value) for line in lines for value in line.values if value > 0]
    span = (math.floor(min(powers)), math.ceil(max(powers)))
    return Panel(words["gradients"].format(depth), "", words["layer"], lines, span, logarithmic=True)


def _drawn(panel: Panel) -> Markup:
    low, high = panel.span
    if panel.logarithmic:
        levels: Sequence[float] = range(int(low), int(high) + 1, max(1, math.ceil((high - low) / 6)))
    else:
        levels = ticks(low, high)
        low, high = levels[0], levels[-1]
    last = max(2, *(len(line.values) for line in panel.lines))
    parts = [text("", 0, 10, panel.title), text("unit", 0, _HIGH - 12, panel.y_axis), text("unit", 0, 26, panel.note)]
    parts.append(text("unit", _RIGHT, _LOW + 28, panel.x_axis, "end"))
    for level in levels:
        y = between(level, (low, high), (_LOW, _HIGH))
        parts.append(
            Markup('<line class="rule" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(_LEFT, _RIGHT, y=y)
        )
        parts.append(
            text("tick", _LEFT - 6, y + 4, power_of_ten(int(level)) if panel.logarithmic else f"{level:g}", "end")
        )
    for number in (1, *(int(n) for n in ticks(0, last, about=6, whole=True) if 1 < n <= last)):
        parts.append(text("tick", between(number, (1, last), (_LEFT, _RIGHT)), _LOW + 15, str(number), "middle"))
    named = [line for line in panel.lines if line.name]
    for number, line in enumerate(named):
        x = _RIGHT - 80 * (len(named) - number)
        parts += [_stroke(line, [(x, _HIGH - 16), (x + 18, _HIGH - 16)]), text("", x + 23, _HIGH - 12, line.name)]
    for line in panel.lines:
        values = [math.log10(v) if panel.logarithmic else v for v in line.values]
        places = [
            (between(i + 1, (1, last), (_LEFT, _RIGHT)), between(value, (low, high), (_LOW, _HIGH)))
            for i, value in enumerate(values)
        ]
        parts.append(_stroke(line, places))
    return Markup("").join(parts)


def _stroke(line: Line, points: Sequence[tuple[float, float]]) -> Markup:
    route = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashes = "stroke-dasharray: 3 3; stroke-width: 1.2" if line.dashed else ""
    return Markup('<path class="line" style="stroke: var(--{}); {}" d="M{}"/>').format(line.colour, dashes, route)
