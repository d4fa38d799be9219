"""What a search found, and the curve of a range test, each as one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reslab.figures.axes import Axes, counts, linear, panel, powers, shares, side_by_side
from reslab.figures.svg import Element, Point

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


def draw_search(document: dict[str, Any], language: str = "en") -> str:
    """Every trial of a search (`search.json`) over its number and over its learning rate, as an SVG file."""
    words, leader = _WORDS[language], document["leader"]["trial"]
    trials = [trial for trial in document["trials"] if trial["val_accuracy"] is not None]
    finished = [(trial["trial"], _error(trial)) for trial in trials if trial["state"] == "complete"]
    errors = shares(min(error for _, error in finished), max(error for _, error in finished))
    axes = Axes(counts(0, max(1, *(trial["trial"] for trial in trials))), errors, words["trial"], words["error"])
    parts = [axes.line("steps", _best_so_far(finished))]
    for trial in trials:
        parts += _dots(axes, trial["trial"], trial, leader)
    panels = [(axes, panel(axes, words["trials"], words["kinds"], parts))]
    rated = [(rate, trial) for trial in trials if (rate := trial["dials"].get("optim.lr"))]
    if rated:
        axes = Axes(powers([rate for rate, _ in rated]), errors, words["rate"], words["error"])
        parts = [dot for rate, trial in rated for dot in _dots(axes, rate, trial, leader)]
        panels.append((axes, panel(axes, words["rates"], "", parts)))
    return side_by_side(words["trials"], panels).file(language)


def draw_rates(test: "RangeTest", language: str = "en") -> str:
    """The losses of a range test over the rate, as an SVG file."""
    words = _WORDS[language]
    losses = linear(min(test.averages), min(max(test.averages), 2 * test.averages[0]))
    axes = Axes(powers(test.rates), losses, words["rate"], words["loss"])
    parts = [
        axes.line(style, list(zip(test.rates, values, strict=True)))
        for style, values in (("steps", test.losses), ("training", test.averages))
    ]
    parts += axes.mark("axis", test.suggestion, words["suggestion"].format(test.suggestion))
    return side_by_side(words["test"], [(axes, panel(axes, words["test"], words["average"], parts))]).file(language)


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
