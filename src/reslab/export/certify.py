"""Certify that an exported model gives the same answers as its network, on pictures, in batches of several sizes."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reslab.engine.base import Classifier, block_logits
from reslab.errors import GateNotMet
from reslab.metrics.intervals import Proportion, proportion

BATCHES = (1, 2, 3, 7, 32)
"""Sizes of the batches, in turn: a graph whose batch axis is a constant fails at the second."""

RELATIVE = 1e-4
"""The largest difference of two logits that passes, relative to the largest logit or to 1."""

_ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was measured, on which pictures."""

    pictures: str
    """What they are."""
    n: int
    batches: tuple[int, ...]
    max_difference: float
    """The largest between two logits of one picture."""
    limit: float
    largest_logit: float
    other_answers: int
    """Pictures whose likeliest label changed."""
    accuracy_before: Proportion | None
    """Of the network itself; None where the pictures have no labels among its classes, or several."""
    accuracy_after: Proportion | None
    milliseconds_before: float
    """One picture alone, from uint8 pixels to logits: median."""
    milliseconds_after: float
    engines: tuple[str, str]
    """Before and after."""

    @property
    def holds(self) -> bool:
        return self.max_difference <= self.limit and self.other_answers == 0

    def document(self) -> dict[str, Any]:
        return {"schema": 1, **asdict(self)}


def certify(
    reference: Classifier, exported: Classifier, pixels: np.ndarray, pictures: str, labels: np.ndarray | None = None
) -> Certificate:
    """Compare two engines on the same pictures.

    Args:
        pixels: uint8 `[n, size, size, 3]`, prepared.
        pictures: what they are, for people.
        labels: int64 `[n]`, where they are known.

    Raises:
        GateNotMet: the exported model fails on a batch, changes a label, or differs by more than `logit_tolerance`.
    """
    expected = block_logits(reference, pixels)
    differences, found = [], np.zeros_like(expected)
    for rows in _batches(len(pixels)):
        try:
            found[rows] = exported.logits(pixels[rows])
        except Exception as error:  # the libraries' errors have no common class
            reason = str(error).splitlines()[0]
            raise GateNotMet(f"the exported model fails on a batch of {len(rows)}: {reason}") from None
        differences.append(np.abs(found[rows] - expected[rows]).max())
    difference = float(np.max(differences))  # NaN stays NaN, and fails
    before, after = time_alternately(lambda: reference.logits(pixels[:1]), lambda: exported.logits(pixels[:1]))
    certificate = Certificate(
        pictures=pictures, n=len(pixels), batches=BATCHES, max_difference=difference,
        limit=logit_tolerance(expected), largest_logit=float(np.abs(expected).max()),
        other_answers=int((expected.argmax(1) != found.argmax(1)).sum()),
        accuracy_before=_accuracy(expected, labels), accuracy_after=_accuracy(found, labels),
        milliseconds_before=1e3 * before, milliseconds_after=1e3 * after, engines=(reference.name, exported.name),
    )  # fmt: skip
    if not certificate.holds:
        raise GateNotMet(
            f"the exported model does not give the answers of the original: of {certificate.n} pictures "
            f"{certificate.other_answers} get another label, and logits differ by {difference:.2g} where "
            f"{certificate.limit:.2g} is allowed",
            "nothing was written; another --opset or --format may work",
        )
    return certificate


def logit_tolerance(logits: np.ndarray) -> float:
    """How far the logits of a correct export may be from these."""
    return RELATIVE * max(1.0, float(np.abs(logits).max()))


def time_alternately(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two functions, timed in turn so that other load on the machine affects both."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_ROUNDS + 1):
        for work, durations in zip((first, second), times, strict=True):
            begin = time.perf_counter()
            work()
            if number:  # the first warms up
                durations.append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


def _batches(n: int) -> Iterator[np.ndarray]:
    """Indices of `n` pictures in batches of all sizes: every picture at least once, starting over where they run out."""
    start = 0
    for number, size in enumerate(itertools.cycle(BATCHES)):
        if number >= len(BATCHES) and start >= n:
            return
        yield np.arange(start, start + size) % n
        start += size


def _accuracy(logits: np.ndarray, labels: np.ndarray | None) -> Proportion | None:
    return None if labels is None else proportion(int((logits.argmax(1) == labels).sum()), len(labels))
