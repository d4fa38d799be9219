"""Assign every picture to train, validation or test by a hash of its name, so that adding files moves no other picture.

(split seed, group or key) is hashed to [0, 1): below 0.1 test, the next `val` validation, else train. The test range is
fixed, so that `--val` never moves a test picture. Only where chance leaves a small class without a training, a validation
or (from three pictures on) a test picture is one moved there. A picture with several labels counts for each of them;
where they compete for it, every label keeps a training picture first.
"""

import dataclasses
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from reslab.data.catalog import SPLITS, Catalog, Picture, Split
from reslab.errors import ResLabError

TEST_FRACTION, DEFAULT_VAL = 0.1, 0.1
MAX_VAL = 0.8


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How a data set is found and split. What is None is left open: to a model's record, then to the default."""

    data_dir: str | None = None
    """Where a named set lies."""
    val: float | None = None
    """Share of the pictures that validates."""
    seed: int | None = None
    group_by: str | None = None
    skip_bad: bool | None = None
    """Leave unreadable pictures out."""
    folds: int = 0
    fold: int = 0

    @classmethod
    def recorded(cls, values: Mapping[str, Any]) -> Self:
        """The split (without folds) in the config of a run, the header of a model file, or the options of a command."""
        get = values.get
        return cls(get("data_dir"), get("val"), get("split_seed"), get("group_by"), get("skip_bad"))

    def or_else(self, other: Self) -> Self:
        """This one, with what it leaves open taken from another."""
        open_fields = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) is None]
        return dataclasses.replace(self, **{name: getattr(other, name) for name in open_fields})

    def apply(self, catalog: Catalog) -> Catalog:
        """The catalog with every picture in a split; in a cross-validation also in a fold."""
        val = DEFAULT_VAL if self.val is None else self.val
        catalog = assign_splits(catalog, val, self.seed or 0, self.group_by)
        return assign_folds(catalog, self.folds, self.fold, self.seed or 0) if self.folds else catalog


def assign_splits(catalog: Catalog, val: float = DEFAULT_VAL, seed: int = 0, group_by: str | None = None) -> Catalog:
    """The catalog with every picture in a split.

    Data that declare their own splits keep them; only a missing validation split is carved from `train`.

    Args:
        val: the share of pictures that validate; 0 keeps them all for training.
        seed: the split seed, apart from the training seed.
        group_by: a regular expression on the key (its first group, or the whole match), or `parent` for the folder.

    Raises:
        ResLabError: `group_by` is no regular expression or matches no key; `val` is not in [0, 0.8].
    """
    if not 0 <= val <= MAX_VAL:
        raise ResLabError(f"--val {val:g} is not between 0 and {MAX_VAL}", "give a fraction such as 0.1, or none")
    pictures = _grouped(catalog.pictures, group_by)
    if not catalog.declares_splits:
        splits = _assign(catalog, pictures, (("test", TEST_FRACTION), ("val", val)), seed)
    else:
        declared: dict[str, Split] = {p.key: p.split or "train" for p in pictures}
        splits = dict(declared)
        if "val" not in declared.values() and val > 0:
            trainers = [p for p in pictures if declared[p.key] == "train"]
            splits |= _assign(catalog, trainers, (("val", val),), seed)
    return dataclasses.replace(catalog, pictures=tuple(dataclasses.replace(p, split=splits[p.key]) for p in pictures))


def assign_folds(catalog: Catalog, folds: int, fold: int = 0, seed: int = 0) -> Catalog:
    """The catalog dealt out for cross-validation: of what does not test, every picture is in one fold.

    Without groups the folds differ by at most one picture, in all and in each class; with groups, which are never
    divided, they are made as even as taking the largest groups first allows. Balance and hashes decide, so a new picture
    may move others to another fold; none of them moves to or from the test split.

    Args:
        catalog: splits assigned; training and validation pictures are one pool.
        fold: the one that validates, from 1; of fold 0 all train.

    Raises:
        ResLabError: fewer than two folds, more than a class has pictures (or groups), or no such fold.
    """
    pool = [p for p in catalog.pictures if p.split != "test"]
    if folds < 2:
        raise ResLabError(f"--folds {folds} divides nothing", "give 2 or more, such as --folds 5")
    if not 0 <= fold <= folds:
        raise ResLabError(f"there is no fold {fold} of {folds}", f"--fold goes from 1 to {folds}")
    if pool and folds > (most := most_folds(pool)):
        label = min((len(units), label) for label, units in _units_by_class(pool).items())[1]
        kind = "groups" if any(p.group is not None for p in pool if p.label == label) else "pictures"
        raise ResLabError(
            f"--folds {folds} needs {folds} {kind} of every class, and {label!r} has {most}",
            f"use --folds {most}, or add some" if most >= 2 else "add some, or leave the class out",
        )
    homes = _folds_of(pool, folds, seed)
    pictures = tuple(dataclasses.replace(p, fold=homes.get(p.key)) for p in catalog.pictures)
    return dataclasses.replace(catalog, pictures=pictures).with_fold(fold)


def most_folds(pictures: Iterable[Picture]) -> int:
    """Into how many folds pictures can be dealt so that each can have some of every class."""
    return min(map(len, _units_by_class(pictures).values()), default=0)


def _units_by_class(pictures: Iterable[Picture]) -> dict[str, set[str]]:
    units: dict[str, set[str]] = defaultdict(set)
    for picture in pictures:
        units[picture.label].add(_unit(picture))
    return units


LONELY = "its {n} pictures are one group, which cannot be divided"
FINER = "group by something finer, such as --group-by 'patient(\\d+)'"


