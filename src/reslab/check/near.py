"""Near-duplicates: copies that were resized, re-encoded, brightened, mirrored, cropped a little or given a border.

A hash proposes (`hashes`), aligned pixels decide (`align`). Thresholds were chosen on CIFAR-10's training pictures and on copies
made of them (docs/en/reference/data_check.md).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reslab.check.align import similarities
from reslab.check.hashes import BITS, GREY, SIDE, VIEWS, propose, spectra
from reslab.data.reader import map_in_order
from reslab.pixels.preprocess import resized
from reslab.system.events import ignore
from reslab.system.machine import default_workers

NEAR = 0.55
"""Similarity from which two pictures count as near-duplicates."""

_LARGE = 8 * SIDE  # longest side at which a border is looked for, in pixels
_FLAT, _SAME = 24, 12  # grey levels: spread within a line of a border, and difference between its lines
_BORDER = 4  # a border takes at most one fourth of a side
_BLOCK = 2048  # pictures, or pairs, at a time


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two pictures that show the same, by their positions."""

    first: int
    second: int
    similarity: float
    mirrored: bool


def small(picture: np.ndarray) -> list[np.ndarray]:
    """A picture at `SIDE x SIDE` pixels, uint8 `[SIDE, SIDE, 3]`, and again without its border if it has one."""
    height, width = picture.shape[:2]
    if max(height, width) > _LARGE:
        scale = _LARGE / max(height, width)
        picture = resized(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
    inner = _without_border(picture)
    parts = [picture] if inner.shape == picture.shape else [picture, inner]
    return [part if part.shape[:2] == (SIDE, SIDE) else resized(part, (SIDE, SIDE)) for part in parts]


def _without_border(picture: np.ndarray) -> np.ndarray:
    for _ in range(2):  # rows, then columns
        picture = picture.transpose(1, 0, 2)
        low, high = _flat_lines(picture), _flat_lines(picture[::-1])
        picture = picture[low : len(picture) - high]
    return np.ascontiguousarray(picture)


def _flat_lines(picture: np.ndarray) -> int:
    """Rows of one colour at the top."""
    lines = picture[: len(picture) // _BORDER].astype(np.int16)
    if not len(lines):
        return 0
    flat = (np.ptp(lines, axis=1) <= _FLAT).all(1) & (abs(lines.mean(1) - lines[0].mean(0)) <= _SAME).all(1)
    return len(lines) if flat.all() else int(flat.argmin())


def near_pairs(
    smalls: np.ndarray, rows: np.ndarray, owners: np.ndarray, on_progress: Callable[[int], None] = ignore
) -> list[NearPair]:
    """All pairs of near-duplicates, the most similar first.

    Args:
        smalls: uint8 `[m, SIDE, SIDE, 3]`, of `small`.
        rows: int `[n]`: those that take part; no two pictures among them are equal.
        owners: int `[n]`: the picture of each.
        on_progress: called with the number of candidates that were compared since the last call.
    """
    views = len(VIEWS)
    vectors = np.empty((len(rows), views, BITS), np.float16)
    for start in range(0, len(rows), _BLOCK):
        vectors[start : start + _BLOCK] = spectra(smalls[rows[start : start + _BLOCK]] @ GREY)
    mirrored = np.tile([view[0] for view in VIEWS], len(rows))
    pairs = propose(vectors.reshape(-1, BITS), np.repeat(owners, views), mirrored)
    del vectors
    boxes = np.array([_box(*view) for view in VIEWS], np.float32)

    def compare(block: np.ndarray) -> np.ndarray:
        one, other = (_turned(smalls[rows[block[:, side] // views]], mirrored[block[:, side]]) for side in (0, 1))
        return similarities(one, other, boxes[block % views])

    workers = default_workers()
    blocks = [pairs[start : start + _BLOCK] for start in range(0, len(pairs), _BLOCK)]
    found = []
    for block, alike in zip(blocks, map_in_order(compare, blocks, workers, ahead=workers), strict=True):
        (place,) = np.nonzero(alike >= NEAR)
        ends, flips = np.sort(owners[block[place] // views], axis=1), mirrored[block[place]]
        hits = zip(ends.tolist(), alike[place].tolist(), (flips[:, 0] != flips[:, 1]).tolist(), strict=True)
        found += [NearPair(first, second, value, flip) for (first, second), value, flip in hits]
        on_progress(len(block))
    return sorted(found, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def _box(mirrored: bool, crop: tuple) -> tuple:
    """The crop of a view, as it lies in the picture that is mirrored first."""
    rows, (left, right) = crop
    return (rows, (1 - right, 1 - left)) if mirrored else (rows, (left, right))


def _turned(pictures: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    return np.where(mirrored[:, None, None, None], pictures[:, :, ::-1], pictures)
