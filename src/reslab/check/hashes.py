"""Propose near-duplicates: hashes of every picture, of its mirror image and of slightly smaller crops, found by sorting.

A hash holds the signs of the 64 lowest frequencies of the cosine transform of the grey picture (pHash: Zauner, 2010,
section 3.2). Hashes that differ in few bits are found as Charikar (2002, section 3) does: permute the bits, sort, and compare
each with those that follow it; some of the permutations bring equal bits to the front. For n pictures that takes n log n steps,
and at most n times a constant candidates, whatever the pictures are.
"""

from collections.abc import Iterator

import numpy as np

from reslab.pixels.rgb import LUMA

SIDE = 32
"""Pictures are compared at `SIDE x SIDE` pixels."""

GREY = LUMA.astype(np.float32)

BITS = 64
_CROP = 0.92  # share of a side that the smaller crops keep: a copy cropped by 10 % is at most 5 % off one of them
_TABLES = 32  # permutations
_FOLLOWING = 8  # hashes that each is compared with in sorted order
_DIFFERENT = 16  # bits in which two hashes may differ
_ALIKE = 0.80  # least cosine between the coefficients of two candidates
_BEST = 8  # candidates that each picture keeps
_MANY = 2**19  # pairs in memory before the best are chosen

_LOW, _HIGH, _MIDDLE, _ALL = (0, _CROP), (1 - _CROP, 1), ((1 - _CROP) / 2, (1 + _CROP) / 2), (0, 1)
_CROPS = ((_ALL, _ALL), (_LOW, _LOW), (_LOW, _HIGH), (_HIGH, _LOW), (_HIGH, _HIGH), (_MIDDLE, _MIDDLE))
VIEWS = tuple((mirrored, crop) for mirrored in (False, True) for crop in _CROPS)
"""(mirrored, ((top, bottom), (left, right))) of each hash of a picture: its part in [0, 1], then mirrored or not."""


def spectra(grey: np.ndarray) -> np.ndarray:
    """The lowest frequencies of every view, each of length 1: float16 `[n, len(VIEWS), BITS]` for grey `[n, SIDE, SIDE]`."""
    places = np.indices((9, 9)).reshape(2, -1)
    lowest = np.argsort(places.sum(0) + 0.01 * abs(places[0] - places[1]), kind="stable")[1 : BITS + 1]
    cosines = np.cos(np.pi * np.arange(9)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE)).astype(np.float32)
    flip = np.where(np.arange(9) % 2, -1, 1)  # a mirrored picture has odd horizontal frequencies of the other sign
    found = np.empty((len(grey), len(VIEWS), BITS), np.float16)
    for number, (mirrored, (rows, columns)) in enumerate(VIEWS):
        values = (cosines @ _crop(*rows)) @ grey @ (cosines @ _crop(*columns)).T
        values = (values * flip if mirrored else values).reshape(len(grey), -1)[:, lowest]
        found[:, number] = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    return found


def _crop(low: float, high: float) -> np.ndarray:
    """The matrix that enlarges a part of a side to the whole side, bilinearly: `[SIDE, SIDE]`."""
    places = (low + (high - low) * (np.arange(SIDE) + 0.5) / SIDE) * SIDE - 0.5
    weights = np.maximum(0, 1 - abs(places[:, None] - np.arange(SIDE)))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def propose(vectors: np.ndarray, owners: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Pairs of vectors that may belong to near-duplicates: int `[pairs, 2]`, one for each pair of pictures.

    Args:
        vectors: float16 `[n, BITS]` of length 1; their signs are the hashes.
        owners: int `[n]`, the picture of each.
        mirrored: bool `[n]`: two mirror images need not be compared.
    """
    hashes = pack(vectors > 0)
    waiting = [np.empty((0, 2), np.int64)]
    for pairs in _neighbours(hashes, owners, mirrored):
        waiting.append(pairs)
        if sum(map(len, waiting)) > _MANY:
            waiting = [_best(np.concatenate(waiting), vectors, owners)]
    return _best(np.concatenate(waiting), vectors, owners)


def pack(bits: np.ndarray) -> np.ndarray:
    """bool `[n, BITS]` as uint64 `[n]`, the first bit the highest."""
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def _neighbours(hashes: np.ndarray, owners: np.ndarray, mirrored: np.ndarray) -> Iterator[np.ndarray]:
    """For each permutation of the bits: pairs of hashes close to each other in sorted order that differ in few bits."""
    draws = np.random.default_rng(0)
    for _ in range(_TABLES):
        permuted = _permuted(hashes, draws.permutation(BITS))
        order = np.argsort(permuted)
        permuted = permuted[order]
        for step in range(1, _FOLLOWING + 1):
            (place,) = np.nonzero(_ones(permuted[step:] ^ permuted[:-step]) <= _DIFFERENT)
            one, other = order[place], order[place + step]
            wanted = (owners[one] != owners[other]) & ~(mirrored[one] & mirrored[other])
            yield np.sort(np.stack([one[wanted], other[wanted]], axis=1), axis=1)


def _ones(words: np.ndarray) -> np.ndarray:
    """How many bits of each word are set."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(words)
    return np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).sum(1)


def _permuted(hashes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The bits of each hash in another order."""
    one, found = np.uint64(1), np.zeros_like(hashes)
    for bit in order.astype(np.uint64):
        found = found << one | hashes >> bit & one
    return found


def _best(pairs: np.ndarray, vectors: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Of each pair of pictures the most similar vectors, and of those the `_BEST` of each picture."""
    first, second = np.divmod(np.unique(pairs[:, 0] * len(vectors) + pairs[:, 1]), len(vectors))
    cosine = np.empty(len(first), np.float32)
    for start in range(0, len(first), 2**16):
        part = slice(start, start + 2**16)
        left, right = vectors[first[part]].astype(np.float32), vectors[second[part]].astype(np.float32)
        cosine[part] = (left * right).sum(1)
    ends = np.sort(np.stack([owners[first], owners[second]]), axis=0)
    order = np.lexsort((-cosine, ends[1], ends[0]))
    order = order[cosine[order] >= _ALIKE]
    new = np.ones(len(order), bool)
    new[1:] = (ends[:, order[1:]] != ends[:, order[:-1]]).any(0)
    order = order[new]
    both, similar = ends[:, order].ravel(), np.tile(cosine[order], 2)
    ranked = np.lexsort((-similar, both))
    starts = np.searchsorted(both[ranked], both[ranked])
    kept = np.unique(ranked[np.arange(len(ranked)) - starts < _BEST] % max(len(order), 1))
    return np.stack([first[order[kept]], second[order[kept]]], axis=1)
