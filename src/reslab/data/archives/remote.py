"""Requests to an object store, by fsspec (extra `scale`): made again after faults that may pass, within bounds.

To read, the libraries below make each request once. So there is one place that says how often and for how long, and a server
that says when it is to be asked again (`Retry-After`, RFC 9110, section 10.2.3) is not asked before. To write they repeat
requests as they do by default: a large file is sent in many.
"""

import errno
import hashlib
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from reslab.errors import ResLabError, Unreachable

T = TypeVar("T")

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a failed request is made again."""

_WITHIN = 180.0
"""Seconds from the first request within which it is made again."""

_SLOWEST = 60.0
"""Seconds that a request may take: a few megabytes, so that a server that sends a byte now and then is given up."""

CHUNK = 2**22
"""Bytes of a large file that one request reads."""

_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 20, "retries": {"total_max_attempts": 1}}},
}
"""Protocol -> what its file system is opened with to read."""

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def file_system(url: str, writes: bool = False) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it.

    Args:
        writes: large files will be sent.

    Raises:
        ResLabError: the package for this kind of URL is missing; it is named.
    """
    protocol = url.partition("://")[0].lower()
    options = {} if writes else _OPTIONS.get(protocol, {})
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ResLabError(f"{url} needs the package fsspec", "pip install 'reslab[scale]'") from None
    try:
        system, path = url_to_fs(url, **options)
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or error.name or str(error)
        hint = "pip install 'reslab[scale]'" if missing in ("s3fs", "pyarrow") else f"pip install {missing}"
        raise ResLabError(f"{protocol}:// needs the package {missing}", hint) from None
    except ValueError as error:
        raise ResLabError(
            f"{url} cannot be opened: {str(error).splitlines()[0]}", "known are s3://, gs://, file://, …"
        ) from None
    if options:
        system.retries = 1
    return system, path


def with_retries(where: str, what: Callable[[], T]) -> T:
    """What a request for `where` answers; it is made again after a fault that may pass.

    Raises:
        ResLabError: there is no such file, no right to read it, or (`Unreachable`) no answer.
    """
    begun = time.monotonic()
    for pause in (*_PAUSES, None):
        try:
            return what()
        except ResLabError:
            raise
        except FileNotFoundError:
            raise ResLabError(f"there is no {where}") from None
        except Exception as error:  # the libraries of object stores raise what they like
            kinds = {kind.__name__ for kind in type(error).__mro__}
            if isinstance(error, PermissionError) or any("Credential" in kind for kind in kinds):
                raise ResLabError(
                    f"no permission for {where}: {_first_line(error)}", "are the credentials set?"
                ) from None
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            wait = max(pause or 0.0, _retry_after(error))
            if pause is None or time.monotonic() - begun + wait > _WITHIN:
                raise Unreachable(f"no answer for {where}: {_first_line(error)}", "is there a network?") from None
            time.sleep(wait)
    raise AssertionError


def read_file(system: Any, path: str, where: str) -> bytes:
    """A whole small file.

    Args:
        system, path: as `file_system` gives them.
        where: the file's name in messages.

    Raises:
        ResLabError: as `with_retries`.
    """
    return with_retries(where, lambda: system.cat_file(path, **_limits(system)))


def read_part(system: Any, path: str, where: str, offset: int, size: int) -> bytes:
    """Exactly these bytes of a file; it must not end before.

    Raises:
        ResLabError: as `with_retries`.
    """

    def read() -> bytes:
        data = system.cat_file(path, start=offset, end=offset + size, **_limits(system)) if size else b""
        if len(data) != size:  # a proxy that knows no ranges, or cuts them short
            raise OSError(f"{len(data):,} bytes came instead of {size:,}")
        return data

    return with_retries(where, read)


def copy_file(system: Any, path: str, where: str, size: int, file: BinaryIO) -> str:
    """Copy a remote file of this size into an open one, in memory for a part of it; gives its sha256.

    After a fault it goes on with the part that failed.

    Raises:
        ResLabError: as `with_retries`.
    """
    found = hashlib.sha256()
    for offset in range(0, size, CHUNK):
        part = read_part(system, path, where, offset, min(CHUNK, size - offset))
        found.update(part)
        file.write(part)
    return found.hexdigest()


def _limits(system: Any) -> dict[str, float]:
    """How long a request may take, for a file system that can be told."""
    return {"timeout": _SLOWEST} if system.async_impl else {}


def _retry_after(error: BaseException) -> float:
    """Seconds for which the server asks to be left alone."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}) if isinstance(response, dict) else {}
    written = str(headers.get("retry-after", ""))
    return float(written) if written.isdecimal() else 0.0


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
