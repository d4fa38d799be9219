"""Download a file once: resume an interrupted download, verify the checksum, keep it for the next run."""

import functools
import hashlib
import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError

PATIENCE = 3.0
"""Seconds after which a server that does not answer counts as no network."""

_CHUNK = 2**20
_STALLED = 30.0


def cache_folder(what: str) -> Path:
    """The folder for downloaded `weights` or `data`: in RESLAB_CACHE, or ~/.cache/reslab.

    Raises:
        ResLabError: there is neither, as for a user without an entry in a container's passwd.
    """
    try:
        return Path(os.environ.get("RESLAB_CACHE") or Path.home() / ".cache" / "reslab") / what
    except RuntimeError:
        raise ResLabError(f"there is no home folder to keep {what} in", "name a folder in RESLAB_CACHE") from None


def has_cache_folder() -> bool:
    """Whether there is a folder for downloads."""
    try:
        return bool(cache_folder("weights"))
    except ResLabError:
        return False


@dataclass(frozen=True, slots=True)
class Remote:
    """A published file."""

    url: str
    sha256: str
    """All 64 digits, or as many as were published."""
    size: int
    """Bytes, as published."""
    licence: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]

    @property
    def address(self) -> str:
        """Where it is downloaded from: the published URL, or the mirror in RESLAB_MIRROR."""
        mirror = os.environ.get("RESLAB_MIRROR")
        return f"{mirror.rstrip('/')}/{self.name}" if mirror else self.url

    @property
    def place(self) -> Path:
        """Where it is kept."""
        return cache_folder("weights") / self.name


def fetch(remote: Remote, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """The path of the file on this machine, after downloading it if it is not there yet.

    Args:
        on_progress: called with the bytes received and the bytes in total.

    Raises:
        ResLabError: no network, or not the published file; the message names file, size, checksum and where to put it.
    """
    place, part = remote.place, remote.place.with_name(remote.place.name + ".part")
    if place.is_file():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if (part.stat().st_size if part.exists() else 0) < remote.size:
            _download(remote, part, on_progress)
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise _missing(remote, str(getattr(error, "reason", None) or error)) from None
    if not _digest(part).startswith(remote.sha256):
        part.unlink()
        raise _missing(remote, "its checksum is wrong")
    part.replace(place)
    return place


@functools.cache
def reachable(address: str) -> bool:
    """Whether a file's server answers within `PATIENCE` seconds; cached."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def knock() -> None:
        try:
            _open(urllib.request.Request(address, method="HEAD"), PATIENCE).close()
            answers.put(True)
        except Exception:
            answers.put(False)

    threading.Thread(target=knock, daemon=True).start()  # a resolver may hang longer than any timeout
    try:
        return answers.get(timeout=PATIENCE)
    except queue.Empty:
        return False


def _download(remote: Remote, part: Path, on_progress: Callable[[int, int], None] | None) -> None:
    """Append what is missing to `part`; a server that cannot resume sends everything again."""
    here = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(remote.address, headers={"Range": f"bytes={here}-"} if here else {})
    with _open(request, _STALLED) as answer:
        resumed = answer.status == 206
        here = here if resumed else 0
        total = here + int(answer.headers.get("Content-Length") or remote.size)
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                here += len(chunk)
                if on_progress:
                    on_progress(here, total)
    if here < total:
        raise OSError(f"the connection was lost after {here:,} of {total:,} bytes; the next attempt continues there")


def _open(request: urllib.request.Request, seconds: float) -> Any:
    """By the proxies that the environment names now; `urlopen` remembers those of its first call."""
    return urllib.request.build_opener().open(request, timeout=seconds)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(remote: Remote, why: str) -> ResLabError:
    return ResLabError(
        f"cannot fetch {remote.name} ({remote.size / 1e6:.1f} MB) from {remote.address}: {why}",
        f"download {remote.url} elsewhere (its sha256 begins with {remote.sha256[:16]}) and save it as {remote.place}",
    )
