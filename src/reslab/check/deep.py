"""The deeper data check: near-duplicates, pictures that stand out, and labels that follow from something beside the picture.

A `DeepCheck` is given every picture while `data.examine` decodes it, and keeps a small version and a few numbers of each.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from reslab.check.data import Keep, Problem
from reslab.check.hashes import SIDE
from reslab.check.metadata import Leak, Metadata, camera, leak
from reslab.check.near import NearPair, near_pairs, small
from reslab.check.quality import Quality, cropped_share, measure_quality, unusual_pictures
from reslab.data.catalog import SPLITS, Catalog, Picture, Split
from reslab.data.reader import content
from reslab.metrics.intervals import proportion
from reslab.pixels.decode import facts
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Decoded
from reslab.system.events import ignore

_TWIN_BYTES = 16
_CROPPED = 0.15  # mean share outside the central square from which it is worth a note
_ABOVE = 0.05  # what a tree on metadata must add to the majority baseline, beyond chance
_CAMERA_SHARE, _CAMERA_LEAST = 0.8, 5  # of a class from one camera, and the pictures it must have
_NAMED = 0.9  # accuracy of file names from which they are mentioned
_DIGITS = re.compile(r"[\d\W_]+")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the deeper check keeps of one picture."""

    twin: bytes
    """What tells it from other pictures."""
    smalls: Sequence[np.ndarray]
    """The picture, and if it has a border, without it (`near.small`)."""
    quality: Quality | None = None
    metadata: Metadata | None = None


def summarize(picture: Picture, decoded: Decoded, deep: bool) -> Kept:
    """What is kept of a decoded picture.

    Args:
        deep: quality and metadata, too.
    """
    pixels = np.asarray(decoded)
    twin, smalls = fingerprint(pixels, _TWIN_BYTES), small(pixels)
    if not deep:
        return Kept(twin, smalls)
    file = content(picture) if picture.box is None else None
    return Kept(twin, smalls, measure_quality(pixels), None if file is None else _metadata(file))


class DeepCheck:
    """What the deeper check keeps of a data set: 3 KB of each picture."""

    def __init__(self, catalog: Catalog, deep: bool = False) -> None:
        """
        Args:
            deep: keep what `other_problems` and `leak` need, too.
        """
        self.catalog, self._deep = catalog, deep
        self._index = {picture: number for number, picture in enumerate(catalog.pictures)}
        # Below those of the whole pictures, those without their borders; rows that are never written take no memory.
        self._smalls = np.empty((2 * len(self._index), SIDE, SIDE, 3), np.uint8)
        self._bordered: set[int] = set()
        self._names: dict[int, bytes] = {}
        self._quality: dict[int, Quality] = {}
        self._metadata: dict[int, Metadata] = {}

    def keep(self) -> Keep:
        """How the check gives it what it looks at."""
        return Keep(partial(summarize, deep=self._deep), lambda picture, kept, _: self.put(self._index[picture], kept))

    def put(self, number: int, kept: Kept) -> None:
        """Take what was kept of the picture of this number."""
        for row, part in zip((number, number + len(self._index)), kept.smalls, strict=False):
            self._smalls[row] = part
            if row != number:
                self._bordered.add(number)
        self._names[number] = kept.twin
        if kept.quality:
            self._quality[number] = kept.quality
        if kept.metadata:
            self._metadata[number] = kept.metadata

    def near_problems(self, on_progress: Callable[[int], None] = ignore) -> list[Problem]:
        """One problem for each pair of near-duplicates that is named; of equal pictures only the first takes part."""
        first = {self._names[number]: number for number in sorted(self._names, reverse=True)}
        ours = sorted(first.values())
        owners = np.array(ours + [number for number in ours if number in self._bordered], np.int64)
        rows = owners + len(self._index) * (np.arange(len(owners)) >= len(ours))
        pairs = near_pairs(self._smalls, rows, owners, on_progress)
        return [self._pair(pair) for pair in _named(pairs, [picture.split for picture in self.catalog.pictures])]

    def _pair(self, pair: NearPair) -> Problem:
        one, other = (self.catalog.pictures[number] for number in (pair.first, pair.second))
        mirrored = " in the mirror" if pair.mirrored else ""
        detail = f"looks like {other.key}{mirrored}: similarity {pair.similarity:.2f}"
        if one.split != other.split:
            detail += f"; in {one.split} and in {other.split}"
        if one.label != other.label:
            detail += f"; labelled {one.label or 'nothing'} and {other.label or 'nothing'}"
        kind = "near duplicate" if one.split == other.split else "near duplicate across splits"
        return Problem(kind, one.key, detail, "warning", other.key)

    def other_problems(self) -> list[Problem]:
        """Pictures that stand out, and what predicts the label beside the picture."""
        keys = [(self.catalog.pictures[number].key, seen) for number, seen in sorted(self._quality.items())]
        problems = [Problem(kind, key, detail, "note") for kind, key, detail in unusual_pictures(keys)]
        share, many = cropped_share(self._quality.values())
        if share > _CROPPED:
            detail = f"a centre crop throws away {share:.0%} of the pixels on average"
            detail += f" ({many:,} lose more than 40 %)" if many else ""
            detail += "; --resize pad keeps everything"
            problems.append(Problem("centre crop", self.catalog.root, detail, "note"))
        return problems + list(self._about_labels())

    def _about_labels(self) -> Iterator[Problem]:
        root = self.catalog.root
        found = self.leak
        if found and proportion(round(found.accuracy * found.n), found.n).low > found.majority + _ABOVE:
            detail = (
                f"{' and '.join(found.asked)} alone predict {found.accuracy:.1%} of the labels, the most frequent class "
                f"{found.majority:.1%} (n = {found.n:,}): a network may learn how the pictures were made"
            )
            yield Problem("label from metadata", root, detail, "warning")
        for label, name, n in _cameras([(p.label, self._metadata[i].camera) for i, p in self._with_metadata()]):
            yield Problem(
                "one camera", label, f"{n:,} of its pictures come from {name}, and none of another class", "warning"
            )
        share = _names_tell([(p.label, Path(p.key).stem) for p in self.catalog.pictures])
        if share > _NAMED:
            detail = f"file names without their digits name {share:.1%} of the labels; shuffle them before people label again"
            yield Problem("label in file name", root, detail, "note")

    @cached_property
    def leak(self) -> Leak | None:
        """The accuracy of a tree on metadata; None without `deep` or with few files. Several labels count as one together."""
        rows = self._with_metadata()
        return leak([self._metadata[number] for number, _ in rows], [picture.label for _, picture in rows])

    def _with_metadata(self) -> list[tuple[int, Picture]]:
        return [(number, self.catalog.pictures[number]) for number in sorted(self._metadata)]


