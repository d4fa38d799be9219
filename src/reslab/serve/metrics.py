"""Prometheus metrics of the server; every app has its own registry."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reslab.evaluate.predict import Prediction

_SHARES = tuple(k / 20 for k in range(1, 21))
_POWERS = tuple(float(2**k) for k in range(7))


class Metrics:
    """Latency, queue, answers, errors."""

    def __init__(self, waiting: Callable[[], int], running: Callable[[], int]) -> None:
        """`waiting` gives the number of pictures in the queue, `running` that of requests under way."""
        self._registry = CollectorRegistry()
        make = {"registry": self._registry}
        self._seconds = Histogram(
            "reslab_request_seconds", "Time from a request's head to its answer", ("path", "status"), **make
        )
        self._errors = Counter("reslab_errors", "Requests that failed", ("reason",), **make)
        self._pictures = Counter(
            "reslab_pictures", "Pictures that were answered or could not be read", ("end",), **make
        )
        self._labels = Counter("reslab_predictions", "Answers by class", ("label",), **make)
        self._doubts = Counter("reslab_doubts", "Answers that were not accepted", ("doubt",), **make)
        self._confidence = Histogram("reslab_confidence", "Probability of the likeliest class", buckets=_SHARES, **make)
        self._batches = Histogram("reslab_batch_pictures", "Pictures per forward pass", buckets=_POWERS, **make)
        Gauge("reslab_queue_pictures", "Pictures that wait or are being answered", **make).set_function(waiting)
        Gauge("reslab_running_requests", "Requests under way, without monitoring", **make).set_function(running)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Record a finished request."""
        self._seconds.labels(path, str(status)).observe(seconds)

    def error(self, reason: str) -> None:
        """Record a failed request."""
        self._errors.labels(reason).inc()

    def batch(self, pictures: int) -> None:
        """Record the size of a forward pass."""
        self._batches.observe(pictures)

    def row(self, row: Prediction) -> None:
        """Record the answer for one picture, or that it could not be read."""
        self._pictures.labels("answered" if row.error is None else "unreadable").inc()
        if row.error is not None:
            return
        self._confidence.observe(row.top[0][1])
        if row.doubt:
            self._doubts.labels(row.doubt).inc()
        for label, _ in row.answered:
            self._labels.labels(label).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
