"""Few pictures per class as one picture: accuracy by the number of training pictures, a dot per seed."""

from typing import Any

from reslab.figures.axes import Axes, Scale, panel, shares, side_by_side
from reslab.figures.svg import segment

_WORDS = {
    "en": {
        "title": "Four new classes from few pictures: accuracy on {n:,} test pictures, %",
        "axis": "training pictures per class", "note": "lines: means over seeds · dots: seeds · dashed: guessing",
        "scratch": "from scratch", "head": "head alone", "gradual": "head, then all", "all": "all layers",
    },
    "zh": {
        "title": "用很少的图片学习四个新类别：{n:,} 张测试图片上的准确率，%",
        "axis": "每类训练图片数", "note": "折线：各种子的均值 · 圆点：各个种子 · 虚线：随机猜测",
        "scratch": "从零训练", "head": "只训练分类头", "gradual": "先分类头，后全部", "all": "所有层",
    },
}  # fmt: skip
_COLOURS = {"scratch": "amber", "head": "green", "gradual": "blue", "all": "ink"}


def draw(document: dict[str, Any], language: str = "en") -> str:
    """The figure of `few_shot.py` as an SVG file.

    Args:
        document: `rows` of `shots`, `way` and the `accuracies` of its seeds; `n` test pictures; `chance`.
    """
    words, rows = _WORDS[language], document["rows"]
    shots = sorted({row["shots"] for row in rows})
    values = [value for row in rows for value in row["accuracies"]]
    axes = Axes(
        Scale(shots[0] / 1.2, shots[-1] * 1.1, tuple((n, str(n)) for n in shots), log=True),
        shares(min(*values, document["chance"]), max(values)),
        words["axis"], "", right=470, top=66, bottom=270, names=48,
    )  # fmt: skip
    _, chance = axes.place(shots[0], document["chance"])
    parts = [segment("rule dashed", (axes.left, chance), (axes.right, chance))]
    parts += axes.legend([(colour, words[way]) for way, colour in _COLOURS.items()])
    for way, colour in _COLOURS.items():
        chosen = sorted((row for row in rows if row["way"] == way), key=lambda row: row["shots"])
        parts.append(
            axes.line(colour, [(row["shots"], sum(row["accuracies"]) / len(row["accuracies"])) for row in chosen])
        )
        parts += [
            axes.dot(f"{colour} seed", (row["shots"], v), radius=2.6) for row in chosen for v in row["accuracies"]
        ]
    title = words["title"].format(n=document["n"])
    return side_by_side(title, [(axes, panel(axes, title, words["note"], parts))]).file(language)
