"""Prometheus metrics of the server; every app has its own registry, or several processes count in files of one folder."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

from reslab.evaluate.predict import Prediction

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client looks for it
_SHARES = tuple(k / 20 for k in range(1, 21))
_POWERS = tuple(float(2**k) for k in range(7))


class Metrics:
    """Latency, queue, answers, errors."""

    def __init__(self, waiting: Callable[[], int], running: Callable[[], int], models: Sequence[str] = ("",)) -> None:
        """Count nothing yet.

        Args:
            waiting: gives the number of pictures in the queue.
            running: gives the number of requests under way.
            models: names; where there are several, what concerns one of them has the label `model`.
        """
        self._registry = CollectorRegistry()
        self._several = len(models) > 1
        make: dict[str, Any] = {"registry": self._registry}
        of_model = ("model",) if self._several else ()
        self._seconds = Histogram(
            "reslab_request_seconds", "Time from a request's head to its answer", ("path", "status"), **make
        )
        self._errors = Counter("reslab_errors", "Requests that failed", ("reason",), **make)
        self._pictures = Counter(
            "reslab_pictures", "Pictures that were answered or could not be read", (*of_model, "end"), **make
        )
        self._labels = Counter("reslab_predictions", "Answers by class", (*of_model, "label"), **make)
        self._doubts = Counter("reslab_doubts", "Answers that were not accepted", (*of_model, "doubt"), **make)
        self._confidence = Histogram(
            "reslab_confidence", "Probability of the likeliest class", of_model, buckets=_SHARES, **make
        )
        self._batches = Histogram(
            "reslab_batch_pictures", "Pictures per forward pass", of_model, buckets=_POWERS, **make
        )
        make["multiprocess_mode"] = "livesum"
        waits = Gauge("reslab_queue_pictures", "Pictures that wait or are being answered", **make)
        runs = Gauge("reslab_running_requests", "Requests under way, without monitoring", **make)
        self._gauges = ((waits, waiting), (runs, running))

    def request(self, path: str, status: int, seconds: float) -> None:
        """Record a finished request."""
        self._seconds.labels(path, str(status)).observe(seconds)

    def error(self, reason: str) -> None:
        """Record a failed request."""
        self._errors.labels(reason).inc()

    def batch(self, pictures: int, model: str = "") -> None:
        """Record the size of a forward pass."""
        self._of(self._batches, model).observe(pictures)

    def row(self, row: Prediction, model: str = "") -> None:
        """Record the answer for one picture, or that it could not be read."""
        self._of(self._pictures, model, "answered" if row.error is None else "unreadable").inc()
        if row.error is not None:
            return
        self._of(self._confidence, model).observe(row.top[0][1])
        if row.doubt:
            self._of(self._doubts, model, row.doubt).inc()
        for label, _ in row.answered:
            self._of(self._labels, model, label).inc()

    def refresh(self) -> None:
        """Bring the gauges up to date, also for other processes that are asked for them."""
        for gauge, value in self._gauges:
            gauge.set(value())

    def text(self) -> bytes:
        """All metrics in Prometheus' text format, summed over the processes."""
        self.refresh()
        if not values.ValueClass._multiprocess:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)
        return generate_latest(together)

    def _of(self, metric: Any, model: str, *labels: str) -> Any:
        """The series of a model."""
        labels = (model, *labels) if self._several else labels
        return metric.labels(*labels) if labels else metric


@contextmanager
def share_metrics(folder: Path, slot: Callable[[], int]) -> Iterator[None]:
    """Metrics that are made in the block count in files of this folder, and `Metrics.text` sums them.

    Args:
        slot: gives the process's number. One that follows another under the same number goes on with its counts.
    """
    alone, values.ValueClass = values.ValueClass, values.MultiProcessValue(slot)
    os.environ[_FOLDER] = str(folder)
    try:
        yield
    finally:
        values.ValueClass = alone
        del os.environ[_FOLDER]


def forget_process(slot: int) -> None:
    """Drop the gauges of a process that has ended; its counts stay."""
    multiprocess.mark_process_dead(slot)
