"""The static pictures of the lessons' moving figures. They contain symbols instead of words: one file for both languages."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reslab.figures.axes import Axes, Scale, counts, powers
from reslab.figures.lessons import log_lines
from reslab.figures.svg import Drawing, Element, element, path, rect, segment, text

_DARK = 0.55  # ink from here on takes a number in the colour of the card
_INKS = 12  # levels of ink of a small map


# ---------------------------------------------------------------- grids of numbers


def _grid(values: np.ndarray, left: float, top: float, side: float, numbers: bool = True) -> list[Element]:
    """A square for each value, the greatest size full ink, amber below zero, with its number if there is room."""
    greatest = float(np.abs(values).max()) or 1.0
    parts = []
    for (row, column), value in np.ndenumerate(values):
        x, y, share = left + column * side, top + row * side, abs(float(value)) / greatest
        style = "minus" if value < 0 else "plus"
        parts.append(rect(style, x, y, side - 0.5, side - 0.5, fill_opacity=f"{share:.2f}"))
        if numbers:
            style = "number over" if share > _DARK else "number"
            parts.append(text(x + side / 2, y + side / 2 + 3.4, f"{value:g}".replace("-", "−"), style, "middle"))
    rows, columns = values.shape
    return [*parts, rect("frame", left - 1, top - 1, columns * side + 1.5, rows * side + 1.5)]


def sliding_window(document: Mapping[str, Any], row: int = 2, column: int = 3) -> Drawing:
    """A digit with the window at one place, the filter, the nine products, and the output."""
    digit = np.array(document["digit"]).reshape(8, 8)
    weights = np.array(document["filters"]["vertical"]).reshape(3, 3)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(digit, 1), (3, 3))
    output = np.einsum("rckl,kl->rc", windows, weights)
    products = windows[row, column] * weights
    side, small, top = 20, 26, 22
    middle, right = 8 * side + 26, 8 * side + 3 * small + 52
    frame = {"fill": "none", "stroke": "var(--green)", "stroke_width": 2.5}
    parts = [
        text(0, 12, "x"), *_grid(digit, 0, top, side),
        rect("", (column - 1) * side - 1, top + (row - 1) * side - 1, 3 * side + 1, 3 * side + 1, **frame),
        text(middle, 12, "w"), *_grid(weights, middle, top, small),
        text(middle, top + 3 * small + 16, "x · w"), *_grid(products, middle, top + 3 * small + 24, small),
        text(right, 12, "y = Σ x · w"), *_grid(output, right, top, side),
        rect("", right + column * side - 1, top + row * side - 1, side + 1, side + 1, **frame),
    ]  # fmt: skip
    return Drawing("x, w, x · w, y = Σ x · w", right + 8 * side, top + 6 * small + 26, parts)


# ---------------------------------------------------------------- lines


def fifty_layers(sizes: Mapping[str, Sequence[float]]) -> Drawing:
    """Size of the signal behind each layer, a line for each gain."""
    return log_lines(list(sizes.items()), "ℓ", "√E[x²]")


def gradient_flow(document: Mapping[str, Any]) -> Drawing:
    """Gradient norms with norms, before and after training: a row for each depth that was trained."""
    kept = [each for each in document["series"] if each["norm"] and each["depth"] > 8]
    found = {(each["depth"], each["moment"], each["kind"]): each["values"] for each in kept}
    y = powers([value for each in kept for value in each["values"]])
    depths = sorted({each["depth"] for each in kept})
    wide, high, parts = 300, 150, []
    for index, depth in enumerate(depths):
        for number, moment in enumerate(("start", "end")):
            lines = [(colour, found[depth, moment, kind]) for kind, colour in (("plain", "amber"), ("resnet", "blue"))]
            name = f"{depth}, t = {'0' if moment == 'start' else 'T'}"
            content = _panel(name, y, lines, (index, number) == (0, 0))
            parts.append(element("g", *content, transform=f"translate({number * wide},{index * high})"))
    return Drawing("‖∂L/∂W(ℓ)‖: F(x), F(x) + x", 2 * wide - 10, len(depths) * high - 6, parts)


def _panel(name: str, y: Scale, lines: Sequence[tuple[str, Sequence[float]]], named: bool) -> list[Element]:
    """One depth at one moment."""
    axes = Axes(counts(1, len(lines[0][1])), y, "ℓ", "", left=34, right=286, top=20, bottom=116, names=10)
    parts = [part for part in axes.grid() if part.children != ("",)]
    parts += [axes.line(colour, list(enumerate(values, start=1))) for colour, values in lines]
    parts.append(text(axes.left, 10, name))
    return [*parts, *(axes.legend([("amber", "F(x)"), ("blue", "F(x) + x")]) if named else [])]


# ---------------------------------------------------------------- the map


def resnet18_map(document: Mapping[str, Any], size: int = 224) -> Drawing:
    """A row for each layer: what it is, its output, and bars of parameters and multiply-accumulates."""
    high, bars, room = 19, 222, 220
    layers = document["layers"]
    sides, work = {"": size}, []
    for layer in layers:
        sides[layer["name"]] = 1 if layer["kind"] == "head" else -(-sides[layer["after"]] // layer["stride"])
        work.append(0 if layer["kind"] == "pool" else layer["weights"] * sides[layer["name"]] ** 2)
    parameters = [layer["weights"] + layer["extra"] for layer in layers]
    parts = []
    for number, layer in enumerate(layers):
        y, indent, side = 14 + number * high, 12 if layer["shortcut"] else 0, sides[layer["name"]]
        shape = f"{layer['kernel']} × {layer['kernel']}, {layer['channels']}" + (", /2" if layer["stride"] == 2 else "")
        name = {"conv": shape, "pool": "max 3 × 3, /2", "head": "512 → 1000"}[layer["kind"]]
        parts += [
            rect("card", 44 + indent, y + 2, 92 - indent, high - 4, rx=3), text(51 + indent, y + 13, name),
            text(146, y + 13, "1000" if layer["kind"] == "head" else f"{side} × {side}", "tick"),
            rect("dot blue", bars, y + 4, round(room * parameters[number] / max(parameters), 1), 5),
            rect("dot amber", bars, y + 10, round(room * work[number] / max(work), 1), 5),
        ]  # fmt: skip
    for first, last in document["arcs"]:
        top, bottom = 14 + first * high, 14 + (last + 1) * high
        curve = f"M44 {top}C14 {top} 14 {bottom} 33 {bottom}"
        parts += [
            element("path", class_="line green", d=curve),
            element("circle", class_="dot hollow", cx=40, cy=bottom, r=5.5, stroke="var(--green)"),
            path("line green", [(37, bottom), (43, bottom)]), path("line green", [(40, bottom - 3), (40, bottom + 3)]),
        ]  # fmt: skip
    totals = f"{sum(parameters):,} · {sum(work):,} MAC"
    parts.append(text(bars, 8, totals, "unit"))
    return Drawing(f"ResNet-18: {totals}", bars + room, 18 + len(layers) * high, parts)


# ---------------------------------------------------------------- the living network


def living_network(levels: Sequence[int], found: Mapping[str, Any]) -> Drawing:
    """A digit, all maps block by block, the probabilities, and the class activation map of the answer."""
    logits = np.array(found["logits"])
    p = np.exp(logits - logits.max())
    p /= p.sum()
    answer = int(logits.argmax())
    parts = [text(0, 12, "x"), *_grid(np.array(levels).reshape(8, 8), 0, 22, 15, numbers=False)]
    parts += [text(150, 12, f"CAM({answer})"), *_grid(np.round(found["evidence"][answer], 1), 150, 22, 60)]
    for digit, share in enumerate(p):
        y = 24 + 12 * digit
        style = "dot blue" if digit == answer else "tick"
        parts += [
            text(306, y + 8, str(digit)), rect(style, 320, y + 1, max(1.0, 130 * float(share)), 8),
            text(526, y + 8, f"{100 * share:.1f} %", "tick", "end"),
        ]  # fmt: skip
    y = 172
    strips = [("Conv, ReLU", found["stem"])]
    for number, block in enumerate(found["blocks"], start=1):
        strips += [(f"F{number}(x)", block["residual"]), ("x", block["x"]), (f"ReLU(F{number}(x) + x)", block["maps"])]
    for name, maps in strips:
        if name.startswith("F"):
            parts.append(segment("rule", (0, y - 4), (526, y - 4)))
        count, side = maps.shape[:2]
        tile = 24 if count > 8 else 30
        parts.append(text(0, y + tile / 2 + 3, name))
        parts += _maps(maps / (np.abs(maps).max() or 1), 120, y, tile)
        y += tile + 8
    return Drawing(f"x, CAM, F(x), ReLU(F(x) + x): {answer}", 526, y - 6, parts)


def _maps(maps: np.ndarray, left: float, top: float, tile: float) -> list[Element]:
    """Maps side by side, values from -1 to 1 as squares without gaps: one path for all squares of the same ink."""
    squares: dict[float, str] = {}
    side = tile / maps.shape[1]
    for (number, row, column), value in np.ndenumerate(maps):
        ink = round(float(value) * _INKS) / _INKS
        x, y = left + number * (tile + 1.5) + column * side, top + row * side
        squares[ink] = squares.get(ink, "") + f"M{x:.1f} {y:.1f}h{side:g}v{side:g}h-{side:g}z"
    parts = [
        element("path", class_="minus" if ink < 0 else "plus", d=d, fill_opacity=f"{abs(ink):.2f}")
        for ink, d in sorted(squares.items())
        if ink
    ]
    return [*parts, *(rect("frame", left + number * (tile + 1.5), top, tile, tile) for number in range(len(maps)))]
