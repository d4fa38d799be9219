"""The limits of a server, and the admission of requests by them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reslab.errors import ResLabError
from reslab.pixels.decode import MAX_PIXELS

_BODIES = 8  # of the largest size that may be in memory at once
_CLIENTS = 10_000  # whose request rate is kept
_BUSY_SECONDS = 1
_DAY = 86_400  # seconds


class Refused(ResLabError):
    """A request that is refused: its HTTP status, a word for the metrics, and a sentence for people."""

    def __init__(
        self, status: int, reason: str, message: str, hint: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.status, self.reason, self.retry_after = status, reason, retry_after


@dataclass(frozen=True)
class Limits:
    """Limits of one request, of one client, and of all together."""

    max_bytes: int = 32 * 2**20
    "Bytes of one request's body."
    max_pixels: int = 50_000_000
    "Pixels of a picture, judged by its header before it is decoded."
    max_files: int = 64
    "Pictures in one request."
    rate: float | None = None
    "Requests per second and client address; beyond them 429. No limit by default."
    queue: int = 256
    "Pictures that wait or are being answered; beyond them 503."
    timeout: float = 30.0
    "Seconds within which a body must have arrived."
    decode_seconds: float = 10.0
    "Seconds that decoding a picture may take; then its row is an error."
    batch: int = 16
    "Pictures per forward pass at most, rounded down to a power of two."

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "max_files", "rate", "queue", "timeout", "decode_seconds", "batch"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ResLabError(f"--{name.replace('_', '-')} {value:g} must be greater than 0")
            if value is not None and isinstance(value, float) and value > _DAY:
                raise ResLabError(f"--{name.replace('_', '-')} {value:g} is too large", f"it ends at {_DAY:,}")
        if self.max_pixels > MAX_PIXELS:
            raise ResLabError(f"--max-pixels {self.max_pixels} is too large", f"pictures end at {MAX_PIXELS:,} pixels")
        if self.queue < self.max_files:
            raise ResLabError(
                f"--queue {self.queue} has no room for one request of --max-files {self.max_files}",
                f"--queue {self.max_files} or more, or a smaller --max-files",
            )


class Admission:
    """Counts bytes in memory and pictures in the queue, and refuses requests beyond the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0
        self.waiting = 0
        """Pictures that wait or are being answered."""

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], None]]:
        """Reserve room for one body; the function given must be called with the size of each chunk.

        Raises:
            Refused: the queue is full already, the body is too large, or too many of them are in memory.
        """
        if self.waiting >= self._limits.queue:
            raise _busy()
        mine = 0

        def count(arrived: int) -> None:
            nonlocal mine
            mine, self._held = mine + arrived, self._held + arrived
            if mine > self._limits.max_bytes:
                raise too_large(self._limits)
            if self._held > _BODIES * self._limits.max_bytes:
                raise _busy()

        try:
            yield count
        finally:
            self._held -= mine

    @contextmanager
    def answering(self, pictures: int) -> Iterator[None]:
        """Reserve room for this many pictures in the queue.

        Raises:
            Refused: there is none.
        """
        if self.waiting + pictures > self._limits.queue:
            raise _busy()
        self.waiting += pictures
        try:
            yield
        finally:
            self.waiting -= pictures


class Rate:
    """A token bucket per client: this many requests per second, and as many at once after a pause."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._burst = max(1.0, rate)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> None:
        """Count one request of this client.

        Raises:
            Refused: its bucket is empty.
        """
        now = self._clock()
        tokens = self._tokens(client, now)
        if tokens < 1:
            seconds = max(1, round((1 - tokens) / self._rate + 0.5))
            raise Refused(
                429, "rate", f"more than {self._rate:g} requests per second", "send requests more slowly", seconds
            )
        if len(self._buckets) >= _CLIENTS:  # a full bucket is the same as none
            self._buckets = {c: b for c, b in self._buckets.items() if self._tokens(c, now) < self._burst}
        self._buckets[client] = (tokens - 1, now)

    def _tokens(self, client: str, now: float) -> float:
        tokens, then = self._buckets.get(client, (self._burst, now))
        return min(self._burst, tokens + (now - then) * self._rate)


def too_large(limits: Limits) -> Refused:
    """The refusal of a body beyond the limit."""
    return Refused(
        413, "too-large", f"the body is larger than {limits.max_bytes:,} bytes", "send fewer or smaller files"
    )


def too_many(limits: Limits) -> Refused:
    """The refusal of too many files at once."""
    return Refused(
        413, "too-many-files", f"more than {limits.max_files} pictures in one request", "send several requests"
    )


def _busy() -> Refused:
    return Refused(503, "busy", "too many pictures are waiting", "try again in a moment", _BUSY_SECONDS)
