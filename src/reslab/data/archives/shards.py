"""Shards: tar files of bounded size with pictures byte for byte, and an index that says where each picture lies.

    OUT/index.json             what there is: shards with bytes and sha256, classes, counts
    OUT/train-000000.tar       members as WebDataset names them: 000000000.jpg, 000000000.cls, …
    OUT/train-000000.json      a column per property: number, key, label, group, box, offset, size, hash
    …

Pictures are read in place, by offset and size: no tar header is ever parsed, no name ever becomes a path. Every picture's
hash is compared when it is read, so that an edited shard cannot give another picture. Written by `archives.write`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reslab.data.archives.cache import limit
from reslab.data.archives.places import Place, Remote, place_of
from reslab.data.catalog import Catalog, Member, Picture, Split
from reslab.errors import ResLabError
from reslab.pixels.decode import MAX_BYTES, printable
from reslab.pixels.stored import CUT_SHORT, Unreadable
from reslab.system.values import build_known, parse, shown

INDEX_NAME = "index.json"
KIND = "reslab shards"
SCHEMA = 1
"""Version of the index; within a version keys are only added."""

HASH_BYTES = 8
_READS = 2  # of what is not as its hash says: what came over a network may come rightly the second time
_AT_ONCE = 32  # processes of a machine that read shards in turn, and share its cache
_KIND_WITHIN = 200  # bytes of index.json
_ANEW = "copy the shards again, or write them anew with reslab shard"

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Shard:
    """One tar file and its table, as the index names them."""

    name: str
    """Without `.tar` and `.json`."""
    split: Split | None
    """The split that the data declare for all of its pictures."""
    pictures: int
    bytes: int
    sha256: str
    table_sha256: str


@dataclass(frozen=True, slots=True)
class Index:
    """What `index.json` says."""

    schema: int
    kind: str
    name: str
    task: str
    mirrored: bool
    classes: tuple[str, ...]
    pictures: int
    bytes: int
    shards: tuple[Shard, ...]
    skipped: dict[str, int] = field(default_factory=dict)
    empty_classes: tuple[tuple[str, Split | None], ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Where the pictures of one shard lie: a column per property, a row per picture."""

    number: list[int]
    """Its place in the data set's order, from 0; also the name of its member."""
    key: list[str]
    label: list[str]
    group: list[str | None]
    box: list[Box | None]
    offset: list[int]
    """Of its content in the tar file."""
    size: list[int]
    hash: list[str]
    """blake2b of its content, `HASH_BYTES` long, in hexadecimal."""


_KINDS: dict[str, tuple[type, ...]] = {
    "number": (int,), "key": (str,), "label": (str,), "group": (str, type(None)), "box": (list, type(None)),
    "offset": (int,), "size": (int,), "hash": (str,),
}  # fmt: skip


