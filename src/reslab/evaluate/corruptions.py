"""How a model breaks: accuracy and calibration under the common corruptions, per kind and severity.

Pictures are corrupted at the network's input size, after resizing and cropping, as those of CIFAR-10-C and ImageNet-C are
(Hendrycks and Dietterich 2019, section 4.1). The mean is a plain one over kinds and severities: it is not divided by
AlexNet's errors, as the mCE of that paper is.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.draws import uniforms
from reslab.data.store import Store
from reslab.engine.base import Engine, probabilities
from reslab.errors import ResLabError, nearest
from reslab.evaluate.evaluation import Evaluation, evaluate_engine
from reslab.metrics.calibration import calibration_error_interval, expected_calibration_error
from reslab.metrics.intervals import Interval, Proportion, percentiles, proportion, resamples
from reslab.model.run import CORRUPTIONS_NAME
from reslab.pixels.corruptions import CORRUPTIONS, SEVERITIES, SMALL, corrupt
from reslab.system.files import write_json

Form = Literal["short", "full"]

FORMS: dict[str, tuple[int | None, tuple[int, ...]]] = {"short": (500, (1, 3, 5)), "full": (None, SEVERITIES)}
"""Form -> how many pictures (None: all), and which severities."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """The score under one corruption."""

    kind: str
    """A key of `CORRUPTIONS`; `clean` for the same pictures as they are."""
    group: str
    severity: int
    """From 1 to 5; 0 for clean pictures."""
    top1: Proportion
    ece: float
    """Expected calibration error, at the temperature that was fitted on clean pictures."""
    ece_interval: Interval


@dataclass(frozen=True, slots=True)
class CorruptionScore:
    """The scores of a model on `n` pictures of a split, under every kind and severity."""

    split: str
    model: str
    """The model file's sha256."""
    form: Form
    n: int
    of: int
    """Readable pictures in the split."""
    size: int
    """Side of the pictures when they are corrupted."""
    constants: str
    """Whose: `CIFAR-10-C` or `ImageNet-C`."""
    severities: tuple[int, ...]
    kinds: tuple[str, ...]
    clean: Condition
    mean_top1: Proportion
    """Mean over kinds and severities; the interval is a bootstrap over pictures, each with all its corrupted forms."""
    mean_ece: float
    conditions: tuple[Condition, ...]

    def document(self) -> dict[str, Any]:
        """What `eval --corruptions --json` prints and `corruptions.json` holds."""
        return {"schema": 1, **asdict(self)}


def total_pictures(form: Form, readable: int) -> int:
    """How many answers an evaluation needs.

    Raises:
        ResLabError: there is no such form.
    """
    if form not in FORMS:
        raise ResLabError(f"there is no form {form!r} of the corruptions", nearest(str(form), FORMS))
    most, severities = FORMS[form]
    return min(readable, most or readable) * len(severities) * len(CORRUPTIONS)


def evaluate_corruptions(
    engine: Engine,
    pictures: Sequence[Picture],
    clean: Evaluation,
    form: Form = "short",
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> CorruptionScore:
    """Answer for corrupted pictures, in the batches of every other evaluation.

    Args:
        pictures: of one split.
        clean: the answers of the same engine for them as they are.
        form: `short`: 500 pictures, evenly chosen, at severities 1, 3, 5; `full`: all pictures, five severities.

    Raises:
        ResLabError: there is no such form; a picture that was readable before is no longer.
    """
    total_pictures(form, len(clean.keys))
    most, severities = FORMS[form]
    n = min(len(clean.keys), most or len(clean.keys))
    rows = np.arange(n) * len(clean.keys) // n
    by_key = {picture.key: picture for picture in pictures}
    chosen = [by_key[clean.keys[row]] for row in rows]
    store, size = Store(chosen, engine.header.preprocess), engine.header.preprocess.size

    def answered(kind: str, severity: int) -> Evaluation:
        def read(picture: Picture) -> tuple[np.ndarray, bytes]:
            pixels, fingerprint = store.read(picture)
            return corrupt(pixels, kind, severity, _draw(kind, picture.key)), fingerprint

        return evaluate_engine(engine, chosen, clean.split, False, workers, on_progress, read)

    untouched, _ = _condition(engine, clean.rows(rows), "clean", 0)
    conditions, right = [], np.zeros(n)
    for kind in CORRUPTIONS:
        for severity in severities:
            condition, correct = _condition(engine, answered(kind, severity), kind, severity)
            conditions.append(condition)
            right += correct
    share = right / len(conditions)
    span = percentiles(np.array([weights @ share / n for weights in resamples(n)]))
    return CorruptionScore(
        split=clean.split, model=clean.model, form=form, n=n, of=len(clean.keys), size=size,
        constants="CIFAR-10-C" if size <= SMALL else "ImageNet-C", severities=severities, kinds=tuple(CORRUPTIONS),
        clean=untouched, mean_top1=Proportion(float(share.mean()), span.low, span.high),
        mean_ece=float(np.mean([condition.ece for condition in conditions])), conditions=tuple(conditions),
    )  # fmt: skip


def write_corruptions(out: Path, score: CorruptionScore) -> None:
    """`corruptions.json` in a run folder."""
    write_json(out / CORRUPTIONS_NAME, score.document())


def _draw(kind: str, key: str) -> Callable[[str, int], np.ndarray]:
    """A picture's random numbers: by kind and key alone, so that severities differ in strength and nothing else."""
    index = np.array([zlib.crc32(key.encode(errors="surrogateescape"))])
    return lambda purpose, count: uniforms(_SEED, f"{kind} {purpose}", 0, index, count)[0]


def _condition(engine: Engine, answers: Evaluation, kind: str, severity: int) -> tuple[Condition, np.ndarray]:
    """The score, and which answers were right. One temperature for all: nothing is fitted to corrupted pictures."""
    calibrated, labels = probabilities(engine, answers.logits), answers.labels
    correct = answers.task.correct(answers.logits, labels)
    return Condition(
        kind=kind,
        group=CORRUPTIONS[kind].group if severity else "",
        severity=severity,
        top1=proportion(int(correct.sum()), len(labels)),
        ece=expected_calibration_error(calibrated, labels),
        ece_interval=calibration_error_interval(calibrated.max(axis=1), correct),
    ), correct
