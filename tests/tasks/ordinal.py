"""A third task in one file: labels are ranks, and the score is the mean absolute distance between them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reslab.cli import scores, show
from reslab.metrics.calibration import softmax
from reslab.metrics.multilabel import LabelsComparison
from reslab.report import sections
from reslab.tasks import table
from reslab.tasks.multi import Multi
from reslab.tasks.single import Single
from reslab.tasks.task import Answer, Answers, Validation
from reslab.train.step import loss


@dataclass(frozen=True)
class RankScore:
    n: int
    distance: dict[str, float]
    median_baseline: float
    """Distance where every answer is the middle rank."""
    classes: tuple[str, ...]


def median_rank(probabilities: np.ndarray) -> np.ndarray:
    """The answer with the least expected distance."""
    return (probabilities.cumsum(-1) >= 0.5).argmax(-1)


def mean_with_interval(values: np.ndarray) -> dict[str, float]:
    draws = values[np.random.default_rng(0).integers(len(values), size=(1000, len(values)))].mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


class Ordinal(Single):
    name, format = "ordinal", 3
    gives = "each picture one rank"
    accepts = frozenset({"ordinal", "single"})
    lacks = Multi.lacks
    headline, baseline, kept = "distance", "median_baseline", ("n", "distance")

    def validate(self, logits, targets, balanced):
        plain = super().validate(logits, targets, False)
        distance = np.abs(median_rank(softmax(logits)) - targets).mean()
        return Validation(plain.accuracy, plain.nll, "neg_mean_absolute_error", -float(distance))

    def decide(self, logits, probabilities, classes, thresholds):
        rank = int(median_rank(probabilities))
        return Answer(classes[rank], float(probabilities[rank]))

    def answered(self, answers):
        return median_rank(softmax(answers.logits / answers.temperature))

    def distances(self, answers: Answers) -> np.ndarray:
        return np.abs(self.answered(answers) - answers.labels)

    def score(self, answers):
        middle = float(np.abs(np.median(answers.labels) - answers.labels).mean())
        return RankScore(len(answers.keys), mean_with_interval(self.distances(answers)), middle, answers.classes)

    def quick_score(self, answers):
        return float(self.distances(answers).mean())

    def calibration_document(self, answers, score):
        return {"calibration": {"temperature": answers.temperature, "n": answers.calibration.n}}

    def table(self, answers):
        yield "path", "label", "answer", "correct", "distance"
        rows = zip(answers.keys, answers.labels, self.answered(answers), self.distances(answers), strict=True)
        yield from ((key, answers.classes[true], answers.classes[rank], int(not d), d) for key, true, rank, d in rows)

    def compare(self, a, b):
        first, second = self.distances(a), self.distances(b)
        found = mean_with_interval(first - second)
        verdict = "b is better" if found["low"] > 0 else "a is better" if found["high"] < 0 else "no difference shown"
        return LabelsComparison(len(first), float(first.mean()), float(second.mean()), *found.values(), verdict)


class OrdinalScores(scores.SingleScores):
    def epoch(self, event: dict[str, Any]) -> str:
        return f"distance {-event['val_neg_mean_absolute_error']:.2f} ranks"

    def trained(self, document, fold):
        self.evaluation(document, "validation", "")

    def evaluation(self, document, heading, note):
        show.say(f"{heading}: distance {document['distance']['value']:.2f} ranks, n = {document['n']}{note}")

    def difference(self, document):
        show.say(f"a - b  {document['difference']:+.2f} ranks: {document['verdict']}")


class OrdinalSection(sections.SingleSection):
    name, parts = "ordinal", ()

    def shown(self, score: float) -> str:
        return f"{score:.2f} ranks"

    def heading(self, judged):
        hits = f"{judged.document['n']} pictures"
        return {"label": "Mean distance of ranks", "hits": hits, "bar": "", "against": [], "tiles": []}

    def view(self, judged, run):
        return {}


TABLES = (
    (table.TASKS, Ordinal()), (scores.SCORES, OrdinalScores()), (sections.SECTIONS, OrdinalSection()),
    (loss.HITS, loss.HITS["single"]),
    (loss.LOSSES, lambda run, logits, targets: ((torch.softmax(logits, 1) - targets).cumsum(1) ** 2).sum()),
)  # fmt: skip
"""Where the task is registered by its name."""
