"""The order in which an epoch visits the pictures, for any number of them in bounded memory.

Up to `WINDOW` pictures it is a permutation of all of them. Of more, blocks of `BLOCK` neighbours are permuted, and the
pictures of `WINDOW // BLOCK` blocks in turn: one such window is made at a time. The blocks begin elsewhere in every epoch.
Processes divide each step of this one order among themselves, so their number never changes it.
"""

from functools import lru_cache

import numpy as np

from reslab.data.draws import permutation, uniforms

WINDOW = 2**20
"""Pictures that are permuted together: 8 MB of numbers."""
BLOCK = 2**6
"""Neighbours that stay together, within a window: few enough that pictures which lie sorted by class are mixed well."""


def visiting_order(seed: int, epoch: int, count: int) -> "np.ndarray | WindowedOrder":
    """Which pictures epoch `epoch` visits, one after the other: int64, to be sliced."""
    return permutation(seed, epoch, count) if count <= WINDOW else WindowedOrder(seed, epoch, count)


class WindowedOrder:
    """A permutation of `count` pictures of which one window at a time is in memory."""

    def __init__(self, seed: int, epoch: int, count: int, window: int = WINDOW, block: int = BLOCK) -> None:
        self._seed, self._epoch, self._count = seed, epoch, count
        self._window, self._block = window, block
        self._blocks = permutation(seed, epoch, count // block, "blocks").astype(np.int32)
        self._first = int(uniforms(seed, "first block", epoch, np.zeros(1), 1)[0, 0] * count)
        self._part = lru_cache(maxsize=2)(self._make)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, places: slice) -> np.ndarray:
        """The pictures at these places of the order, int64."""
        start, stop, _ = places.indices(self._count)
        parts = []
        while start < stop:
            number, within = divmod(start, self._window)
            parts.append(self._part(number)[within : within + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _make(self, number: int) -> np.ndarray:
        """Window `number`; the pictures that fill no block are part of the last one."""
        each = self._window // self._block
        blocks = self._blocks[number * each : (number + 1) * each].astype(np.int64)
        places = (blocks[:, None] * self._block + np.arange(self._block)).ravel()
        if (number + 1) * self._window >= self._count:
            places = np.concatenate([places, np.arange(self._count // self._block * self._block, self._count)])
        pictures = (places + self._first) % self._count
        return pictures[permutation(self._seed, self._epoch, len(pictures), f"window {number}")]
