"""A CSV or TSV with a header `path,label[,split][,group][,x,y,w,h]`, in the variants that common tools write.

Pictures may have several labels (or none): `cat;outdoor` in the label column, a column called `labels`, or instead of it
one column of 0 and 1 for each label.
"""

import dataclasses
import os
import posixpath
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.data.catalog import SEPARATOR, SPLIT_WORDS, Catalog, Picture, Split
from reslab.data.cells import Row, read_cells, refuse_line_breaks
from reslab.errors import ResLabError, nearest
from reslab.pixels.decode import EXTENSIONS, printable

_COLUMNS = ("path", "label", "split", "group", "x", "y", "w", "h")
_SYNONYMS = {
    "file": "path", "filename": "path", "filepath": "path", "image": "path", "image_path": "path",
    "file_name": "path", "file_path": "path", "filenames": "path", "filepaths": "path", "img_path": "path",
    "class": "label", "category": "label", "target": "label", "labels": "label",
    "width": "w", "height": "h",
}  # fmt: skip
_MAYBE_PATHS = ("image_id", "image_name", "img", "id", "name")
"""Columns that may name the pictures; the error suggests them."""
_ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
"""Endings that are tried for a path without one."""
_WORDS: dict[str, Split] = SPLIT_WORDS | {"dev": "val", "publictest": "val", "privatetest": "test"}
_SPLIT_COLUMNS = ("subset", "set", "dataset", "partition", "phase", "usage", "part", "datasplit", "splitname", "stage")
_FLAG = re.compile(r"is[ _-]?(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)")
"""A column that says yes or no to one split."""
_YES = {"1": True, "1.0": True, "true": True, "yes": True, "0": False, "0.0": False, "false": False, "no": False}
_BOX = ("x", "y", "w", "h")
_SEVERAL = "labels"
"""A column of this name may hold several labels, even if none of its cells does."""
_MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_MOSTLY = 0.5
"""A column with a larger share of known words than this was meant to hold nothing else."""

_SHOWN = 10  # classes in a remark

SplitOf = Callable[[Row], Split | None]


@dataclass(frozen=True, slots=True)
class _Labels:
    """How a table gives the labels of its pictures."""

    read: Callable[[Row], str]
    """A row's label as `Picture.label` has it."""
    task: str
    remarks: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    """Labels that no picture has."""


def read_table(path: Path) -> Catalog:
    """List a table (`read_cells`). Either slash; paths relative to the table.

    A picture is identified by the normalised path of its file (`key_of`); a row that repeats another one is skipped and
    counted.

    Raises:
        ResLabError: no header with `path` and labels, a row without a label where each has one, an unknown split, a
            missing file, or two rows that disagree about one picture; the message gives the line.
    """
    cells = read_cells(path)
    rows, shown = cells.rows, printable(path)
    names = _header(cells.fields, shown)
    refuse_line_breaks(cells, list(names.values()), path)
    others = [field for field in cells.fields if field and _ours(field) not in _COLUMNS]
    split_of, declaring = _splits(rows, names, others, shown)
    others = [field for field in others if field not in declaring]
    labels = _label_cells(rows, names, shown) if "label" in names else _label_columns(rows, names, others, shown)
    pictures: dict[str, Picture] = {}
    lines: dict[str, int] = {}
    files = _Files(path)
    repeated = 0
    for line, row in rows:
        where = f"{shown}, line {line}"
        ours = {name: row[written] for name, written in names.items()}
        picture = _picture(ours, labels.read(row), split_of(row), files, where)
        if not picture.label and labels.task != "multi":
            raise ResLabError(
                f"{where}: {picture.key} has no label", f"pictures may have none if the column is called {_SEVERAL}"
            )
        before = pictures.setdefault(picture.key, picture)
        first_line = lines.setdefault(picture.key, line)
        if (before.label, before.split, before.group) != (picture.label, picture.split, picture.group):
            raise ResLabError(
                f"{where}: line {first_line} says something else about {picture.key}",
                "a picture has one line: remove the other, or write several labels together, as in cat;outdoor",
            )
        repeated += line != first_line
    catalog = Catalog(
        path.stem,
        str(path),
        tuple(pictures.values()),
        {"repeated lines": repeated} if repeated else {},
        empty_classes=tuple((label, None) for label in labels.unused),
        task=labels.task,
        remarks=labels.remarks + tuple(_remarks(declaring)),
    )
    broken = [line for field in others for line in cells.over_lines(field)]
    return dataclasses.replace(catalog, doubts=tuple(_doubts(catalog, cells.chinese, broken, files.completed)))


def _remarks(declaring: Sequence[str]) -> Iterator[tuple[str, str]]:
    if named := [field.strip() for field in declaring if _ours(field) != "split"]:
        yield "declared splits", f"by the column {' and '.join(named)}"


