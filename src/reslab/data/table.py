"""A CSV or TSV with a header `path,label[,split][,group][,x,y,w,h]`, as people's tools really write them."""

import csv
import io
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
    "train": "train", "training": "train", "": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_BOX = ("x", "y", "w", "h")


def read_table(path: Path) -> Catalog:
    """List a table. UTF-8 (with or without BOM) or GBK; `,` `;` or tab; either slash; paths relative to the table.

    Raises:
        ResLabError: no header with `path` and `label`, a row without a label, an unknown split or a missing file; the
            message gives the line.
    """
    text = _text(path)
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = _header(reader.fieldnames or [], path)
    pictures = []
    for row in reader:
        cells = {names[k]: (v or "").strip() for k, v in row.items() if k in names}
        if any(cells.values()):
            pictures.append(_picture(cells, path, reader.line_num))
    return Catalog(path.stem, str(path), tuple(pictures))


def _text(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "gbk"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ResLabError(f"{path} is neither UTF-8 nor GBK text", "save the table as CSV UTF-8")


def _header(fields: list[str], path: Path) -> dict[str, str]:
    """Column as written -> our name for it."""
    names = {f: _SYNONYMS.get(f.strip().lower(), f.strip().lower()) for f in fields if f}
    for needed in ("path", "label"):
        if needed not in names.values():
            guess = nearest(needed, fields) if fields else "the file is empty"
            raise ResLabError(f"{path} has no column {needed!r}", f"its first line must name path,label; {guess}")
    return {written: name for written, name in names.items() if name in _COLUMNS}


def _picture(cells: dict[str, str], table: Path, line: int) -> Picture:
    where = f"{table}, line {line}"
    written = cells["path"].replace("\\", "/")
    file = table.parent / written
    if not cells["label"]:
        raise ResLabError(f"{where}: {written} has no label")
    if not file.is_file():
        raise ResLabError(f"{where}: there is no file {written}", f"paths are relative to {table.parent}")
    split = None
    if "split" in cells:
        split = _SPLITS.get(cells["split"].lower())
        if split is None:
            raise ResLabError(f"{where}: the split {cells['split']!r} is unknown", nearest(cells["split"], _SPLITS))
    box = _box(cells, where)
    key = written if box is None else f"{written}#{','.join(map(str, box))}"
    return Picture(key, file, cells["label"], split, cells.get("group") or None, box)


def _box(cells: dict[str, str], where: str) -> tuple[int, int, int, int] | None:
    given = [cells.get(side, "") for side in _BOX]
    if not any(given):
        return None
    try:
        left, upper, width, height = (round(float(value)) for value in given)
    except ValueError:
        raise ResLabError(f"{where}: x, y, w, h must be four numbers, not {given}") from None
    if width < 1 or height < 1:
        raise ResLabError(f"{where}: the box is {width} x {height} pixels")
    return left, upper, width, height
