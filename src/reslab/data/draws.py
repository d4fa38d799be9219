"""Stateless random numbers: a draw is a pure function of (seed, stream, epoch, index).

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", table 2), vectorised over the indices.
So the number of workers, a restart or a second process can never change what a picture looks like.
"""

import zlib

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_ROUNDS = 10
_AT_ONCE = 2**16  # draws of a permutation: 150 bytes each while they are made


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10.

    Args:
        counter: uint64 `[..., 4]` holding 32-bit words.
        key: two 32-bit words.

    Returns:
        uint64 `[..., 4]` holding 32-bit words.
    """
    c0, c1, c2, c3 = (counter[..., word].astype(np.uint64) for word in range(4))
    k0, k1 = (np.uint64(word) for word in key)
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=-1)


def uniforms(seed: int, stream: str, epoch: int, indices: np.ndarray, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) for each index.

    Args:
        seed: any integer; its low 64 bits count.
        stream: what the numbers are for; two purposes never share a draw.
        epoch, indices: which pass, and which pictures.

    Returns:
        float64 `[len(indices), count]`.
    """
    blocks = -(-count // 4)  # each counter gives four words
    counter = np.zeros((len(indices), blocks, 4), dtype=np.uint64)
    counter[..., 0] = np.asarray(indices, dtype=np.uint64)[:, None] & _LOW
    counter[..., 1] = np.uint64(epoch)
    counter[..., 2] = np.arange(blocks, dtype=np.uint64)
    counter[..., 3] = np.uint64(zlib.crc32(stream.encode()))
    words = philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    return words.reshape(len(indices), blocks * 4)[:, :count] / 2.0**32


def balanced_order(seed: int, epoch: int, labels: np.ndarray) -> np.ndarray:
    """As many visits as there are pictures, spread evenly over the classes (they differ by one at most).

    Pictures of large classes take turns from epoch to epoch; those of small classes are visited several times, equally
    often within a class (again, up to one visit).

    Args:
        labels: int `[n]`.

    Returns:
        int64 `[n]`: `index + n * visit`, so that each visit to a picture has draws of its own.
    """
    n, classes = len(labels), np.unique(labels)
    visits = []
    for place, label in enumerate(classes):
        # The visits left over by the division go to other classes in every epoch.
        quota = n // len(classes) + ((place + epoch) % len(classes) < n % len(classes))
        members = np.flatnonzero(labels == label)
        again = members + n * np.arange(-(-quota // len(members)))[:, None]
        ranks = uniforms(seed, "turn", epoch, again.ravel(), 1).reshape(again.shape).argsort(axis=1, kind="stable")
        visits.append(np.take_along_axis(again, ranks, axis=1).ravel()[:quota])
    chosen = np.concatenate(visits)
    return chosen[np.argsort(uniforms(seed, "order", epoch, chosen, 1)[:, 0], kind="stable")]


def permutation(seed: int, epoch: int, count: int, stream: str = "order") -> np.ndarray:
    """The numbers below `count` in an order drawn for this epoch and stream, int64 `[count]`."""
    draws = np.empty(count)
    for start in range(0, count, _AT_ONCE):
        indices = np.arange(start, min(start + _AT_ONCE, count))
        draws[indices] = uniforms(seed, stream, epoch, indices, 1)[:, 0]
    return np.argsort(draws, kind="stable")


def steps_per_epoch(pictures: int, batch_size: int) -> int:
    """Batches of at most `batch_size`; none of a single picture where that can be avoided (batch norm)."""
    steps = -(-pictures // batch_size)
    return max(1, min(steps, pictures // 2)) if batch_size > 1 else steps
