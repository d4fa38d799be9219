"""The data check: it reads every picture once, writes nothing, and reports what is wrong and what to do about it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from reslab.check.metadata import Leak
from reslab.data.catalog import Catalog, Picture, Split
from reslab.data.processes import map_in_processes
from reslab.data.reader import content, load_decoded, map_in_order
from reslab.data.splits import FINER, LONELY, lonely_groups
from reslab.errors import BadPicture, nearest
from reslab.pixels.decode import Facts, facts
from reslab.pixels.fingerprint import FINGERPRINT_BYTES, fingerprint
from reslab.pixels.preprocess import Decoded
from reslab.system.machine import default_workers
from reslab.tasks.table import task_named
from reslab.tasks.task import Severity, Task

Seen = tuple[bytes, list["Problem"]]
"""What tells a picture from others, empty for an unreadable one, and what it shows."""

IMBALANCE = 10
"""Most to least frequent class: beyond this the majority baseline is worth a warning."""

_AHEAD = 32  # pictures of a thread that are looked at before they are judged
_MANY, _MOST_PROCESSES = 5000, 8  # files from which starting processes is worth it, and how many are started
_SEVERITIES = ("error", "warning", "note")
_BLANK = 8  # grey levels: a deep picture with less contrast than this came out almost uniform
_DARK = 64  # a deep picture without a brighter level came out dark: its samples use 14 bits or fewer of the 16
_ROW_BYTES = 11  # of the middle row's hash: with the fingerprint no chance match among any number of pictures
_BLOCKING = ("unreadable", "unknown class", "empty class", "one class")


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding."""

    kind: str
    path: str
    """The picture, class or split that it is about."""
    detail: str
    severity: Severity
    other: str = ""
    """The second picture of a pair."""

    @property
    def blocks_training(self) -> bool:
        """Training cannot start, or would not mean anything, until this is fixed."""
        return self.kind in _BLOCKING and self.severity == "error"


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept of each picture, so that it is not decoded again."""

    prepare: Callable[[Picture, Decoded], Any]
    """Makes it of a decoded picture: in a thread, or pickled, in another process."""
    take: Callable[[Picture, Any, bytes], None]
    """Takes it, and the picture's fingerprint, in the order of the pictures."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found."""

    images: int
    classes: dict[str, int]
    problems: tuple[Problem, ...]
    majority_baseline: float
    """The score without looking at the pictures: accuracy of always answering the most frequent class; where pictures have
    several labels, mean average precision of a random ranking, which is the labels' mean prevalence."""
    skipped: dict[str, int]
    task: str = "single"
    """What a label is (`reslab.tasks`)."""
    metadata: Leak | None = None
    """Of the deeper check: how well a tree that sees no pixel predicts the label."""

    @property
    def ok(self) -> bool:
        return not any(p.severity == "error" for p in self.problems)

    def unreadable(self) -> list[str]:
        """Keys of pictures that cannot be decoded."""
        return [p.path for p in self.problems if p.kind == "unreadable"]


