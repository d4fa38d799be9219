"""DATA as parts, shard by shard or so many pictures at a time: together they hold every picture once."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from reslab.data.archives.open import is_archive, is_sharded
from reslab.data.archives.shards import INDEX_NAME, open_shards, pictures_of
from reslab.data.catalog import Picture
from reslab.data.reader import content
from reslab.data.reader import parts as in_lists
from reslab.evaluate.predict import as_inputs, expand
from reslab.pixels.decode import printable

PICTURES = 10_000
"""Pictures of a part of DATA that are no shards."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the pictures."""

    name: str
    """The shard's name, or `part-000000`."""
    pictures: Callable[[], Iterable[Picture]]
    """Raises ResLabError where a shard's table is damaged."""
    shards: str | None = None
    """The shards that hold them with key, label and declared split; None where `predict` names them itself."""

    def inputs(self) -> Iterable[Picture]:
        """The pictures as `predict` names them."""
        return as_inputs(self.shards, self.pictures()) if self.shards else self.pictures()


class Parts(Protocol):
    """All parts, in an order that is the same for every process."""

    pictures: int
    count: int
    digest: str
    """Of what tells these pictures from others."""

    def __iter__(self) -> Iterator[Part]: ...


def parts_of(data: str) -> Parts:
    """The parts of DATA: a folder, an archive, or a pattern.

    Raises:
        ResLabError: it is damaged, or holds no picture.
    """
    return _Sharded(data) if is_archive(data) and is_sharded(data) else _Listed(data)


class _Sharded:
    """Shards: their index is all that is read beforehand."""

    def __init__(self, data: str) -> None:
        self._data = data
        self._place, self._index = open_shards(data, sequential=True)
        self.pictures, self.count = self._index.pictures, len(self._index.shards)
        self.digest = hashlib.sha256(self._place.read(INDEX_NAME)).hexdigest()

    def __iter__(self) -> Iterator[Part]:
        for shard in self._index.shards:
            yield Part(shard.name, lambda shard=shard: (one for _, one in pictures_of(self._place, shard)), self._data)


class _Listed:
    """Whatever else `predict` takes: listed once to count it, and again whenever its parts are asked for."""

    def __init__(self, data: str) -> None:
        self._data, self.pictures = data, 0
        hashed = hashlib.sha256()
        for picture in expand(data):
            self.pictures += 1
            hashed.update(printable(picture.key).encode() + b"\n")
        if self.pictures == 1:
            content(picture)  # what is not there, or holds no picture, is one that says so when it is read
        self.count, self.digest = -(-self.pictures // PICTURES), hashed.hexdigest()

    def __iter__(self) -> Iterator[Part]:
        for start, pictures in in_lists(expand(self._data), PICTURES):
            yield Part(f"part-{start // PICTURES:06d}", lambda pictures=pictures: pictures)
