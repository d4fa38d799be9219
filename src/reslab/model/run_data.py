"""The pictures of a run: where they are now, and whether they are still the ones that it was trained on.

A word such as `pictures` says neither: typed in another folder it names others. What a run was trained on is known by
its `split.csv`: every picture's name and label, and a fingerprint of what training looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reslab.data.catalog import Catalog
from reslab.data.reader import load
from reslab.data.sources import at_hand, read_data
from reslab.data.table import bases_of, key_of
from reslab.errors import BadPicture, ResLabError
from reslab.model.run import SplitRow, read_config, read_split
from reslab.pixels.fingerprint import fingerprint

_LOOKED_AT = 64  # pictures whose content is compared before something is written into a run


def place_of(document: Mapping[str, Any]) -> str:
    """The data of a run with this `config.json`: where they lay when it began, if they are still there, else as named."""
    place = document.get("data_path")
    return place if isinstance(place, str) and Path(place).exists() else document["config"]["data"]


def recorded(run: Path) -> list[SplitRow] | None:
    """Which picture was where in a run, by the keys of today: earlier runs keep `./` and separate accents."""
    rows, bases = read_split(run), bases_of(Path(place_of(read_config(run))).parent)
    return rows and [replace(row, path=key_of(row.path, bases)) for row in rows]


def difference(rows: Sequence[SplitRow], catalog: Catalog, left_out: bool = False) -> str | None:
    """What was done to the data since a run began, in a few words; None where nothing was.

    Args:
        left_out: the run was trained without unreadable pictures, so there may be more than its table names.
    """
    here, there = {p.key: p for p in catalog.pictures}, {row.path: row for row in rows}
    gone, added = there.keys() - here.keys(), here.keys() - there.keys()
    if gone:
        return f"{len(gone)} picture(s) are gone, e.g. {min(gone)}"
    if added and not left_out:
        return f"{len(added)} picture(s) were added, e.g. {min(added)}"
    moved = [row for row in rows if here[row.path].label != row.label]
    if moved:
        first, now = moved[0], here[moved[0].path].label
        return f"{len(moved)} picture(s) bear another label, e.g. {first.path}: {first.label!r} then, {now!r} now"
    return None


def is_of(run: Path, catalog: Catalog) -> bool:
    """Whether a catalog is what a run was trained on: the same names and labels, and, as far as looked at, content."""
    rows = recorded(run)
    if not rows or difference(rows, catalog, bool(read_config(run)["config"].get("skip_bad"))):
        return False
    here, looked = {p.key: p for p in catalog.pictures}, [row for row in rows if row.fingerprint]
    chosen = np.unique(np.linspace(0, len(looked) - 1, min(_LOOKED_AT, len(looked))).astype(int))
    try:
        return all(fingerprint(load(here[looked[i].path])).hex() == looked[i].fingerprint for i in chosen)
    except BadPicture:
        return False


def own_data(run: Path) -> Catalog | None:
    """The pictures of a run, undivided, where they are at hand and still what they were."""
    document = read_config(run)
    place, data_dir = place_of(document), document["config"].get("data_dir")
    try:
        catalog = read_data(place, data_dir) if at_hand(place, data_dir) else None
    except ResLabError:
        return None
    return catalog if catalog and is_of(run, catalog) else None
