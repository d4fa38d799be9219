"""Rows as a Parquet file: a column for each field of a dataclass, which alone says what a row holds."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Sequence
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from reslab.data.archives.parquet import need_pyarrow
from reslab.data.reader import parts
from reslab.pixels.decode import printable

_ROWS = 1000  # as Python objects at a time

_LABELS, _PAIRS = tuple[str, ...], tuple[tuple[str, float], ...]
"""Kinds of a field: labels, and labels with their probabilities."""


def parquet_file(rows: Iterable[Any], kind: type, about: dict[str, Any]) -> tuple[bytes, int]:
    """Instances of a dataclass as the content of a Parquet file, and how many there are.

    Args:
        about: kept in the schema's metadata as JSON, under `reslab`.
    """
    pyarrow = need_pyarrow()
    from pyarrow import parquet

    schema = pyarrow.schema(
        [(name, _type(words)) for name, words in _kinds(kind).items()], metadata={"reslab": json.dumps(about)}
    )
    batches = [pyarrow.record_batch(_columns(block, kind), schema=schema) for _, block in parts(rows, _ROWS)]
    table = pyarrow.Table.from_batches(batches, schema)
    file = pyarrow.BufferOutputStream()
    parquet.write_table(table, file)
    return file.getvalue().to_pybytes(), table.num_rows


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
    known = {str: arrow.string(), float: arrow.float64(), bool: arrow.bool_()}
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
