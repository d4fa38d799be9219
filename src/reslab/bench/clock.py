"""Durations of repeated work."""

import time
from collections.abc import Callable

_LEAST = 3  # repetitions


def times(work: Callable[[], object], seconds: float) -> list[float]:
    """Durations of single calls, after one to warm up, repeated for that many seconds and at least three times."""
    work()
    durations: list[float] = []
    started = time.perf_counter()
    while len(durations) < _LEAST or time.perf_counter() - started < seconds:
        begin = time.perf_counter()
        work()
        durations.append(time.perf_counter() - begin)
    return durations
