"""Rows as a Parquet file: a column for each field of a dataclass, which alone says what a row holds."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from types import NoneType
from typing import Any, BinaryIO, get_args, get_type_hints

from reslab.data.archives.parquet import need_pyarrow
from reslab.data.reader import parts
from reslab.errors import ResLabError
from reslab.pixels.decode import printable

_ROWS = 1000  # as Python objects at a time
_BATCHES = 16  # times as many in a row group, which is what memory holds of a file

ANEW = "delete it, and the same command writes it anew"

_LABELS, _PAIRS = tuple[str, ...], tuple[tuple[str, float], ...]
"""Kinds of a field: labels, and labels with their probabilities."""


def write_rows(file: BinaryIO, rows: Iterable[Any], kind: type, about: dict[str, Any]) -> int:
    """Write instances of a dataclass as a Parquet file, in memory for some thousands of them; how many there are.

    Args:
        about: kept in the schema's metadata as JSON, under `reslab`.
    """
    pyarrow = need_pyarrow()
    from pyarrow import parquet

    schema = pyarrow.schema(
        [(name, _type(words)) for name, words in _kinds(kind).items()], metadata={"reslab": json.dumps(about)}
    )
    batches = (pyarrow.record_batch(_columns(block, kind), schema=schema) for _, block in parts(rows, _ROWS))
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for _, some in parts(batches, _BATCHES):
            table = pyarrow.Table.from_batches(some, schema)
            writer.write_table(table)
            count += table.num_rows
    return count


def read_rows(content: bytes, kind: type, about: dict[str, Any], where: str) -> Iterator[Any]:
    """What `write_rows` wrote, of a dataclass whose fields are texts and bytes.

    Args:
        where: the file, for messages.

    Raises:
        ResLabError: it is damaged, or was written with another `about`.
    """
    pyarrow = need_pyarrow()
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(content))
        if json.loads((file.schema_arrow.metadata or {})[b"reslab"]) != about:
            raise ResLabError(f"{where} is a part of something else", ANEW)
        for batch in file.iter_batches(_ROWS, columns=list(_kinds(kind))):
            for row in batch.to_pylist():
                yield kind(**row)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise ResLabError(f"{where} is damaged: {str(error).splitlines()[0][:120]}", ANEW) from None


@cache
def _kinds(kind: type) -> dict[str, Any]:
    """Field -> its type without None."""
    hints = get_type_hints(kind)
    return {field.name: _without_none(hints[field.name]) for field in dataclasses.fields(kind)}


def _without_none(kind: Any) -> Any:
    parts = get_args(kind)
    return next(part for part in parts if part is not NoneType) if NoneType in parts else kind


def _type(kind: Any) -> Any:
    arrow = need_pyarrow()
    pair = arrow.struct([("label", arrow.string()), ("probability", arrow.float64())])
    known = {str: arrow.string(), bytes: arrow.binary(), float: arrow.float64(), bool: arrow.bool_()}
    return (known | {_LABELS: arrow.list_(arrow.string()), _PAIRS: arrow.list_(pair)})[kind]


def _columns(rows: Sequence[Any], kind: type) -> list[Any]:
    return [_column([getattr(row, name) for row in rows], words) for name, words in _kinds(kind).items()]


def _column(cells: list[Any], kind: Any) -> Any:
    arrow = need_pyarrow()
    if kind is str:
        cells = [cell if cell is None else printable(cell) for cell in cells]
    if kind != _PAIRS:
        return arrow.array(cells, _type(kind))
    flat = [pair for cell in cells for pair in cell or ()]
    labels = arrow.array([label for label, _ in flat], arrow.string())
    values = arrow.array([value for _, value in flat], arrow.float64())
    pairs = arrow.StructArray.from_arrays([labels, values], names=["label", "probability"])
    starts = itertools.accumulate((len(cell or ()) for cell in cells), initial=0)
    empty = arrow.array([cell is None for cell in cells])
    return arrow.ListArray.from_arrays(arrow.array(starts, arrow.int32()), pairs, mask=empty)
