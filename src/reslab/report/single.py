"""What the page says about answers with one label per picture: confusions, classes, calibration, mistakes."""

from typing import Any

from reslab.data.catalog import Picture
from reslab.figures import curves
from reslab.metrics.intervals import proportion
from reslab.model.run import OUT_OF_FOLD
from reslab.model.run_data import data_location
from reslab.report import pictures
from reslab.report.feature_map import map_view
from reslab.report.folder import Judged, RunFolder
from reslab.report.rejection import accepted_tile, rejection
from reslab.words.phrases import Phrase, percent, say

READABLE = 30
"""Up to so many classes the confusion matrix is shown whole."""

WORST = 24
"""How many mistakes are shown."""

PAIRS = 20
"""How many confusions are listed where the matrix is too large."""

_FEW, _SHORT = 6, 3  # beyond so many classes, names of more letters stand on end above their columns
_MANY = 18  # beyond so many, cells are made narrow to fit a desktop's width
_MATCHED = 0.01  # mean confidence within one point of the accuracy counts as equal


class SingleSection:
    """One label per picture."""

    name = "single"
    curve = "accuracy"
    lines: tuple[tuple[str, str], ...] = (("training", "train_accuracy"), ("validation", "val_accuracy"))
    noun = "fact.classes"
    remarks: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("confusion", "classes", "calibration", "rejection", "mistakes", "map")
    template = "single.html.j2"

    def shown(self, score: float) -> str:
        return percent(score)

    def heading(self, judged: Judged) -> dict[str, Any]:
        n, share = judged.document["n"], judged.main["value"]
        return {
            "label": say(f"score.{judged.split}"),
            "hits": say("score.hits", hits=f"{round(share * n):,}", n=f"{n:,}"),
            "against": [_against_baseline(judged)],
            "tiles": [*_tiles(judged.document), *accepted_tile(judged.document)],
        }

    def view(self, judged: Judged, run: RunFolder) -> dict[str, Any]:
        return {
            "confusion": confusion(judged),
            "classes": class_rows(judged, run),
            "calibration": calibration(judged, run.ensemble),
            "rejection": rejection(judged),
            "mistakes": mistakes(judged, run),
            "map": map_view(judged),
        }


def _against_baseline(judged: Judged) -> Phrase:
    clear = judged.main["low"] > judged.baseline
    return say("score.above" if clear else "score.level", baseline=percent(judged.baseline))


def _tiles(document: dict[str, Any]) -> list[tuple[Phrase, str, Phrase]]:
    """(name, value, what it means)."""
    shares = {
        name: document[key] for name, key in (("balanced", "balanced_accuracy"), ("baseline", "majority_baseline"))
    }
    if document["top5"]:
        shares["top5"] = document["top5"]["value"]
    tiles = [(say(f"score.{name}"), percent(share), say(f"score.{name}_why")) for name, share in shares.items()]
    why = say("score.ece_why")
    if span := document.get("ece_interval"):
        why = say("score.ece_span", why=why, low=percent(span["low"]), high=percent(span["high"]))
    return [*tiles, (say("score.ece"), percent(document["ece"]), why)]


def confusion(judged: Judged) -> dict[str, Any]:
    """The whole matrix where it can be read, else the most frequent confusions."""
    document = judged.document
    classes, matrix = document["classes"], document["confusion"]
    if len(classes) <= READABLE:
        rows = [
            {"label": label, "cells": [(n, n / max(sum(row), 1), i == j) for j, n in enumerate(row)]}
            for i, (label, row) in enumerate(zip(classes, matrix, strict=True))
        ]
        return {"matrix": rows, "classes": classes, "shape": _shape(classes), "pairs": None}
    pairs = [
        {"true": classes[i], "answered": classes[j], "n": n, "share": n / sum(row)}
        for i, row in enumerate(matrix)
        for j, n in enumerate(row)
        if n and i != j
    ]
    pairs.sort(key=lambda pair: -pair["n"])
    return {"matrix": None, "classes": classes, "pairs": pairs[:PAIRS]}


