"""A CSV or TSV with a header `path,label[,split][,group][,x,y,w,h]`, as people's tools really write them."""

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from reslab.data.catalog import Catalog, Picture, Split
from reslab.errors import ResLabError, nearest

_COLUMNS = ("path", "label", "split", "group", "x", "y", "w", "h")
_SYNONYMS = {
    "file": "path", "filename": "path", "filepath": "path", "image": "path", "image_path": "path",
    "class": "label", "category": "label", "target": "label",
    "width": "w", "height": "h",
}  # fmt: skip
_SPLITS: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_BOX = ("x", "y", "w", "h")


def read_table(path: Path) -> Catalog:
    """List a table. UTF-8 (with or without BOM) or GBK; `,` `;` or tab; either slash; paths relative to the table.

    A row that says again what another row said is skipped and counted.

    Raises:
        ResLabError: no header with `path` and `label`, a row without a label, an unknown split, a missing file, or two
            rows that disagree about one picture; the message gives the line.
    """
    text = _text(path)
    heading = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=heading.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    pictures: dict[str, Picture] = {}
    lines: dict[str, int] = {}
    repeated = 0
    for line, cells in _rows(reader, path):
        picture = _picture(cells, path, line)
        before = pictures.setdefault(picture.key, picture)
        first_line = lines.setdefault(picture.key, line)
        if (before.label, before.split, before.group) != (picture.label, picture.split, picture.group):
            raise ResLabError(
                f"{path}, line {line}: line {first_line} says something else about {picture.key}",
                "a picture has one label, one split and one group: remove one of the lines",
            )
        repeated += line != first_line
    return Catalog(path.stem, str(path), tuple(pictures.values()), {"repeated lines": repeated} if repeated else {})


def _rows(reader: csv.DictReader, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by our names, of every row that is not blank."""
    try:
        names = _header(reader.fieldnames or [], path)
        for row in reader:
            cells = {ours: (row[written] or "").strip() for ours, written in names.items()}
            if any(cells.values()):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ResLabError(f"{path}, after line {reader.line_num}: {error}", "save the table as CSV UTF-8") from None


def _text(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "gbk"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ResLabError(f"{path} is neither UTF-8 nor GBK text", "save the table as CSV UTF-8")


def _header(fields: Sequence[str], path: Path) -> dict[str, str]:
    """Our name for a column -> how it is written; our own word wins over a synonym, the first synonym over others."""
    words = {field: field.strip().lower() for field in fields if field}
    names = {word: field for field, word in words.items() if word in _COLUMNS}
    for field, word in words.items():
        names.setdefault(_SYNONYMS.get(word, word), field)
    for needed in ("path", "label"):
        if needed not in names:
            has = f"it names {', '.join(words)}" if words else "the file is empty"
            raise ResLabError(f"{path} has no column {needed!r}", f"its first line must name path and label; {has}")
    return {name: written for name, written in names.items() if name in _COLUMNS}


def _picture(cells: dict[str, str], table: Path, line: int) -> Picture:
    where = f"{table}, line {line}"
    written = cells["path"].replace("\\", "/")
    file = table.parent / written
    if not cells["label"]:
        raise ResLabError(f"{where}: {written} has no label")
    if not file.is_file():
        raise ResLabError(f"{where}: there is no file {written}", f"paths are relative to {table.parent}")
    split = None
    if cells.get("split"):
        split = _SPLITS.get(cells["split"].lower())
        if split is None:
            raise ResLabError(f"{where}: the split {cells['split']!r} is unknown", nearest(cells["split"], _SPLITS))
    box = _box(cells, where)
    key = written if box is None else f"{written}#{','.join(map(str, box))}"
    label = unicodedata.normalize("NFC", cells["label"])
    return Picture(key, file, label, split, cells.get("group") or None, box)


def _box(cells: dict[str, str], where: str) -> tuple[int, int, int, int] | None:
    given = [cells.get(side, "") for side in _BOX]
    if not any(given) or not cells.keys() >= set(_BOX):  # width and height alone are the picture's, not a box
        return None
    try:
        left, upper, width, height = (round(float(value)) for value in given)
    except (ValueError, OverflowError):  # no number, or infinity
        raise ResLabError(f"{where}: x, y, w, h must be four numbers, not {given}") from None
    if width < 1 or height < 1:
        raise ResLabError(f"{where}: the box is {width} x {height} pixels")
    return left, upper, width, height
