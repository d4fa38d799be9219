"""Evaluate a model on labelled pictures: one pass over the data, every number from the same logits."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import load_image
from reslab.engine.base import Engine, Outputs, join_outputs, stream_outputs
from reslab.errors import BadPicture, NoAnswer, ResLabError
from reslab.evaluate.feature_map import FeatureMap, make_map, write_map
from reslab.evaluate.outliers import OutlierScorer
from reslab.metrics.calibration import cross_fit
from reslab.metrics.intervals import spread
from reslab.model.file import Header
from reslab.model.run import byte_order_mark, evaluation_name, map_name, predictions_name
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Decoded
from reslab.system.files import write_atomically, write_json
from reslab.tasks.table import task_named
from reslab.tasks.task import Answers, Calibration, Task, other_labels, supports


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation(Answers):
    """The answers of a model for the labelled pictures of one split, and every number about them."""

    task: Task
    split: str
    model: str
    """The model file's sha256."""
    unreadable: tuple[BadPicture, ...] = ()
    map: FeatureMap | None = None
    """Where the pictures lie on the map of their features."""

    @cached_property
    def score(self) -> Any:
        """What `task.score` gives: `metrics.scores.Score`, or `metrics.multilabel.LabelsScore`."""
        return self.task.score(self)

    @property
    def answers(self) -> np.ndarray:
        """What `predict` answers, in the form of `labels`."""
        return self.task.answered(self)

    def correct(self) -> dict[str, bool]:
        """Key -> whether the answer was right."""
        return dict(zip(self.keys, self.task.correct(self.logits, self.labels).tolist(), strict=True))

    def calibrate(self) -> "Evaluation":
        """The same answers over the temperature, and at the thresholds, that suit this split best."""
        temperature, calibrated, thresholds = self.task.calibrate(self.logits, self.labels)
        calibration = Calibration(temperature, len(self.labels), self.split)
        found = replace(self, calibrated=calibrated, calibration=calibration, thresholds=thresholds)
        rejection, conformal = self.task.fit_rejection(found), self.task.fit_conformal(found)
        return replace(found, calibration=replace(calibration, rejection=rejection, conformal=conformal))

    def fill_header(self, header: Header, chose_the_model: bool) -> Header:
        """The header that carries what `calibrate` found, and the score."""
        found = self.document()
        summary = {key: found[key] for key in self.task.kept if found[key] is not None}
        summary["chose_the_model"] = chose_the_model
        return replace(
            header, calibration=self.calibration, thresholds=self.thresholds, scores={self.split: summary}
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """What `eval --json` prints and `evaluation.json` holds."""
        fresh = self.rows(~self.seen)
        return {
            "schema": 1,
            "task": self.task.name,
            "split": self.split,
            "model": self.model,
            **asdict(self.score),
            **self.task.calibration_document(self, self.score),
            "seen_in_training": int(self.seen.sum()),
            f"{self.task.headline}_unseen": self.task.quick_score(fresh) if fresh.keys else None,
            "unreadable": [{"path": bad.name, "reason": bad.reason} for bad in self.unreadable],
            **self.task.details(self),
        }

    def table(self) -> str:
        """`predictions.csv`: one row per picture, probabilities calibrated."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows(self.task.table(self))
        return byte_order_mark(self.classes) + file.getvalue()


def decoded(picture: Picture) -> tuple[Decoded, bytes]:
    """A picture as its file has it, and its hash."""
    image = load_image(picture)
    return image, fingerprint(image)


def evaluate_engine(
    engine: Engine,
    pictures: Sequence[Picture],
    split: str,
    skip_bad: bool = False,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    source: Callable[[Picture], tuple[Decoded, bytes]] = decoded,
) -> Evaluation:
    """Answer for every picture once.

    Args:
        source: gives a picture, whole or already prepared for the model, and the hash of its decoded form.

    Raises:
        ResLabError: no picture; a class that the model does not know (matched by name); an unreadable picture,
            unless `skip_bad`.
    """
    labels = task_named(engine.header.task).targets(pictures, engine.header.classes, split)
    hashes: dict[str, bytes] = {}

    def read(picture: Picture) -> Decoded:
        pixels, hashes[picture.key] = source(picture)
        return pixels

    rows, errors = [], {}
    for block, outputs in stream_outputs(engine, pictures, workers, read, embed=True):
        rows.append(outputs)
        bad = np.flatnonzero(~np.isfinite(outputs.logits).all(axis=1))
        unanswered = {int(block.indices[i]): NoAnswer(pictures[int(block.indices[i])].key) for i in bad}
        errors |= unanswered | block.errors
        if errors and not skip_bad:
            raise next(iter(errors.values()))
        if on_progress:
            on_progress(len(block.indices))
    good = np.array([i for i in range(len(pictures)) if i not in errors], dtype=np.int64)
    if not len(good):
        raise ResLabError(f"no picture of the {split} split can be read")
    outputs = join_outputs(rows).rows(good)
    return _evaluation(engine, split, [pictures[i].key for i in good], labels[good], outputs, hashes, errors)


def evaluate_outputs(
    engine: Engine, pictures: Sequence[Picture], split: str, outputs: Outputs, digests: Sequence[bytes]
) -> Evaluation:
    """The same from the engine's outputs for these pictures, where they are known, and the hashes of the pictures."""
    labels = task_named(engine.header.task).targets(pictures, engine.header.classes, split)
    keys = [picture.key for picture in pictures]
    return _evaluation(engine, split, keys, labels, outputs, dict(zip(keys, digests, strict=True)), {})


def _evaluation(
    engine: Engine,
    split: str,
    keys: list[str],
    labels: np.ndarray,
    outputs: Outputs,
    hashes: dict[str, bytes],
    errors: dict[int, BadPicture],
) -> Evaluation:
    header = engine.header
    task, trained_on = task_named(header.task), {row.tobytes() for row in engine.seen}
    return Evaluation(
        task=task,
        split=split,
        model=engine.sha256,
        classes=header.classes,
        keys=tuple(keys),
        labels=labels,
        logits=outputs.logits,
        calibrated=_calibrated(task, outputs.logits, labels, split, header.calibration),
        outlier=OutlierScorer(engine).scores(outputs),
        map=make_map(outputs.features) if outputs.features is not None and supports(task, "map") else None,
        calibration=header.calibration,
        thresholds=header.thresholds,
        seen=np.array([hashes[key] in trained_on for key in keys], dtype=bool),
        unreadable=tuple(errors.values()),
    )


def pool_folds(folds: Sequence[Evaluation], split: str) -> Evaluation:
    """The answers of several models, each on pictures of its own, as one: in the order of the keys, no temperature yet."""
    keys = [key for one in folds for key in one.keys]
    order = sorted(range(len(keys)), key=keys.__getitem__)

    def joined(part: Callable[[Evaluation], np.ndarray]) -> np.ndarray:
        return np.concatenate([part(one) for one in folds])[order]

    logits, task = joined(lambda one: one.logits), folds[0].task
    scored = [one.outlier for one in folds if one.outlier is not None]
    outlier = np.concatenate(scored)[order] if len(scored) == len(folds) else None
    return Evaluation(
        task=task, split=split, model="", classes=folds[0].classes, keys=tuple(keys[i] for i in order),
        labels=joined(lambda one: one.labels), logits=logits, calibrated=logits.astype(np.float64), outlier=outlier,
        thresholds=folds[0].thresholds, seen=joined(lambda one: one.seen),
        unreadable=tuple(bad for one in folds for bad in one.unreadable),
        folds=spread([float(task.correct(one.logits, one.labels).mean()) for one in folds]),
    )  # fmt: skip


def _calibrated(task: Task, logits: np.ndarray, labels: np.ndarray, split: str, calibration: Calibration) -> np.ndarray:
    """On the split that fitted the temperature, each fold is evaluated with the temperature of the others."""
    if calibration.split == split and calibration.n == len(labels) and calibration.temperature != 1:
        return cross_fit(logits, labels, task.fit_temperature)
    return logits.astype(np.float64) / calibration.temperature


def compare(first: Evaluation, second: Evaluation) -> Any:
    """What `task.compare` says of the pictures that both answered.

    Raises:
        ResLabError: there is no such picture, or their scores are of different things.
    """
    if first.task.name != second.task.name:
        raise other_labels()
    here, there = shared_rows(first.keys, second.keys)
    return first.task.compare(first.rows(here), second.rows(there))


def shared_rows(first: Sequence[str], second: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Where the keys that two sequences share stand in each, in the order of the first.

    Raises:
        ResLabError: they share none.
    """
    place = {key: row for row, key in enumerate(second)}
    rows = [row for row, key in enumerate(first) if key in place]
    if not rows:
        raise ResLabError("the two have no picture in common", "give runs or models that answered for the same data")
    return np.array(rows, np.int64), np.array([place[first[row]] for row in rows], np.int64)


def write_evaluation(out: Path, evaluation: Evaluation) -> None:
    """`evaluation.json`, `predictions.csv` and `map.json` of the validation split; `evaluation-test.json`, … of another."""
    write_json(out / evaluation_name(evaluation.split), evaluation.document())
    write_atomically(out / predictions_name(evaluation.split), evaluation.table().encode())
    if evaluation.map:
        write_map(out / map_name(evaluation.split), evaluation.map, evaluation.model)
