"""Few pictures per class as one picture: accuracy by the number of training pictures, a dot per seed."""

import math
from typing import Any

from markupsafe import Markup

from reslab.figures.curves import ticks
from reslab.figures.drawing import between, standalone, svg, text

_WORDS = {
    "en": {
        "title": "Four new classes from few pictures: accuracy on {n:,} test pictures, %",
        "axis": "training pictures per class", "note": "lines: means over seeds · dots: seeds · dashed: guessing",
        "scratch": "from scratch", "head": "head alone", "gradual": "head, then all", "all": "all layers",
    },
    "zh": {
        "title": "用很少的图片学习四个新类别：{n:,} 张测试图片上的准确率，%",
        "axis": "每类训练图片数", "note": "折线：各种子的均值 · 圆点：各个种子 · 虚线：随机猜测",
        "scratch": "从零训练", "head": "只训练分类层", "gradual": "先分类层后全部", "all": "所有层",
    },
}  # fmt: skip
_COLOURS = {"scratch": "amber", "head": "green", "gradual": "blue", "all": "ink"}
_WIDTH, _LEFT, _RIGHT, _HIGH, _LOW = 480, 40, 470, 66, 270


def draw(document: dict[str, Any], language: str = "en") -> str:
    """The figure of `reproduce/few_shot.py` as an SVG file.

    Args:
        document: `rows` of `shots`, `way` and the `accuracies` of its seeds; `n` test pictures; `chance`.
    """
    words, rows = _WORDS[language], document["rows"]
    shots = sorted({row["shots"] for row in rows})
    values = [100 * value for row in rows for value in row["accuracies"]]
    levels = ticks(min(*values, 100 * document["chance"]), max(values))

    def x(count: int) -> float:
        return between(math.log(count), (math.log(shots[0]), math.log(shots[-1])), (_LEFT + 24, _RIGHT - 12))

    def y(share: float) -> float:
        return between(100 * share, (levels[0], levels[-1]), (_LOW, _HIGH))

    title = words["title"].format(n=document["n"])
    parts = [text("", 0, 10, title), text("unit", 0, 26, words["note"])]
    for level in levels:
        parts += [_rule(y(level / 100)), text("tick", _LEFT - 6, y(level / 100) + 4, f"{level:g}", "end")]
    parts.append(_rule(y(document["chance"]), "stroke-dasharray: 3 3; stroke-width: 1.5"))
    for count in shots:
        parts.append(text("tick", x(count), _LOW + 15, str(count), "middle"))
    parts.append(text("unit", _RIGHT, _LOW + 30, words["axis"], "end"))
    for number, (way, colour) in enumerate(_COLOURS.items()):
        mine = sorted((row for row in rows if row["way"] == way), key=lambda row: row["shots"])
        means = [(x(row["shots"]), y(sum(row["accuracies"]) / len(row["accuracies"]))) for row in mine]
        dots = [(x(row["shots"]), y(value)) for row in mine for value in row["accuracies"]]
        left = _LEFT + number * 110
        parts += [
            _line(colour, [(left, _HIGH - 18), (left + 18, _HIGH - 18)]),
            text("", left + 23, _HIGH - 14, words[way]),
        ]
        parts += [_line(colour, means), *(_dot(colour, *place) for place in dots)]
    return standalone(svg(title, _WIDTH, _LOW + 34, Markup("").join(parts)), language)


def _rule(y: float, style: str = "") -> Markup:
    rule = '<line class="rule" style="{}" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return Markup(rule).format(style, _LEFT, _RIGHT, y=y)


def _line(colour: str, points: list[tuple[float, float]]) -> Markup:
    route = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return Markup('<path class="line" style="stroke: var(--{})" d="M{}"/>').format(colour, route)


def _dot(colour: str, x: float, y: float) -> Markup:
    dot = '<circle style="fill: var(--{}); fill-opacity: 0.45" cx="{:.1f}" cy="{:.1f}" r="2.6"/>'
    return Markup(dot).format(colour, x, y)
