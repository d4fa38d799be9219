"""The proof that an exported model answers as the network does, on pictures, in batches of several sizes."""

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
"""Pictures are asked in batches of these sizes by turns: a graph whose batch axis is a constant fails at the second."""

RELATIVE = 1e-4
"""The largest difference of two logits that passes, as a share of the largest logit, or of 1."""

_ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was measured, on which pictures."""

    pictures: str
    """Which."""
    n: int
    batches: tuple[int, ...]
    max_difference: float
    """The largest between two logits of one picture."""
    limit: float
    largest_logit: float
    other_answers: int
    """Pictures whose likeliest label changed."""
    accuracy_before: Proportion | None
    """Of the network itself; None where the pictures bear no labels that it knows, or several."""
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
        GateNotMet: the exported model fails on a batch, answers otherwise, or by more than `RELATIVE`.
    """
    expected = block_logits(reference, pixels)
    differences, found = [], np.zeros_like(expected)
    for rows in _turns(len(pixels)):
        try:
            found[rows] = exported.logits(pixels[rows])
        except Exception as error:  # every library has its own kinds
            reason = str(error).splitlines()[0]
            raise GateNotMet(f"the finished model cannot answer for a batch of {len(rows)}: {reason}") from None
        differences.append(np.abs(found[rows] - expected[rows]).max())
    difference = float(np.max(differences))  # one that is no number stays so, and does not pass
    largest = float(np.abs(expected).max())
    before, after = alternately(lambda: reference.logits(pixels[:1]), lambda: exported.logits(pixels[:1]))
    certificate = Certificate(
        pictures=pictures, n=len(pixels), batches=BATCHES, max_difference=difference,
        limit=RELATIVE * max(1.0, largest), largest_logit=largest,
        other_answers=int((expected.argmax(1) != found.argmax(1)).sum()),
        accuracy_before=_accuracy(expected, labels), accuracy_after=_accuracy(found, labels),
        milliseconds_before=1e3 * before, milliseconds_after=1e3 * after, engines=(reference.name, exported.name),
    )  # fmt: skip
    if not certificate.holds:
        raise GateNotMet(
            f"the finished model does not answer as the one that it was made of: of {certificate.n} pictures "
            f"{certificate.other_answers} get another label, and logits differ by {difference:.2g} where "
            f"{certificate.limit:.2g} is allowed",
            "nothing was written; another --opset or --format may do",
        )
    return certificate


def alternately(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two pieces of work, measured by turns, so that a busy machine is busy for both."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_ROUNDS + 1):
        for work, durations in zip((first, second), times, strict=True):
            begin = time.perf_counter()
            work()
            if number:  # the first warms up
                durations.append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


def _turns(n: int) -> Iterator[np.ndarray]:
    """Positions of pictures in batches of all sizes: every picture once at least, from the front again if need be."""
    start = 0
    for number, size in enumerate(itertools.cycle(BATCHES)):
        if number >= len(BATCHES) and start >= n:
            return
        yield np.arange(start, start + size) % n
        start += size


def _accuracy(logits: np.ndarray, labels: np.ndarray | None) -> Proportion | None:
    return None if labels is None else proportion(int((logits.argmax(1) == labels).sum()), len(labels))
