"""Parquet files with pictures inside, as on the Hugging Face hub: a column of picture bytes, and a label.

The picture column is a struct of `bytes` and `path` (the hub's `Image`) or plain bytes. Labels are texts, whole numbers, whole
numbers with names in the schema's metadata (the hub's `ClassLabel`), or lists of these. Columns called `split` and `group` mean
what they mean in a table; else a file's name says its split, as in `train-00000-of-00002.parquet`.

A picture is read with its whole row group, and the last row groups are kept: in the order of the file that costs nothing, in
another order much. pyarrow (extra `scale`) reads the format.
"""

import json
import re
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from reslab.data.catalog import SEPARATOR, SPLIT_WORDS, Catalog, Member, Picture, Split
from reslab.errors import ResLabError, nearest
from reslab.pixels.decode import MAX_BYTES, printable
from reslab.pixels.stored import Unreadable

SUFFIX = ".parquet"

KEPT_BYTES = 2**28
"""Memory for row groups that were read last."""

_MOST_BYTES = 2**31 - 1
"""A row group with more picture bytes is refused: it is read as a whole."""

_PICTURES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "bytes", "content")
_LABELS = ("label", "labels", "class", "category", "target", "fine_label", "y")
_PATHS = ("path", "file", "filename", "file_name", "key")
_WITHOUT = "rows without a label"


def read_parquet(
    files: Sequence[tuple[str, Callable[[], Path]]], name: str, written: str, labelled: bool = True
) -> Catalog:
    """The catalog of Parquet files.

    Args:
        files: path of each below DATA, and a function that gives its path on this disk.
        name, written: the catalog's `name` and `root`.
        labelled: otherwise a file without labels is read too; its pictures have the label `""`.

    Raises:
        ResLabError: pyarrow is missing; a file is no Parquet file, holds no pictures or labels, or differs from the others.
    """
    rows: list[_Row] = []
    several: set[bool] = set()
    for below, locate in files:
        file = _File(locate, f"{written}/{below}" if below else written, labelled)
        split = _split_in(below)
        for row in file.rows():
            rows.append(row if row.split else row.of(split))
        several.add(file.several)
    if len(several) > 1:
        raise ResLabError(f"{written} holds files with one label per picture and files with lists of them")
    numbered = [f"{PurePosixPath(row.file.stem)}/{row.number:06d}" for row in rows]
    keys = [row.path for row in rows]
    keys = numbered if len(set(keys)) < len(keys) or not all(keys) else keys
    if len(set(keys)) < len(keys):  # files of one name in several folders
        keys = [f"{number:09d}" for number in range(len(rows))]
    pictures = tuple(
        Picture(key, _Cell(row.file, row.row_group, row.row), row.label, row.split, row.group)
        for key, row in zip(keys, rows, strict=True)
        if row.label is not None
    )
    without = len(rows) - len(pictures)
    task = "multi" if True in several else "single"
    return Catalog(name, written, pictures, {_WITHOUT: without} if without else {}, task=task)


@dataclass(frozen=True, slots=True)
class _Row:
    """One row, without the picture."""

    file: "_File"
    row_group: int
    row: int
    number: int
    """Of the row in the file."""
    path: str
    label: str | None
    split: Split | None
    group: str | None

    def of(self, split: Split | None) -> "_Row":
        return _Row(self.file, self.row_group, self.row, self.number, self.path, self.label, split, self.group)


@dataclass(frozen=True, slots=True)
class _Cell(Member):
    """The picture of one row."""

    file: "_File"
    row_group: int
    row: int

    def read(self) -> bytes:
        cell = _GROUPS.get(self.file, self.row_group)[self.row]
        data = cell.as_buffer() if cell.is_valid else None
        if data is None:
            raise Unreadable("its cell is empty")
        if data.size > MAX_BYTES:
            raise Unreadable(f"its {data.size:,} bytes are more than {MAX_BYTES:,}")
        return data.to_pybytes()


