"""Several labels per picture: each label is a ranking of the pictures, and a yes or no at its own threshold.

A label's logit z stands for the probability 1 / (1 + exp(-z)) that the picture has it, whatever the other labels.
"""

from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Bool, Float64, Integer

from reslab.metrics.calibration import Scores, fit_temperature
from reslab.metrics.intervals import Proportion, percentiles, proportion, resamples
from reslab.metrics.paired import undecided
from reslab.shapes import LABELS, LOGITS

Marks = Bool[np.ndarray, LOGITS]
"""Which labels each picture has."""

UNDECIDED = 0.5
"""The threshold of a label that no picture of the validation split has."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One row of the per-label table. Undefined ratios are 0, as in scikit-learn."""

    label: str
    n: int
    """Pictures that have it."""
    average_precision: float | None
    """None if no picture has it."""
    baseline: float
    """Average precision of a random ranking: the label's prevalence."""
    threshold: float
    """Probability from which on the answer is yes."""
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class LabelsScore:
    """The scores of a model on `n` pictures with any number of labels."""

    n: int
    mean_ap: Proportion
    """Mean of the average precisions over the labels that occur; its interval is a bootstrap over pictures."""
    frequency_baseline: float
    """Mean prevalence of those labels, which a random ranking would reach."""
    exact_match: Proportion
    """Pictures whose labels are predicted exactly (subset accuracy)."""
    hamming_loss: float
    """Share of wrong answers, one per picture and label."""
    macro_f1: float
    """Mean over the labels that occur."""
    per_label: tuple[LabelScore, ...]
    classes: tuple[str, ...]


def sigmoid(logits: Scores) -> Float64[np.ndarray, LOGITS]:
    """Probabilities, `[n, classes]` in float64, safe for any finite logits."""
    return np.exp(-np.logaddexp(0, -logits.astype(np.float64)))


def labels_likelihood(logits: Scores, marks: Marks) -> float:
    """Binary cross-entropy: summed over labels, which are taken as independent, averaged over pictures; in nats."""
    exact = logits.astype(np.float64)
    return float(np.logaddexp(0, np.where(marks, -exact, exact)).sum(axis=1).mean())


def fit_labels_temperature(logits: Scores, marks: Marks) -> float:
    """The T > 0 that minimises `labels_likelihood` of `logits / T`: each label is a choice between the logits 0 and z."""
    pairs = np.stack([np.zeros(logits.size), logits.ravel().astype(np.float64)], axis=1)
    return fit_temperature(pairs, marks.ravel().astype(np.int64))


def average_precisions(scores: Scores, marks: Marks) -> Float64[np.ndarray, " classes"]:
    """Each label's average precision; NaN if no picture has it.

    It is the mean, over the pictures that have the label, of the precision among all that score at least as high: the
    step-wise area under the precision-recall curve, equal scores taken together, as in scikit-learn.
    """
    return _Ranking(scores, marks).average_precisions(np.ones(len(marks), np.int64))


def mean_average_precision(scores: Scores, marks: Marks) -> float:
    """Mean over the labels that occur; 0 where none does."""
    return _mean(average_precisions(scores, marks))


def resample(scores: Scores, marks: Marks) -> Float64[np.ndarray, " resamples"]:
    """Mean average precision of 1,000 bootstrap samples of the pictures (Efron 1979); n pictures always get the same ones."""
    ranking = _Ranking(scores, marks)
    return np.array([_mean(ranking.average_precisions(weights)) for weights in resamples(len(marks))])


def best_thresholds(probabilities: Scores, marks: Marks) -> Float64[np.ndarray, " classes"]:
    """For each label the threshold with the greatest F1: halfway between the lowest yes and the highest no.

    Of equally good ones the highest is taken, which predicts least. A label that no picture has keeps `UNDECIDED`.
    """
    return np.array([_best_threshold(column, hits) for column, hits in zip(probabilities.T, marks.T, strict=True)])


