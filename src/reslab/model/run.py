"""The run folder and the packaged models: names of files, and how to read them."""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from reslab.errors import ResLabError
from reslab.system.files import read_json
from reslab.system.values import build, build_known, parse
from reslab.tasks.table import task_named
from reslab.words.phrases import Phrase

RUNS = Path("runs")
"""The folder of runs by default."""

CONFIG_NAME = "config.json"
JOURNAL_NAME = "journal.jsonl"
SPLIT_NAME = "split.csv"
SHEET_NAME = "sheet.png"
MARGINS_NAME = "margins.csv"
CORRECTIONS_NAME = "corrections.csv"
MODEL_NAME = "model.safetensors"
STATE_NAME = "state"
LOCK_NAME = ".lock"
REPORT_NAME = "report.html"
FEATURES_NAME = "features.npz"
CORRUPTIONS_NAME = "corruptions.json"

OUT_OF_FOLD = "out-of-fold"
"""The split name of a cross-validation's answers: each picture's, by the network that was not trained on it."""

SCORED_SPLITS = ("test", OUT_OF_FOLD, "val")
"""The splits that a run may be scored on, the most trustworthy first."""

_SUFFIXES = {"val": "", OUT_OF_FOLD: "-oof"}

PACKAGED = ("cifar10_resnet20",)
"""Trained models that come with the package, as `.safetensors`, `.onnx` and a model card in `.md`."""


def packaged_file(name: str, suffix: str) -> Path:
    """A file of a packaged model."""
    return Path(__file__).parents[1] / "packaged" / f"{name}{suffix}"


def evaluation_name(split: str) -> str:
    """`evaluation.json` for the validation split, `evaluation-oof.json` for all folds, `evaluation-test.json`, …"""
    return f"evaluation{_suffix(split)}.json"


def predictions_name(split: str) -> str:
    """`predictions.csv` for the validation split, `predictions-oof.csv` for all folds, `predictions-test.csv`, …"""
    return f"predictions{_suffix(split)}.csv"


def map_name(split: str) -> str:
    """`map.json` for the validation split, `map-test.json`, …: where its pictures lie on the map of the features."""
    return f"map{_suffix(split)}.json"


def _suffix(split: str) -> str:
    return _SUFFIXES.get(split, f"-{split}")


def fold_folder(run: Path, number: int) -> Path:
    """The run folder of one fold within that of a cross-validation."""
    return run / f"fold-{number}"


def byte_order_mark(classes: Iterable[str]) -> str:
    """The beginning of a CSV of answers: a byte order mark where names are not ASCII, since Excel misreads them without."""
    return "" if all(name.isascii() for name in classes) else "\ufeff"


def read_rows(path: Path, columns: Collection[str]) -> list[dict[str, str]] | None:
    """The rows of a table in a run folder; None where the file is missing.

    Raises:
        ResLabError: it is not UTF-8, or a row lacks one of the columns.
    """
    return list(_rows(path, columns)) if path.is_file() else None


