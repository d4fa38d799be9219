"""Write a data set as shards (`archives.shards`): one pass, one picture in memory, the index last.

A shard holds pictures of one declared split, in the order of the data. Equal data give equal bytes. Without the index there
are no shards: what a killed or failed writer leaves is deleted by the next one, or by itself.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from reslab.data.archives.places import LOCK_NAME, Place, place_of
from reslab.data.archives.shards import INDEX_NAME, KIND, SCHEMA, Index, Shard, Table, as_json, content_hash
from reslab.data.catalog import SPLITS, Catalog, Picture, Split
from reslab.data.reader import content
from reslab.errors import ResLabError
from reslab.pixels.encode import encode_picture
from reslab.pixels.kinds import kind_of
from reslab.system.bounds import BOUNDS
from reslab.system.events import ignore

MAX_BYTES = 256 * 2**20
"""Size of a shard, unless a single picture is larger."""

_OURS = re.compile(
    r"(data|train|val|test)-\d{6}\.(tar|json)|\.(index|(data|train|val|test)-\d{6})\.(tar|json)\.[0-9a-f]{12}\.tmp"
)
"""What an unfinished writer may have left."""

_FOR_OTHERS: dict[str, tuple[str, Callable[[tuple[str, ...], dict[str, int]], bytes]]] = {
    "single": ("cls", lambda labels, numbers: str(numbers[labels[0]]).encode()),
    "multi": ("json", lambda labels, _: as_json({"labels": labels})),
}
"""Task -> the member that tells other tools the labels: its ending, and its content from labels and numbers of classes."""

_ENDINGS = {"JPEG": "jpg", "TIFF": "tif", "HEIF": "heic", "": "bin"}
_PAD = tarfile.BLOCKSIZE
_END = tarfile.RECORDSIZE  # the most that closing a tar file adds

Entry = tuple[int, Picture]
"""A picture and its number in the data set."""


def write_shards(
    catalog: Catalog, out: str | Path, max_bytes: int = MAX_BYTES, on_progress: Callable[[int], None] = ignore
) -> Index:
    """Write the pictures of a catalog, byte for byte; those without a file as PNG.

    Args:
        catalog: its declared splits are kept; it is read as the data say, not as a training would divide it.
        out: a folder that is new or empty, or a URL.
        max_bytes: of a shard.
        on_progress: told the number of pictures written since the last call.

    Returns:
        What `index.json` says.

    Raises:
        ResLabError: there is something in `out`, another process writes into it, the disk is full, or a picture's file
            cannot be read. No index is left then.
    """
    BOUNDS["max_bytes"].check("--max-bytes", max_bytes)
    place = place_of(out)
    with place.claimed() as abandoned:
        _refuse_occupied(place, abandoned)
        try:
            index = _written(catalog, place, max_bytes, on_progress)
            _refuse_changed(place, index)
            with place.writing(INDEX_NAME) as file:
                file.write(_document(index))
        except BaseException:
            _remove_ours(place)
            raise
        return index


def _refuse_occupied(place: Place, abandoned: bool) -> None:
    """Refuse a folder with something in it; what a killed writer left, whose lock lies beside it, is deleted."""
    found = place.sizes()
    if INDEX_NAME in found:
        raise ResLabError(f"{place.where} already holds shards", "choose another OUT, or delete it")
    if strange := sorted(name for name in found if name != LOCK_NAME and not (abandoned and _OURS.fullmatch(name))):
        raise ResLabError(f"{place.where} is not empty: it holds {strange[0]}", "choose a new folder")
    _remove_ours(place)


def _remove_ours(place: Place) -> None:
    with suppress(ResLabError):
        for name in place.sizes():
            if _OURS.fullmatch(name):
                place.remove(name)


def _refuse_changed(place: Place, index: Index) -> None:
    """Where a store has no locks, another writer may have been at work meanwhile."""
    found = place.sizes()
    if INDEX_NAME in found or any(found.get(f"{shard.name}.tar") != shard.bytes for shard in index.shards):
        raise ResLabError(f"another process has written into {place.where}", "choose another OUT, and begin again")


def _document(index: Index) -> bytes:
    """`index.json`: indented, the kind first, so that a folder of shards is recognised by its first bytes."""
    return (json.dumps(asdict(index), ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def _written(catalog: Catalog, place: Place, max_bytes: int, on_progress: Callable[[int], None]) -> Index:
    """Every shard written, and the index of them."""
    classes = catalog.classes
    numbers = {label: number for number, label in enumerate(classes)}
    shards: list[Shard] = []
    for split in (None, *SPLITS):
        waiting = _Waiting((n, picture) for n, picture in enumerate(catalog.pictures) if picture.split == split)
        count = 0
        while waiting.next is not None:
            name = f"{split or 'data'}-{count:06d}"
            shards.append(_write_shard(place, name, split, waiting, _Maker(catalog, numbers, max_bytes, on_progress)))
            count += 1
    return Index(
        SCHEMA, KIND, catalog.name, catalog.task, catalog.mirrored, classes, len(catalog.pictures),
        sum(shard.bytes for shard in shards), tuple(shards), catalog.skipped, catalog.empty_classes, catalog.remarks,
        catalog.doubts,
    )  # fmt: skip


class _Waiting:
    """Pictures of which the next one, with its content, can be looked at before it is taken."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self.next: tuple[int, Picture, bytes] | None = None
        self.take()

    def take(self) -> None:
        """Go on to the picture after it."""
        found = next(self._entries, None)
        self.next = found and (*found, _file_of(found[1]))


