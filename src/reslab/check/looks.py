"""What a check keeps of a picture as a row that can be stored: looked at in one process, judged in another."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from reslab.check.data import Keep, Problem, Seen, look_at
from reslab.check.deep import DeepCheck, Kept, summarize
from reslab.check.hashes import SIDE
from reslab.check.metadata import Metadata
from reslab.check.quality import Quality
from reslab.data.catalog import Catalog, Picture
from reslab.system.machine import default_workers


@dataclass(frozen=True, slots=True)
class Look:
    """Of one picture; what `deep` does not ask for is None."""

    key: str
    name: bytes
    """What tells it from other pictures; empty where it is unreadable."""
    problems: str
    """JSON: kind, detail and severity of each."""
    twin: bytes | None = None
    """What tells it from other pictures among near-duplicates; None where it is unreadable, as is `small`."""
    small: bytes | None = None
    """`[SIDE, SIDE, 3]`."""
    inner: bytes | None = None
    """The same without its border; None where it has none."""
    quality: str | None = None
    """JSON."""
    metadata: str | None = None
    """JSON."""


def look_at_parts(pictures: Iterable[Picture], deep: bool, workers: int | None = None) -> Iterator[Look]:
    """Look at some pictures, of however many a set may have."""
    kept: dict[Picture, Kept] = {}
    keep = Keep(partial(summarize, deep=deep), lambda picture, part, _: kept.update({picture: part}))
    pictures = list(pictures)
    workers = default_workers() if workers is None else workers
    for picture, (name, problems) in zip(pictures, look_at(pictures, keep, workers), strict=True):
        found = json.dumps([[problem.kind, problem.detail, problem.severity] for problem in problems])
        yield _stored(picture.key, name, found, kept.pop(picture, None))


def _stored(key: str, name: bytes, problems: str, kept: Kept | None) -> Look:
    if kept is None:
        return Look(key, name, problems)
    small, inner = (part.tobytes() for part in kept.smalls[:1]), (part.tobytes() for part in kept.smalls[1:])
    quality, metadata = (json.dumps(asdict(part)) if part else None for part in (kept.quality, kept.metadata))
    return Look(key, name, problems, kept.twin, next(small), next(inner, None), quality, metadata)


def restore_looks(catalog: Catalog, deeper: DeepCheck, looks: Iterable[tuple[Picture, Look]]) -> list[Seen]:
    """What `look_at` gives for the pictures of a catalog, from stored rows; `deeper` is given what it keeps.

    Args:
        looks: of at least these pictures, in any order.
    """
    places = {picture.key: number for number, picture in enumerate(catalog.pictures)}
    seen: list[Seen] = [(b"", [])] * len(places)
    for picture, look in looks:
        number = places.get(picture.key)
        if number is None:  # a correction leaves it out
            continue
        problems = [Problem(kind, picture.key, *rest) for kind, *rest in json.loads(look.problems)]
        seen[number] = look.name, problems
        if look.small is not None:
            deeper.put(number, _kept(look))
    return seen


def _kept(look: Look) -> Kept:
    smalls = [np.frombuffer(part, np.uint8).reshape(SIDE, SIDE, 3) for part in (look.small, look.inner) if part]
    quality = Quality(**json.loads(look.quality)) if look.quality else None
    metadata = Metadata(**json.loads(look.metadata)) if look.metadata else None
    return Kept(look.twin or b"", smalls, quality, metadata)
