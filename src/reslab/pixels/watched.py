"""A file in memory that is read against a deadline."""

import io
import time
from collections.abc import Callable


class Late(Exception):
    """The deadline has passed."""


class Watched(io.BytesIO):
    """A file in memory that raises `Late` after the deadline, and calls `on_pause` once, before it reads past `pause`."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self.deadline = deadline
        self.pause: int | None = None
        self.on_pause: Callable[[], None] = lambda: None

    def read(self, size: int | None = -1) -> bytes:
        if time.monotonic() > self.deadline:
            raise Late
        if self.pause is not None:
            left = self.pause - self.tell()
            if left <= 0:
                self.pause = None
                self.on_pause()
            else:
                size = left if size is None or size < 0 else min(size, left)
        return super().read(size)
