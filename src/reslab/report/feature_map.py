"""What the page says about the map of the features."""

from typing import Any

from reslab.figures.feature_map import COLOURS, Dot, coloured, feature_map
from reslab.model.run import map_name
from reslab.report.folder import Judged
from reslab.words.phrases import percent, say


def map_view(judged: Judged) -> dict[str, Any]:
    """The figure and its sentences; without a figure where the folder keeps no map of these answers."""
    stored, answers = judged.map, judged.answers
    if stored is None or answers is None or max(stored.rows, default=len(answers)) >= len(answers):
        return {"figure": None, "sentences": [say("map.none", file=map_name(judged.split))]}
    rows = zip(stored.rows, stored.x, stored.y, strict=True)
    dots = [_dot(answers[row], (x, y)) for row, x, y in rows]
    first, second = (percent(share, 1) for share in stored.explained_variance)
    said = [
        say("map.read", split=say(f"split.{judged.split}"), d=f"{stored.d:,}"),
        say("map.explained", first=first, second=second),
    ]
    if len(dots) < len(answers):
        said.append(say("map.chosen", shown=f"{len(dots):,}", n=f"{len(answers):,}"))
    if len({dot.label for dot in dots}) > COLOURS:
        said.append(say("map.many", shown=len(coloured(dots))))
    return {"figure": feature_map(dots), "sentences": said}


def _dot(row: dict[str, str], place: tuple[float, float]) -> Dot:
    mistake = "" if row["correct"] == "1" else f"{row['path']}: {row['label']} → {row['answer']}"
    return Dot(place, row["label"], mistake)
