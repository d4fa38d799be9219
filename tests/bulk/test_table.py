"""Rows as Parquet: every field of a dataclass is a column, with the values that it had."""

import dataclasses
import io
import json

import pytest

from reslab.evaluate.predict import Prediction

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

from reslab.bulk.table import read_rows, write_rows  # noqa: E402
from reslab.check.looks import Look  # noqa: E402
from reslab.errors import ResLabError  # noqa: E402

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


def written(rows, kind, about):
    file = io.BytesIO()
    return file, write_rows(file, iter(rows), kind, about)


def test_what_is_written_is_read(tmp_path):
    file, rows = written(ROWS, Prediction, {"model": "x"})
    (tmp_path / "a.parquet").write_bytes(file.getvalue())
    table = parquet.read_table(tmp_path / "a.parquet")
    expected = [dataclasses.asdict(row) for row in ROWS]
    expected[1]["path"] = r"b\udce9.png"
    assert [plain(row) for row in table.to_pylist()] == expected and rows == 4
    assert json.loads(table.schema.metadata[b"reslab"]) == {"model": "x"}


def test_blocks_and_no_rows_at_all():
    file, rows = written(ROWS * 600, Prediction, {})
    assert parquet.read_table(pyarrow.BufferReader(file.getvalue())).num_rows == rows == 2400
    file, rows = written((), Prediction, {})
    assert parquet.read_table(pyarrow.BufferReader(file.getvalue())).column_names == [
        f.name for f in dataclasses.fields(Prediction)
    ]
    assert rows == 0


def test_texts_and_bytes_come_back(monkeypatch):
    monkeypatch.setattr("reslab.bulk.table._ROWS", 2)
    looks = [Look("a", b"\0\xff", "[]", b"t", b"s" * 9, None, "{}"), Look("b", b"", '["\\udce9"]')] * 20
    content = written(looks, Look, {"part": "a"})[0].getvalue()
    assert parquet.ParquetFile(pyarrow.BufferReader(content)).num_row_groups == 2
    assert list(read_rows(content, Look, {"part": "a"}, "a.parquet")) == looks
    with pytest.raises(ResLabError, match=r"a\.parquet is a part of something else"):
        list(read_rows(content, Look, {"part": "b"}, "a.parquet"))
    for damaged in (content[:-9], b"", content[:100] + b"\0" * 400 + content[500:]):
        with pytest.raises(ResLabError, match=r"a\.parquet is damaged"):
            list(read_rows(damaged, Look, {"part": "a"}, "a.parquet"))
