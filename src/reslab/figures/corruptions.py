"""Accuracy and calibration error under every corruption and severity: two tables of tinted cells side by side."""

from collections.abc import Sequence
from typing import Any

from reslab.figures.svg import Drawing, Element, element, rect, text
from reslab.words.phrases import Phrase, percent, say

_WIDTH, _NAMES, _GAP = 480, 122, 14
_ROW, _HEAD = 20, 36
_DEEPEST = 0.75  # the opacity of a cell where nothing is left
_WORST_ECE = 0.5


def draw_corruptions(document: dict[str, Any]) -> Drawing:
    """A row for each kind; the deeper its colour, the more accuracy is lost, or the greater the calibration error.

    Args:
        document: that of an `evaluate.corruptions.CorruptionScore`.
    """
    severities, clean = document["severities"], document["clean"]
    room = (_WIDTH - _NAMES - _GAP) / 2
    cells = {(cell["kind"], cell["severity"]): cell for cell in document["conditions"]}
    parts = _heads(severities, room)
    rows: list[tuple[str, Sequence[dict[str, Any]]]] = [
        ("clean", [clean]),
        *((kind, [cells[kind, severity] for severity in severities]) for kind in document["kinds"]),
    ]
    for place, (kind, row) in enumerate(rows):
        top = _HEAD + place * _ROW + (4 if place else 0)
        parts.append(text(_NAMES - 8, top + 14, say(f"corruption.{kind}"), "", "end"))
        for number, cell in enumerate(row):
            width = room / len(row)
            accuracy = cell["top1"]["value"]
            lost = 1 - accuracy / max(clean["top1"]["value"], 1e-9)
            for left, style, share, shown in (
                (_NAMES, "lost", lost, f"{100 * accuracy:.0f}"),
                (_NAMES + room + _GAP, "gap", cell["ece"] / _WORST_ECE, f"{100 * cell['ece']:.0f}"),
            ):
                x, opacity = left + number * width, _DEEPEST * min(max(share, 0.0), 1.0)
                box = rect(f"tint {style}", x + 1, top, width - 2, _ROW - 2, fill_opacity=f"{opacity:.2f}")
                middle = x + width / 2
                parts.append(
                    element("g", element("title", _title(cell)), box, text(middle, top + 13.5, shown, "", "middle"))
                )
    return Drawing(
        say("corruption.figure"), _WIDTH, _HEAD + len(rows) * _ROW + 8, parts,
        desc=say("corruption.desc", n=f"{document['n']:,}", kinds=len(document["kinds"])), key="chart-corruptions",
    )  # fmt: skip


def _heads(severities: Sequence[int], room: float) -> list[Element]:
    """The names of both tables, and the severities above their columns."""
    parts = []
    for left, key in ((_NAMES, "accuracy"), (_NAMES + room + _GAP, "ece")):
        parts.append(text(left + 1, 12, say(f"corruption.{key}"), "unit"))
        width = room / len(severities)
        parts += [
            text(left + (number + 0.5) * width, 29, str(severity), "tick", "middle")
            for number, severity in enumerate(severities)
        ]
    return [*parts, text(_NAMES - 8, 29, say("corruption.severity"), "tick", "end")]


def _title(cell: dict[str, Any]) -> Phrase:
    """A cell in a sentence."""
    top1 = cell["top1"]
    return say(
        "corruption.cell", kind=say(f"corruption.{cell['kind']}"), severity=cell["severity"],
        accuracy=percent(top1["value"], 1), low=percent(top1["low"], 1), high=percent(top1["high"], 1),
        ece=percent(cell["ece"], 1),
    )  # fmt: skip
