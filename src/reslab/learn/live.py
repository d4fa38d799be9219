"""The figures that move: the JSON that each is drawn from, its static picture, and the script that moves it.

A lesson shows `![…](../figures/N-name.svg)`; where `N-name.json` lies beside it and says which "figure" it is, the page of the
lesson puts the moving one in its place (`page/figure.js`).

`python -m reslab.learn.live lessons` writes the JSON files and the pictures anew. The weights of the living network and the
gradients of networks without norms are measured by `reproduce/course_live.py`.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reslab.data.digits import read_digits
from reslab.figures import live
from reslab.figures.svg import Drawing
from reslab.learn.lesson import source_of
from reslab.nn.count import Layer, layer_table
from reslab.nn.zoo import ZOO
from reslab.study.published import published
from reslab.system.files import read_json, write_atomically

KINDS = ("gradient-flow", "living-network", "sliding-window", "fifty-layers", "resnet18-map")

_PAGE = Path(__file__).with_name("page")
_NETWORK = "15-living-network"
_RESULTS = "results/gradient-flow.json"

_FILTERS = {
    "vertical": [-1, 0, 1] * 3,
    "horizontal": [-1] * 3 + [0] * 3 + [1] * 3,
    "blur": [0.1] * 4 + [0.2] + [0.1] * 4,
    "sharpen": [0, -1, 0, -1, 5, -1, 0, -1, 0],
    "identity": [0] * 4 + [1] + [0] * 4,
}
"""3 x 3, row by row."""

_GAINS = {"g = 1": 1.0, "g = √2": math.sqrt(2), "g = 2": 2.0}


def script(kinds: Sequence[str] = KINDS) -> str:
    """The JavaScript that moves figures of these kinds, for the end of a page; empty if there are none that move."""
    moving = sorted(set(kinds) & set(KINDS))
    if not moving:
        return ""
    files = ["figure", "words", *moving]
    parts = [(_PAGE / f"{name}.js").read_text(encoding="utf-8") for name in files]
    return "\n".join(['(() => {\n"use strict";', *parts, "start();\n})();\n"])


def live_figures(folder: Path) -> dict[str, str]:
    """Name of a picture without its suffix -> its kind, for the figures of a folder that can move."""
    documents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    return {name: document["figure"] for name, document in documents.items() if document.get("figure") in KINDS}


# ---------------------------------------------------------------- what the figures show


def documents(lessons: Path) -> dict[str, dict[str, Any]]:
    """Name of the figure -> its JSON; that of the living network is made elsewhere."""
    return {
        "2-sliding-window": sliding_window(),
        "4-fifty-layers": fifty_layers(),
        "7-gradient-flow": gradient_flow(published(), read_json(lessons / _RESULTS)),
        "8-resnet18-map": resnet18_map(),
    }


def sliding_window() -> dict[str, Any]:
    """A digit in levels of 0 to 16, and filters."""
    chosen = next(p for p in read_digits().pictures if p.label == "7")
    digit = np.rint(np.asarray(chosen.source)[..., 0] * (16 / 255)).astype(int).ravel().tolist()
    return {"figure": "sliding-window", "digit": digit, "filters": _FILTERS}


def fifty_layers() -> dict[str, Any]:
    """The sizes of the stack, and what a few settings give: root mean squares that the page must reproduce."""
    shape = {"figure": "fifty-layers", "layers": 50, "width": 128, "batch": 32, "seed": 4}
    settings = [
        {"gain": gain, "norm": norm, "relu": relu, "shortcut": shortcut}
        for gain, norm, relu, shortcut in [
            (1.0, False, True, False), (2.0, False, False, False), (1.5, True, True, False), (1.2, True, True, True),
        ]
    ]  # fmt: skip
    golden = [
        each | {"sizes": [float(f"{size:.6g}") for size in signal_sizes(shape, **each)[:: shape["layers"] // 2]]}
        for each in settings
    ]
    return shape | {"golden": golden}


def normals(seed: int, count: int) -> np.ndarray:
    """Standard normal numbers from mulberry32 by Box and Muller, float64 `[count]`: what the page draws."""
    with np.errstate(over="ignore"):
        state = np.uint32(seed) + np.arange(1, 2 * count + 1, dtype=np.uint32) * np.uint32(0x6D2B79F5)
        t = (state ^ (state >> 15)) * (state | np.uint32(1))
        t = (t + (t ^ (t >> 7)) * (t | np.uint32(61))) ^ t
    uniforms = (t ^ (t >> 14)) / 2.0**32
    return np.sqrt(-2 * np.log(1 - uniforms[::2])) * np.cos(2 * np.pi * uniforms[1::2])


def signal_sizes(
    shape: Mapping[str, Any], gain: float, norm: bool = False, relu: bool = True, shortcut: bool = False
) -> list[float]:
    """Root mean square of the signal at the input and behind each layer, `x <- relu(norm(x W)) [+ x]`.

    Args:
        shape: `layers`, `width`, `batch` and `seed`.
        gain: the weights have standard deviation gain / sqrt(width).
    """
    width, batch, seed = shape["width"], shape["batch"], shape["seed"]
    x = normals(seed, batch * width).reshape(batch, width)
    weights = normals(seed + 1, shape["layers"] * width**2).reshape(-1, width, width)
    sizes = [float(np.sqrt((x**2).mean()))]
    for weight in weights:
        z = x @ weight * (gain / math.sqrt(width))
        if norm:
            z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
        z = np.maximum(z, 0) if relu else z
        x = z + x if shortcut else z
        sizes.append(float(np.sqrt((x**2).mean())))
    return sizes


def gradient_flow(study: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Gradient norms of every convolution: of the degradation study with norms, and what was measured besides.

    Args:
        study: `study.published`.
        fresh: `lessons/results/gradient-flow.json`: networks before training, also of 8 layers, also without norms.
    """
    series: list[dict[str, Any]] = []

    def add(depth: int, kind: str, norm: bool, moment: str, values: Sequence[float]) -> None:
        if any((depth, kind, norm, moment) == tuple(each.values())[:4] for each in series):
            return  # the study's own networks come first
        rounded = [float(f"{value:.4g}") for value in values]
        series.append({"depth": depth, "kind": kind, "norm": norm, "moment": moment, "values": rounded})

    for row in sorted([*study["networks"], *fresh.get("eight", [])], key=lambda each: each["layers"]):
        for moment, values in row["gradients"].items():
            add(row["layers"], row["name"].rstrip("0123456789"), True, moment, values)
    for row in fresh["networks"]:
        add(row["depth"], row["kind"], row["norm"], "start", row["start"])
    series.sort(key=lambda each: (each["depth"], each["kind"], not each["norm"], each["moment"] != "start"))
    return {"figure": "gradient-flow", "data": study["data"], "series": series}


