"""Decode once: pictures kept as uint8 in memory, up to a limit; beyond it they are decoded again when they are needed."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import load
from reslab.pixels.fingerprint import fingerprint

_SHARE_OF_FREE_MEMORY = 0.4
_UNKNOWN_FREE_MEMORY = 4 * 2**30


def memory_limit() -> int:
    """Bytes that stored pictures may take by default: two fifths of the memory that is free now."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, macOS
        free = _UNKNOWN_FREE_MEMORY
    return int(free * _SHARE_OF_FREE_MEMORY)


class Store:
    """A sequence of transformed pictures that remembers what it has decoded.

    `transform` is the same for all, e.g. `shrunk` to a roomy size for training, or the final preprocessing.
    """

    def __init__(
        self, pictures: Sequence[Picture], transform: Callable[[np.ndarray], np.ndarray], limit: int | None = None
    ) -> None:
        self.pictures = pictures
        self.index = {picture.key: number for number, picture in enumerate(pictures)}
        self._transform = transform
        self._left = memory_limit() if limit is None else limit
        self._kept: dict[int, np.ndarray] = {}
        self._hashes: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture `index`, uint8 `[height, width, 3]`. Raises BadPicture."""
        kept = self._kept.get(index)
        return self.keep(index, load(self.pictures[index])) if kept is None else kept

    def keep(self, index: int, picture: np.ndarray) -> np.ndarray:
        """Remember an already decoded picture, if there is room, and give back its transformed form."""
        transformed = self._transform(picture)
        self._hashes[index] = fingerprint(picture)
        if index not in self._kept and self._left >= transformed.nbytes:
            self._kept[index] = np.ascontiguousarray(transformed)
            self._left -= transformed.nbytes
        return transformed

    def fingerprints(self) -> list[bytes]:
        """One short hash per picture, of its full decoded form; decodes what nobody has asked for yet."""
        for index in range(len(self)):
            if index not in self._hashes:
                self.keep(index, load(self.pictures[index]))
        return [self._hashes[index] for index in range(len(self))]
