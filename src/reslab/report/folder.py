"""What a run folder holds, as far as the run got: read once, nothing computed, nothing written."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.evaluate.feature_map import FeatureMap, read_map
from reslab.model.file import read_header
from reslab.model.run import (
    CORRUPTIONS_NAME,
    MODEL_NAME,
    SCORED_SPLITS,
    evaluation_name,
    is_ensemble,
    map_name,
    planned_epochs,
    predictions_name,
    read_config,
    read_epochs,
    read_journal,
    read_rows,
    read_split,
)
from reslab.system.files import read_json
from reslab.tasks.table import task_named
from reslab.tasks.task import Task

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers on one split."""

    split: str
    """`test`, `out-of-fold` or `val`."""
    document: dict[str, Any]
    """`evaluation.json`, see `evaluate.evaluation`."""
    answers: list[dict[str, str]] | None
    """Rows of `predictions.csv` (path, label, answer, correct, …); None where the file is missing."""
    stale: bool
    """Another model than the one now in the folder gave these answers: training went on after them."""
    map: FeatureMap | None = None
    """Where the pictures lie on the map of the features, where the folder keeps that."""

    @property
    def task(self) -> Task:
        return task_named(self.document.get("task", "single"))

    @property
    def main(self) -> dict[str, float]:
        """The score that counts, with its interval."""
        return self.document[self.task.headline]

    @property
    def baseline(self) -> float:
        """What that score would be without looking at the pictures."""
        return self.document[self.task.baseline]

    @property
    def unseen(self) -> float | None:
        """The score on pictures that did not train the model; None where there are none."""
        found = self.document[f"{self.task.headline}_unseen"]
        return found["value"] if isinstance(found, dict) else found

    @property
    def file(self) -> str:
        return predictions_name(self.split)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run."""

    path: Path
    document: dict[str, Any]
    """`config.json`: config, origins, network, classes, machine, …"""
    epochs: list[Event]
    steps: list[Event]
    early: Event | None
    """The event of an early stop."""
    shares: Counter[tuple[str, str]]
    """(split, label) -> pictures."""
    header: dict[str, Any] | None
    """The header of the model file; None where no epoch was finished."""
    judged: dict[str, Judged]
    """Split -> its answers."""
    corrupted: dict[str, Any] | None = None
    """`corruptions.json`, see `evaluate.corruptions`; None where it is of another model than the one now in the folder."""

    @property
    def config(self) -> dict[str, Any]:
        return self.document["config"]

    @property
    def task(self) -> str:
        """The name of what a label is."""
        return self.document.get("task", "single")

    @property
    def finished(self) -> bool:
        return self.early is not None or len(self.epochs) >= max(1, self.planned)  # a head that is computed: 1

    @property
    def planned(self) -> int:
        """Epochs."""
        return planned_epochs(self.config, self.epochs)

    @property
    def chose(self) -> bool:
        """Whether validation pictures may choose the epoch whose weights are kept."""
        return not self.config.get("folds")

    @property
    def ensemble(self) -> bool:
        """Whether the model is the ensemble of the folds; the epochs are then means over them."""
        return is_ensemble(self.config)

    @property
    def score(self) -> Judged | None:
        """What to believe: the test split if it was judged, else what else there is; never an outdated score."""
        return next(
            (self.judged[split] for split in SCORED_SPLITS if split in self.judged and not self.judged[split].stale),
            None,
        )

    def pictures(self, split: str) -> int:
        """How many pictures a split has."""
        return sum(n for (where, _), n in self.shares.items() if where == split)


def read_run(path: Path) -> RunFolder:
    """Read a run folder.

    Raises:
        ResLabError: it holds no `config.json`, or a file in it is damaged.
    """
    document = read_config(path)
    events = list(read_journal(path))
    model = path / MODEL_NAME
    header = read_header(model) if model.is_file() else None
    judged = {split: _judged(path, split, header) for split in SCORED_SPLITS}
    return RunFolder(
        path=path,
        document=document,
        epochs=read_epochs(path, document["config"]),
        steps=[event for event in events if event["event"] == "step"],
        early=events[-1] if events and events[-1]["event"] == "early stop" else None,
        shares=Counter((row.split, row.label) for row in read_split(path) or []),
        header=header,
        judged={split: found for split, found in judged.items() if found},
        corrupted=_corrupted(path, header),
    )


def _corrupted(path: Path, header: dict[str, Any] | None) -> dict[str, Any] | None:
    file = path / CORRUPTIONS_NAME
    found = read_json(file) if file.is_file() else None
    return found if found and (header is None or header["sha256"] == found["model"]) else None


def _judged(path: Path, split: str, header: dict[str, Any] | None) -> Judged | None:
    file = path / evaluation_name(split)
    if not file.is_file():
        return None
    document = read_json(file)
    answers = read_rows(path / predictions_name(split), ("path", "label", "answer", "correct"))
    stale, feature_map = header is not None and header["sha256"] != document["model"], path / map_name(split)
    return Judged(split, document, answers, stale, read_map(feature_map, document["model"]))
