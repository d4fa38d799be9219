"""A CSV or TSV with a header `path,label[,split][,group][,x,y,w,h]`, as people's tools really write them.

Pictures may bear several labels (or none): `cat;outdoor` in the label column, a column called `labels`, or no such column
and one of 0 and 1 for each label.
"""

import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.data.catalog import SEPARATOR, Catalog, Picture, Split
from reslab.errors import ResLabError, nearest

_COLUMNS = ("path", "label", "split", "group", "x", "y", "w", "h")
_SYNONYMS = {
    "file": "path", "filename": "path", "filepath": "path", "image": "path", "image_path": "path",
    "class": "label", "category": "label", "target": "label", "labels": "label",
    "width": "w", "height": "h",
}  # fmt: skip
_SPLITS: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_BOX = ("x", "y", "w", "h")
_SEVERAL = "labels"
"""A column of this name may hold several labels, whether or not any of its cells does."""
_MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_MOSTLY = 0.5
"""A column with a larger share of marks than this was meant to hold nothing else."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Labels:
    """How a table says what is in its pictures."""

    read: Callable[[Row], str]
    """A row's label as `Picture.label` has it."""
    multi: bool
    remarks: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    """Labels that no picture bears."""


def read_table(path: Path) -> Catalog:
    """List a table. UTF-8 (with or without BOM) or GBK; `,` `;` or tab; either slash; paths relative to the table.

    A row that says again what another row said is skipped and counted.

    Raises:
        ResLabError: no header with `path` and labels, a row without a label where each has one, an unknown split, a
            missing file, or two rows that disagree about one picture; the message gives the line.
    """
    rows, names, others = _cells(path)
    labels = _label_cells(rows, names, path) if "label" in names else _label_columns(rows, names, others, path)
    pictures: dict[str, Picture] = {}
    lines: dict[str, int] = {}
    repeated = 0
    for line, cells in rows:
        picture = _picture({ours: cells[written] for ours, written in names.items()}, labels.read(cells), path, line)
        if not (picture.label or labels.multi):
            raise ResLabError(
                f"{path}, line {line}: {picture.key} has no label",
                f"pictures may bear none where the column is called {_SEVERAL}",
            )
        before = pictures.setdefault(picture.key, picture)
        first_line = lines.setdefault(picture.key, line)
        if (before.label, before.split, before.group) != (picture.label, picture.split, picture.group):
            raise ResLabError(
                f"{path}, line {line}: line {first_line} says something else about {picture.key}",
                "a picture has one line: remove the other, or write several labels together, as in cat;outdoor",
            )
        repeated += line != first_line
    return Catalog(
        path.stem,
        str(path),
        tuple(pictures.values()),
        {"repeated lines": repeated} if repeated else {},
        empty_classes=tuple((label, None) for label in labels.unused),
        multi=labels.multi,
        remarks=labels.remarks,
    )


def _cells(path: Path) -> tuple[list[tuple[int, Row]], dict[str, str], list[str]]:
    """Line number and cells of every row that is not blank; our name -> how it is written; the other columns."""
    text = _text(path)
    heading = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=heading.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    names = _header(reader.fieldnames or [], path)
    try:
        rows = list(_rows(reader, path))
    except csv.Error as error:
        raise ResLabError(f"{path}, after line {reader.line_num}: {error}", "save the table as CSV UTF-8") from None
    return rows, names, [field for field in reader.fieldnames or [] if field and _ours(field) not in _COLUMNS]


def _rows(reader: csv.DictReader, path: Path) -> Iterator[tuple[int, Row]]:
    for row in reader:
        if any(cell.strip() for cell in row.pop(None, [])):  # type: ignore[call-overload]
            raise ResLabError(
                f"{path}, line {reader.line_num}: it has more cells than the first line has names",
                f"quote what contains a {reader.reader.dialect.delimiter}",
            )
        cells = {written: cell.strip() for written, cell in row.items()}
        if any(cells.values()):
            yield reader.line_num, cells


