"""What there is: pictures with labels by name and, once assigned, splits. Nothing is decoded or written here."""

import dataclasses
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from reslab.errors import BadPicture

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

SPLIT_WORDS: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What people call the splits, in lower case."""

SEPARATOR = ";"
"""Between the labels of a picture that may have several."""


def split_labels(label: str) -> tuple[str, ...]:
    """The labels of a picture that may have several: `cat;outdoor` names two, an empty text none."""
    return tuple(label.split(SEPARATOR)) if label else ()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One labelled picture of a data set."""

    key: str
    """Its stable name: the path inside the data folder with forward slashes, or `digits/0042`."""

    source: Path | bytes | np.ndarray | BadPicture
    """A file, a file's content, the picture itself as uint8 `[height, width, 3]`, or why there is none."""

    label: str
    """Its class; in a set where pictures may have several labels, all of them in sorted order: `cat;outdoor`."""

    split: Split | None = None
    """The split that the data itself declares, then the one it was assigned to."""

    group: str | None = None
    """Pictures of one group (patient, video, burst) stay on one side of a split."""

    box: tuple[int, int, int, int] | None = None
    """The part that counts: left, upper, width, height in pixels."""

    fold: int | None = None
    """Which fold of a cross-validation judges it, from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """One data set."""

    name: str
    root: str
    """Where it lies, as the person wrote it."""

    pictures: tuple[Picture, ...]

    skipped: dict[str, int] = field(default_factory=dict)
    """What was passed over while reading, counted by reason."""

    empty_classes: tuple[tuple[str, Split | None], ...] = ()
    """Class folders (or columns) without a single picture, and the split that each stands in."""

    mirrored: bool = True
    """Whether a mirror image keeps its label. False for digits and letters: such data are never flipped."""

    task: str = "single"
    """What a label is: `single`, exactly one for each picture; `multi`, any number, none included (`reslab.tasks`)."""

    remarks: tuple[tuple[str, str], ...] = ()
    """What was written untidily and understood all the same: a word for it, and where."""

    doubts: tuple[tuple[str, str], ...] = ()
    """What was taken for what it seemed to be, and should be looked at: a word for it, and how it was taken."""

    def labels_of(self, picture: Picture) -> tuple[str, ...]:
        """The labels of a picture: exactly one, unless the task is `multi`."""
        return split_labels(picture.label) if self.task == "multi" else (picture.label,)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in sorted order, over all splits."""
        return tuple(sorted(self.counts()))

    @property
    def declares_splits(self) -> bool:
        """The data came divided; nothing is then moved between its parts."""
        return any(p.split for p in self.pictures)

    def split(self, name: Split) -> tuple[Picture, ...]:
        """The pictures of one split."""
        return tuple(p for p in self.pictures if p.split == name)

    def counts(self) -> Counter[str]:
        """Pictures per class."""
        return Counter(label for p in self.pictures for label in self.labels_of(p))

    def only(self, splits: Collection[Split]) -> "Catalog":
        """The catalog of some splits: what `train` may look at has no `test` in it."""
        pictures = tuple(p for p in self.pictures if p.split in splits)
        empty = tuple((name, split) for name, split in self.empty_classes if split is None or split in splits)
        return dataclasses.replace(self, pictures=pictures, empty_classes=empty)

    def with_fold(self, number: int) -> "Catalog":
        """The catalog of one fold: its pictures validate, those of the other folds train. In fold 0, all of them train."""
        pictures = tuple(
            p if p.fold is None else dataclasses.replace(p, split="val" if p.fold == number else "train")
            for p in self.pictures
        )
        return dataclasses.replace(self, pictures=pictures)

    def without(self, keys: Collection[str]) -> "Catalog":
        """The catalog less some pictures."""
        return dataclasses.replace(self, pictures=tuple(p for p in self.pictures if p.key not in keys))
