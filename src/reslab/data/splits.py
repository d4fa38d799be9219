"""Who trains, who validates, who tests: decided for each picture by its own name, so that adding files moves nobody.

A picture's lot is a hash of (split seed, its group or its key), a number in [0, 1). Below `val` it validates, in the
tenth above that it tests, otherwise it trains. Only where chance leaves a small class without a validating (or, from
three pictures on, a testing) picture is the one with the lowest lot moved there.
"""

import dataclasses
import hashlib
import re
from collections import defaultdict
from pathlib import PurePosixPath

from reslab.data.catalog import Catalog, Picture, Split
from reslab.errors import ResLabError

TEST_FRACTION = 0.1


def assigned(catalog: Catalog, val: float = 0.1, seed: int = 0, group_by: str | None = None) -> Catalog:
    """The catalog with every picture in a split.

    Data that declare their own splits keep them; only a missing validation split is carved from `train`.

    Args:
        val: the share of pictures that validate; 0 keeps them all for training.
        seed: the split seed, apart from the training seed.
        group_by: a regular expression on the key (its first group, or the whole match), or `parent` for the folder.

    Raises:
        ResLabError: `group_by` is no regular expression or matches no key; `val` is not in [0, 0.9].
    """
    if not 0 <= val <= 0.9:
        raise ResLabError(f"--val {val:g} is not between 0 and 0.9", "give a fraction such as 0.1, or none")
    pictures = _grouped(catalog.pictures, group_by)
    if not catalog.declares_splits:
        lots = _assign(pictures, (("val", val), ("test", TEST_FRACTION)), seed)
    else:
        declared: dict[str, Split] = {p.key: p.split or "train" for p in pictures}
        lots = dict(declared)
        if "val" not in declared.values() and val > 0:
            trainers = [p for p in pictures if declared[p.key] == "train"]
            lots |= _assign(trainers, (("val", val),), seed)
    return dataclasses.replace(catalog, pictures=tuple(dataclasses.replace(p, split=lots[p.key]) for p in pictures))


def _assign(pictures: list[Picture], shares: tuple[tuple[Split, float], ...], seed: int) -> dict[str, Split]:
    """Key -> split."""
    units: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        units[_unit(picture)].append(picture)
    lots = {unit: _lot(seed, unit) for unit in units}
    chosen: dict[str, Split] = {}
    for unit, lot in lots.items():
        chosen[unit] = "train"
        edge = 0.0
        for split, share in shares:
            if edge <= lot < edge + share:
                chosen[unit] = split
            edge += share
    _repair(pictures, shares, lots, chosen)
    return {picture.key: chosen[unit] for unit, members in units.items() for picture in members}


def _repair(
    pictures: list[Picture], shares: tuple[tuple[Split, float], ...], lots: dict[str, float], chosen: dict[str, Split]
) -> None:
    """Give every class that has enough units one in each split, training first."""
    by_class: dict[str, set[str]] = defaultdict(set)
    for picture in pictures:
        by_class[picture.label].add(_unit(picture))
    for label in sorted(by_class):
        units = sorted(by_class[label], key=lots.__getitem__)
        wanted: list[Split] = ["train"] + [split for split, share in shares if share > 0]
        for split in wanted[: len(units)]:
            if any(chosen[unit] == split for unit in units):
                continue
            spare = [u for u in units if sum(chosen[v] == chosen[u] for v in units) > 1]
            if spare:
                chosen[spare[0] if split != "train" else spare[-1]] = split


def _unit(picture: Picture) -> str:
    return picture.key if picture.group is None else f"group:{picture.group}"


def _lot(seed: int, unit: str) -> float:
    digest = hashlib.blake2b(f"{seed}/{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _grouped(pictures: tuple[Picture, ...], group_by: str | None) -> list[Picture]:
    if group_by is None:
        return list(pictures)
    if group_by == "parent":
        groups = [str(PurePosixPath(p.key).parent) for p in pictures]
    else:
        groups = _matches(pictures, group_by)
    return [dataclasses.replace(p, group=group) for p, group in zip(pictures, groups, strict=True)]


def _matches(pictures: tuple[Picture, ...], group_by: str) -> list[str | None]:
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ResLabError(f"--group-by {group_by!r} is no regular expression: {error}") from None
    found = [pattern.search(p.key) for p in pictures]
    if not any(found):
        example = pictures[0].key if pictures else ""
        raise ResLabError(f"--group-by {group_by!r} matches no picture", f"keys look like {example!r}")
    return [m and (m.group(1) if pattern.groups else m.group(0)) for m in found]
