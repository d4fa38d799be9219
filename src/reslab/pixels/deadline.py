"""A file in memory that is read against a deadline."""

import io
import time
from collections.abc import Callable


class DeadlinePassed(Exception):
    """The deadline has passed."""


class DeadlineFile(io.BytesIO):
    """A file in memory; reading raises `DeadlinePassed` after the deadline, and calls `on_pause` once on reaching `pause`."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self.deadline = deadline
        self.pause: int | None = None
        self.on_pause: Callable[[], None] = lambda: None

    def read(self, size: int | None = -1) -> bytes:
        if time.monotonic() > self.deadline:
            raise DeadlinePassed
        if self.pause is not None:
            left = self.pause - self.tell()
            if left <= 0:
                self.pause = None
                self.on_pause()
            else:
                size = left if size is None or size < 0 else min(size, left)
        return super().read(size)
