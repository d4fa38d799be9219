"""A bounded folder of files from elsewhere, shared by all processes of a machine; the least recently used leave first."""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from reslab.errors import ResLabError
from reslab.system.fetch import cache_folder
from reslab.system.files import lock, open_atomically

BYTES = 50_000_000_000
"""What the cache may take by default, and never more than half of what the disk has left for it."""

_DAY = 86400.0


def limit() -> int:
    """Bytes that the cache may take: RESLAB_CACHE_BYTES, or `BYTES`; at most half of the disk's free space and itself.

    Raises:
        ResLabError: RESLAB_CACHE_BYTES is not a whole number.
    """
    written = os.environ.get("RESLAB_CACHE_BYTES")
    if written and not written.isdecimal():
        raise ResLabError(f"RESLAB_CACHE_BYTES is {written!r}, not a whole number", "for example 50000000000")
    if written:
        return int(written)
    folder = cache_folder("shards")
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return min(BYTES, (shutil.disk_usage(there).free + sum(size for _, size, _ in _files(folder))) // 2)


def kept(name: str, size: int, fetch: Callable[[BinaryIO], None]) -> Path:
    """The path of a file in the cache, after fetching it if it is not there.

    It may leave the cache at any time afterwards: whoever opens it and finds it gone asks again.

    Args:
        name: says what its content is, such as a checksum of it.
        fetch: writes the content; only one process or thread does so at a time, the others wait.

    Raises:
        ResLabError: it is larger than the cache may be, or the disk is full; or `fetch` raises.
    """
    folder = cache_folder("shards")
    path = folder / name
    if _used(path, size):
        return path
    if size > (most := limit()):
        raise ResLabError(
            f"{size / 1e9:,.1f} GB are more than the cache in {folder} may take ({most / 1e9:,.1f} GB)",
            "set RESLAB_CACHE to a larger disk, or RESLAB_CACHE_BYTES",
        )
    folder.mkdir(parents=True, exist_ok=True)
    bucket = hashlib.blake2b(name.encode(), digest_size=1).hexdigest()[0]
    with (folder / f".{bucket}.lock").open("ab") as claim:
        lock(claim, wait=True)
        if not _used(path, size):
            _make_room(folder, most - size)
            with open_atomically(path) as file:
                fetch(file)
    return path


def _used(path: Path, size: int) -> bool:
    """Whether the file is there; if so, it is now the most recently used."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
        return True
    except OSError:
        return False


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size and path of what is there, downloads of others included; the least recently used first."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and not entry.name.endswith(".lock"):
                    state = entry.stat()
                    found.append((state.st_mtime, state.st_size, Path(entry.path)))
    return sorted(found)


def _make_room(folder: Path, most: int) -> None:
    """Delete until no more than `most` bytes are left. A file that others have open stays readable for them."""
    files = _files(folder)
    total = sum(size for _, size, _ in files)
    for used, size, path in files:
        unfinished = path.name.endswith(".tmp")
        abandoned = unfinished and time.time() - used > _DAY
        if abandoned or (total > most and not unfinished):
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
