"""Who trains, who validates, who tests: decided for each picture by its own name, so that adding files moves nobody.

A picture's lot is a hash of (split seed, its group or its key), a number in [0, 1). Below a tenth it tests, whatever
`val` is: a picture that tests must not train because somebody asks for less validation. In the `val` above that it
validates, otherwise it trains. Only where chance leaves a small class without a training, a validating or (from three
pictures on) a testing picture is one moved there. A picture with several labels counts for each of them; where their
wishes collide, every label keeps a training picture first.
"""

import dataclasses
import hashlib
import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath

from reslab.data.catalog import SPLITS, Catalog, Picture, Split
from reslab.errors import ResLabError

TEST_FRACTION = 0.1
MAX_VAL = 0.8


def assigned(catalog: Catalog, val: float = 0.1, seed: int = 0, group_by: str | None = None) -> Catalog:
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
        lots = _assign(catalog, pictures, (("test", TEST_FRACTION), ("val", val)), seed)
    else:
        declared: dict[str, Split] = {p.key: p.split or "train" for p in pictures}
        lots = dict(declared)
        if "val" not in declared.values() and val > 0:
            trainers = [p for p in pictures if declared[p.key] == "train"]
            lots |= _assign(catalog, trainers, (("val", val),), seed)
    return dataclasses.replace(catalog, pictures=tuple(dataclasses.replace(p, split=lots[p.key]) for p in pictures))


def _assign(
    catalog: Catalog, pictures: list[Picture], shares: tuple[tuple[Split, float], ...], seed: int
) -> dict[str, Split]:
    """Key -> split, for some pictures of the catalog."""
    units: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        units[_unit(picture)].append(picture)
    lots = {unit: _lot(seed, unit) for unit in units}
    chosen = {unit: _drawn(lot, shares) for unit, lot in lots.items()}
    labels = {unit: {label for p in members for label in catalog.labels_of(p)} for unit, members in units.items()}
    _repair(labels, shares, lots, chosen)
    return {picture.key: chosen[unit] for unit, members in units.items() for picture in members}


def _drawn(lot: float, shares: tuple[tuple[Split, float], ...]) -> Split:
    edge = 0.0
    for split, share in shares:
        edge += share
        if lot < edge:
            return split
    return "train"


def _repair(
    labels: dict[str, set[str]],
    shares: tuple[tuple[Split, float], ...],
    lots: dict[str, float],
    chosen: dict[str, Split],
) -> None:
    """Give every class one unit in each split: train first, then val, then test, as far as its units go.

    Args:
        labels: unit -> the classes in it.
    """
    by_class: dict[str, list[str]] = defaultdict(list)
    for unit in sorted(labels, key=lots.__getitem__):
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


def _unit(picture: Picture) -> str:
    return picture.key if picture.group is None else f"group:{picture.group}"


def _lot(seed: int, unit: str) -> float:
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
