"""Each picture has exactly one label."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from reslab.data.catalog import Picture
from reslab.metrics.calibration import (
    calibrate,
    fit_temperature,
    logits_calibration_error,
    negative_log_likelihood,
    reliability,
    softmax,
)
from reslab.metrics.conformal import Conformal, fit_conformal, score_sets
from reslab.metrics.intervals import proportion
from reslab.metrics.paired import Comparison, compare_paired
from reslab.metrics.rejection import Rejection, fit_rejection, score_rejection
from reslab.metrics.scores import Score, balanced_accuracy
from reslab.metrics.scores import score as score_logits
from reslab.tasks.task import Answer, Answers, Task, Validation, class_numbers, unknown_label

_WORST, _EXAMPLES = 8, 5


class Single(Task):
    """One label for each picture: softmax, accuracy."""

    name, format = "single", 1
    gives = "each picture one label"
    accepts = frozenset({"single"})
    headline, baseline = "top1", "majority_baseline"
    kept = ("n", "top1", "nll", "ece", "folds")
    empty_class = "its folder holds no picture; remove it or fill it"

    def targets(self, pictures: Sequence[Picture], classes: tuple[str, ...], split: str) -> np.ndarray:
        number = class_numbers(pictures, classes, split)
        for picture in pictures:
            if picture.label not in number:
                raise unknown_label("class", picture.label, picture, classes, split)
        return np.array([number[p.label] for p in pictures], dtype=np.int64)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits)

    def likelihood(self, logits: np.ndarray, targets: np.ndarray) -> float:
        return negative_log_likelihood(logits, targets)

    def correct(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return logits.argmax(1) == targets

    def validate(self, logits: np.ndarray, targets: np.ndarray, balanced: bool) -> Validation:
        accuracy, nll = float(self.correct(logits, targets).mean()), self.likelihood(logits, targets)
        if not balanced:
            return Validation(accuracy, nll)
        return Validation(accuracy, nll, "balanced_accuracy", balanced_accuracy(logits.argmax(1), targets))

    def fit_temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        return fit_temperature(logits, targets)

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray, tuple[float, ...]]:
        return *calibrate(logits, targets), ()

    def fit_rejection(self, answers: Answers) -> Rejection:
        probabilities = softmax(answers.logits / answers.temperature)
        return fit_rejection(probabilities.max(1), answers.outlier, self.correct(answers.logits, answers.labels))

    def fit_conformal(self, answers: Answers) -> Conformal:
        return fit_conformal(softmax(answers.logits / answers.temperature), answers.labels)

    def decide(
        self, logits: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], thresholds: tuple[float, ...]
    ) -> Answer:
        best = int(logits.argmax())
        return Answer(classes[best], float(probabilities[best]))

    def answered(self, answers: Answers) -> np.ndarray:
        return answers.logits.argmax(1)

    def score(self, answers: Answers) -> Score:
        return score_logits(answers.calibrated, answers.labels, answers.classes)

    def quick_score(self, answers: Answers) -> dict[str, float]:
        return asdict(proportion(int(self.correct(answers.logits, answers.labels).sum()), len(answers.labels)))

    def calibration_document(self, answers: Answers, score: Score) -> dict[str, Any]:
        logits, labels = answers.logits, answers.labels
        return {
            "calibration": {
                "temperature": answers.temperature,
                "n": answers.calibration.n,
                "nll_before": negative_log_likelihood(logits, labels),
                "nll_after": score.nll,
                "ece_before": logits_calibration_error(logits, labels),
                "ece_after": score.ece,
            },
            "reliability": [asdict(b) for b in reliability(softmax(answers.calibrated), answers.labels)],
        }

    def details(self, answers: Answers) -> dict[str, Any]:
        folds = asdict(answers.folds) if answers.folds else None
        return {"folds": folds, "worst_confusions": _worst_confusions(answers), **_limits(answers)}

    def table(self, answers: Answers) -> Iterator[Sequence[Any]]:
        """With the outlier score, where there is one; of a cross-validation also with every class's probability.

        A search for wrong labels needs both.
        """
        classes, strange = answers.classes, answers.outlier
        named = [*(["outlier"] if strange is not None else []), *(f"p({c})" for c in classes if answers.folds)]
        yield "path", "label", "answer", "probability", "correct", *named
        for i, (key, label, row) in enumerate(
            zip(answers.keys, answers.labels, softmax(answers.calibrated), strict=True)
        ):
            answer = int(row.argmax())
            each = [
                *([f"{strange[i]:.6g}"] if strange is not None else []),
                *(f"{p:.6f}" for p in row if answers.folds),
            ]
            yield key, classes[label], classes[answer], f"{row[answer]:.6f}", int(answer == label), *each

    def compare(self, a: Answers, b: Answers) -> Comparison:
        return compare_paired(self.correct(a.logits, a.labels), self.correct(b.logits, b.labels))

    def chance(self, counts: Counter[str], pictures: int) -> float:
        return max(counts.values(), default=0) / max(pictures, 1)

    def imbalance(self, counts: Counter[str]) -> str:
        most, n = counts.most_common()[0]
        return f"; always answering {most!r} scores {n / counts.total():.1%}"


def _limits(answers: Answers) -> dict[str, Any]:
    """What the thresholds and the prediction sets of the model do to these pictures, where it has them."""
    probabilities, calibration = softmax(answers.logits / answers.temperature), answers.calibration
    rejected, sets = None, []
    if calibration.rejection:
        correct = answers.logits.argmax(1) == answers.labels
        rejected = asdict(score_rejection(calibration.rejection, probabilities.max(1), answers.outlier, correct))
    if calibration.conformal:
        sets = [asdict(one) for one in score_sets(probabilities, answers.labels, calibration.conformal)]
    return {"rejection": rejected, "prediction_sets": sets}


def _worst_confusions(answers: Answers) -> list[dict[str, Any]]:
    """The most frequent mistakes, each with the keys of the examples that the model was surest of."""
    labels, classes = answers.labels, answers.classes
    answered = answers.calibrated.argmax(axis=1)
    wrong = np.flatnonzero(answered != labels)
    sure = softmax(answers.calibrated).max(axis=1)
    pairs = Counter((int(labels[i]), int(answered[i])) for i in wrong)
    rows = []
    for (true, answer), n in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_WORST]:
        mine = [i for i in wrong if labels[i] == true and answered[i] == answer]
        mine.sort(key=lambda i: -sure[i])
        examples = [answers.keys[i] for i in mine[:_EXAMPLES]]
        rows.append({"true": classes[true], "answered": classes[answer], "n": n, "examples": examples})
    return rows