def _doubts(
    catalog: Catalog, chinese: bool, broken: Sequence[int], completed: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """What was read in the most likely way, but may have been meant differently."""
    if chinese:
        shown = ", ".join(catalog.classes[:_SHOWN]) + (", ..." if len(catalog.classes) > _SHOWN else "")
        yield (
            "encoding",
            f"it is not UTF-8 and was read as Chinese (GBK); if these are not its classes, save it as UTF-8: {shown}",
        )
    if broken:
        yield (
            "line breaks",
            f"{len(broken):,} row(s) go over several lines, the first from line {min(broken)}: is each one picture?",
        )
    if completed:
        yield "no ending", f"{len(completed):,} path(s) without an ending, this one first: read as {completed[0]}"


def _ours(field: str) -> str:
    """Our word for a column, or the column's own."""
    word = field.strip().lower()
    return _SYNONYMS.get(word, word)


def _header(fields: Sequence[str], path: str) -> dict[str, str]:
    """Our name for a column -> how it is written; our own word wins over a synonym, the first synonym over others."""
    words = {field: field.strip().lower() for field in fields if field}
    names = {word: field for field, word in words.items() if word in _COLUMNS}
    for field in words:
        names.setdefault(_ours(field), field)
    if "path" not in names:
        maybe = next((field.strip() for word in _MAYBE_PATHS for field in words if words[field] == word), None)
        advice = f"if {maybe} names the pictures, call it path" if maybe else "its first line must name path and label"
        raise ResLabError(f"{path} has no column 'path'", f"{advice}; {_named(words)}")
    return {name: written for name, written in names.items() if name in _COLUMNS}


def _named(words: Iterable[str]) -> str:
    return "it names " + ", ".join(word.strip().lower() for word in words) if words else "the file is empty"


def _splits(
    rows: list[tuple[int, Row]], names: dict[str, str], others: list[str], path: str
) -> tuple[SplitOf, list[str]]:
    """How a table declares the splits, and the columns that do: `split`, or columns that hold nothing else.

    Raises:
        ResLabError: a column holds other words too, or two columns disagree.
    """
    own = names.get("split")
    # Any other column is taken if all of its cells are split names, or its name says so, or most of its cells do.
    readers: dict[str, SplitOf] = {}
    flags: set[Split] = set()
    if own and any(row[own] for _, row in rows):
        readers[own] = _words_reader(rows, own, path)
    for column in others:
        word = column.strip().lower()
        filled = [row[column].lower() for _, row in rows if row[column]]
        found = {_WORDS[cell] for cell in filled if cell in _WORDS}
        known = sum(cell in _WORDS for cell in filled)
        if (flag := _FLAG.fullmatch(word)) and filled:
            flags.add(_WORDS[flag[1]])
            readers[column] = _flag_reader(rows, column, _WORDS[flag[1]], path)
        elif found and (
            known == len(filled)
            or re.sub("[ _-]", "", word) in _SPLIT_COLUMNS
            or (len(found) > 1 and known > _MOSTLY * len(filled))
        ):
            readers[column] = _words_reader(rows, column, path)
    for line, row in rows:
        said = {column: split for column, read in readers.items() if (split := read(row))}
        if len(set(said.values())) > 1:
            one, other = list(said)[:2]
            raise ResLabError(
                f"{path}, line {line}: {one.strip()} says {said[one]} and {other.strip()} says {said[other]}",
                "remove the column that does not divide the pictures",
            )

    rest: Split | None = None if not flags else "test" if flags == {"train"} else "train"  # where every flag says no
    return lambda row: next((split for read in readers.values() if (split := read(row))), rest), list(readers)


def _words_reader(rows: list[tuple[int, Row]], column: str, path: str) -> SplitOf:
    for line, row in rows:
        if row[column] and row[column].lower() not in _WORDS:
            what = "split" if _ours(column) == "split" else f"{column.strip()} (which divides the pictures)"
            close = nearest(row[column], _WORDS)
            raise ResLabError(f"{path}, line {line}: the {what} {row[column]!r} is unknown", close)
    return lambda row: _WORDS.get(row[column].lower())


def _flag_reader(rows: list[tuple[int, Row]], column: str, split: Split, path: str) -> SplitOf:
    for line, row in rows:
        if row[column].lower() not in _YES:
            raise ResLabError(
                f"{path}, line {line}: {column.strip()} is {row[column]!r}, neither true nor false",
                "a column called split says it with the words train, val and test",
            )
    return lambda row: split if _YES[row[column].lower()] else None


def _label_cells(rows: list[tuple[int, Row]], names: dict[str, str], path: str) -> _Labels:
    """Labels that stand in one column."""
    column = names["label"]
    if not (column.strip().lower() == _SEVERAL or any(SEPARATOR in cells[column] for _, cells in rows)):
        return _Labels(lambda cells: unicodedata.normalize("NFC", cells[column]), "single")
    return _Labels(lambda cells: _joined(_parts(cells[column])), "multi", tuple(_untidy(rows, column)))


def _parts(cell: str) -> list[str]:
    """The parts between the separators."""
    return [unicodedata.normalize("NFC", part.strip()) for part in cell.split(SEPARATOR)]


def _joined(labels: Iterable[str]) -> str:
    return SEPARATOR.join(sorted({label for label in labels if label}))


def _untidy(rows: list[tuple[int, Row]], column: str) -> Iterator[tuple[str, str]]:
    """Irregularities that are understood, with the first line of each."""
    oddities: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
        ("repeated label", "a label is named twice and counts once", _repeats),
        ("spaces around ;", "they are not part of the label", lambda cell: cell != _close(cell)),
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


def _label_columns(rows: list[tuple[int, Row]], names: dict[str, str], others: list[str], path: str) -> _Labels:
    """Labels with a column each: every other column that holds only 0 and 1."""
    columns: dict[str, str] = {}
    for column in others:
        strange = [(line, cells[column]) for line, cells in rows if cells[column].lower() not in _MARKS]
        if not strange:
            columns[column] = unicodedata.normalize("NFC", column.strip())
        elif len(strange) < _MOSTLY * len(rows):
            line, cell = strange[0]
            raise ResLabError(
                f"{path}, line {line}: {column.strip()} is {cell!r}, and mostly 0 or 1",
                "the column of a label holds 0 or 1 in every line; remove the column if it is not a label",
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
    return _Labels(read, "multi", unused=tuple(label for label in columns.values() if label not in borne))


class _Files:
    """The files that a table names, each with one key."""

    def __init__(self, table: Path) -> None:
        self._folder = table.parent
        self._bases = bases_of(table.parent)
        self._keys: dict[tuple[int, int], str] = {}
        self.completed: list[str] = []
        """Paths that were found with an ending added."""

    def find(self, written: str, where: str) -> tuple[Path, str]:
        """The file of a path, and its key: that of the first path to the same file."""
        if not written:
            raise ResLabError(f"{where}: the path is empty")
        # File systems store accents composed or decomposed; tables are often written on another system.
        spellings = dict.fromkeys((written, *(unicodedata.normalize(form, written) for form in ("NFC", "NFD"))))
        found = [(name, identity) for name in spellings if (identity := _regular(self._folder / name))]
        if not found and posixpath.splitext(written)[1].lower() not in EXTENSIONS:
            tried = (written + ending for ending in _ENDINGS)
            found = [(name, identity) for name in tried if (identity := _regular(self._folder / name))]
            self.completed += [name for name, _ in found[:1]]
            if len({identity for _, identity in found}) > 1:
                names = " and ".join(name for name, _ in found[:2])
                raise ResLabError(f"{where}: {written} may be {names}", "write the path with its ending")
        if not found:
            other = _other_spelling(self._folder, written)
            hint = f"there is {other}" if other else f"paths are relative to {printable(self._folder)}"
            raise ResLabError(f"{where}: there is no file {written}", hint)
        name, identity = found[0]
        return self._folder / name, self._keys.setdefault(identity, key_of(name, self._bases))


def key_of(written: str, bases: Sequence[str]) -> str:
    """A picture's normalised path: relative to the first base above it, without `./`, in composed Unicode.

    Args:
        bases: from `bases_of`.
    """
    written = unicodedata.normalize("NFC", written)
    if not os.path.isabs(written) and ".." not in written:  # noqa: PTH117  for every row
        return posixpath.normpath(written)
    for base in bases:
        whole = os.path.normpath(Path(base) / written)
        if whole.startswith(base.rstrip(os.sep) + os.sep):
            return Path(os.path.relpath(whole, base)).as_posix()
    return posixpath.normpath(written)


def bases_of(folder: Path) -> list[str]:
    """The folders that paths are relative to: the folder as it is named, and with links resolved."""
    names = (os.path.normpath(folder.absolute()), str(folder.resolve()))
    return [unicodedata.normalize("NFC", name) for name in dict.fromkeys(names)]


def _regular(path: Path) -> tuple[int, int] | None:
    """The identity (device, inode) of a regular file; None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # a name too long, no permission; a NUL within
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _other_spelling(folder: Path, written: str) -> str | None:
    """An existing path that differs from this one only in case or in how accents are stored."""
    found = Path()
    for part in posixpath.normpath(written).split("/"):
        try:
            names = [entry.name for entry in (folder / found).iterdir()]
        except (OSError, ValueError):
            return None
        same = [name for name in names if _folded(name) == _folded(part)] if part not in (*names, "..") else [part]
        if not same:
            return None
        found /= same[0]
    return printable(found.as_posix())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _picture(cells: Row, label: str, split: Split | None, files: _Files, where: str) -> Picture:
    file, key = files.find(cells["path"].replace("\\", "/"), where)
    box = _box(cells, where)
    if box is not None:
        key = f"{key}#{','.join(map(str, box))}"
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
