"""The log: one JSON document per line on stderr, also for what libraries log."""

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

LOG = logging.getLogger("reslab.serve")
"""One line per request; never the content of a picture."""

_PAUSE = 10.0  # seconds in which the same message of a library is logged once
_REMEMBERED = 1000


@contextlib.contextmanager
def json_lines() -> Iterator[None]:
    """Log to the present stderr. What native code writes to descriptor 2 meanwhile is dropped."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere, os.fdopen(kept, "w", encoding="utf-8", errors="backslashreplace") as stream:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Line())
        handler.addFilter(_Once())
        logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
        logging.captureWarnings(True)
        LOG.setLevel(logging.INFO)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)
            os.dup2(kept, 2)


class _Line(logging.Formatter):
    """Formats a record as JSON; those of the server are JSON already."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == LOG.name and not record.exc_info:
            return record.getMessage()
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": record.levelname.lower()}
        line |= {"logger": record.name, "message": record.getMessage()}
        return json.dumps(line | ({"traceback": self.formatException(record.exc_info)} if record.exc_info else {}))


class _Once(logging.Filter):
    """Rate-limits libraries, which may log per connection or per picture: the same message passes once per `_PAUSE`."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == LOG.name:
            return True
        now, key = time.monotonic(), f"{record.name} {record.msg}"[:80]
        if now - self._last.get(key, -_PAUSE) < _PAUSE:
            return False
        if len(self._last) >= _REMEMBERED:
            self._last.clear()
        self._last[key] = now
        return True
