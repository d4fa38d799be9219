"""From catalog to pixels: threads decode and resize while the caller computes. Every command reads pictures with it.

Threads, not processes: Pillow releases the GIL while it decodes, nothing has to be pickled or forked, and on a CPU the
processes of a loader would compete with the training for cores. The data check of many files, which comes before any
training, uses processes (`processes`).
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from reslab.data.catalog import Member, Picture
from reslab.errors import BadPicture
from reslab.pixels.decode import decode, decode_image, kept_memory, printable, read_file
from reslab.pixels.preprocess import Decoded
from reslab.pixels.stored import Unreadable
from reslab.system.machine import default_workers

Item = TypeVar("Item")
Result = TypeVar("Result")

BLOCK = 64
"""Pictures per forward pass in evaluation and prediction: a fixed shape, so that every command gives the same answers."""

_QUICK_SECONDS, _SLOW_SECONDS = 0.005, 0.05
"""A chunk that took less time is followed by one twice as large, one that took more by one half as large."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some pictures ready for the network. Unreadable ones are black in `pixels` and named in `errors`."""

    indices: np.ndarray
    """Positions in the sequence that was read."""

    pixels: np.ndarray
    """uint8 `[len(indices), size, size, 3]`."""

    errors: dict[int, BadPicture]
    """Position -> the error."""


def content(picture: Picture) -> bytes | None:
    """A picture's file, undecoded; None where the picture itself was given. Wherever the file lies, it is read here.

    Raises:
        BadPicture: it cannot be read.
    """
    source = picture.source
    if isinstance(source, BadPicture):
        raise source
    if isinstance(source, Member):
        try:
            return source.read()
        except Unreadable as error:
            raise BadPicture(picture.key, str(error)) from None
    return (
        None
        if isinstance(source, np.ndarray)
        else read_file(source, None if isinstance(source, Path | str) else picture.key)
    )


def load(picture: Picture, file: bytes | None = None) -> np.ndarray:
    """The whole decoded picture, or the part that its box names: uint8 `[height, width, 3]`.

    Args:
        file: the picture's `content`, where it has been read already.
    """
    source = picture.source
    pixels = source if isinstance(source, np.ndarray) else _decoded_by(decode, picture, file)
    if picture.box is None:
        return pixels
    left, upper, width, height = picture.box
    part = pixels[max(upper, 0) : max(upper + height, 0), max(left, 0) : max(left + width, 0)]
    if not part.size:
        raise BadPicture(picture.key, f"its box {picture.box} lies outside the picture")
    return part.copy()  # a view would keep the whole picture in memory


def load_image(picture: Picture) -> Image.Image:
    """The same as an image of Pillow's, for what only resizes or hashes it: quicker for large photographs."""
    found = load_decoded(picture)
    return Image.fromarray(found) if isinstance(found, np.ndarray) else found


def load_decoded(picture: Picture, file: bytes | None = None) -> Decoded:
    """The same in the form that takes least time: an array where one was given or a part is used, else an image."""
    if picture.box is None and not isinstance(picture.source, np.ndarray):
        return _decoded_by(decode_image, picture, file)
    return load(picture, file)


def _decoded_by(decoder: Callable[..., Result], picture: Picture, file: bytes | None) -> Result:
    source = picture.source
    if isinstance(source, Path | str):
        return decoder(source if file is None else file, printable(source))
    return decoder((content(picture) if file is None else file) or b"", picture.key)


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int
) -> Iterator[Result]:
    """`map(function, items)` in threads, in order, at most `ahead` results ahead of the one that is consumed.

    With 0 workers it is `map` itself. Quick calls are handed to a thread in chunks: for a small picture, handing it over
    takes as long as reading it.
    """
    if workers == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="reslab-reader")
    waiting: deque[Future[ChunkResults[Result]]] = deque()
    remaining, size, most, begun = iter(items), 1, max(1, (ahead + 1) // (workers + 1)), 0
    try:
        with kept_memory(workers):
            while chunk := list(itertools.islice(remaining, size)):
                waiting.append(pool.submit(map_chunk, function, chunk))
                begun += len(chunk)
                while begun + size > ahead + 1:
                    done = waiting.popleft().result()
                    yield from done
                    begun -= len(done.results)
                    size = done.next_chunksize(size, most)
            while waiting:
                yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class ChunkResults(Generic[Result]):
    """What a function returned for some items, up to the first for which it failed."""

    results: list[Result]
    failure: Exception | None
    seconds: float

    def __iter__(self) -> Iterator[Result]:
        yield from self.results
        if self.failure:
            raise self.failure

    def next_chunksize(self, size: int, most: int) -> int:
        """The size of later chunks, after one of this `size`."""
        if self.seconds < _QUICK_SECONDS:
            return min(2 * size, most)
        return max(1, size // 2) if self.seconds > _SLOW_SECONDS else size


def map_chunk(function: Callable[[Item], Result], items: list[Item]) -> ChunkResults[Result]:
    """Call a function for each item until it fails."""
    results: list[Result] = []
    begin = time.perf_counter()
    try:
        results.extend(map(function, items))
    except Exception as error:
        return ChunkResults(results, error, time.perf_counter() - begin)
    return ChunkResults(results, None, time.perf_counter() - begin)


def blocks(
    pictures: Iterable[Picture],
    preprocess: Callable[[Decoded], np.ndarray],
    size: int,
    workers: int | None = None,
    read: Callable[[Picture], Decoded] = load_image,
) -> Iterator[Block]:
    """Preprocessed pictures, `BLOCK` at a time; the last block may be shorter.

    Memory is constant: `pictures` may be a generator over millions.

    Args:
        read: decodes one picture; pass a wrapper to observe the reading.
    """

    workers = default_workers() if workers is None else workers
    rows = map_in_order(lambda picture: _attempt(picture, preprocess, read), pictures, workers, ahead=2 * BLOCK)
    for start, part in parts(rows, BLOCK):
        yield _block(start, part, size)


def read_block(
    start: int,
    pictures: Iterable[Picture],
    preprocess: Callable[[Decoded], np.ndarray],
    size: int,
    read: Callable[[Picture], Decoded] = load_image,
) -> Block:
    """These pictures, one after the other in this thread; the first has the position `start` in the sequence."""
    return _block(start, [_attempt(picture, preprocess, read) for picture in pictures], size)


def parts(items: Iterable[Item], count: int) -> Iterator[tuple[int, list[Item]]]:
    """The items in lists of `count`, each with the position of its first; the last one may be shorter."""
    start, remaining = 0, iter(items)
    while part := list(itertools.islice(remaining, count)):
        yield start, part
        start += len(part)


def _attempt(
    picture: Picture, preprocess: Callable[[Decoded], np.ndarray], read: Callable[[Picture], Decoded]
) -> np.ndarray | BadPicture:
    try:
        return preprocess(read(picture))
    except BadPicture as error:
        return error


def _block(start: int, rows: list[np.ndarray | BadPicture], size: int) -> Block:
    black = np.zeros((size, size, 3), np.uint8)
    errors = {start + i: row for i, row in enumerate(rows) if isinstance(row, BadPicture)}
    pixels = np.stack([black if isinstance(row, BadPicture) else row for row in rows])
    return Block(np.arange(start, start + len(rows)), pixels, errors)
