"""What the page says about answers that are not accepted, and about prediction sets."""

from typing import Any

from reslab.figures.rejection import risk_coverage
from reslab.metrics.rejection import RELIABLE
from reslab.report.folder import Judged
from reslab.words.phrases import Phrase, percent, say

_FEW = 10  # the error of fewer answers is chance, and not drawn


def rejection(judged: Judged) -> dict[str, Any]:
    """The risk-coverage curve, the sets, and what they mean; where the run has none, the reason."""
    document = judged.document
    found, sets = document.get("rejection"), document.get("prediction_sets") or []
    if found is None:
        missing = say("rejection.older" if "rejection" not in document else "rejection.none")
        return {
            "curve": None,
            "sentences": [missing],
            "sets": _sets(sets),
            "set_sentences": _set_sentences(judged, sets),
        }
    accuracy = found["accuracy"]
    threshold = (found["accepted"]["value"], 1 - accuracy["value"]) if accuracy else None
    curve = [point for point in found["curve"] if round(point[0] * document["n"]) >= _FEW] or found["curve"]
    return {
        "curve": risk_coverage(curve, threshold),
        "sentences": _sentences(judged, found),
        "sets": _sets(sets),
        "set_sentences": _set_sentences(judged, sets),
    }


def accepted_tile(document: dict[str, Any]) -> list[tuple[Phrase, str, Phrase]]:
    """The share that is accepted, beside the score: (name, value, what it means)."""
    found = document.get("rejection")
    if not found or not found["accuracy"]:
        return []
    means = say("score.accepted_why", accuracy=percent(found["accuracy"]["value"]))
    return [(say("score.accepted"), percent(found["accepted"]["value"]), means)]


def _sentences(judged: Judged, found: dict[str, Any]) -> list[Phrase]:
    n, accepted, accuracy = judged.document["n"], found["accepted"]["value"], found["accuracy"]
    said = [say("rejection.accepted", share=percent(accepted, 1), hits=f"{round(accepted * n):,}", n=f"{n:,}")]
    if accuracy:
        shares = {name: percent(accuracy[name], 1) for name in ("value", "low", "high")}
        said.append(say("rejection.accuracy", **shares, every=percent(judged.main["value"], 1)))
    wrong, strange = f"{found['may_be_wrong']:,}", found["not_from_here"]
    if strange is None:
        said.append(say("rejection.wrong", wrong=wrong))
    else:
        said.append(say("rejection.doubts", wrong=wrong, strange=f"{strange:,}"))
    if judged.split != "test":
        said.append(say("rejection.fitted"))
    if not found["reliable"]:
        said.append(say("rejection.unreliable", n=f"{judged.document['calibration']['n']:,}", least=RELIABLE))
    return said


def _set_sentences(judged: Judged, sets: list[dict[str, Any]]) -> list[Phrase]:
    if not sets:
        return []
    said = [say("rejection.sets"), say("rejection.empty")]
    return said if judged.split == "test" else [*said, say("rejection.sets_fitted")]


def _sets(sets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per kind and promise."""
    return [row | {"kind": say(f"rejection.kind.{row['method']}")} for row in sets]
