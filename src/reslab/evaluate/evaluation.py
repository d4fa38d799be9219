"""A model on labelled pictures: one pass over the data, every number from the same logits."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import load
from reslab.engine.base import Engine, stream_logits
from reslab.errors import BadPicture, NoAnswer, ResLabError, nearest
from reslab.evaluate.labels import LabelsEvaluation, marked
from reslab.metrics.calibration import calibrate, cross_fitted, fit_temperature, reliability, softmax
from reslab.metrics.intervals import Spread, spread
from reslab.metrics.multilabel import fit_labels_temperature
from reslab.metrics.scores import Score, score
from reslab.model.file import Calibration, Header, Task
from reslab.model.run import byte_order_mark, evaluation_name, predictions_name
from reslab.pixels.fingerprint import fingerprint
from reslab.system.files import write_atomically, write_json

_WORST = 8
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answers for one split, in the order of `keys`."""

    split: str
    model: str
    """The model file's sha256."""
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    """float32, before the temperature."""
    calibrated: np.ndarray
    """float64, over the temperature; cross-fitted where this very split fitted it."""
    temperature: float
    seen: np.ndarray
    """bool: the model was trained on this very picture."""
    unreadable: tuple[BadPicture, ...]
    folds: Spread | None = None
    """The accuracy of each fold, where the answers are those of a cross-validation."""
    fitted_on: int = 0
    """Pictures that the temperature was fitted on; a temperature of 1 was then not applied, since it did not help."""

    @property
    def score(self) -> Score:
        return score(self.calibrated, self.labels, self.classes)

    def right(self) -> dict[str, bool]:
        """Key -> whether the answer was right."""
        return dict(zip(self.keys, (self.logits.argmax(1) == self.labels).tolist(), strict=True))

    def fitted(self) -> "Evaluation":
        """The same answers over the temperature that suits this split best, if it helps on held-out folds."""
        temperature, calibrated = calibrate(self.logits, self.labels)
        return replace(self, calibrated=calibrated, temperature=temperature, fitted_on=len(self.labels))

    def described(self, header: Header, chose_the_model: bool) -> Header:
        """The header that carries what `fitted` found, and the score."""
        found = self.score
        told = {"n": found.n, "top1": asdict(found.top1), "nll": found.nll, "ece": found.ece}
        told |= {"chose_the_model": chose_the_model} | ({"folds": asdict(self.folds)} if self.folds else {})
        calibration = Calibration(self.temperature, self.fitted_on, self.split)
        return replace(header, calibration=calibration, scores={self.split: told})

    def document(self) -> dict[str, Any]:
        """What `eval --json` prints and `evaluation.json` holds."""
        result = self.score
        before = score(self.logits, self.labels, self.classes)
        fresh = ~self.seen
        unseen = score(self.calibrated[fresh], self.labels[fresh], self.classes) if fresh.any() else None
        return {
            "schema": 1,
            "task": "single",
            "split": self.split,
            "model": self.model,
            **asdict(result),
            "calibration": {
                "temperature": self.temperature,
                "n": self.fitted_on,
                "nll_before": before.nll,
                "nll_after": result.nll,
                "ece_before": before.ece,
                "ece_after": result.ece,
            },
            "reliability": [asdict(b) for b in reliability(softmax(self.calibrated), self.labels)],
            "seen_in_training": int(self.seen.sum()),
            "top1_unseen": asdict(unseen.top1) if unseen else None,
            "unreadable": [{"path": bad.name, "reason": bad.reason} for bad in self.unreadable],
            "folds": asdict(self.folds) if self.folds else None,
            "worst_confusions": self._worst_confusions(),
        }

    def _worst_confusions(self) -> list[dict[str, Any]]:
        """The most frequent mistakes with the names of their surest examples."""
        answered = self.calibrated.argmax(axis=1)
        wrong = np.flatnonzero(answered != self.labels)
        sure = softmax(self.calibrated).max(axis=1)
        pairs = Counter((int(self.labels[i]), int(answered[i])) for i in wrong)
        rows = []
        for (true, answer), n in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_WORST]:
            mine = [i for i in wrong if self.labels[i] == true and answered[i] == answer]
            mine.sort(key=lambda i: -sure[i])
            examples = [self.keys[i] for i in mine[:_EXAMPLES]]
            rows.append({"true": self.classes[true], "answered": self.classes[answer], "n": n, "examples": examples})
        return rows

    def table(self) -> str:
        """`predictions.csv`: one row per picture, probabilities calibrated.

        Of a cross-validation every class's probability is told, as `p(class)`: what a search for wrong labels needs.
        """
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        every = [f"p({name})" for name in self.classes] if self.folds else []
        writer.writerow(["path", "label", "answer", "probability", "correct", *every])
        sure = softmax(self.calibrated)
        for key, label, row in zip(self.keys, self.labels, sure, strict=True):
            answer = int(row.argmax())
            cells = [key, self.classes[label], self.classes[answer], f"{row[answer]:.6f}", int(answer == label)]
            writer.writerow(cells + [f"{p:.6f}" for p in row] if every else cells)
        return byte_order_mark(self.classes) + file.getvalue()


