"""Does the label follow from metadata alone? A small decision tree on sizes, formats and cameras, cross-validated.

A network can learn whatever the pictures of a class have in common, and that need not be what the label names: one camera, one
website, one size. If a tree that never sees a pixel beats the most frequent class, look there first.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reslab.pixels.stored import Unreadable
from reslab.pixels.tiff import Directory

DEPTH, FOLDS = 3, 5
_LEAST = 10  # pictures in a leaf
_CUTS = 32  # thresholds tried for a number
_MOST = 5000  # pictures, drawn at random from more
_VALUES = 16  # most frequent values of a text that get a column
_HEAD = 2**17  # bytes of a file in which an EXIF block is looked for
_TEXT = 64  # bytes of a text
_MAKE, _MODEL, _ASCII = 0x010F, 0x0110, 2


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a file without its pixels."""

    width: int
    height: int
    bytes: int
    format: str
    mode: str
    camera: str
    """Maker and model from EXIF; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Leak:
    """What a decision tree on metadata achieves, by `FOLDS`-fold cross-validation."""

    accuracy: float
    majority: float
    """Accuracy of always answering the most frequent class, over the same pictures."""
    n: int
    asked: tuple[str, ...]
    """What the tree over all pictures asks for, the first question first."""


def camera(file: bytes) -> str:
    """Maker and model of a file's EXIF block; empty where there is none or it is damaged."""
    head = file[:_HEAD]
    at = head.find(b"Exif\0\0")
    block = head[at + 6 :] if at >= 0 else head
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return ""
    try:
        directory = Directory.read(block)
        words = [_text(directory, tag) for tag in (_MAKE, _MODEL)]
    except (struct.error, OverflowError, Unreadable):
        return ""
    return " ".join(word for word in words if word)


def _text(directory: Directory, tag: int) -> str:
    entry = directory.entries.get(tag)
    if entry is None or directory.big:
        return ""
    kind, count, offset = struct.unpack(directory.order + "HII", entry[2:12])
    data = directory.data[offset : offset + min(count, _TEXT)] if count > 4 else entry[8 : 8 + count]
    return data.split(b"\0")[0].decode("ascii", "replace").strip() if kind == _ASCII else ""


def leak(rows: Sequence[Metadata], labels: Sequence[str]) -> Leak | None:
    """Cross-validate a tree that predicts the label from metadata; None for fewer than `FOLDS` x `_LEAST` pictures."""
    if len(rows) < FOLDS * _LEAST or len(set(labels)) < 2:
        return None
    drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:_MOST])
    rows, labels = [rows[i] for i in drawn], [labels[i] for i in drawn]
    columns, names = _columns(rows)
    classes, target = np.unique(labels, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    right = hits = 0
    for number in range(FOLDS):
        seen, held = fold != number, fold == number
        tree = _grow(columns[seen], target[seen], len(classes), DEPTH)
        right += int((_answers(tree, columns[held]) == target[held]).sum())
        hits += int((np.bincount(target[seen]).argmax() == target[held]).sum())
    asked = tuple(dict.fromkeys(names[column] for column in _asked(_grow(columns, target, len(classes), DEPTH))))
    return Leak(right / len(rows), hits / len(rows), len(rows), asked)


def _columns(rows: Sequence[Metadata]) -> tuple[np.ndarray, list[str]]:
    """Numbers as they are, the most frequent values of each text as 0 or 1: float `[n, columns]`, and their names."""
    pixels = np.array([row.width * row.height for row in rows], float)
    numbers = {
        "width": [row.width for row in rows],
        "height": [row.height for row in rows],
        "aspect ratio": [row.width / row.height for row in rows],
        "file size": [row.bytes for row in rows],
        "bytes per pixel": np.array([row.bytes for row in rows]) / pixels,
    }
    columns, names = [np.asarray(values, float) for values in numbers.values()], list(numbers)
    for field in ("format", "mode", "camera"):
        texts = [getattr(row, field) for row in rows]
        for value, _ in Counter(texts).most_common(_VALUES):
            columns.append(np.array([text == value for text in texts], float))
            names.append(f"{field} {value or 'unknown'}")
    return np.stack(columns, axis=1), names


_Tree = tuple  # (class,), or (column, threshold, tree up to it, tree above it)


def _grow(columns: np.ndarray, target: np.ndarray, classes: int, depth: int) -> _Tree:
    """A tree by the Gini impurity (Breiman et al., 1984)."""
    counts = np.bincount(target, minlength=classes)
    leaf = (int(counts.argmax()),)
    if depth == 0 or counts.max() == len(target):
        return leaf
    best, question = (counts**2).sum() / len(target), None
    for column, values in enumerate(columns.T):
        for cut in np.unique(np.quantile(values, np.linspace(0, 1, _CUTS + 2)[1:-1], method="lower")):
            low = values <= cut
            if not _LEAST <= low.sum() <= len(target) - _LEAST:
                continue
            below = np.bincount(target[low], minlength=classes)
            purity = sum((part**2).sum() / part.sum() for part in (below, counts - below))
            if purity > best + 1e-9:
                best, question = purity, (column, cut)
    if question is None:
        return leaf
    low = columns[:, question[0]] <= question[1]
    parts = (_grow(columns[side], target[side], classes, depth - 1) for side in (low, ~low))
    return (*question, *parts)


def _answers(tree: _Tree, columns: np.ndarray) -> np.ndarray:
    if len(tree) == 1:
        return np.full(len(columns), tree[0])
    column, cut, low, high = tree
    return np.where(columns[:, column] <= cut, _answers(low, columns), _answers(high, columns))


def _asked(tree: _Tree) -> list[int]:
    """The columns that a tree asks for, from its root."""
    return [] if len(tree) == 1 else [tree[0], *_asked(tree[2]), *_asked(tree[3])]
