"""The pictures of a run: where they are, and whether they are still those that it was trained on.

The same relative path may name other pictures in another working directory. So `split.csv` records the pictures that a
run was trained on: the name and label of each, and a fingerprint of those that training read.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reslab.data.catalog import Catalog
from reslab.data.corrections import correct_labels
from reslab.data.reader import load
from reslab.data.sources import at_hand, read_data
from reslab.data.table import bases_of, key_of
from reslab.errors import BadPicture, ResLabError
from reslab.model.run import CORRECTIONS_NAME, SplitRow, read_config, read_split
from reslab.pixels.fingerprint import fingerprint
from reslab.system.files import write_atomically
from reslab.system.sampling import evenly_spaced

_COMPARED = 64  # pictures whose content is compared before anything is written into a run


def data_location(document: Mapping[str, Any]) -> str:
    """The data of a run with this `config.json`: their absolute path if it still exists, else as they were named."""
    place = document.get("data_path")
    return place if isinstance(place, str) and Path(place).exists() else document["config"]["data"]


def recorded_split(run: Path) -> list[SplitRow] | None:
    """`split.csv` with keys in their present spelling: earlier runs kept `./` and decomposed accents."""
    rows, bases = read_split(run), bases_of(Path(data_location(read_config(run))).parent)
    return rows and [row if (key := key_of(row.path, bases)) == row.path else replace(row, path=key) for row in rows]


def as_corrected(run: Path, catalog: Catalog) -> Catalog:
    """The data with the corrections that a run was trained with.

    Raises:
        ResLabError: the corrections are not about these data.
    """
    table = run / CORRECTIONS_NAME
    return correct_labels(catalog, table) if table.is_file() else catalog


def write_corrections(run: Path, catalog: Catalog) -> None:
    """Keep the corrections of a catalog in the run's folder."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([("path", "label"), *catalog.corrections])
    write_atomically(run / CORRECTIONS_NAME, file.getvalue().encode())


def describe_difference(rows: Sequence[SplitRow], catalog: Catalog, left_out: bool = False) -> str | None:
    """How the data differ from those of a run, in a few words; None where they are the same.

    Args:
        left_out: unreadable pictures were left out of the run, so there may be more than its table lists.
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
        return f"{len(moved)} picture(s) have another label, e.g. {first.path}: {first.label!r} then, {now!r} now"
    return None


def is_data_of(run: Path, catalog: Catalog) -> bool:
    """Whether a run was trained on this catalog: the same names and labels, and the same content in a sample."""
    try:
        catalog = as_corrected(run, catalog)
    except ResLabError:
        return False
    return _is_of(run, catalog)


def _is_of(run: Path, catalog: Catalog) -> bool:
    rows = recorded_split(run)
    if not rows or describe_difference(rows, catalog, bool(read_config(run)["config"].get("skip_bad"))):
        return False
    here, known = {p.key: p for p in catalog.pictures}, [row for row in rows if row.fingerprint]
    chosen = evenly_spaced(len(known), _COMPARED)
    try:
        return all(fingerprint(load(here[known[i].path])).hex() == known[i].fingerprint for i in chosen)
    except BadPicture:
        return False


def find_run_data(run: Path) -> Catalog | None:
    """The pictures of a run, not yet split, where they are still available and unchanged."""
    document = read_config(run)
    place, data_dir = data_location(document), document["config"].get("data_dir")
    try:
        catalog = as_corrected(run, read_data(place, data_dir)) if at_hand(place, data_dir) else None
    except ResLabError:
        return None
    return catalog if catalog and _is_of(run, catalog) else None