def examine(
    catalog: Catalog,
    keep: Keep | None = None,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Verdict:
    """Check a data set whose splits are assigned.

    Args:
        keep: what is kept of every picture that can be read.
        on_progress: called with the number of pictures that were checked since the last call.
    """
    return judge(catalog, look_at(catalog.pictures, keep, workers), on_progress)


def look_at(pictures: Sequence[Picture], keep: Keep | None = None, workers: int | None = None) -> Iterator[Seen]:
    """Read every picture, and say what it shows by itself; many files are read in several processes."""
    look = partial(_look, keep.prepare if keep else None)
    workers = default_workers() if workers is None else workers
    if workers > 1 and len(pictures) >= _MANY and all(isinstance(picture.source, Path | str) for picture in pictures):
        found = map_in_processes(look, pictures, min(workers, _MOST_PROCESSES))
    else:
        found = map_in_order(look, pictures, workers, ahead=_AHEAD * max(workers, 1))
    for picture, (name, problems, kept) in zip(pictures, found, strict=True):
        if keep and name:
            keep.take(picture, kept, name[:FINGERPRINT_BYTES])
        yield name, problems


def _look(prepare: Callable[[Picture, Decoded], Any] | None, picture: Picture) -> tuple[bytes, list[Problem], Any]:
    """What a picture shows by itself, and what is kept of it."""
    try:
        file = content(picture)
        pixels = load_decoded(picture, file)
    except BadPicture as error:
        return b"", [Problem("unreadable", picture.key, error.reason, "error")], None
    row = _middle_row(pixels)
    name = fingerprint(pixels) + blake2b(row.tobytes(), digest_size=_ROW_BYTES).digest()
    problems = list(_about_picture(picture, file, pixels, row))
    return name, problems, prepare(picture, pixels) if prepare else None


def judge(catalog: Catalog, seen: Iterable[Seen], on_progress: Callable[[int], None] | None = None) -> Verdict:
    """What is wrong with a data set whose pictures have been looked at.

    Args:
        seen: of each picture, in the catalog's order.
        on_progress: called with the number of pictures that were judged since the last call.
    """
    task = task_named(catalog.task)
    problems = _about_classes(catalog, task) + _about_groups(catalog) + _about_reading(catalog)
    problems += [Problem(*found) for found in task.oddities(catalog)]
    first: dict[bytes, Picture] = {}
    twins: dict[bytes, list[Picture]] = {}
    for picture, (name, found) in zip(catalog.pictures, seen, strict=True):
        problems += found
        if name and (other := first.setdefault(name, picture)) is not picture:
            twins.setdefault(name, [other]).append(picture)
        if on_progress:
            on_progress(1)
    problems += [p for group in twins.values() for p in _about_twins(group)]
    counts = catalog.counts()
    return Verdict(
        images=len(catalog.pictures),
        classes={name: counts[name] for name in sorted(counts)},
        problems=worst_first(problems),
        majority_baseline=task.chance(counts, len(catalog.pictures)),
        skipped=catalog.skipped,
        task=task.name,
    )


def worst_first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Errors, then warnings, then notes; each by kind and path."""
    return tuple(sorted(problems, key=lambda p: (_SEVERITIES.index(p.severity), p.kind, p.path)))


def _about_classes(catalog: Catalog, task: Task) -> list[Problem]:
    """Names and numbers: what can be said without opening a file."""
    known = {label for p in catalog.split("train") for label in catalog.labels_of(p)}
    problems = [Problem("empty class", name, task.empty_class, "error") for name, _ in catalog.empty_classes]
    if len(known) < 2:
        have = "have one class only" if known else "are missing"
        detail = f"the training pictures {have}; a classifier needs two classes or more"
        problems.append(Problem("one class", next(iter(known), "train"), detail, "error"))
    for split in ("val", "test"):
        problems += _about_split(catalog, split, known, task) if known else []
    counts = catalog.counts()
    for first, second in pairwise(sorted(counts, key=lambda name: (name.casefold(), name))):
        if first.casefold() == second.casefold():
            detail = f"only capitals tell it from {second!r}; Windows and macOS would mix them up"
            problems.append(Problem("similar classes", first, detail, "warning"))
    if counts and max(counts.values()) > IMBALANCE * min(counts.values()):
        (most, high), (least, low) = counts.most_common()[0], counts.most_common()[-1]
        detail = f"{high} pictures against {low} of {least!r}{task.imbalance(counts)}"
        problems.append(Problem("imbalance", most, detail, "warning"))
    return problems


def _about_split(catalog: Catalog, split: Split, known: set[str], task: Task) -> list[Problem]:
    """Classes are matched by name: an unknown one cannot be scored, a missing one leaves a hole in the score."""
    pictures = catalog.split(split)
    here = {label: p for p in reversed(pictures) for label in catalog.labels_of(p)}
    problems = []
    for label in sorted(here.keys() - known):
        detail = f"train has no class {label!r} ({here[label].key}); {nearest(label, known)}"
        problems.append(Problem("unknown class", f"{split}: {label}", detail, "error"))
    if pictures:
        lonely = dict(lonely_groups(catalog.pictures))
        for label in sorted(known - here.keys()):
            why = f": {LONELY.format(n=lonely[label])}" if label in lonely else ""
            detail = f"no picture of it in {split}{why}, so its score there is unknown{task.without_pictures(split)}"
            problems.append(Problem("missing class", f"{split}: {label}", detail, "warning"))
    return problems


def _about_reading(catalog: Catalog) -> list[Problem]:
    """What was written untidily, or may have been meant otherwise."""
    problems = [Problem(kind, catalog.root, where, "note") for kind, where in catalog.remarks]
    return problems + [Problem(kind, catalog.root, detail, "warning") for kind, detail in catalog.doubts]


def _about_groups(catalog: Catalog) -> list[Problem]:
    """Data that declare their splits may divide a patient or a video; what we divide ourselves never is."""
    lonely = [] if catalog.split("val") or catalog.split("test") else lonely_groups(catalog.pictures)
    problems = [Problem("one group", label, f"{LONELY.format(n=n)}; {FINER}", "error") for label, n in lonely]
    splits: dict[str, set[str]] = defaultdict(set)
    for picture in catalog.pictures:
        if picture.group is not None and picture.split is not None:
            splits[picture.group].add(picture.split)
    return problems + [
        Problem("divided group", group, f"its pictures lie in {' and '.join(sorted(found))}", "warning")
        for group, found in sorted(splits.items())
        if len(found) > 1
    ]


def _middle_row(pixels: Decoded) -> np.ndarray:
    """uint8 `[width, 3]`."""
    if isinstance(pixels, np.ndarray):
        return np.ascontiguousarray(pixels[len(pixels) // 2])
    middle = pixels.height // 2
    return np.asarray(pixels.crop((0, middle, pixels.width, middle + 1)))[0]


def _about_picture(picture: Picture, file: bytes | None, pixels: Decoded, row: np.ndarray) -> Iterable[Problem]:
    """What one picture shows; all of its pixels are looked at only where `row` or the header gives a reason."""
    if (row == row[0]).all() and (np.asarray(pixels) == row[0]).all():
        detail = f"every pixel comes out as {tuple(row[0].tolist())}; look at it: it may be all transparent"
        yield Problem("one colour", picture.key, detail, "note")
    if file is None:
        return
    header = facts(file)
    for kind, detail in _oddities(header):
        yield Problem(kind, picture.key, detail, "note")
    if not header.deep:
        return
    levels = np.asarray(pixels)
    low, high = int(levels.min()), int(levels.max())
    if high - low < _BLANK or high <= _DARK:
        detail = (
            f"a {header.mode} picture that comes out at levels {low} to {high} of 255; its samples may not fill 16 bits"
        )
        yield Problem("almost blank", picture.key, detail, "warning")


def _oddities(header: Facts) -> Iterable[tuple[str, str]]:
    """Read rightly here, but other tools may see something else."""
    if header.frames > 1:
        yield "animation", f"{header.format} with {header.frames} frames; the first one counts"
    elif header.format == "GIF":
        yield "gif", "256 colours at most; among photographs often a placeholder: look at it"
    if header.rotated:
        yield "exif rotation", "stored turned; shown upright, as its EXIF block asks"
    if header.mode not in ("RGB", "L", "P"):
        yield "colour mode", f"stored as {header.mode}; read as RGB"


def _about_twins(group: list[Picture]) -> Iterable[Problem]:
    """The same pixels more than once."""
    labels = sorted({p.label for p in group})
    if len(labels) > 1:
        names = " = ".join(p.key for p in group)
        detail = f"the same picture as {' and '.join(label or 'no label' for label in labels)}: {names}"
        yield Problem("conflicting labels", group[0].key, detail, "error")
    for first, second in pairwise(group):
        if first.split != second.split:
            detail = f"the same picture as {second.key}: in {first.split} and in {second.split}"
            yield Problem("duplicate across splits", first.key, detail, "error", second.key)
        else:
            yield Problem("duplicate", first.key, f"the same picture as {second.key}", "warning", second.key)
