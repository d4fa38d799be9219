"""Which worker is at work on which part: a small file beside the part's, rewritten every few seconds while the worker lives.

A claim saves work; nothing depends on it. Where two workers take one part all the same, since a store has no exclusive creation
or a sleeping worker wakes up, both write the same file under the same name.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from reslab.data.archives.places import Place
from reslab.errors import ResLabError

BEAT = 10.0
"""Seconds between two signs of life."""
STALE = 60.0
"""A claim is given up after so many seconds without one, by the clock of whoever watches it: no two clocks are compared."""

_CLAIM = re.compile(r"\.\.?(?P<part>.+)\.claim(\.\w+\.tmp)?")


class Claims:
    """The claims of one worker, and what it has seen of those of others."""

    def __init__(self, place: Place) -> None:
        self._place, self._owner = place, secrets.token_hex(8)
        self._seen: dict[str, tuple[bytes | None, float]] = {}

    @contextlib.contextmanager
    def claimed(self, part: str) -> Iterator[bool]:
        """Whether the part is this worker's for the duration of the block."""
        name = _name(part)
        if not self._take(part, name):
            yield False
            return
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(name, ended), daemon=True)
        beating.start()
        try:
            yield True
        finally:
            ended.set()
            beating.join()
            self._place.remove(name)

    def sweep(self, done: Collection[str]) -> None:
        """Remove the claims, whole or begun, of parts that are done: whoever left one there has died."""
        for name in self._place.sizes():
            if (found := _CLAIM.fullmatch(name)) and found["part"] in done:
                self._place.remove(name)

    def _take(self, part: str, name: str) -> bool:
        if self._place.create(name, self._content(0)):
            return True
        if not self._is_stale(name):
            return False
        for left in self._place.sizes():
            if left == name or (left.startswith(f".{part}.parquet.") and left.endswith(".tmp")):
                self._place.remove(left)
        return self._place.create(name, self._content(0))

    def _beat(self, name: str, ended: threading.Event) -> None:
        count = 0
        while not ended.wait(BEAT):
            count += 1
            with contextlib.suppress(ResLabError), self._place.writing(name) as file:
                file.write(self._content(count))

    def _content(self, count: int) -> bytes:
        claim = {"owner": self._owner, "machine": _machine(), "pid": os.getpid(), "beat": count}
        return json.dumps(claim).encode()

    def _is_stale(self, name: str) -> bool:
        try:
            content = self._place.read(name)
        except ResLabError:
            return False  # its worker has just finished
        if _has_ended(content):
            return True
        now = time.monotonic()
        known, since = self._seen.get(name, (None, now))
        self._seen[name] = (content, since if content == known else now)
        return content == known and now - since > STALE


def _name(part: str) -> str:
    return f".{part}.claim"


def _has_ended(claim: bytes) -> bool:
    """Whether the process of a claim was one of this machine, and is no more."""
    try:
        found = json.loads(claim)
        if os.name != "posix" or found["machine"] != _machine():
            return False
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return True
    except (ValueError, KeyError, TypeError, OSError, OverflowError):
        pass
    return False


def _machine() -> str:
    """What tells this machine, and on it this container, from others whose processes have the same numbers."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        name += f" {boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115  it names no path
    return name
