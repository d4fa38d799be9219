"""The pictures of a data set, with their labels and, once assigned, their splits. Nothing is decoded or written here."""

import dataclasses
from abc import ABC, abstractmethod
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
"""Common names of the splits, in lower case."""

SEPARATOR = ";"
"""Separates the labels of a picture that may have several."""


def split_labels(label: str) -> tuple[str, ...]:
    """The labels of a picture that may have several: `cat;outdoor` names two, an empty text none."""
    return tuple(label.split(SEPARATOR)) if label else ()


class Member(ABC):
    """A file inside an archive (`reslab.data.archives`), read when it is needed."""

    __slots__ = ()

    @abstractmethod
    def read(self) -> bytes:
        """Its content, undecoded; may be called from several threads.

        Raises:
            Unreadable: this file is damaged, missing or too large (`pixels.stored`).
            ResLabError: the archive as a whole cannot be read.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One labelled picture of a data set."""

    key: str
    """Its stable name: the path inside the data folder with forward slashes, or `digits/0042`."""

    source: Path | str | bytes | Member | np.ndarray | BadPicture
    """A file's path, a file's content, a file inside an archive, the picture itself as uint8 `[height, width, 3]`, or why there
    is none."""

    label: str
    """Its class; in a set with several labels per picture, all of them in sorted order: `cat;outdoor`."""

    split: Split | None = None
    """The split that the data declare or, later, the one it was assigned to."""

    group: str | None = None
    """Pictures of one group (patient, video, burst) stay in one split."""

    box: tuple[int, int, int, int] | None = None
    """The part of the picture that is used: left, upper, width, height in pixels."""

    fold: int | None = None
    """The fold of a cross-validation that validates on it, from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """One data set."""

    name: str
    root: str
    """Its location, as the user wrote it."""

    pictures: tuple[Picture, ...]

    skipped: dict[str, int] = field(default_factory=dict)
    """What was skipped while reading, counted by reason."""

    empty_classes: tuple[tuple[str, Split | None], ...] = ()
    """Class folders (or columns) without any picture, and the split of each."""

    mirrored: bool = True
    """Whether a mirror image keeps its label. False for digits and letters: such data are never flipped."""

    task: str = "single"
    """What a label is: `single`, exactly one for each picture; `multi`, any number, none included (`reslab.tasks`)."""

    remarks: tuple[tuple[str, str], ...] = ()
    """What was written irregularly but is unambiguous: a word for it, and where."""

    doubts: tuple[tuple[str, str], ...] = ()
    """What was read as it most likely was meant, and should be checked: a word for it, and how it was read."""

    corrections: tuple[tuple[str, str], ...] = ()
    """Key and label of the pictures whose label was corrected (`data.corrections`); no label where one was left out."""

    def labels_of(self, picture: Picture) -> tuple[str, ...]:
        """The labels of a picture: exactly one, unless the task is `multi`."""
        return split_labels(picture.label) if self.task == "multi" else (picture.label,)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in sorted order, over all splits."""
        return tuple(sorted(self.counts()))

    @property
    def declares_splits(self) -> bool:
        """Whether the data come with splits; no picture is then moved to another one."""
        return any(p.split for p in self.pictures)

    def split(self, name: Split) -> tuple[Picture, ...]:
        """The pictures of one split."""
        return tuple(p for p in self.pictures if p.split == name)

    def counts(self) -> Counter[str]:
        """Pictures per class."""
        return Counter(label for p in self.pictures for label in self.labels_of(p))

    def only(self, splits: Collection[Split]) -> "Catalog":
        """The catalog of some splits: training gets one without `test`."""
        pictures = tuple(p for p in self.pictures if p.split in splits)
        empty = tuple((name, split) for name, split in self.empty_classes if split is None or split in splits)
        return dataclasses.replace(self, pictures=pictures, empty_classes=empty)

    def with_fold(self, number: int) -> "Catalog":
        """The catalog of one fold: its pictures are for validation, those of the others for training; all of them in fold 0."""
        pictures = tuple(
            p if p.fold is None else dataclasses.replace(p, split="val" if p.fold == number else "train")
            for p in self.pictures
        )
        return dataclasses.replace(self, pictures=pictures)

    def without(self, keys: Collection[str]) -> "Catalog":
        """The catalog without some pictures."""
        return dataclasses.replace(self, pictures=tuple(p for p in self.pictures if p.key not in keys))