def _text(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "gbk"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ResLabError(f"{path} is neither UTF-8 nor GBK text", "save the table as CSV UTF-8")


def _ours(field: str) -> str:
    """Our word for a column, or the column's own."""
    word = field.strip().lower()
    return _SYNONYMS.get(word, word)


def _header(fields: Sequence[str], path: Path) -> dict[str, str]:
    """Our name for a column -> how it is written; our own word wins over a synonym, the first synonym over others."""
    words = {field: field.strip().lower() for field in fields if field}
    names = {word: field for field, word in words.items() if word in _COLUMNS}
    for field in words:
        names.setdefault(_ours(field), field)
    if "path" not in names:
        raise ResLabError(f"{path} has no column 'path'", f"its first line must name path and label; {_named(words)}")
    return {name: written for name, written in names.items() if name in _COLUMNS}


def _named(words: Iterable[str]) -> str:
    return "it names " + ", ".join(word.strip().lower() for word in words) if words else "the file is empty"


def _label_cells(rows: list[tuple[int, Row]], names: dict[str, str], path: Path) -> _Labels:
    """Labels that stand in one column."""
    column = names["label"]
    if not (column.strip().lower() == _SEVERAL or any(SEPARATOR in cells[column] for _, cells in rows)):
        return _Labels(lambda cells: unicodedata.normalize("NFC", cells[column]), multi=False)
    return _Labels(lambda cells: _joined(_parts(cells[column])), True, tuple(_untidy(rows, column)))


def _parts(cell: str) -> list[str]:
    """What stands between the separators."""
    return [unicodedata.normalize("NFC", part.strip()) for part in cell.split(SEPARATOR)]


def _joined(labels: Iterable[str]) -> str:
    return SEPARATOR.join(sorted({label for label in labels if label}))


def _untidy(rows: list[tuple[int, Row]], column: str) -> Iterator[tuple[str, str]]:
    """Ways of writing that are understood, and whose first line a person may want to look at."""
    oddities: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
        ("repeated label", "a label is named twice and counts once", _repeats),
        ("spaces around ;", "they are no part of the label", lambda cell: cell != _close(cell)),
        ("stray ;", "there is no label beside it", lambda cell: bool(cell) and "" in _parts(cell)),
    )
    for kind, meaning, found in oddities:
        lines = [line for line, cells in rows if found(cells[column])]
        if lines:
            yield kind, f"in {len(lines):,} line(s), the first of them {lines[0]}: {meaning}"


def _repeats(cell: str) -> bool:
    labels = [part for part in _parts(cell) if part]
    return len(set(labels)) < len(labels)


def _close(cell: str) -> str:
    return SEPARATOR.join(part.strip() for part in cell.split(SEPARATOR))


def _label_columns(rows: list[tuple[int, Row]], names: dict[str, str], others: list[str], path: Path) -> _Labels:
    """Labels that have a column each: those others that hold nothing but 0 and 1."""
    columns: dict[str, str] = {}
    for column in others:
        strange = [(line, cells[column]) for line, cells in rows if cells[column].lower() not in _MARKS]
        if not strange:
            columns[column] = unicodedata.normalize("NFC", column.strip())
        elif len(strange) < _MOSTLY * len(rows):
            line, cell = strange[0]
            raise ResLabError(
                f"{path}, line {line}: {column.strip()} is {cell!r}, and mostly 0 or 1",
                "a column for a label holds 0 or 1 in every line; take out the column if it is none",
            )
    if len(columns) < 2 or not rows:
        raise ResLabError(
            f"{path} has no column 'label'",
            f"its first line must name path and label, or path and one column of 0 and 1 for each label; "
            f"{_named([*names.values(), *others])}",
        )
    if odd := next((label for label in columns.values() if SEPARATOR in label), None):
        raise ResLabError(f"{path}: the label {odd!r} contains a {SEPARATOR}", "rename its column")

    def read(cells: Row) -> str:
        return _joined(label for column, label in columns.items() if _MARKS[cells[column].lower()])

    borne = {label for _, cells in rows for label in read(cells).split(SEPARATOR)}
    return _Labels(read, True, unused=tuple(label for label in columns.values() if label not in borne))


def _picture(cells: Row, label: str, table: Path, line: int) -> Picture:
    where = f"{table}, line {line}"
    written = cells["path"].replace("\\", "/")
    file = table.parent / written
    if not file.is_file():
        raise ResLabError(f"{where}: there is no file {written}", f"paths are relative to {table.parent}")
    split = None
    if cells.get("split"):
        split = _SPLITS.get(cells["split"].lower())
        if split is None:
            raise ResLabError(f"{where}: the split {cells['split']!r} is unknown", nearest(cells["split"], _SPLITS))
    box = _box(cells, where)
    key = written if box is None else f"{written}#{','.join(map(str, box))}"
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