def content_hash(data: bytes) -> str:
    """The hash of a picture's file that the table keeps."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class _Packed(Member):
    """A picture in a shard."""

    place: Place
    tar: str
    offset: int
    size: int
    hash: str

    def read(self) -> bytes:
        if self.size > MAX_BYTES:
            raise Unreadable(f"its {self.size:,} bytes are more than {MAX_BYTES:,}")
        data = b""
        for _ in range(_READS):
            data = self.place.part(self.tar, self.offset, self.size)
            if content_hash(data) == self.hash:
                return data
        if len(data) < self.size:
            raise Unreadable(f"{CUT_SHORT}: {self.tar} ends within it")
        raise Unreadable(f"{self.tar} was edited: these are not the bytes that its table names")


def is_shards(path: Path) -> bool:
    """Whether a folder holds shards: its `index.json` says so."""
    try:
        with (path / INDEX_NAME).open("rb") as file:
            return f'"{KIND}"'.encode() in file.read(_KIND_WITHIN)
    except OSError:
        return False


def read_shards(written: str | Path) -> Catalog:
    """The catalog of a folder or URL of shards: keys, labels, splits and order as in the data that were sharded.

    Raises:
        ResLabError: the index or a table is damaged, of a later version, or contradicts itself; a shard is missing or has
            another size; there is no answer from the URL.
    """
    place, index = open_shards(written)
    rows: list[tuple[int, Picture]] = []
    for shard in index.shards:
        rows += pictures_of(place, shard)
    rows.sort(key=lambda row: row[0])
    where = place.named(INDEX_NAME)
    if [number for number, _ in rows] != list(range(len(rows))):
        twice = next((a for (a, _), (b, _) in zip(rows, rows[1:], strict=False) if a == b), None)
        what = f"picture {twice} is in two shards" if twice is not None else "pictures between others are in no shard"
        raise ResLabError(f"{where} is damaged: {what}", _ANEW)
    if len({picture.key for _, picture in rows}) < len(rows):
        raise ResLabError(f"{where} is damaged: two pictures have one key", _ANEW)
    return Catalog(
        index.name, printable(written), tuple(picture for _, picture in rows), index.skipped, index.empty_classes,
        index.mirrored, index.task, index.remarks, index.doubts,
    )  # fmt: skip


def stream_shards(written: str | Path) -> Iterator[Picture]:
    """The pictures shard by shard, in memory for the table of one."""
    place, index = open_shards(written, sequential=True)
    for shard in index.shards:
        for _, picture in pictures_of(place, shard):
            yield picture


def open_shards(written: str | Path, sequential: bool = False) -> tuple[Place, Index]:
    """The place and its index, after every shard was found there with the bytes that it should have.

    Args:
        sequential: each process reads one shard after the other, so a few of them at a time go through the cache, by large
            requests, where the cache is too small for all.
    """
    place = place_of(written)
    index = read_index(place)
    where, sizes = place.named(INDEX_NAME), place.sizes()
    for shard in index.shards:
        if "/" in shard.name or "\\" in shard.name or shard.name.startswith("."):
            raise ResLabError(f"{where} is damaged: {shown(shard.name)} is no name of a shard", _ANEW)
        for name in (f"{shard.name}.tar", f"{shard.name}.json"):
            if name not in sizes:
                raise ResLabError(f"{place.named(name)} is missing", _ANEW)
        found = sizes[f"{shard.name}.tar"]
        if found != shard.bytes:
            what = f"has {found:,} bytes instead of {shard.bytes:,}: it was cut short or edited"
            raise ResLabError(f"{place.named(shard.name)}.tar {what}", _ANEW)
    name, times = Counter(shard.name for shard in index.shards).most_common(1)[0] if index.shards else ("", 0)
    if times > 1:
        raise ResLabError(f"{where} is damaged: it names {name} {times} times", _ANEW)
    if sum(shard.pictures for shard in index.shards) != index.pictures:
        raise ResLabError(f"{where} is damaged: its shards do not hold {index.pictures:,} pictures together", _ANEW)
    if isinstance(place, Remote):
        place.checksums = {f"{shard.name}.tar": (shard.bytes, shard.sha256) for shard in index.shards}
        each = [shard.bytes for shard in index.shards]
        needed = min(sum(each), _AT_ONCE * max(each, default=0)) if sequential else sum(each)
        place.cached = needed <= limit()
    return place, index


def read_index(place: Place) -> Index:
    """`index.json` of a place.

    Raises:
        ResLabError: it is missing, damaged, or of a later version.
    """
    where = place.named(INDEX_NAME)
    document = _document(_read(place, INDEX_NAME, lambda data: data.endswith(b"}\n")), where)
    if document.get("kind") != KIND:
        raise ResLabError(f"{where} is not an index of shards")
    return build_known(Index, document, where)


def _read(place: Place, name: str, is_whole: Callable[[bytes], bool]) -> bytes:
    """A small file; what is not whole is read once more."""
    data = b""
    for _ in range(_READS):
        data = place.read(name)
        if is_whole(data):
            break
    return data


def _document(data: bytes, where: str) -> dict[str, Any]:
    """A JSON document of this schema."""
    content = parse(data, where)
    if not isinstance(content, dict):
        raise ResLabError(f"{where} is damaged: it is {shown(content)}, not a set of fields")
    if (schema := content.get("schema", SCHEMA)) != SCHEMA:
        raise ResLabError(f"{where} is of schema {shown(schema)}; this version reads {SCHEMA}", "pip install -U reslab")
    return content


def pictures_of(place: Place, shard: Shard) -> list[tuple[int, Picture]]:
    """Number and picture of every row of a shard's table."""
    table = _table(place, shard)
    tar = f"{shard.name}.tar"
    rows = zip(
        table.number, table.key, table.label, table.group, table.box, table.offset, table.size, table.hash, strict=True
    )
    return [
        (number, Picture(key, _Packed(place, tar, offset, size, digest), label, shard.split, group, box))
        for number, key, label, group, box, offset, size, digest in rows
    ]


def _table(place: Place, shard: Shard) -> Table:
    """The table of a shard, checked."""
    name = f"{shard.name}.json"

    def is_named(data: bytes) -> bool:
        return hashlib.sha256(data).hexdigest() == shard.table_sha256

    where, data = place.named(name), _read(place, name, is_named)
    document = _document(data, where)
    if not is_named(data):
        raise ResLabError(f"{where} is not the table that the index names: it was edited or is of other shards", _ANEW)
    columns = {column: document.get(column) for column in _KINDS}
    for column, values in columns.items():
        if not isinstance(values, list) or len(values) != shard.pictures:
            raise ResLabError(f"{where} is damaged: {column} is not a list of {shard.pictures:,}", _ANEW)
        if not all(type(value) in _KINDS[column] for value in values):
            raise ResLabError(f"{where} is damaged: {column} holds values of another kind", _ANEW)
    boxes = [None if box is None else tuple(box) for box in columns["box"] or ()]
    if not all(box is None or (len(box) == 4 and all(type(side) is int for side in box)) for box in boxes):
        raise ResLabError(f"{where} is damaged: a box is not four whole numbers", _ANEW)
    table = Table(**{**columns, "box": boxes})  # pyrefly: ignore[bad-argument-type]
    for offset, size in zip(table.offset, table.size, strict=True):
        if offset < 0 or size < 0 or offset + size > shard.bytes:
            raise ResLabError(f"{where} is damaged: a picture lies outside {shard.name}.tar", _ANEW)
    return table


def as_json(document: dict[str, Any]) -> bytes:
    """A document as compact JSON; names that are no Unicode are escaped."""
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "backslashreplace")