def _metadata(file: bytes) -> Metadata:
    header = facts(file)
    return Metadata(header.width, header.height, len(file), header.format, header.mode, camera(file))


def _named(pairs: Sequence[NearPair], splits: Sequence[Split | None]) -> Iterator[NearPair]:
    """Of each picture the most similar one of its split and, outside train, the most similar one of each earlier split.

    In a group of many copies that is about one pair for each, not one for any two.
    """
    order = (None, *SPLITS)
    met: set[tuple[int, Split | None]] = set()
    for pair in pairs:
        ends = [(pair.first, splits[pair.second]), (pair.second, splits[pair.first])]
        later = max(order.index(splits[pair.first]), order.index(splits[pair.second]))
        ends = [(number, split) for number, split in ends if order.index(splits[number]) == later]
        if not met.issuperset(ends):
            yield pair
        met.update(ends)


def _cameras(rows: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, int]]:
    """(class, camera, pictures) where most pictures of a class come from a camera that took no other class."""
    totals = Counter(label for label, _ in rows)
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for label, name in rows:
        classes[name][label] += 1
    for name, counts in sorted(classes.items()):
        (label, n), *others = counts.most_common(2)
        if name and not others and n >= max(_CAMERA_LEAST, _CAMERA_SHARE * totals[label]) and len(totals) > 1:
            yield label, name, n


def _names_tell(rows: Sequence[tuple[str, str]]) -> float:
    """The share of labels that follow from the other pictures whose names are equal but for digits and punctuation."""
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    words = [_DIGITS.sub(" ", stem).strip().casefold() for _, stem in rows]
    for (label, _), word in zip(rows, words, strict=True):
        classes[word][label] += 1
    leading = {word: counts.most_common(2) for word, counts in classes.items() if word}
    right = 0
    for (label, _), word in zip(rows, words, strict=True):
        (most, n), *next_most = leading.get(word, [("", 0)])
        right += n > 1 and label == most and n - 1 > (next_most[0][1] if next_most else 0)
    return right / max(len(rows), 1)
