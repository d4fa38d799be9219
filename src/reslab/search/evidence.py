"""What a search leaves behind: every trial, and the leader beside the default on the same pictures."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reslab.figures.search import draw_search
from reslab.metrics.paired import A_BETTER, LEVEL, compare_paired
from reslab.model.run import evaluation_name, predictions_name
from reslab.system.files import read_json, write_atomically, write_json

DOCUMENT_NAME, TABLE_NAME = "search.json", "trials.csv"
FIGURES = {"en": "search.svg", "zh": "search.zh.svg"}

NOTE = (
    "the validation pictures chose the leader, so its lead on them flatters it; "
    "pictures that no trial has seen decide: reslab compare"
)


def objective(accuracy: float, nll: float, n: int) -> float:
    """What a trial is judged by, less is better: the share of wrong answers among `n`.

    Equal shares are told apart by the loss, which counts for less than one picture. The loss alone would be unfair to
    smoothed labels and blended pictures, which make a network less sure of the same answers.
    """
    return 1 - accuracy + nll / (1 + nll) / n


def compare_on_validation(leader: Path, default: Path, rivals: int) -> dict[str, Any]:
    """The paired comparison of two run folders: a is the leader, b the default.

    `shown` is whether the leader is better at the 5 % level: it is the best of `rivals` trials, each of which had its chance
    of looking good by luck, so its p-value counts as many times (`p_of_best`; Bonferroni's bound).
    """
    right = [_right(folder) for folder in (leader, default)]
    keys = sorted(right[0].keys() & right[1].keys())
    found = compare_paired(*(np.array([one[key] for key in keys]) for one in right))
    p_of_best = min(1.0, rivals * found.p_value)
    shown = found.verdict == A_BETTER and p_of_best < LEVEL
    return asdict(found) | {"rivals": rivals, "p_of_best": p_of_best, "shown": shown}


def read_score(folder: Path) -> dict[str, Any]:
    """The validation score of a run folder: n, top1 with its interval, nll after calibration."""
    document = read_json(folder / evaluation_name("val"))
    return {name: document[name] for name in ("n", "top1", "nll")}


def write_evidence(folder: Path, document: dict[str, Any]) -> None:
    """`search.json`, `trials.csv`, and the figure in both languages."""
    write_json(folder / DOCUMENT_NAME, document)
    write_atomically(
        folder / TABLE_NAME, table(document["trials"], [parameter["name"] for parameter in document["dials"]]).encode()
    )
    for language, name in FIGURES.items():
        write_atomically(folder / name, draw_search(document, language).encode())


def table(trials: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """`trials.csv`: one row per trial."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", *names, "val_accuracy", "val_nll", "epochs", "seconds"])
    for trial in trials:
        values = [trial["dials"].get(name, "") for name in names]
        numbers = ["" if trial[name] is None else trial[name] for name in ("val_accuracy", "val_nll")]
        writer.writerow([trial["trial"], trial["state"], *values, *numbers, trial["epochs"], trial["seconds"]])
    return file.getvalue()


def _right(folder: Path) -> dict[str, bool]:
    """Which validation pictures a run answers correctly, by key."""
    with (folder / predictions_name("val")).open(encoding="utf-8-sig", newline="") as file:
        return {row["path"]: row["correct"] == "1" for row in csv.DictReader(file)}
