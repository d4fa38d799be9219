"""A model that answers with any number of labels, judged: the sibling of `judge.Evaluation`."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from reslab.data.catalog import SEPARATOR, Picture, several
from reslab.errors import BadPicture, ResLabError, nearest
from reslab.metrics.calibration import calibrate
from reslab.metrics.multilabel import (
    LabelsScore,
    best_thresholds,
    fit_labels_temperature,
    labels_likelihood,
    mean_average_precision,
    score_labels,
    sigmoid,
)
from reslab.model.file import Calibration, Header
from reslab.model.run import byte_order_mark


@dataclass(frozen=True, eq=False)  # without slots, which would leave no room for the score once it is computed
class LabelsEvaluation:
    """Answers for one split, in the order of `keys`."""

    split: str
    model: str
    """The model file's sha256."""
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    labels: np.ndarray
    """bool `[n, classes]`."""
    logits: np.ndarray
    """float32, before the temperature."""
    calibrated: np.ndarray
    """float64, over the temperature; cross-fitted where this very split fitted it."""
    temperature: float
    thresholds: tuple[float, ...]
    """Probability from which on each label is answered."""
    seen: np.ndarray
    """bool: the model was trained on this very picture."""
    unreadable: tuple[BadPicture, ...]
    fitted_on: int = 0
    """Pictures that the temperature was fitted on; a temperature of 1 was then not applied, since it did not help."""

    @property
    def answers(self) -> np.ndarray:
        """What `predict` answers: bool `[n, classes]`."""
        return sigmoid(self.logits / self.temperature) >= np.array(self.thresholds)

    @cached_property
    def score(self) -> LabelsScore:
        return score_labels(self.logits, self.answers, self.labels, np.array(self.thresholds), self.classes)

    def fitted(self) -> "LabelsEvaluation":
        """The same answers over the temperature and at the thresholds that suit this split best."""
        temperature, calibrated = calibrate(self.logits, self.labels, fit_labels_temperature, (labels_likelihood,))
        thresholds = best_thresholds(sigmoid(self.logits / temperature), self.labels)
        found = {"calibrated": calibrated, "temperature": temperature, "fitted_on": len(self.labels)}
        return replace(self, **found, thresholds=tuple(float(t) for t in thresholds))

    def described(self, header: Header, chose_the_model: bool) -> Header:
        """The header that carries what `fitted` found, and the score."""
        score = {"n": self.score.n, "mean_ap": asdict(self.score.mean_ap), "chose_the_model": chose_the_model}
        calibration = Calibration(self.temperature, self.fitted_on, self.split)
        return replace(
            header, calibration=calibration, thresholds=self.thresholds, scores={self.split: score | {"nll": self.nll}}
        )

    @property
    def nll(self) -> float:
        """Calibrated; see `labels_likelihood`."""
        return labels_likelihood(self.calibrated, self.labels)

    def document(self) -> dict[str, Any]:
        """What `eval --json` prints and `evaluation.json` holds."""
        fresh = ~self.seen
        unseen = mean_average_precision(self.logits[fresh], self.labels[fresh]) if fresh.any() else None
        return {
            "schema": 1,
            "task": "multi",
            "split": self.split,
            "model": self.model,
            **asdict(self.score),
            "nll": self.nll,
            "calibration": {
                "temperature": self.temperature,
                "n": self.fitted_on,
                "nll_before": labels_likelihood(self.logits, self.labels),
                "nll_after": self.nll,
            },
            "seen_in_training": int(self.seen.sum()),
            "mean_ap_unseen": unseen,
            "unreadable": [{"path": bad.name, "reason": bad.reason} for bad in self.unreadable],
        }

    def table(self) -> str:
        """`predictions.csv`: one row per picture, with the calibrated probability of each label in a column of its own."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "answer", "correct", *(f"p({label})" for label in self.classes)])
        rows = zip(self.keys, self.labels, self.answers, sigmoid(self.calibrated), strict=True)
        for key, marks, answers, probabilities in rows:
            cells = [key, self._named(marks), self._named(answers), int((marks == answers).all())]
            writer.writerow([*cells, *(f"{p:.6f}" for p in probabilities)])
        return byte_order_mark(self.classes) + file.getvalue()

    def _named(self, marks: np.ndarray) -> str:
        return SEPARATOR.join(label for label, there in zip(self.classes, marks, strict=True) if there)


def marked(pictures: Sequence[Picture], classes: tuple[str, ...], split: str) -> np.ndarray:
    """Which of `classes` each picture bears, matched by name: bool `[n, classes]`."""
    if not pictures:
        raise ResLabError(f"there is no picture in the {split} split")
    number = {name: i for i, name in enumerate(classes)}
    marks = np.zeros((len(pictures), len(classes)), bool)
    for row, picture in enumerate(pictures):
        for label in several(picture.label):
            if label not in number:
                raise ResLabError(
                    f"the {split} split has a label {label!r} ({picture.key}) that the model does not know",
                    nearest(label, classes),
                )
            marks[row, number[label]] = True
    return marks
