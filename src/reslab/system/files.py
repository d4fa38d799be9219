"""Write files whole or not at all; read and write JSON documents."""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError
from reslab.system.values import build, parse, shown

SCHEMA = 1
"""What documents are written as; keys are only ever added to one."""


def write_atomically(path: Path, data: bytes | bytearray) -> None:
    """Temporary file beside it, fsync, rename: readers see the old file or the new one, never half of one.

    The temporary file bears a name that nobody can foresee, and is opened only if it does not exist: in a folder that
    others can write it is no link of theirs, and two writers at once do not share it.

    Raises:
        ResLabError: the folder cannot be written or the disk is full; the old file, if any, is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ResLabError(f"cannot write {path}: {error.strerror or error}", "free space or choose --out") from None


def _sync_folder(folder: Path) -> None:
    """The name is on disk as well, where the system can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """What writers that were killed left in a folder. Only for who holds its lock."""
    for left in (*folder.glob(".*.tmp"), *folder.glob(".*.tmp.*"), folder / ".probe"):
        left.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Indented JSON for people, written atomically."""
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_atomically(
        path, text.encode("utf-8", "backslashreplace")
    )  # of a name that is no UTF-8: \udce9, as JSON has it


def read_json(path: Path) -> dict[str, Any]:
    """A JSON document, or one sentence about why there is none."""
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