def score_labels(
    logits: Scores,
    answers: Marks,
    marks: Marks,
    thresholds: Float64[np.ndarray, " classes"],
    classes: tuple[str, ...],
) -> LabelsScore:
    """Score predictions.

    Args:
        logits: `[n, classes]`, n > 0: only their order within a label counts.
        answers: which labels were predicted, at `thresholds`.
        marks: which labels the pictures have.
    """
    precisions = average_precisions(logits, marks)
    hits, answered, true = (each.sum(axis=0) for each in (answers & marks, answers, marks))
    borne = true > 0
    per_label = tuple(
        LabelScore(
            label=label,
            n=int(true[k]),
            average_precision=float(precisions[k]) if borne[k] else None,
            baseline=float(true[k] / len(marks)),
            threshold=float(thresholds[k]),
            **_ratios(int(hits[k]), int(answered[k]), int(true[k])),
        )
        for k, label in enumerate(classes)
    )
    return LabelsScore(
        n=len(marks),
        mean_ap=Proportion(_mean(precisions), *astuple(percentiles(resample(logits, marks)))),
        frequency_baseline=float(true[borne].mean() / len(marks)) if borne.any() else 0.0,
        exact_match=proportion(int((answers == marks).all(axis=1).sum()), len(marks)),
        hamming_loss=float((answers != marks).mean()),
        macro_f1=float(np.mean([row.f1 for row in per_label if row.n])) if borne.any() else 0.0,
        per_label=per_label,
        classes=classes,
    )


@dataclass(frozen=True, slots=True)
class LabelsComparison:
    """Two models on the same pictures with several labels."""

    n: int
    a: float
    """Mean average precision."""
    b: float
    difference: float
    """a - b."""
    low: float
    """Of the 95 % interval of the difference: paired bootstrap over pictures, percentiles."""
    high: float
    verdict: str
    """As `paired.Comparison` has it."""


def compared_labels(a: Scores, b: Scores, marks: Marks) -> LabelsComparison:
    """Compare two models by how well they rank the same pictures: both are scored on each bootstrap sample."""
    first, second = mean_average_precision(a, marks), mean_average_precision(b, marks)
    differences = resample(a, marks) - resample(b, marks)
    low, high = astuple(percentiles(differences))
    verdict = "a is better" if low > 0 else "b is better" if high < 0 else ""
    verdict = verdict or undecided(max(float(differences.std()), 1 / len(marks)))
    return LabelsComparison(len(marks), first, second, first - second, low, high, verdict)


class _Ranking:
    """Every label's pictures, best first: sorted once, scored under many weights."""

    def __init__(self, scores: Scores, marks: Marks) -> None:
        n = len(marks)
        self.order = np.argsort(-scores, axis=0, kind="stable")
        self.hits = np.take_along_axis(marks, self.order, axis=0)
        ranked = np.take_along_axis(scores, self.order, axis=0)
        ends = np.ones(ranked.shape, bool)
        ends[:-1] = ranked[1:] != ranked[:-1]
        # The next end at or below each row: the least of the ends from there on, seen from the bottom.
        last = np.where(ends, np.arange(n)[:, None], n)
        self.tied = np.minimum.accumulate(last[::-1], axis=0)[::-1]
        """Where each row's run of equal scores ends."""

    def average_precisions(self, weights: Integer[np.ndarray, LABELS]) -> Float64[np.ndarray, " classes"]:
        """The average precisions if picture i occurred `weights[i]` times."""
        times = weights[self.order]
        found = (times * self.hits).cumsum(axis=0)
        # Equal scores share the precision at the end of their run, so that their order does not matter.
        precision = np.take_along_axis(found / np.maximum(times.cumsum(axis=0), 1), self.tied, axis=0)
        total = found[-1]
        summed = (times * self.hits * precision).sum(axis=0)
        return np.where(total > 0, summed / np.maximum(total, 1), np.nan)


def _mean(precisions: np.ndarray) -> float:
    known = precisions[~np.isnan(precisions)]
    return float(known.mean()) if len(known) else 0.0


def _best_threshold(scores: np.ndarray, hits: np.ndarray) -> float:
    if not hits.any():
        return UNDECIDED
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], hits[order].cumsum()
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # equal scores get equal answers
    best = int((2 * found[ends] / (ends + 1 + found[-1])).argmax())
    least, next_lower = ranked[ends[best]], ranked[ends[best + 1]] if best + 1 < len(ends) else 0.0
    middle = (least + next_lower) / 2
    return float(middle if middle > next_lower else least)  # neighbours in float64 have no middle


def _ratios(hits: int, answered: int, true: int) -> dict[str, float]:
    return {
        "precision": hits / answered if answered else 0.0,
        "recall": hits / true if true else 0.0,
        "f1": 2 * hits / (true + answered) if true + answered else 0.0,
    }
