"""What happened, one JSON line per event: readable by any tool during the run."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from reslab.errors import ResLabError
from reslab.system.events import Event


class Journal:
    """The append-only file of one run."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        """Open it; everything after the first `keep` bytes is dropped (it will happen again)."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            self.lacking = max(0, keep - self._file.seek(0, os.SEEK_END))
            """Bytes that a saved state refers to and that are gone: their events are lost, the training is not."""
            self._file.truncate(keep - self.lacking)
        except OSError as error:
            raise ResLabError(f"cannot write {path}: {error.strerror}", "free space or choose another --out") from None
        self._path = path

    def write(self, event: Event) -> None:
        """Append one event."""
        try:
            self._file.write(json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise ResLabError(
                f"cannot write {self._path}: {error.strerror}", "free space, then: reslab resume"
            ) from None

    def offset(self) -> int:
        """How many bytes are safely on disk: what a saved state refers to."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        with suppress(OSError):  # what the last write could not flush has been reported by it
            self._file.close()
