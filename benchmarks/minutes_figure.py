"""Equal minutes as one picture: a line per set, with what each tool reached on its test pictures.

    python benchmarks/minutes_figure.py WORK [--figure docs/minutes] [--json docs/minutes.json]

WORK is the folder in which `minutes.py` keeps what was trained. The document names the seeds of each tool; the gain
over the best of the others is that of the seeds which both have.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from reslab.figures.axes import linear
from reslab.figures.svg import Drawing, Element, circle, segment, text
from reslab.system.files import write_json

OURS = "reslab"
_WORDS = {
    "en": {
        "title": "From scratch in equal minutes: accuracy on the test pictures, %",
        "note": "filled: ResLab and its 95 % interval · hollow: {peers} · named: the best of them",
        "minutes": "{minutes:g} minutes",
    },
    "zh": {
        "title": "从零训练相同分钟数：测试图片上的准确率，%",
        "note": "实心：ResLab 及其 95 % 区间 · 空心：{peers} · 标名者：其中最好的",
        "minutes": "{minutes:g} 分钟",
    },
}
_SETS = {
    "ants": {"en": "ants and bees, photographs", "zh": "蚂蚁与蜜蜂，照片"},
    "cifar10": {"en": "CIFAR-10, 32 px", "zh": "CIFAR-10，32 像素"},
    "clutter": {
        "en": "{classes} classes, {pictures:,} pictures, {side} px",
        "zh": "{classes} 类，{pictures:,} 张，{side} 像素",
    },
}
_ROW, _TOP, _LEFT, _RIGHT = 34, 52, 190, 640


def summarise(file: Path) -> dict[str, Any]:
    """One set at one time: each tool's accuracy with its interval, and ours above the best peer, pair by pair."""
    from minutes import bootstrapped, matrix  # beside this file, when it is run

    def interval(values: np.ndarray) -> list[float]:
        return [round(value, 4) for value in bootstrapped(values)]

    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    names = list(dict.fromkeys(row["name"] for row in rows))
    seeds = {name: sorted(row["seed"] for row in rows if row["name"] == name) for name in names}
    right = {name: matrix(rows, name, seeds[name]).astype(float) for name in names}
    best = max((name for name in names if name != OURS), key=lambda name: right[name].mean())
    both = sorted({*seeds[OURS]} & {*seeds[best]})
    gain = matrix(rows, OURS, both).astype(float) - matrix(rows, best, both)
    own = next(row for row in rows if row["name"] == OURS and row["seed"] == seeds[OURS][0])
    return {
        "set": file.stem.rpartition("-")[0], "minutes": rows[0]["minutes"], "seeds": seeds, "n": right[OURS].shape[1],
        "chose": own["chose"], "epochs": own["epochs"], "before_the_first_step": own["before the first step"],
        "accuracy": {name: interval(right[name]) for name in names},
        "best_peer": best, "gain": interval(gain),
    }  # fmt: skip


def _has_peers(file: Path) -> bool:
    return len({json.loads(line)["name"] for line in file.read_text(encoding="utf-8").splitlines()}) > 1


def draw(document: dict[str, Any], language: str = "en") -> str:
    """The figure as an SVG file.

    Args:
        document: `lines`, as `summarise` makes them.
    """
    words, scale, lines = _WORDS[language], linear(0, 100), document["lines"]
    bottom, peers = _TOP + _ROW * len(lines), sorted({name for line in lines for name in line["accuracy"]} - {OURS})

    def place(percent: float) -> float:
        return _LEFT + scale.share(percent) * (_RIGHT - _LEFT)

    parts: list[Element] = [
        text(0, 10, words["title"]), text(0, 26, words["note"].format(peers=", ".join(peers)), "unit")
    ]  # fmt: skip
    for value, name in scale.ticks:
        parts.append(segment("rule", (place(value), _TOP - 8), (place(value), bottom)))
        parts.append(text(place(value), bottom + 15, name, "tick", "middle"))
    for number, line in enumerate(lines):
        y = _TOP + _ROW * number + 16
        accuracy, low, high = (100 * share for share in line["accuracy"][OURS])
        parts += [
            text(0, y - 2, _name(line["set"], language)),
            text(0, y + 11, words["minutes"].format(minutes=line["minutes"]), "tick"),
        ]
        for name, (share, *_) in line["accuracy"].items():
            if name != OURS:
                parts.append(circle("dot hollow axis", (place(100 * share), y), 4, f"{name} {100 * share:.1f}"))
        best = 100 * line["accuracy"][line["best_peer"]][0]
        parts += [
            segment("line blue", (place(low), y), (place(high), y)),
            circle("dot blue", (place(accuracy), y), 5, f"ResLab {accuracy:.1f}"),
            text(place(accuracy), y - 9, f"{accuracy:.1f}", "number", "middle"),
            text(place(best), y - 9, f"{line['best_peer']} {best:.1f}", "tick", "end" if best > 25 else "start"),
        ]
    return Drawing(words["title"], _RIGHT + 8, bottom + 22, parts).file(language)


def _name(folder: str, language: str) -> str:
    """What the set of a folder of `sets.py` is called."""
    kind, *numbers = folder.split("-")
    values = dict(zip(("side", "classes", "pictures"), map(int, numbers), strict=False))
    return _SETS[kind][language].format(**values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--figure", type=Path, default=Path("docs/minutes"))
    parser.add_argument("--json", type=Path, default=Path("docs/minutes.json"))
    options = parser.parse_args()
    lines = [summarise(file) for file in options.work.glob("*.jsonl") if _has_peers(file)]
    lines.sort(key=lambda line: (line["set"], line["minutes"]))
    write_json(options.json, document := {"lines": lines})
    for language, suffix in (("en", ".svg"), ("zh", ".zh.svg")):
        options.figure.with_suffix(suffix).write_text(draw(document, language), encoding="utf-8")
    for line in lines:
        print(json.dumps(line))


if __name__ == "__main__":
    main()