def resnet18_map() -> dict[str, Any]:
    """The layers of ResNet-18 with what does not depend on the input's size, and where shortcuts begin and end."""
    table = {layer.name: layer for layer in layer_table(ZOO["resnet18"], 224)}
    rows: list[dict[str, Any]] = []
    for name in _in_order(table):
        before = _before(name)
        inputs = next((row["channels"] for row in rows if row["name"] == before), 3)
        rows.append(_row(table, name, before, inputs))
    _receptive_fields(rows)
    names = [row["name"] for row in rows]
    arcs = [
        (names.index(f"{name.removesuffix('.second')}.first"), index)
        for index, name in enumerate(names)
        if name.endswith(".second")
    ]
    return {"figure": "resnet18-map", "layers": rows, "arcs": arcs}


def _in_order(table: Mapping[str, Layer]) -> list[str]:
    """The layers that are drawn, each with its norm; a projection before the two convolutions beside it."""
    return [name.removesuffix(".conv") for name, layer in table.items() if layer.kind != "BatchNorm2d"]


def _before(name: str) -> str:
    """The layer whose output a layer takes; empty for the first."""
    if name == "stem.first":
        return ""
    if name == "stem.pool":
        return "stem.first"
    if name == "head":
        return "stages.3.1.second"
    _, stage, block, part = name.split(".")
    if part == "second":
        return f"stages.{stage}.{block}.first"
    if block == "1":
        return f"stages.{stage}.0.second"
    return f"stages.{int(stage) - 1}.1.second" if stage != "0" else "stem.pool"


