"""The run folder, and the models in the package: what files are called and how they are read, agreed on once."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError
from reslab.modelfile import read_json

RUNS = Path("runs")
"""Where runs lie unless somebody says otherwise."""

CONFIG_NAME = "config.json"
JOURNAL_NAME = "journal.jsonl"
SPLIT_NAME = "split.csv"
SHEET_NAME = "sheet.png"
MODEL_NAME = "model.safetensors"
STATE_NAME = "state"
LOCK_NAME = ".lock"
REPORT_NAME = "report.html"

OUT_OF_FOLD = "out-of-fold"
"""The answers of a cross-validation: every picture's from the network that had not seen it."""

JUDGED = ("test", OUT_OF_FOLD, "val")
"""What a run's scores may be of, the one to believe first."""

_SUFFIXES = {"val": "", OUT_OF_FOLD: "-oof"}

PACKAGED = ("cifar10_resnet20",)
"""Trained models that come with the package, as `.safetensors`, `.onnx` and a `.md` that says what they are."""


def packaged(name: str, suffix: str) -> Path:
    """A file of a packaged model."""
    return Path(__file__).parent / "packaged" / f"{name}{suffix}"


def evaluation_name(split: str) -> str:
    """`evaluation.json` for the validation split, `evaluation-oof.json` for all folds, `evaluation-test.json`, …"""
    return f"evaluation{_suffix(split)}.json"


def predictions_name(split: str) -> str:
    """`predictions.csv` for the validation split, `predictions-oof.csv` for all folds, `predictions-test.csv`, …"""
    return f"predictions{_suffix(split)}.csv"


def _suffix(split: str) -> str:
    return _SUFFIXES.get(split, f"-{split}")


def fold_folder(run: Path, number: int) -> Path:
    """The run folder of one fold within that of a cross-validation."""
    return run / f"fold-{number}"


def mark(classes: Iterable[str]) -> str:
    """What a CSV of answers begins with: a byte order mark, without which Excel misreads names that are not ASCII."""
    return "" if all(name.isascii() for name in classes) else "\ufeff"


def read_rows(path: Path) -> list[dict[str, str]] | None:
    """A table of a run folder, row by row; None where the file is missing."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def read_config(run: Path) -> dict[str, Any]:
    """`config.json` of a run: config, origins, network, classes, machine.

    Raises:
        ResLabError: the folder holds no run, or the file is damaged.
    """
    if not (run / CONFIG_NAME).is_file():
        raise ResLabError(f"{run} holds no run", "give a run folder, such as those that reslab runs lists")
    return read_json(run / CONFIG_NAME)


def read_journal(run: Path) -> Iterator[dict[str, Any]]:
    """The events of a run; a last line that was cut by a crash is passed over."""
    path = run / JOURNAL_NAME
    if not path.is_file():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
