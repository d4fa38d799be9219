"""The run folder, and the models in the package: what files are called and how they are read, agreed on once."""

import json
from collections.abc import Iterator
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

PACKAGED = ("cifar10_resnet20",)
"""Trained models that come with the package, as `.safetensors`, `.onnx` and a `.md` that says what they are."""


def packaged(name: str, suffix: str) -> Path:
    """A file of a packaged model."""
    return Path(__file__).parent / "packaged" / f"{name}{suffix}"


def evaluation_name(split: str) -> str:
    """`evaluation.json` for the validation split, `evaluation-test.json` for another."""
    return "evaluation.json" if split == "val" else f"evaluation-{split}.json"


def predictions_name(split: str) -> str:
    """`predictions.csv` for the validation split, `predictions-test.csv` for another."""
    return "predictions.csv" if split == "val" else f"predictions-{split}.csv"


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
