"""A folder on the disk or at a URL: its files are listed, read in whole or in part, and written whole or not at all.

URLs (`s3://`, `gs://`, `memory://`, …) are read by fsspec (extra `scale`); `file://` is a folder.
"""

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from reslab.data.archives.cache import kept
from reslab.data.archives.remote import copy_file, file_system, read_file, read_part, with_retries
from reslab.errors import ResLabError
from reslab.system.files import lock, open_atomically

T = TypeVar("T")

LOCK_NAME = ".reslab-shard.lock"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WITHOUT_FOLDERS = ("s3://", "s3a://", "gs://", "gcs://", "az://", "abfs://", "abfss://")
"""Object stores: making a folder there could make a bucket."""


def is_url(written: object) -> bool:
    """Whether a person's DATA is a URL."""
    return isinstance(written, str) and bool(_URL.match(written))


def url_path(written: str) -> str | Path:
    """A `file://` URL as the path that it is; others as they are."""
    parts = urlsplit(written)
    return Path(unquote(parts.path)) if parts.scheme.lower() == "file" else written


class Place(ABC):
    """A folder of files."""

    where: str
    """As it is called in messages."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Name and bytes of every file in it; empty where there is no such folder."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A whole small file. Raises ResLabError."""

    @abstractmethod
    def part(self, name: str, offset: int, size: int) -> bytes:
        """Bytes of a file; fewer where it ends before, unless that too is refused. Raises ResLabError."""

    @abstractmethod
    def writing(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A file to write; it has its name once the block has ended. Raises ResLabError where the disk is full."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a whole small file in the folder, which is made if need be; False where there is a file of that name.

        Of several processes that do this at once, one is told True; some stores cannot promise that.

        Raises:
            ResLabError: it cannot be written.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def claimed(self) -> contextlib.AbstractContextManager[bool]:
        """For the duration of the block no other process may claim the folder, which is made if need be.

        The block is given whether a process that was killed had claimed it before.

        Raises:
            ResLabError: another process writes into it, or it cannot be written.
        """

    def named(self, name: str) -> str:
        """A file in it, for messages."""
        return f"{self.where.rstrip('/')}/{name}"


def place_of(written: str | Path) -> Place:
    """A path or URL as a place.

    Raises:
        ResLabError: the package for this kind of URL is missing; it is named.
    """
    if isinstance(written, str) and is_url(written):
        written = url_path(written)
    return Folder(written) if isinstance(written, Path) or not is_url(written) else Remote(str(written))


class Folder(Place):
    """On this machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.where = str(path)

    def sizes(self) -> dict[str, int]:
        try:
            with os.scandir(self.path) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ResLabError(f"cannot list {self.where}: {error.strerror}") from None

    def read(self, name: str) -> bytes:
        return self.part(name, 0, -1)

    def part(self, name: str, offset: int, size: int) -> bytes:
        try:
            with open(self.path / name, "rb", buffering=0) as file:  # noqa: PTH123  for every picture
                if offset:
                    file.seek(offset)
                return file.read() if size < 0 else file.read(size)
        except OSError as error:
            raise ResLabError(f"cannot read {self.named(name)}: {error.strerror or error}") from None

    def writing(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        return open_atomically(self.path / name)

    def create(self, name: str, data: bytes) -> bool:
        temporary = self.path / f".{name}.{secrets.token_hex(6)}.tmp"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                try:
                    os.link(temporary, self.path / name)  # whole or not at all, unlike a file that is opened
                except FileExistsError:
                    return False
                except OSError:  # a file system without links
                    with (self.path / name).open("xb") as file:
                        file.write(data)
            finally:
                temporary.unlink(missing_ok=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise ResLabError(
                f"cannot write {self.named(name)}: {error.strerror or error}", "choose another folder"
            ) from None
        return True

    def remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.path / name).unlink()

    @contextlib.contextmanager
    def claimed(self) -> Iterator[bool]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            abandoned = (self.path / LOCK_NAME).exists()
            claim = (self.path / LOCK_NAME).open("ab")
        except OSError as error:
            raise ResLabError(
                f"cannot write {self.where}: {error.strerror or error}", "choose another folder"
            ) from None
        with claim:
            if not lock(claim) or not _same_file(claim, self.path / LOCK_NAME):
                raise ResLabError(
                    f"another process is writing into {self.where}", "wait for it, or choose another folder"
                )
            try:
                yield abandoned
            finally:
                self.remove(LOCK_NAME)


def _same_file(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one that a path names now: a lock on one that was deleted means nothing."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


class Remote(Place):
    """At a URL. Files of a known checksum are read through the cache while `cached` is set, else by ranges."""

    def __init__(self, url: str) -> None:
        self.where, self.cached = url, False
        self.checksums: dict[str, tuple[int, str]] = {}
        """Name -> bytes and sha256 of the files that may be cached."""
        self._system, self._root = file_system(url)
        self._root = self._root.rstrip("/")

    def _ask(self, name: str, what: Callable[[], T]) -> T:
        return with_retries(self.named(name) if name else self.where, what)

    def sizes(self) -> dict[str, int]:
        def listed() -> list[dict[str, Any]]:
            self._system.invalidate_cache()
            try:
                return self._system.ls(self._root, detail=True)
            except FileNotFoundError:
                return []

        rows = self._ask("", listed)
        return {str(row["name"]).rsplit("/", 1)[-1]: int(row["size"] or 0) for row in rows if row["type"] == "file"}

    def read(self, name: str) -> bytes:
        return read_file(self._system, f"{self._root}/{name}", self.named(name))

    def part(self, name: str, offset: int, size: int) -> bytes:
        if self.cached and name in self.checksums:
            return self._cached_part(name, offset, size)
        return read_part(self._system, f"{self._root}/{name}", self.named(name), offset, size)

    def _cached_part(self, name: str, offset: int, size: int) -> bytes:
        for _ in range(8):  # another process may make room between the two lines
            with contextlib.suppress(FileNotFoundError), self.fetched(name).open("rb", buffering=0) as file:
                file.seek(offset)
                return file.read(size)
        raise ResLabError("the cache is too small for the processes that share it", "set RESLAB_CACHE_BYTES")

    def fetched(self, name: str) -> Path:
        """A file of known checksum in the cache, on this disk."""
        size, digest = self.checksums[name]
        return kept(f"{digest}{Path(name).suffix}", size, lambda file: self._fetch(name, digest, file))

    def _fetch(self, name: str, digest: str, file: BinaryIO) -> None:
        size, _ = self.checksums[name]
        for _ in range(2):  # what came over a network may come rightly the second time
            if copy_file(self._system, f"{self._root}/{name}", self.named(name), size, file) == digest:
                return
            file.seek(0)
        raise ResLabError(f"{self.named(name)} is not the file that its index names: another sha256", _ANEW)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        with _scratch() as folder:
            with open_atomically(folder / "file") as file:
                yield file
            system, _ = file_system(self.where, writes=True)
            self._ask(name, lambda: system.put_file(str(folder / "file"), f"{self._root}/{name}"))

    def create(self, name: str, data: bytes) -> bool:
        def create() -> bool:
            if not self.where.lower().startswith(_WITHOUT_FOLDERS):
                self._system.makedirs(self._root, exist_ok=True)
            try:
                self._system.pipe_file(f"{self._root}/{name}", data, mode="create")
            except FileExistsError:
                return False
            return True

        return self._ask("", create)

    def remove(self, name: str) -> None:
        with contextlib.suppress(Exception):
            self._system.rm_file(f"{self._root}/{name}")

    @contextlib.contextmanager
    def claimed(self) -> Iterator[bool]:
        if not self.create(LOCK_NAME, b"reslab"):
            raise ResLabError(
                f"another process is writing into {self.where}",
                f"wait for it; if it was killed, delete {self.named(LOCK_NAME)}",
            )
        try:
            yield False
        finally:
            self.remove(LOCK_NAME)


_ANEW = "it was edited or cut short: copy it again, or write the shards anew"


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for a file that is being sent."""
    try:
        with tempfile.TemporaryDirectory(prefix="reslab-") as folder:
            yield Path(folder)
    except OSError as error:
        raise ResLabError(
            f"cannot write a temporary file: {error.strerror or error}", "TMPDIR names another disk"
        ) from None


def url_file(url: str) -> Callable[[], Path]:
    """Where a file at a URL lies in the cache: a function that fetches it if it is not there, or no longer.

    Raises:
        ResLabError: there is no such file, or no answer.
    """
    system, path = file_system(url)

    def look() -> tuple[int, str]:
        system.invalidate_cache()
        return int(system.info(path)["size"] or 0), system.ukey(path)

    size, version = with_retries(url, look)
    name = hashlib.sha256(f"{url} {version}".encode()).hexdigest()[:40] + Path(path).suffix

    def fetch(file: BinaryIO) -> None:
        copy_file(system, path, url, size, file)
        if with_retries(url, look) != (size, version):
            raise ResLabError(f"{url} was changed while it was read", "try again")

    return lambda: kept(name, size, fetch)


def urls_below(url: str, ending: str) -> list[str]:
    """The URLs of all files below a URL that end so, in sorted order."""
    system, path = file_system(url)
    found = with_retries(url, lambda: system.find(path))
    return [system.unstrip_protocol(name) for name in sorted(found) if name.lower().endswith(ending)]