def _row(table: Mapping[str, Layer], name: str, before: str, inputs: int) -> dict[str, Any]:
    """One layer as plain values."""
    conv = table.get(f"{name}.conv")
    layer = conv or table[name]
    kind = "conv" if conv else "pool" if layer.kind == "MaxPool2d" else "head"
    channels = layer.output[0]
    extra = table[f"{name}.norm"].parameters if conv else channels if kind == "head" else 0
    part, strides = name.rpartition(".")[2], name.startswith("stages") and name[7] != "0" and name[9] == "0"
    stride = 2 if name.startswith("stem") or (strides and part != "second") else 1
    weights = layer.parameters - (0 if conv else extra)
    symbol, start = _SOURCES[part if name.startswith("stages") else name]
    code = next(line.strip() for line in source_of(symbol).splitlines() if line.strip().startswith(start))
    module, _, path = symbol.partition(":")
    return {
        "name": name, "kind": kind, "after": before, "stage": int(name[7]) + 1 if name.startswith("stages") else 0,
        "inputs": inputs, "channels": channels, "stride": stride, "weights": weights, "extra": extra,
        "kernel": math.isqrt(weights // (inputs * channels)) if conv else 3, "shortcut": part == "shortcut",
        "relu": part == "first", "file": f"src/{module.replace('.', '/')}.py", "owner": path.partition(".")[0], "code": code,
    }  # fmt: skip


_SOURCES = {
    "stem.first": ("reslab.nn.resnet:Stem.__init__", "self.first ="),
    "stem.pool": ("reslab.nn.resnet:Stem.__init__", "self.pool ="),
    "shortcut": ("reslab.nn.blocks:Block.__init__", "self.shortcut ="),
    "first": ("reslab.nn.blocks:BasicBlock.build_layers", "self.first ="),
    "second": ("reslab.nn.blocks:BasicBlock.build_layers", "self.second ="),
    "head": ("reslab.nn.resnet:ResNet.__init__", "self.head ="),
}
"""Layer -> the symbol that makes it, and how the line begins."""


def _receptive_fields(rows: Sequence[dict[str, Any]]) -> None:
    """Side of the part of the input that one output value sees: it grows by (kernel - 1) steps of the map's own size."""
    seen = {"": (1, 1)}
    for row in rows:
        if row["kind"] != "head":
            field, step = seen[row["after"]]
            row["receptive"] = field + (row["kernel"] - 1) * step
            seen[row["name"]] = (row["receptive"], step * row["stride"])


# ---------------------------------------------------------------- the living network


def network_maps(network: Mapping[str, Any], levels: Sequence[int]) -> dict[str, Any]:
    """Every map of the living network for a digit of 64 levels from 0 to 16, in float64.

    Returns:
        `stem` `[8, 8, 8]`; `blocks`, each with `first`, `x`, `residual` and `maps`; `evidence` `[10, 2, 2]`, the class
        activation maps; `logits` `[10]`, their means plus the bias.
    """
    maps = (np.rint(np.array(levels) * (255 / 16)) / 255).reshape(1, 8, 8)
    stem, *rest = network["layers"]
    maps = found = np.maximum(_convolve(stem, maps), 0)
    blocks = []
    for one, two in zip(rest[::2], rest[1::2], strict=True):
        first = np.maximum(_convolve(one, maps), 0)
        x = maps[:, :: one["stride"], :: one["stride"]]
        new = (two["shape"][0] - len(x)) // 2
        x = np.pad(x, ((new, new), (0, 0), (0, 0)))
        residual = _convolve(two, first)
        maps = np.maximum(x + residual, 0)
        blocks.append({"first": first, "x": x, "residual": residual, "maps": maps})
    evidence = np.einsum("kc,chw->khw", np.array(network["head"]["weight"]), maps)
    logits = evidence.mean((1, 2)) + np.array(network["head"]["bias"])
    return {"stem": found, "blocks": blocks, "evidence": evidence, "logits": logits}


def _convolve(layer: Mapping[str, Any], maps: np.ndarray) -> np.ndarray:
    """A 3 x 3 convolution with padding 1 on maps `[channels, height, width]`."""
    weight = np.array(layer["weight"]).reshape(layer["shape"])
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(maps, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    strided = windows[:, :: layer["stride"], :: layer["stride"]]
    return np.einsum("oikl,ihwkl->ohw", weight, strided) + np.array(layer["bias"])[:, None, None]


# ---------------------------------------------------------------- writing


def drawings(found: Mapping[str, dict[str, Any]]) -> dict[str, Drawing]:
    """The static picture of each figure, without words."""
    fifty = found["4-fifty-layers"]
    network = found[_NETWORK]
    return {
        "2-sliding-window": live.sliding_window(found["2-sliding-window"]),
        "4-fifty-layers": live.fifty_layers({name: signal_sizes(fifty, gain)[1:] for name, gain in _GAINS.items()}),
        "7-gradient-flow": live.gradient_flow(found["7-gradient-flow"]),
        "8-resnet18-map": live.resnet18_map(found["8-resnet18-map"]),
        _NETWORK: live.living_network(network["digits"][3], network_maps(network, network["digits"][3])),
    }


def written(document: Mapping[str, Any]) -> str:
    """A document as its file."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def main(lessons: Path) -> None:
    """Write every JSON file and every picture."""
    folder = lessons / "figures"
    made = documents(lessons)
    for name, document in made.items():
        write_atomically(folder / f"{name}.json", written(document).encode())
    network = json.loads((folder / f"{_NETWORK}.json").read_text(encoding="utf-8"))
    for name, drawing in drawings(made | {_NETWORK: network}).items():
        write_atomically(folder / f"{name}.svg", drawing.file("en").encode())
        print(folder / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
