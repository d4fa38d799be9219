"""The study of degradation as one picture: training and validation error by epoch, and gradients layer by layer."""

from typing import Any

from reslab.figures.axes import Axes, Scale, counts, panel, powers, shares, side_by_side
from reslab.figures.svg import Element

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

_COLOURS = {20: "blue", 56: "amber", 110: "green"}
_RIGHT = 296

Panel = tuple[Axes, list[Element]]


def draw(document: dict[str, Any], language: str = "en") -> str:
    """The figure of a study (`degradation.study`) as an SVG file."""
    words = _WORDS[language]
    rows = {row["name"]: row for row in document["networks"]}
    highest = max(
        epoch[kind] for row in rows.values() for epoch in row["epochs"] for kind in ("val_error", "train_error")
    )
    panels = [_error_panel(kind, rows, shares(0, highest), words) for kind in ("plain", "resnet")]
    title = f"{words['plain']}, {words['resnet']}: {words['error']}"
    return side_by_side(title, [*panels, _gradient_panel(rows, words)]).file(language)


def _error_panel(kind: str, rows: dict[str, Any], errors: Scale, words: dict[str, str]) -> Panel:
    epochs = {depth: rows[f"{kind}{depth}"]["epochs"] for depth in _COLOURS if f"{kind}{depth}" in rows}
    longest = max((len(each) for each in epochs.values()), default=1)
    axes = Axes(counts(1, longest), errors, words["epoch"], words["error"], right=_RIGHT)
    parts = axes.legend([(_COLOURS[depth], words["layers"].format(depth)) for depth in epochs])
    for depth, each in epochs.items():
        for field, style in (("val_error", ""), ("train_error", " dashed")):
            points = [(number, epoch[field]) for number, epoch in enumerate(each, start=1)]
            parts.append(axes.line(_COLOURS[depth] + style, points))
    return axes, panel(axes, words[kind], words["kinds"], parts)


def _gradient_panel(rows: dict[str, Any], words: dict[str, str]) -> Panel:
    depth = max(depth for depth in (20, 56) if f"plain{depth}" in rows and f"resnet{depth}" in rows)
    norms = {kind: rows[f"{kind}{depth}"]["gradients"]["end"] for kind in ("plain", "resnet")}
    axes = Axes(
        counts(1, len(norms["plain"])), powers([*norms["plain"], *norms["resnet"]]), words["layer"], "", right=_RIGHT
    )
    colours = {"plain": "amber", "resnet": "blue"}
    parts = axes.legend([(colour, words[f"short {kind}"]) for kind, colour in colours.items()])
    parts += [axes.line(colours[kind], list(enumerate(values, start=1))) for kind, values in norms.items()]
    return axes, panel(axes, words["gradients"].format(depth), "", parts)
