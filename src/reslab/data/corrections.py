"""Corrections: a table of path and label that is laid over the labels of a data set. The data stay as they are."""

import dataclasses
import hashlib
import json
from pathlib import Path

from reslab.data.catalog import Catalog, Picture
from reslab.data.cells import read_cells, refuse_line_breaks
from reslab.data.table import bases_of, key_of
from reslab.errors import ResLabError, nearest
from reslab.pixels.decode import printable

DROP = "-"
"""Stands for a label where a picture is to be left out; an empty cell means the same."""


def correct_labels(catalog: Catalog, table: Path) -> Catalog:
    """The catalog with the labels of a table of `path,label`; pictures with an empty label or `-` are left out.

    Further columns are ignored, and so are rows that say what the data say. Training and validation pictures are corrected
    alike; whichever split a picture was assigned to, it stays there.

    Args:
        table: paths as in the data's keys (`split.csv`, `margins.csv`, the page of `reslab review`), or absolute.

    Raises:
        ResLabError: there is no such table, or it names a picture or class that the data lack, a test picture, or one
            picture with two labels.
    """
    if not table.is_file():
        raise ResLabError(f"there is no {printable(table)}", "the page of reslab review --html downloads such a table")
    known, classes, bases = {p.key: p for p in catalog.pictures}, catalog.classes, _bases(catalog.root)
    found: dict[str, str] = {}
    for line, path, label in _rows(table):
        where, key = f"{printable(table)}, line {line}", key_of(path.replace("\\", "/"), bases)
        if key not in known:
            example = next(iter(known), "")
            raise ResLabError(f"{where}: {catalog.root} has no picture {path}", f"its paths are such as {example}")
        label = "" if label == DROP and DROP not in classes else label
        if label and label not in classes:
            raise ResLabError(f"{where}: {catalog.root} has no class {label!r}", nearest(label, classes))
        if found.setdefault(key, label) != label:
            raise ResLabError(f"{where}: another line gives {path} the label {found[key]!r}", "keep one of the two")
        if known[key].split == "test" and label != known[key].label:
            raise ResLabError(
                f"{where}: {path} is a test picture, which corrections leave alone",
                "remove the line; a wrong label in the test split is corrected in the data, for every run",
            )
    changed = {key: label for key, label in found.items() if label != known[key].label}
    kept = (_relabelled(p, changed.get(p.key, p.label)) for p in catalog.pictures)
    dropped = sum(not label for label in changed.values())
    counts = f"{len(changed) - dropped:,} relabelled and {dropped:,} left out, as {printable(table)} says"
    return dataclasses.replace(
        catalog,
        pictures=tuple(p for p in kept if p.label),
        corrections=tuple(sorted(changed.items())),
        remarks=(*catalog.remarks, ("corrections", counts)),
    )


def corrections_digest(catalog: Catalog) -> str | None:
    """sha256 of the corrections that a catalog carries; None where it has none."""
    text = json.dumps(catalog.corrections, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest() if catalog.corrections else None


def _rows(table: Path) -> list[tuple[int, str, str]]:
    """Line, path and label."""
    cells = read_cells(table)
    names = {field.strip().lower(): field for field in cells.fields}
    if not names.keys() >= {"path", "label"}:
        raise ResLabError(
            f"{printable(table)} has no column {'label' if 'path' in names else 'path'!r}",
            "its first line must be path,label",
        )
    refuse_line_breaks(cells, [names["path"], names["label"]], table)
    return [(line, row[names["path"]], row[names["label"]]) for line, row in cells.rows]


def _bases(root: str) -> list[str]:
    """The folders that the keys of a data set are relative to; none of a set with a name."""
    place = Path(root)
    return bases_of(place if place.is_dir() else place.parent) if place.exists() else []


def _relabelled(picture: Picture, label: str) -> Picture:
    return picture if label == picture.label else dataclasses.replace(picture, label=label)
