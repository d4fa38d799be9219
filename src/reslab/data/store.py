"""Keep decoded pictures in memory as uint8, up to a limit; those beyond it are decoded again when needed."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import load_decoded
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Decoded
from reslab.system.machine import free_memory

_SHARE_OF_FREE_MEMORY = 0.25
"""For each store: training and validation pictures together take half of what is free at the start."""


def memory_limit() -> int:
    """Bytes that one store's pictures may take by default."""
    return int(free_memory() * _SHARE_OF_FREE_MEMORY)


@dataclass(slots=True)
class _Memory:
    """Decoded pictures by their keys."""

    left: int
    """Bytes that may still be kept."""
    kept: dict[str, np.ndarray] = field(default_factory=dict)
    hashes: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Store:
    """A sequence of transformed pictures that keeps what it has decoded. Safe to use from several threads.

    `transform` is the same for all, e.g. `shrunk` to somewhat more than the input size, or the final preprocessing.
    """

    def __init__(
        self, pictures: Sequence[Picture], transform: Callable[[Decoded], np.ndarray], limit: int | None = None
    ) -> None:
        self.pictures = pictures
        self.transform = transform
        self._memory = _Memory(memory_limit() if limit is None else limit)

    def part(self, pictures: Sequence[Picture]) -> "Store":
        """A store of some of the pictures that shares this one's memory."""
        part = Store(pictures, self.transform, limit=0)
        part._memory = self._memory
        return part

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture `index`, uint8 `[height, width, 3]`. Raises BadPicture."""
        return self.read(self.pictures[index])[0]

    def read(self, picture: Picture) -> tuple[np.ndarray, bytes]:
        """The transformed picture, and the hash of its full decoded form."""
        kept = self._memory.kept.get(picture.key)
        pixels = self.keep(picture, load_decoded(picture)) if kept is None else kept
        return pixels, self._memory.hashes[picture.key]

    def keep(self, picture: Picture, pixels: Decoded, digest: bytes | None = None) -> np.ndarray:
        """Keep an already decoded picture, if there is room; returns it transformed.

        Args:
            digest: its `fingerprint`, where that is known.
        """
        if digest is None:
            digest = self._memory.hashes.get(picture.key) or fingerprint(pixels)
        return self.take(picture, self.transform(pixels), digest)

    def take(self, picture: Picture, transformed: np.ndarray, digest: bytes) -> np.ndarray:
        """Keep an already transformed picture, if there is room, and its `fingerprint`."""
        transformed = np.ascontiguousarray(transformed)
        key, memory = picture.key, self._memory
        memory.hashes.setdefault(key, digest)
        with memory.lock:
            if key not in memory.kept and memory.left >= transformed.nbytes:
                memory.kept[key] = transformed
                memory.left -= transformed.nbytes
        return transformed

    def fingerprints(self) -> list[bytes]:
        """One short hash per picture, of its full decoded form; decodes those that have not been read yet."""
        return [self.fingerprint(picture) for picture in self.pictures]

    def fingerprint(self, picture: Picture) -> bytes:
        """A short hash of one picture's full decoded form; decodes it if it has not been read yet."""
        if picture.key not in self._memory.hashes:
            self.keep(picture, load_decoded(picture))
        return self._memory.hashes[picture.key]
