"""Write files atomically; read and write JSON documents."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from reslab.errors import ResLabError
from reslab.system.values import build, parse, shown

SCHEMA = 1
"""Version of the documents; within a version keys are only added."""


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path` to write to; when the block ends, fsync and rename.

    Readers see the old file or the new one, never half of one. The temporary file has an unpredictable name and is opened
    only if it does not exist: in a folder that others can write to, it cannot be a link of theirs, and two writers do not
    share it.

    Raises:
        ResLabError: the folder cannot be written or the disk is full; the old file, if any, is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ResLabError(f"cannot write {path}: {error.strerror or error}", "free space or choose --out") from None


def write_atomically(path: Path, data: bytes | bytearray) -> None:
    """Write a whole file (`open_atomically`)."""
    with open_atomically(path) as file:
        file.write(data)


def lock(file: IO[bytes], wait: bool = False) -> bool:
    """Lock an open file against other openings of it; the system lets go of it with the process. False where it is taken.

    Where the system knows no such locks, nothing happens.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Flush the folder's entry to disk as well, where the system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Delete what killed writers left in a folder. Call it only while holding the folder's lock."""
    for left in (*folder.glob(".*.tmp"), *folder.glob(".*.tmp.*"), folder / ".probe"):
        left.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Indented JSON for people, written atomically."""
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_atomically(
        path, text.encode("utf-8", "backslashreplace")
    )  # of a name that is no UTF-8: \udce9, as JSON has it


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON document; a missing, damaged or newer file is an error of one sentence."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ResLabError(f"there is no {path}") from None
    except OSError as error:
        raise ResLabError(f"cannot open {path}: {error.strerror or error}") from None
    content = build(dict[str, Any], parse(data, path), path)
    if (schema := content.get("schema", SCHEMA)) != SCHEMA:
        raise ResLabError(f"{path} is of schema {shown(schema)}; this version reads {SCHEMA}", "pip install -U reslab")
    return content
