"""Each picture has any number of labels, none included; each label is answered with yes or no."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np

from reslab.data.catalog import SEPARATOR, Catalog, Picture, split_labels
from reslab.metrics.calibration import calibrate
from reslab.metrics.multilabel import (
    UNDECIDED,
    LabelsComparison,
    LabelsScore,
    best_thresholds,
    compared_labels,
    fit_labels_temperature,
    labels_likelihood,
    mean_average_precision,
    score_labels,
    sigmoid,
)
from reslab.tasks.task import (
    Answer,
    Answers,
    Feature,
    Severity,
    Task,
    Validation,
    class_numbers,
    other_labels,
    unknown_label,
)

_ONE_EACH = (
    "every picture has exactly one label, and each label will be answered with yes or no; "
    "for one answer per picture, write them in one column called label"
)


class Multi(Task):
    """Any number of labels for each picture: sigmoid, a threshold per label, mean average precision."""

    name, format = "multi", 2
    gives = "each picture any number of labels"
    accepts = frozenset({"single", "multi"})
    lacks: frozenset[Feature] = frozenset(get_args(Feature))
    headline, baseline = "mean_ap", "frequency_baseline"
    kept = ("n", "mean_ap", "nll")
    empty_class = "no picture has it; remove its column"

    def targets(self, pictures: Sequence[Picture], classes: tuple[str, ...], split: str) -> np.ndarray:
        number = class_numbers(pictures, classes, split)
        multi_hot = np.zeros((len(pictures), len(classes)), bool)
        for row, picture in enumerate(pictures):
            for label in split_labels(picture.label):
                if label not in number:
                    raise unknown_label("label", label, picture, classes, split)
                multi_hot[row, number[label]] = True
        return multi_hot

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(logits)

    def likelihood(self, logits: np.ndarray, targets: np.ndarray) -> float:
        return labels_likelihood(logits, targets)

    def correct(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return ((logits > 0) == targets).all(1)

    def validate(self, logits: np.ndarray, targets: np.ndarray, balanced: bool) -> Validation:
        accuracy, nll = float(self.correct(logits, targets).mean()), self.likelihood(logits, targets)
        return Validation(accuracy, nll, "mean_ap", mean_average_precision(logits, targets))

    def fit_temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        return fit_labels_temperature(logits, targets)

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray, tuple[float, ...]]:
        temperature, calibrated = calibrate(logits, targets, fit_labels_temperature, (labels_likelihood,))
        thresholds = best_thresholds(sigmoid(logits / temperature), targets)
        return temperature, calibrated, tuple(float(t) for t in thresholds)

    def initial_thresholds(self, classes: int) -> tuple[float, ...]:
        return (UNDECIDED,) * classes

    def decide(
        self, logits: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], thresholds: tuple[float, ...]
    ) -> Answer:
        found = zip(classes, probabilities, thresholds, strict=True)
        labels = tuple((label, float(p)) for label, p, threshold in found if p >= threshold)
        return Answer(SEPARATOR.join(label for label, _ in labels), None, labels)

    def answered(self, answers: Answers) -> np.ndarray:
        return sigmoid(answers.logits / answers.temperature) >= np.array(answers.thresholds)

    def score(self, answers: Answers) -> LabelsScore:
        thresholds = np.array(answers.thresholds)
        return score_labels(answers.logits, self.answered(answers), answers.labels, thresholds, answers.classes)

    def quick_score(self, answers: Answers) -> float:
        return mean_average_precision(answers.logits, answers.labels)

    def calibration_document(self, answers: Answers, score: LabelsScore) -> dict[str, Any]:
        before, after = (labels_likelihood(z, answers.labels) for z in (answers.logits, answers.calibrated))
        fit = {"temperature": answers.temperature, "n": answers.calibration.n, "nll_before": before, "nll_after": after}
        return {"nll": after, "calibration": fit}

    def table(self, answers: Answers) -> Iterator[Sequence[Any]]:
        """With the calibrated probability of each label in a column of its own."""

        def named(present: np.ndarray) -> str:
            return SEPARATOR.join(label for label, there in zip(answers.classes, present, strict=True) if there)

        yield "path", "label", "answer", "correct", *(f"p({label})" for label in answers.classes)
        rows = zip(answers.keys, answers.labels, self.answered(answers), sigmoid(answers.calibrated), strict=True)
        for key, labels, given, probabilities in rows:
            each = (f"{p:.6f}" for p in probabilities)
            yield key, named(labels), named(given), int((labels == given).all()), *each

    def compare(self, a: Answers, b: Answers) -> LabelsComparison:
        if a.classes != b.classes:
            raise other_labels()
        return compared_labels(a.logits, b.logits, a.labels)

    def chance(self, counts: Counter[str], pictures: int) -> float:
        return counts.total() / max(len(counts), 1) / max(pictures, 1)

    def without_pictures(self, split: str) -> str:
        return f" and its threshold stays at {UNDECIDED:g}" if split == "val" else ""

    def oddities(self, catalog: Catalog) -> Iterator[tuple[str, str, str, Severity]]:
        if all(len(catalog.labels_of(p)) == 1 for p in catalog.pictures):
            yield "one label each", catalog.root, _ONE_EACH, "warning"
        trained, counts = catalog.split("train"), catalog.only(("train",)).counts()
        for label in sorted(label for label, n in counts.items() if n == len(trained)):
            detail = "every training picture has it, so nothing can be learnt about it"
            yield "constant label", label, detail, "warning"
        if bare := [p for p in catalog.pictures if not p.label]:
            detail = f"{len(bare):,} picture(s) without a label, this one first: each counts as showing none of them"
            yield "no label", bare[0].key, detail, "note"