def lonely_groups(pictures: Collection[Picture]) -> list[tuple[str, int]]:
    """Classes of several pictures that are all in one group, with their number."""
    grouped = {p.label for p in pictures if p.group is not None}
    if not grouped:
        return []
    counts = Counter(p.label for p in pictures)
    alone = [label for label, units in sorted(_units_by_class(pictures).items()) if len(units) == 1]
    return [(label, counts[label]) for label in alone if label in grouped and counts[label] > 1]


def _folds_of(pictures: list[Picture], folds: int, seed: int) -> dict[str, int]:
    """Key -> fold, from 1. Each unit, large ones first, goes where the sum of squared shares of classes grows least."""
    units = _units(pictures)
    totals = Counter(p.label for p in pictures)
    counts = [Counter[str]() for _ in range(folds)]

    def growth(fold: int, labels: Counter[str]) -> tuple[float, int]:
        shares = sum(n * counts[fold][label] / totals[label] ** 2 for label, n in sorted(labels.items()))
        return shares, counts[fold].total()

    homes: dict[str, int] = {}
    labels = {unit: Counter(p.label for p in members) for unit, members in units.items()}
    for unit in sorted(units, key=lambda unit: (-len(units[unit]), min(labels[unit]), _split_hash(seed, unit))):
        best = min(range(folds), key=lambda fold: growth(fold, labels[unit]))
        counts[best].update(labels[unit])
        homes |= {p.key: best + 1 for p in units[unit]}
    return homes


def _assign(
    catalog: Catalog, pictures: list[Picture], shares: tuple[tuple[Split, float], ...], seed: int
) -> dict[str, Split]:
    """Key -> split, for some pictures of the catalog."""
    labels = _labels_of_units(catalog, pictures)
    hashes = {unit: _split_hash(seed, unit) for unit in labels}
    chosen = {unit: _split_of(value, shares) for unit, value in hashes.items()}
    _repair(labels, shares, hashes, chosen)
    return {picture.key: chosen[_unit(picture)] for picture in pictures}


def _labels_of_units(catalog: Catalog, pictures: Iterable[Picture]) -> dict[str, frozenset[str]]:
    """Unit -> the classes in it. Equal sets are one object: a set of its own for every picture takes 200 bytes."""
    sets: dict[str | frozenset[str], frozenset[str]] = {}
    labels: dict[str, frozenset[str]] = {}
    for picture in pictures:
        if picture.label not in sets:
            sets[picture.label] = frozenset(catalog.labels_of(picture))
        unit, mine = _unit(picture), sets[picture.label]
        both = labels.get(unit, mine) | mine
        labels[unit] = sets.setdefault(both, both)
    return labels


def _split_of(value: float, shares: tuple[tuple[Split, float], ...]) -> Split:
    edge = 0.0
    for split, share in shares:
        edge += share
        if value < edge:
            return split
    return "train"


def _repair(
    labels: Mapping[str, Collection[str]],
    shares: tuple[tuple[Split, float], ...],
    hashes: dict[str, float],
    chosen: dict[str, Split],
) -> None:
    """Give every class one unit in each split: train first, then val, then test, as far as its units go.

    Args:
        labels: unit -> the classes in it.
    """
    by_class: dict[str, list[str]] = defaultdict(list)
    for unit in sorted(labels, key=hashes.__getitem__):
        for label in labels[unit]:
            by_class[label].append(unit)
    counts = Counter((label, chosen[unit]) for unit in labels for label in labels[unit])
    offered = {"train", *(split for split, share in shares if share > 0)}

    def dispensable(unit: str, wanted: list[Split]) -> bool:
        here = chosen[unit]
        return here not in wanted or all(counts[label, here] > 1 for label in labels[unit])

    for label, members in sorted(by_class.items()):
        wanted = [split for split in SPLITS if split in offered][: len(members)]
        for split in wanted:
            if counts[label, split]:
                continue
            spare = [unit for unit in members if dispensable(unit, wanted)]
            spare = spare or (members if split == "train" else [])
            if spare:
                unit = spare[-1] if split == "train" else spare[0]
                counts.subtract((each, chosen[unit]) for each in labels[unit])
                counts.update((each, split) for each in labels[unit])
                chosen[unit] = split


def _units(pictures: Iterable[Picture]) -> dict[str, list[Picture]]:
    """What stays together: groups, and pictures that have none."""
    units: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        units[_unit(picture)].append(picture)
    return units


def _unit(picture: Picture) -> str:
    return picture.key if picture.group is None else f"group:{picture.group}"


def _split_hash(seed: int, unit: str) -> float:
    digest = hashlib.blake2b(f"{seed}/{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _grouped(pictures: tuple[Picture, ...], group_by: str | None) -> list[Picture]:
    if group_by is None:
        return list(pictures)
    parents = [str(PurePosixPath(p.key).parent) for p in pictures]
    groups = parents if group_by == "parent" else _matches(pictures, group_by)
    return [dataclasses.replace(p, group=group) for p, group in zip(pictures, groups, strict=True)]


def _matches(pictures: tuple[Picture, ...], group_by: str) -> list[str | None]:
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ResLabError(
            f"--group-by {group_by!r} is no regular expression: {error}", "for example --group-by 'patient(\\d+)'"
        ) from None
    found = [pattern.search(p.key) for p in pictures]
    if not any(found):
        example = pictures[0].key if pictures else ""
        raise ResLabError(f"--group-by {group_by!r} matches no picture", f"keys look like {example!r}")
    return [m and (m.group(1) if pattern.groups else m.group(0)) for m in found]
