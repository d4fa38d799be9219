"""What a label is, as one object: the protocol of a task, and the values that it takes and gives. numpy only.

A task makes targets of labels, probabilities of logits, and scores, answers and documents of both. Nothing outside asks
which task it has: it asks the task. PyTorch's side of it are tables by the task's name: the loss (`train.step.loss`), the
head that is computed (`train.probe`), the activation of an exported graph (`export.graph`); a person's side are the
terminal (`cli.scores`) and the page (`report.sections`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol, Self

import numpy as np

from reslab.data.catalog import Catalog, Picture
from reslab.errors import ResLabError, nearest
from reslab.metrics.conformal import Conformal
from reslab.metrics.intervals import Spread
from reslab.metrics.rejection import Rejection

Feature = Literal[
    "balance",
    "teacher",
    "folds",
    "label smoothing",
    "logit norm",
    "search",
    "adopt",
    "int8",
    "study",
    "prediction sets",
    "map",
    "review",
    "corruptions",
]
"""What a task may lack."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes probabilities honest, fitted after training on pictures that did not train."""

    temperature: float = 1.0
    n: int = 0
    """Pictures it was fitted on; 0 means that nothing was fitted. A temperature of 1 was then no improvement."""
    split: str | None = None
    rejection: Rejection | None = None
    """When an answer is not accepted."""
    conformal: Conformal | None = None
    """Which labels are in a set that contains the true one with a promised probability."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """Logits for labelled pictures, in the order of `keys`, and how they are calibrated."""

    keys: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    """The targets, as `Task.targets` gives them."""
    logits: np.ndarray
    """float32, before the temperature."""
    calibrated: np.ndarray
    """float64, over the temperature; cross-fitted where this very split fitted it."""
    seen: np.ndarray
    """bool: the model was trained on this very picture."""
    outlier: np.ndarray | None = None
    """float64: how strange each picture is to the model (`metrics.outlier`), where it gives features."""
    calibration: Calibration = Calibration()
    thresholds: tuple[float, ...] = ()
    """Calibrated probability from which on each label is answered, where the task has such."""
    folds: Spread | None = None
    """The accuracy of each fold, where the answers are those of a cross-validation."""

    @property
    def temperature(self) -> float:
        return self.calibration.temperature

    def rows(self, chosen: np.ndarray) -> Self:
        """The answers for some of the pictures, given as a mask or as positions."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        parts: dict[str, Any] = {k: v[chosen] for k, v in arrays.items() if isinstance(v, np.ndarray)}
        return replace(self, keys=tuple(np.array(self.keys, object)[chosen]), **parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered for one picture."""

    label: str
    """The label; of several, all of them as a table writes them."""
    probability: float | None
    """Of the label; None where there may be several, each with its own."""
    labels: tuple[tuple[str, float], ...] | None = None
    """Each label with its probability, where there may be several."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The score of weights on the validation split, while training."""

    accuracy: float
    """Share of the pictures that are answered right: with all of their labels, where there may be several."""
    nll: float
    measure: str = ""
    """What chooses the epoch instead of the accuracy, as the journal names it, after `val_`."""
    measured: float = 0.0

    @property
    def value(self) -> float:
        """What chooses the epoch that is kept."""
        return self.measured if self.measure else self.accuracy


class Task(Protocol):
    """What a label is. What has a body here is what most tasks do."""

    name: str
    format: int
    """Number of the model file's format, so that versions that do not know the task refuse its files."""
    gives: str
    """What a picture has, in words: `each picture one label`."""
    accepts: frozenset[str]
    """Tasks whose labels are a special case of this one's: data of these can be scored."""
    lacks: frozenset[Feature] = frozenset()
    headline: str
    """Key of the score that counts, in the document of an evaluation."""
    baseline: str
    """Key of what that score would be without looking at the pictures."""
    kept: tuple[str, ...]
    """Keys of the document that the header of a model file keeps."""

    # ------------------------------------------------------------ labels and logits

    def targets(self, pictures: Sequence[Picture], classes: tuple[str, ...], split: str) -> np.ndarray:
        """The labels, matched by name: int64 `[n]`, or bool `[n, classes]` where there may be several.

        Raises:
            ResLabError: there is no picture, or a label that is not in `classes`.
        """

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float64 `[n, classes]`, of logits that were divided by the temperature."""

    def likelihood(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Mean negative log likelihood, in nats per picture."""

    def correct(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """bool `[n]`: answered right, before anything was calibrated."""

    def validate(self, logits: np.ndarray, targets: np.ndarray, balanced: bool) -> Validation:
        """The score that chooses the epoch; `balanced` where every class is to count alike."""

    # ------------------------------------------------------------ calibration and answers

    def fit_temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """The temperature with the least likelihood loss."""

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray, tuple[float, ...]]:
        """The temperature that is worth applying, the logits over it (cross-fitted), and the best thresholds."""

    def fit_rejection(self, answers: "Answers") -> Rejection | None:
        """When an answer is not to be accepted, from calibrated answers; None where the task has no such rule."""
        return None

    def fit_conformal(self, answers: "Answers") -> Conformal | None:
        """Quantiles for prediction sets, from calibrated answers; None where the task has no such sets."""
        return None

    def initial_thresholds(self, classes: int) -> tuple[float, ...]:
        """Thresholds before anything was fitted, one per class; none where the task has none."""
        return ()

    def decide(
        self, logits: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], thresholds: tuple[float, ...]
    ) -> Answer:
        """The answer for one picture, from its logits and probabilities, each `[classes]`."""

    # ------------------------------------------------------------ scores

    def answered(self, answers: Answers) -> np.ndarray:
        """What `predict` answers for each picture, in the form of the targets."""

    def score(self, answers: Answers) -> Any:
        """Every measure, as a dataclass: its fields are keys of the document; `n` and `headline` are among them."""

    def quick_score(self, answers: Answers) -> Any:
        """The headline score alone, as the document has it of the pictures that did not train."""

    def calibration_document(self, answers: Answers, score: Any) -> dict[str, Any]:
        """The part of the document about the calibration, before and after."""

    def details(self, answers: Answers) -> dict[str, Any]:
        """The last part of the document."""
        return {}

    def table(self, answers: Answers) -> Iterator[Sequence[Any]]:
        """The cells of `predictions.csv`: the names of the columns, then one row per picture."""

    def compare(self, a: Answers, b: Answers) -> Any:
        """Two models on the same pictures, row by row: a dataclass with `n`, `a`, `b`, `difference` and `verdict`."""

    # ------------------------------------------------------------ the data check

    empty_class: str
    """What is wrong with a class without a picture, and what to do."""

    def chance(self, counts: Counter[str], pictures: int) -> float:
        """The headline score without looking at the pictures, of so many pictures with each label."""

    def imbalance(self, counts: Counter[str]) -> str:
        """What follows from very unequal counts, to be added to the warning."""
        return ""

    def without_pictures(self, split: str) -> str:
        """What follows for a class without a picture in a split, to be added to the warning."""
        return ""

    def oddities(self, catalog: Catalog) -> Iterator[tuple[str, str, str, Severity]]:
        """What can only be odd in this task: (kind, path, detail, severity) of a `check.data.Problem`."""
        yield from ()


