"""Rows as Parquet: every field of a dataclass is a column, with the values that it had."""

import dataclasses
import json

import pytest

from reslab.evaluate.predict import Prediction

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

from reslab.bulk.table import parquet_file  # noqa: E402

ROWS = [
    Prediction("a.png", "cat", 0.75, (("cat", 0.75), ("dog", 0.25)), True, ("cat",), may_be_wrong=False, not_from_here=False,
               outlier_score=-0.5),
    Prediction("b\udce9.png", None, None, (), error="no picture"),
    Prediction("c.png", "cat;dog", None, (("cat", 0.5),), labels=(("cat", 0.5), ("dog", 0.5))),
    Prediction("d.png", "", None, (), labels=(), prediction_set=()),
]  # fmt: skip


def plain(row):
    row = dict(row)
    for name in ("top", "labels"):
        row[name] = None if row[name] is None else tuple((pair["label"], pair["probability"]) for pair in row[name])
    row["prediction_set"] = None if row["prediction_set"] is None else tuple(row["prediction_set"])
    return row


def test_what_is_written_is_read(tmp_path):
    content, rows = parquet_file(iter(ROWS), Prediction, {"model": "x"})
    (tmp_path / "a.parquet").write_bytes(content)
    table = parquet.read_table(tmp_path / "a.parquet")
    expected = [dataclasses.asdict(row) for row in ROWS]
    expected[1]["path"] = r"b\udce9.png"
    assert [plain(row) for row in table.to_pylist()] == expected and rows == 4
    assert json.loads(table.schema.metadata[b"reslab"]) == {"model": "x"}


def test_blocks_and_no_rows_at_all():
    content, rows = parquet_file(iter(ROWS * 600), Prediction, {})
    assert parquet.read_table(pyarrow.BufferReader(content)).num_rows == rows == 2400
    content, rows = parquet_file(iter(()), Prediction, {})
    assert parquet.read_table(pyarrow.BufferReader(content)).column_names == [
        f.name for f in dataclasses.fields(Prediction)
    ]
    assert rows == 0
