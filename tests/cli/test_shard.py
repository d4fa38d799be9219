"""`shard`, and every verb on what it wrote, on a zip and on Parquet files: the answers of the folder, to the last byte."""

import csv
import json
import shutil
import zipfile

import pytest

from reslab.data.reader import content
from reslab.data.sources import read_data
from tests.cli.conftest import QUICK
from tests.pictures import tree

HOW = [*QUICK[:-4], "--epochs", "1", "--batch-size", "8", "--precision", "float32"]
"""The precision is measured where it is not given, and on a busy machine measurements differ."""

FORMS = ("shards", "zip", "parquet")


@pytest.fixture(scope="module")
def forms(colours, tmp_path_factory):
    """The folder in every form: `FORM/colours…`, so that the data have one name."""
    from reslab.cli.app import run

    root = tmp_path_factory.mktemp("forms")
    before = tree(colours)
    assert run(["shard", str(colours), str(root / "shards" / "colours"), "--max-bytes", "20000"]) == 0
    (root / "zip").mkdir()
    with zipfile.ZipFile(root / "zip" / "colours.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(colours.rglob("*.png")):
            archive.write(path, f"colours/{path.relative_to(colours).as_posix()}")
    found = {"folder": colours, "shards": root / "shards" / "colours", "zip": root / "zip" / "colours.zip"}
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return found
    pictures = read_data(colours).pictures
    rows = {"image": [{"bytes": content(p), "path": p.key} for p in pictures], "label": [p.label for p in pictures]}
    (root / "parquet").mkdir()
    parquet.write_table(pyarrow.table(rows), root / "parquet" / "colours.parquet", row_group_size=5)
    assert tree(colours) == before
    return found | {"parquet": root / "parquet" / "colours.parquet"}


@pytest.fixture(scope="module")
def runs(forms, tmp_path_factory):
    """A run on every form."""
    from reslab.cli.app import run

    root = tmp_path_factory.mktemp("runs")
    for form, data in forms.items():
        assert run(["train", str(data), *HOW, "--out", str(root / form)]) == 0
    return root


def parts(path):
    """The header of a model file without what names the data, and its tensors."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = {name: json.loads(text) for name, text in header.pop("__metadata__").items()}
    for document in metadata.values():
        document["training"].pop("data")
        document.pop("sha256")
    return header, metadata, data[8 + length :]


def test_training_makes_the_same_model(runs, forms):
    """Of shards in a folder of the same name it is the same file; a zip's ending is part of its name."""
    split = (runs / "folder" / "split.csv").read_bytes()
    assert (runs / "shards" / "model.safetensors").read_bytes() == (runs / "folder" / "model.safetensors").read_bytes()
    for form in forms:
        assert (runs / form / "split.csv").read_bytes() == split
        assert parts(runs / form / "model.safetensors") == parts(runs / "folder" / "model.safetensors")


@pytest.mark.parametrize("form", FORMS)
def test_check_eval_predict_and_embed_say_the_same(reslab, forms, runs, form, tmp_path):
    if form not in forms:
        pytest.skip("pyarrow is not installed")
    folder, data, run = forms["folder"], forms[form], runs / "folder"
    for words in (["check", "{}", "--deep", "--json"], ["eval", str(run), "{}", "--split", "val", "--json"]):
        code, out, _ = reslab(*(word.format(folder) for word in words))
        assert (code, out.replace(str(folder), "DATA")) == _answer(reslab, words, data)
    rows = []
    for place in (folder, data):
        code, out, err = reslab("predict", run, place, "--json")
        assert code == 0, err
        rows.append([json.loads(line.replace(f'"{place}/', '"DATA/')) for line in out.splitlines()])
    assert rows[0] == rows[1] and len(rows[0]) == 36
    for name, place in (("a", folder), ("b", data)):
        assert reslab("embed", run, place, "--out", tmp_path / f"{name}.npz")[0] == 0
    import numpy as np

    one, other = (np.load(tmp_path / f"{name}.npz") for name in "ab")
    assert all(np.array_equal(one[key], other[key]) for key in one.files if key != "source")


def _answer(reslab, words, data):
    code, out, _ = reslab(*(word.format(data) for word in words))
    return code, out.replace(str(data), "DATA")


def test_the_report_and_the_review_find_the_pictures_again(reslab, runs):
    code, out, err = reslab("review", runs / "shards", "--html", runs / "review.html")
    assert code == 0, err
    assert "data:image" in (runs / "review.html").read_text()
    assert reslab("report", runs / "shards")[0] == 0


def test_the_summary(reslab, colours, tmp_path):
    code, out, err = reslab("shard", colours, tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["pictures"], document["shards"], document["classes"]) == (36, 1, ["blue", "green", "red"])
    assert document["bytes"] == (tmp_path / "out" / "data-000000.tar").stat().st_size
    code, out, err = reslab("shard", colours, tmp_path / "more")
    assert code == 0 and "36 pictures of 3 classes in 1 shards" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "out"], "there is no nowhere"),
        (["DATA", "DATA/out"], "OUT DATA/out lies inside DATA"),
        (["DATA", "OUT"], "OUT already holds shards"),
        (["DATA", "out", "--max-bytes", "0"], "--max-bytes 0 is not between 1 and"),
        (["DATA", "gs://bucket/x"], "gs:// needs the package gcsfs"),
        (["gs://bucket/x", "out"], "gs:// needs the package gcsfs"),
        (["DATA"], "shard needs OUT"),
    ],
)
def test_mistakes(reslab, colours, forms, tmp_path, monkeypatch, words, message):
    pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(forms["shards"], "OUT")
    before = tree(colours)
    shutil.copytree(colours, "DATA")
    code, _, err = reslab("shard", *words)
    assert code == 2 and message in err
    assert tree(colours) == before and not (tmp_path / "out").exists()


def test_a_csv_of_answers_resumes_over_shards(reslab, forms, runs, tmp_path):
    assert reslab("predict", runs / "folder", forms["shards"], "--csv", tmp_path / "a.csv")[0] == 0
    with (tmp_path / "a.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 36