Judgement = Evaluation | LabelsEvaluation
"""What is known after a model has answered for labelled pictures: with one label each, or with several."""


def judge(
    engine: Engine,
    pictures: Sequence[Picture],
    split: str,
    skip_bad: bool = False,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Judgement:
    """Answer for every picture once.

    Raises:
        ResLabError: no picture; a class that the model does not know (matched by name); an unreadable picture,
            unless `skip_bad`.
    """
    labels = truth(engine.header.task, pictures, engine.header.classes, split)
    hashes: dict[str, bytes] = {}

    def read(picture: Picture) -> np.ndarray:
        pixels = load(picture)
        hashes[picture.key] = fingerprint(pixels)
        return pixels

    rows, errors = [], {}
    for block, logits in stream_logits(engine, pictures, workers, read):
        rows.append(logits)
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        unanswered = {int(block.indices[i]): NoAnswer(pictures[int(block.indices[i])].key) for i in bad}
        errors |= unanswered | block.errors
        if errors and not skip_bad:
            raise next(iter(errors.values()))
        if on_progress:
            on_progress(len(block.indices))
    good = np.array([i for i in range(len(pictures)) if i not in errors], dtype=np.int64)
    if not len(good):
        raise ResLabError(f"no picture of the {split} split can be read")
    logits = np.concatenate(rows)[good]
    return _evaluation(engine, split, [pictures[i].key for i in good], labels[good], logits, hashes, errors)


def truth(task: Task, pictures: Sequence[Picture], classes: tuple[str, ...], split: str) -> np.ndarray:
    """What is right: int64 `[n]` where a picture has one label, bool `[n, classes]` where it has several."""
    return (marked if task == "multi" else numbered)(pictures, classes, split)


def numbered(pictures: Sequence[Picture], classes: tuple[str, ...], split: str) -> np.ndarray:
    """Labels as positions in `classes`, matched by name: int64 `[n]`."""
    if not pictures:
        raise ResLabError(f"there is no picture in the {split} split")
    number = {name: i for i, name in enumerate(classes)}
    for picture in pictures:
        if picture.label not in number:
            raise ResLabError(
                f"the {split} split has a class {picture.label!r} ({picture.key}) that the model does not know",
                nearest(picture.label, classes),
            )
    return np.array([number[p.label] for p in pictures], dtype=np.int64)


def _evaluation(
    engine: Engine,
    split: str,
    keys: list[str],
    labels: np.ndarray,
    logits: np.ndarray,
    hashes: dict[str, bytes],
    errors: dict[int, BadPicture],
) -> Judgement:
    calibration = engine.header.calibration
    trained_on = {row.tobytes() for row in engine.seen}
    known: dict[str, Any] = {
        "split": split,
        "model": engine.sha256,
        "classes": engine.header.classes,
        "keys": tuple(keys),
        "labels": labels,
        "logits": logits,
        "calibrated": _calibrated(logits, labels, split, calibration),
        "temperature": calibration.temperature,
        "fitted_on": calibration.n,
        "seen": np.array([hashes[key] in trained_on for key in keys], dtype=bool),
        "unreadable": tuple(errors.values()),
    }
    if engine.header.task == "multi":
        return LabelsEvaluation(**known, thresholds=engine.header.thresholds)
    return Evaluation(**known)


def pooled(folds: Sequence[Evaluation], split: str) -> Evaluation:
    """The answers of several models, each on pictures of its own, as one: in the order of the keys, no temperature yet."""
    keys = [key for one in folds for key in one.keys]
    order = sorted(range(len(keys)), key=keys.__getitem__)

    def joined(part: Callable[[Evaluation], np.ndarray]) -> np.ndarray:
        return np.concatenate([part(one) for one in folds])[order]

    logits = joined(lambda one: one.logits)
    return Evaluation(
        split=split, model="", classes=folds[0].classes, keys=tuple(keys[i] for i in order),
        labels=joined(lambda one: one.labels), logits=logits, calibrated=logits.astype(np.float64), temperature=1.0,
        seen=joined(lambda one: one.seen), unreadable=tuple(bad for one in folds for bad in one.unreadable),
        folds=spread([float((one.logits.argmax(1) == one.labels).mean()) for one in folds]),
    )  # fmt: skip


def _calibrated(logits: np.ndarray, labels: np.ndarray, split: str, calibration: Calibration) -> np.ndarray:
    """On the split that fitted the temperature, each fold is judged by the temperature of the others."""
    if calibration.split == split and calibration.n == len(labels) and calibration.temperature != 1:
        return cross_fitted(logits, labels, fit_temperature if labels.ndim == 1 else fit_labels_temperature)
    return logits.astype(np.float64) / calibration.temperature


def write_evaluation(out: Path, evaluation: Judgement) -> None:
    """`evaluation.json` and `predictions.csv` of the validation split; `evaluation-test.json`, … of another."""
    write_json(out / evaluation_name(evaluation.split), evaluation.document())
    write_atomically(out / predictions_name(evaluation.split), evaluation.table().encode())