def _shape(classes: list[str]) -> str:
    """How the style sheet lays the matrix out: roomy, dense, or with its column names on end."""
    if len(classes) <= _FEW:
        return "few"
    dense = " dense" if len(classes) > _MANY else ""
    return ("long" if any(len(label) > _SHORT for label in classes) else "") + dense


def class_rows(judged: Judged, run: RunFolder) -> list[dict[str, Any]]:
    """One row per class; a ratio that nothing defines (no such picture, no such answer) is None."""
    document = judged.document
    answered = [sum(column) for column in zip(*document["confusion"], strict=True)]
    rows = []
    for k, (found, answers) in enumerate(zip(document["per_class"], answered, strict=True)):
        n = found["n"]
        span = proportion(document["confusion"][k][k], n)
        rows.append({
            "label": found["label"],
            "n": n,
            "trained": run.shares[("train", found["label"])],
            "precision": found["precision"] if answers else None,
            "recall": found["recall"] if n else None,
            "f1": found["f1"] if n or answers else None,
            "span": span,
        })  # fmt: skip
    if len(rows) > READABLE:
        rows.sort(key=lambda row: (row["f1"] is None, row["f1"]))
    return rows


def calibration(judged: Judged, ensemble: bool = False) -> dict[str, Any]:
    """The reliability diagram, the errors before and after, and what they mean; an `ensemble` has its members' temperature."""
    document = judged.document
    bins, fit = document["reliability"], document["calibration"]
    sure = sum(b["n"] * b["confidence"] for b in bins) / document["n"]
    gap = sure - document["top1"]["value"]
    verdict = "fair" if abs(gap) < _MATCHED else "bold" if gap > 0 else "modest"
    overall = say(
        "calibration.overall", confidence=percent(sure, 1), accuracy=percent(document["top1"]["value"], 1),
        verdict=say(f"calibration.{verdict}", gap=f"{100 * abs(gap):.1f}"),
    )  # fmt: skip
    said = [overall, *_temperature(fit, judged.split)]
    if ensemble and judged.split == OUT_OF_FOLD and fit["temperature"] != 1:
        said.append(say("calibration.ensemble"))
    span = document.get("ece_interval")  # evaluations of earlier versions have none
    return {
        "diagram": curves.reliability(bins), "bins": bins, "fit": fit, "few": curves.FEW, "sentences": said, "span": span,
    }  # fmt: skip


def _temperature(fit: dict[str, Any], split: str) -> list[Phrase]:
    """What the temperature did, and who fitted it."""
    temperature = fit["temperature"]
    if temperature == 1:
        return [say("calibration.refused" if fit.get("n") else "calibration.unfitted")]
    way = "sharpened" if temperature < 1 else "softened"
    return [say(f"calibration.{way}", t=f"{temperature:.3f}"), say(f"calibration.{split}")]


def mistakes(judged: Judged, run: RunFolder) -> dict[str, Any]:
    """The surest wrong answers, with their pictures as far as they can still be read."""
    split = say(f"split.{judged.split}")
    if judged.answers is None:
        return {"text": say("mistakes.unknown", file=judged.file), "rows": [], "note": None}
    wrong = [row for row in judged.answers if row["correct"] == "0"]
    if not wrong:
        return {"text": say("mistakes.none", split=split), "rows": [], "note": None}
    worst = sorted(wrong, key=lambda row: -float(row["probability"]))[:WORST]
    config = {**run.config, "data": data_location(run.document)}
    found = pictures.find_pictures(config, pictures.labels_of(worst), run.path)
    rows = [_card(row, found.get(row["path"])) for row in worst]
    why = None if found else say("mistakes.gone", why=say("mistakes.no_data", data=run.config["data"]))
    return {
        "text": say("mistakes.read", shown=len(rows), total=f"{len(wrong):,}", split=split),
        "rows": rows,
        "note": why,
    }


def _card(row: dict[str, str], picture: Picture | None) -> dict[str, Any]:
    """One mistake."""
    key, label, answer = row["path"], row["label"], row["answer"]
    return {
        "key": key,
        "label": label,
        "answer": answer,
        "probability": percent(float(row["probability"]), 1),
        "picture": pictures.thumbnail(picture),
        "alt": say("mistakes.alt", key=key, label=label, answer=answer),
    }