class _File:
    """One Parquet file."""

    def __init__(self, locate: Callable[[], Path], shown: str, labelled: bool) -> None:
        self._locate, self.shown = locate, printable(shown)
        self.stem = PurePosixPath(shown).stem
        with self.open() as opened:
            self.metadata = opened.metadata
            schema = opened.schema_arrow
        features = _features(schema.metadata or {})
        self.picture = _picture_column(schema, features, self.shown)
        self._label = _label_column(schema, features, self.picture.split(".")[0], self.shown, labelled)
        self._names = _class_names(features.get(self._label))
        self.several = bool(self._label) and _is_list_of_labels(schema.field(self._label), self.shown)
        """Whether a picture may have several labels."""
        self._columns = [name for name in ("split", "group") if name in schema.names]
        self._path = _path_column(schema, self.picture)

    def open(self) -> Any:
        """The file, opened by pyarrow, without reading its footer again.

        Raises:
            ResLabError: it is no Parquet file, or cannot be read.
        """
        pyarrow = need_pyarrow()
        from pyarrow import parquet

        for _ in range(8):  # a file in the cache may leave it before it is opened
            try:
                return parquet.ParquetFile(self._locate(), metadata=getattr(self, "metadata", None))
            except FileNotFoundError:
                continue
            except (pyarrow.ArrowException, OSError) as error:
                what = str(error).splitlines()[0][:120]
                raise ResLabError(f"{self.shown} is no Parquet file, or is cut short: {what}") from None
        raise ResLabError(f"there is no {self.shown}")

    def rows(self) -> Iterator[_Row]:
        """Every row with what stands beside its picture."""
        wanted = [name for name in (self._label, *self._columns, self._path) if name]
        number = 0
        with self.open() as opened:
            for group in range(self.metadata.num_row_groups):
                count = self.metadata.row_group(group).num_rows
                table = _decoded(self.shown, lambda group=group: opened.read_row_group(group, columns=wanted))
                labels = table.column(self._label).to_pylist() if self._label else [None] * count
                others = {name: table.column(name).to_pylist() for name in self._columns}
                paths = self._paths(table)
                for row, label in enumerate(labels):
                    split, owner = (others[name][row] if name in others else None for name in ("split", "group"))
                    place = f"{self.shown}, row {number + 1}"
                    yield _Row(
                        self, group, row, number, _as_key(paths[row]) if paths else "", self._labelled(label, place),
                        _split_word(split, place), None if owner is None else str(owner),
                    )  # fmt: skip
                    number += 1

    def _paths(self, table: Any) -> list[Any]:
        if not self._path:
            return []
        outer, _, inner = self._path.partition(".")
        values = table.column(outer).to_pylist()
        return [value and value[inner] for value in values] if inner else values

    def _labelled(self, value: Any, place: str) -> str | None:
        """The label of a cell; None where it is empty, as in the hub's test splits (-1)."""
        if not self._label:
            return ""
        if self.several:
            names = [self._one(part, place) for part in value or ()]
            if odd := next((name for name in names if name and SEPARATOR in name), None):
                raise ResLabError(f"{place}: the label {odd!r} contains a {SEPARATOR}", "rename it")
            return SEPARATOR.join(sorted({name for name in names if name}))
        return self._one(value, place) or None

    def _one(self, value: Any, place: str) -> str | None:
        if value is None or (self._names and value == -1):
            return None
        if self._names and not 0 <= value < len(self._names):
            raise ResLabError(f"{place}: the label {value} is none of the {len(self._names)} classes of its schema")
        return unicodedata.normalize("NFC", printable(self._names[value] if self._names else str(value)))

    def pictures(self, group: int) -> Any:
        """The picture bytes of a row group, as an Arrow array."""
        outer, _, inner = self.picture.partition(".")
        size = self._bytes(group)
        if size > _MOST_BYTES:
            raise ResLabError(
                f"{self.shown}: a row group holds {size / 1e9:,.1f} GB of pictures, which are read together",
                "write it with row_group_size=100, or smaller",
            )
        with self.open() as opened:
            table = _decoded(
                self.shown, lambda: opened.read_row_group(group, columns=[self.picture], use_threads=False)
            )
        column = table.column(outer).combine_chunks()
        return column.flatten()[column.type.get_field_index(inner)] if inner else column

    def _bytes(self, group: int) -> int:
        columns = self.metadata.row_group(group)
        chunks = (columns.column(number) for number in range(columns.num_columns))
        return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == self.picture)