def _rows(path: Path, columns: Collection[str]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 1):
                if missing := [name for name in columns if row.get(name) is None]:
                    raise ResLabError(f"{path} is damaged: row {number} has no {missing[0]}")
                yield row
    except (ValueError, csv.Error):
        raise ResLabError(f"{path} is damaged: it is not a table in UTF-8") from None


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One picture of a run."""

    path: str
    label: str
    split: Literal["train", "val", "test"]
    group: str
    fingerprint: str
    """Hexadecimal; empty where training did not look at the picture."""
    fold: int


def read_split(run: Path) -> list[SplitRow] | None:
    """The split of each picture of a run; None where `split.csv` is missing.

    Raises:
        ResLabError: the table is damaged, or names a picture twice.
    """
    path, found = run / SPLIT_NAME, {}
    if not path.is_file():
        return None
    shared: dict[str, str] = {}  # one text for all the pictures of a class
    for number, row in enumerate(_rows(path, ("path", "label", "split")), 1):
        fold = row.get("fold") or "0"  # runs of earlier versions have no such column
        values: dict[str, Any] = {f.name: row.get(f.name) or "" for f in fields(SplitRow)}
        values |= {name: shared.setdefault(values[name], values[name]) for name in ("label", "split", "group")}
        values["fold"] = int(fold) if fold.isdecimal() else fold
        picture = build(SplitRow, values, path, f"row {number}")
        if picture.path in found:
            raise ResLabError(f"{path} is damaged: row {number} names {picture.path} again")
        found[picture.path] = picture
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Run:
    """The fields of `config.json` that its readers need."""

    config: dict[str, Any]
    origins: dict[str, dict[str, str]]
    network: dict[str, Any]
    classes: tuple[str, ...]
    machine: str
    reslab: str
    task: str = "single"
    reasons: dict[str, Phrase] = field(default_factory=dict)
    """Those of `origins` by key; earlier versions wrote the English sentences only."""

    def __post_init__(self) -> None:
        task_named(self.task)


@dataclass(frozen=True, slots=True)
class _Config:
    data: str
    model: str
    epochs: int
    data_dir: str | None = None
    folds: int = 0
    fold: int = 0
    keep_folds: bool = False


def read_config(run: Path) -> dict[str, Any]:
    """Read and check `config.json` of a run: config, origins, network, classes, machine.

    Raises:
        ResLabError: the folder holds no run, or the file is damaged.
    """
    if not (run / CONFIG_NAME).is_file():
        raise ResLabError(f"{run} holds no run", "give a run folder, such as those that reslab runs lists")
    path = run / CONFIG_NAME
    document = read_json(path)
    build_known(_Run, document, path)
    build_known(_Config, document.get("config"), path, "config")
    return document


@dataclass(frozen=True, slots=True)
class _Epoch:
    epoch: int
    epochs: int
    step: int
    seconds: float
    train_loss: float
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    val_nll: float | None = None
    val_balanced_accuracy: float | None = None
    val_mean_ap: float | None = None
    best: bool = False
    lr: float | None = None
    images_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float


@dataclass(frozen=True, slots=True)
class _Replan:
    knots: tuple[tuple[int, float], ...]


_EVENTS: dict[str, Any] = {"epoch": _Epoch, "step": _Step, "replan": _Replan}


def planned_epochs(config: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> int:
    """The total number of epochs of a run; one with a time limit re-estimates it after each epoch.

    Args:
        epochs: the run's `epoch` events.
    """
    if config.get("minutes") and epochs:
        return epochs[-1].get("epochs", config["epochs"])
    return config["epochs"]


def is_ensemble(config: Mapping[str, Any]) -> bool:
    """Whether the networks of the folds are the model of a run."""
    return bool(config.get("keep_folds")) and not config.get("fold")


def read_epochs(run: Path, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `epoch` events of a run; for an ensemble one for each epoch that all of its members have finished.

    That one has the mean of each number over the members, but the sum of their seconds.
    """
    if not is_ensemble(config):
        return [event for event in read_journal(run) if event["event"] == "epoch"]
    members = [read_epochs(fold_folder(run, k + 1), {}) for k in range(config["folds"])]
    return [_mean_of(events) | {"seconds": sum(e["seconds"] for e in events)} for events in zip(*members, strict=False)]


def _mean_of(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first of these with the mean of each fractional number that all of them have."""
    means = {
        name: sum(event[name] for event in events) / len(events)
        for name, value in events[0].items()
        if isinstance(value, float) and all(isinstance(event.get(name), float) for event in events)
    }
    return {**events[0], **means}


def read_journal(run: Path) -> Iterator[dict[str, Any]]:
    """The events of a run; a last line that was cut off by a crash is skipped.

    Raises:
        ResLabError: another line is not an event.
    """
    path = run / JOURNAL_NAME
    if not path.is_file():
        return
    *lines, last = path.read_bytes().split(b"\n")
    for number, line in enumerate([*lines, last] if last.endswith(b"}") else lines, 1):
        if not line.strip(b"\0\r "):  # earlier versions could leave zeros
            continue
        where = f"{path}, line {number}"
        event = build(dict[str, Any], parse(line.lstrip(b"\0"), where), where)
        kind = build(str, event.get("event"), where, "event")
        if kind in _EVENTS:
            build_known(_EVENTS[kind], event, where)
        yield event