def supports(task: Task, feature: Feature) -> bool:
    """Whether a task has a feature."""
    return feature not in task.lacks


def require(task: Task, feature: Feature, what: str, hint: str = "leave it out") -> None:
    """Refuse `what` where the task lacks the feature that it needs. The one sentence about what a task cannot do.

    Raises:
        ResLabError: it does.
    """
    if not supports(task, feature):
        raise ResLabError(f"{what} needs data that give each picture one label; these give {task.gives}", hint)


def check_labels(task: Task, other: Task, data: str) -> None:
    """Refuse data of another task than the model's, unless their labels are a special case of it.

    Raises:
        ResLabError: they are none.
    """
    if other.name not in task.accepts:
        raise ResLabError(
            f"the model gives {task.gives}, and {data} gives {other.gives}",
            "score it on data such as it was trained on, or train a model on these",
        )


def other_labels() -> ResLabError:
    """Two models whose answers cannot be compared."""
    return ResLabError(
        "the two models do not answer with the same labels, so their scores are of different things",
        "compare models that were trained on the same labels",
    )


def class_numbers(pictures: Sequence[Picture], classes: tuple[str, ...], split: str) -> dict[str, int]:
    """Class -> its number.

    Raises:
        ResLabError: there is no picture to be matched with them.
    """
    if not pictures:
        raise ResLabError(f"there is no picture in the {split} split")
    return {name: number for number, name in enumerate(classes)}


def unknown_label(noun: str, label: str, picture: Picture, classes: tuple[str, ...], split: str) -> ResLabError:
    """A label that is none of the classes; `noun` is what it is called."""
    return ResLabError(
        f"the {split} split has a {noun} {label!r} ({picture.key}) that the model does not know",
        nearest(label, classes),
    )