def _file_of(picture: Picture) -> bytes:
    """A picture's file; of one that has none, a PNG with the same pixels."""
    data = content(picture)
    if data is None:
        assert isinstance(picture.source, np.ndarray)
        return encode_picture(Image.fromarray(picture.source))
    return data


@dataclass(frozen=True, slots=True)
class _Maker:
    """What is the same for all shards."""

    catalog: Catalog
    classes: dict[str, int]
    max_bytes: int
    on_progress: Callable[[int], None]

    def labels(self, picture: Picture) -> tuple[str, bytes] | None:
        """Ending and content of the member that tells other tools the label; none of a part of a picture."""
        if picture.box is not None:
            return None
        ending, written = _FOR_OTHERS[self.catalog.task]
        return ending, written(self.catalog.labels_of(picture), self.classes)


def _add_row(table: Table, *values: Any) -> None:
    """A value for each column, in the order of `Table`'s fields."""
    for column, value in zip(fields(Table), values, strict=True):
        getattr(table, column.name).append(value)


def _write_shard(place: Place, name: str, split: Split | None, waiting: _Waiting, maker: _Maker) -> Shard:
    """One shard and its table; takes what fits from `waiting`, and at least one picture."""
    columns, stored = Table([], [], [], [], [], [], [], []), {}
    with place.writing(f"{name}.tar") as file:
        hashed = _Hashed(file)
        with _tar(hashed) as tar:
            while waiting.next is not None:
                number, picture, data = waiting.next
                labels = maker.labels(picture)
                more = _blocks(data) + (_blocks(labels[1]) if labels else 0)
                digest = content_hash(data)
                again = stored.get((digest, len(data))) if picture.box else None  # another part of the same picture
                if again is None:
                    if columns.number and tar.offset + more + _END > maker.max_bytes:
                        break
                    again = tar.offset + _PAD
                    _add(tar, f"{number:09d}.{_ending(data)}", data)
                    if labels:
                        _add(tar, f"{number:09d}.{labels[0]}", labels[1])
                    if picture.box:
                        stored[digest, len(data)] = again
                place_in_tar = (again, len(data), digest)
                _add_row(columns, number, picture.key, picture.label, picture.group, picture.box, *place_in_tar)
                maker.on_progress(1)
                waiting.take()
    table = as_json({"schema": SCHEMA, **asdict(columns)})
    with place.writing(f"{name}.json") as file:
        file.write(table)
    return Shard(name, split, len(columns.number), hashed.size, hashed.sha256, hashlib.sha256(table).hexdigest())


def _ending(data: bytes) -> str:
    """By the content, so that other tools choose the right decoder."""
    kind = kind_of(data)
    return _ENDINGS.get(kind, kind.lower())


def _blocks(data: bytes) -> int:
    """Bytes of a tar member with its header."""
    return _PAD + -(-len(data) // _PAD) * _PAD


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member without owner and time, so that equal pictures give equal shards."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
    tar.getmembers().clear()  # it would remember all of them


class _Hashed:
    """A file that is only written to, with its size and sha256."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.size

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def _tar(file: _Hashed) -> Iterator[tarfile.TarFile]:
    """A tar file; where the block fails it is not closed, since nothing is left to write to."""
    tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[arg-type]
    yield tar
    tar.close()