class _RowGroups:
    """The row groups that were read last; each is read by one thread, for which others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[_File, int], Any] = OrderedDict()
        self._reading: dict[tuple[_File, int], threading.Lock] = {}

    def get(self, file: _File, group: int) -> Any:
        """The picture bytes of a row group, as an Arrow array."""
        name = (file, group)
        with self._lock:
            reading = self._reading.setdefault(name, threading.Lock())
        with reading:
            with self._lock:
                if name in self._kept:
                    self._kept.move_to_end(name)
                    return self._kept[name]
            pictures = file.pictures(group)
            with self._lock:
                self._kept[name] = pictures
                while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
            return pictures


_GROUPS = _RowGroups()


def need_pyarrow() -> Any:
    """The package pyarrow.

    Raises:
        ResLabError: it is missing.
    """
    try:
        import pyarrow
    except ImportError:
        raise ResLabError("Parquet files need the package pyarrow", "pip install 'reslab[scale]'") from None
    return pyarrow


def _decoded(shown: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (need_pyarrow().ArrowException, OSError) as error:
        raise ResLabError(f"{shown} is damaged: {str(error).splitlines()[0][:120]}") from None


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """What the schema's metadata say about columns, as the library `datasets` writes them; empty where nothing is said."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _picture_column(schema: Any, features: dict[str, Any], shown: str) -> str:
    """The column of picture bytes; `image.bytes` where it is a struct."""
    types = need_pyarrow().types
    is_bytes = lambda kind: types.is_binary(kind) or types.is_large_binary(kind)  # noqa: E731
    found: dict[str, str] = {}
    for column in schema:
        if is_bytes(column.type):
            found[column.name] = column.name
        elif types.is_struct(column.type) and any(f.name == "bytes" and is_bytes(f.type) for f in column.type):
            found[column.name] = f"{column.name}.bytes"
    if not found:
        raise ResLabError(
            f"{shown} holds no pictures: it has no column of bytes, nor a struct with a field bytes",
            f"its columns are {', '.join(schema.names)[:200] or 'none'}",
        )
    declared = [
        name for name in found if isinstance(features.get(name), dict) and features[name].get("_type") == "Image"
    ]
    chosen = declared or [name for name in _PICTURES if name in found] or list(found)
    if len(declared) > 1 or (not declared and chosen[0] not in _PICTURES and len(found) > 1):
        raise ResLabError(f"{shown} has several columns of pictures: {', '.join(chosen)}", "keep one, called image")
    return found[chosen[0]]


def _label_column(schema: Any, features: dict[str, Any], picture: str, shown: str, needed: bool) -> str:
    """The column of labels; empty where there is none and none is needed."""
    names = [name for name in schema.names if name != picture]
    declared = [name for name in names if _class_names(features.get(name))]
    chosen = [name for name in _LABELS if name in names] or (declared if len(declared) == 1 else [])
    if not chosen and needed:
        raise ResLabError(f"{shown} has no column 'label'", f"its columns are {', '.join(schema.names)[:200]}")
    return chosen[0] if chosen else ""


def _is_list_of_labels(column: Any, shown: str) -> bool:
    """Whether a cell holds any number of labels; refuses what is neither a label nor a list of them."""
    types, kind = need_pyarrow().types, column.type
    several = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    inner = kind.value_type if several or types.is_dictionary(kind) else kind
    if any(test(inner) for test in (types.is_integer, types.is_string, types.is_large_string, types.is_boolean)):
        return several
    raise ResLabError(
        f"{shown}: its column {column.name} holds {inner}, not labels", "labels are texts or whole numbers"
    )


def _class_names(feature: Any) -> list[str]:
    """The names of a `ClassLabel`, or of a list of them."""
    for _ in range(2):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and "feature" in feature:
            feature = feature["feature"]
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []


def _path_column(schema: Any, picture: str) -> str:
    """The column that names the pictures; empty where there is none."""
    types = need_pyarrow().types
    outer, _, inner = picture.partition(".")
    if inner and schema.field(outer).type.get_field_index("path") >= 0:
        return f"{outer}.path"
    return next((name for name in _PATHS if name in schema.names and types.is_string(schema.field(name).type)), "")


def _as_key(path: Any) -> str:
    return unicodedata.normalize("NFC", printable(path)).replace("\\", "/").strip("/") if isinstance(path, str) else ""


def _split_in(below: str) -> Split | None:
    """The split that a file's path names: `data/train-00000-of-00002.parquet`, `train/0000.parquet`."""
    for part in PurePosixPath(below).parts:
        if (word := re.split(r"[-_.]", part.lower())[0]) in SPLIT_WORDS:
            return SPLIT_WORDS[word]
    return None


def _split_word(value: Any, place: str) -> Split | None:
    if value is None or value == "":
        return None
    if str(value).lower() not in SPLIT_WORDS:
        raise ResLabError(f"{place}: the split {str(value)!r} is unknown", nearest(str(value), SPLIT_WORDS))
    return SPLIT_WORDS[str(value).lower()]
