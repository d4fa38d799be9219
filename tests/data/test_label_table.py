"""Tables whose pictures bear several labels, however people write them, and how such pictures are divided."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.data.catalog import Catalog, Picture, split_labels
from reslab.data.sources import read_data
from reslab.data.splits import _split_hash, assign_splits
from reslab.data.table import read_table
from reslab.errors import ResLabError

NAMES = ["a.png", "b.png", "c.png", "d.png"]
LABELS = ["cat;outdoor", "cat", "", "outdoor"]


@pytest.fixture
def table(plant):
    """Write a table beside four pictures and give its path."""
    base = plant(NAMES)

    def write(content, name="table.csv", encoding="utf-8"):
        (base / name).write_bytes(content.encode(encoding))
        return base / name

    return write


def listed(catalog):
    return [(p.key, p.label) for p in catalog.pictures]


def complaint(path):
    with pytest.raises(ResLabError) as caught:
        read_table(path)
    return f"{caught.value.message} | {caught.value.hint}"


def written(cells, header="path,label", delimiter=","):
    rows = [f'{name}{delimiter}"{cell}"' for name, cell in zip(NAMES, cells, strict=False)]
    return "\n".join([header.replace(",", delimiter), *rows]) + "\n"


# ------------------------------------------------------------------ one column


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk"])
def test_a_semicolon_in_one_cell_makes_the_table_one_of_several_labels(table, delimiter, encoding):
    catalog = read_table(table(written(LABELS, delimiter=delimiter), encoding=encoding))
    assert catalog.task == "multi" and listed(catalog) == list(zip(NAMES, LABELS, strict=True))
    assert catalog.classes == ("cat", "outdoor") and catalog.counts() == {"cat": 2, "outdoor": 2}
    assert [catalog.labels_of(p) for p in catalog.pictures] == [("cat", "outdoor"), ("cat",), (), ("outdoor",)]
    assert catalog.remarks == ()


def test_labels_are_sorted_so_that_two_ways_of_writing_are_one(table):
    catalog = read_table(table(written(["outdoor;cat", "cat;outdoor"])))
    assert [p.label for p in catalog.pictures] == ["cat;outdoor"] * 2
    twice = read_table(table("path,label\na.png,cat;outdoor\na.png,outdoor;cat\nb.png,cat\n"))
    assert len(twice.pictures) == 2 and twice.skipped == {"repeated lines": 1}


def test_without_a_semicolon_a_picture_has_one_label(table):
    catalog = read_table(table(written(["cat", "dog"])))
    assert catalog.task == "single" and catalog.labels_of(catalog.pictures[0]) == ("cat",)
    said = complaint(table(written(["cat", ""])))
    assert "line 3" in said and "no label" in said and "the column is called labels" in said


@pytest.mark.parametrize("header", ["path,labels", "file,LABELS"])
def test_a_column_called_labels_may_hold_several_without_doing_so(table, header):
    catalog = read_table(table(written(["cat", "", "dog"], header)))
    assert catalog.task == "multi" and [p.label for p in catalog.pictures] == ["cat", "", "dog"]


def test_untidy_cells_are_understood_and_named(table):
    cells = ["cat ; outdoor", "cat;cat", ";outdoor;", " cat"]
    catalog = read_table(table(written(cells)))
    assert [p.label for p in catalog.pictures] == ["cat;outdoor", "cat", "outdoor", "cat"]
    remarks = dict(catalog.remarks)
    assert remarks.keys() == {"repeated label", "spaces around ;", "stray ;"}
    assert "1 line(s), the first of them 3:" in remarks["repeated label"]
    assert "1 line(s), the first of them 2:" in remarks["spaces around ;"]
    assert "1 line(s), the first of them 4:" in remarks["stray ;"]


def test_labels_stay_names(table):
    apart = "Cafe\u0301;\u732b"
    assert read_table(table(written([apart, "Caf\xe9"]))).classes == ("Caf\xe9", "\u732b")


def test_more_cells_than_names_are_not_passed_over(table):
    said = complaint(table("path;label\na.png;cat;outdoor\nb.png;cat\n"))
    assert "line 2" in said and "more cells" in said and "quote what contains a ;" in said
    assert listed(read_table(table("path,label\na.png,cat,,\nb.png,dog, \n"))) == [("a.png", "cat"), ("b.png", "dog")]


def test_lines_that_each_name_one_label_are_told_how_to_be_written(table):
    said = complaint(table("path,label\na.png,cat\na.png,outdoor\n"))
    assert "line 3" in said and "as in cat;outdoor" in said


# ------------------------------------------------------------------ a column for each label


def columns(rows, header="path,cat,outdoor"):
    return "\n".join([header, *(f"{name},{row}" for name, row in zip(NAMES, rows, strict=True))]) + "\n"


@pytest.mark.parametrize(
    "rows",
    [
        ["1,1", "1,0", "0,0", "0,1"],
        ["1.0,1.0", "1.0,0.0", "0.0,0.0", "0.0,1.0"],
        ["True,True", "true,FALSE", "0,0", "0,1"],
    ],
)
def test_columns_of_zeros_and_ones(table, rows):
    catalog = read_table(table(columns(rows)))
    assert catalog.task == "multi" and listed(catalog) == list(zip(NAMES, LABELS, strict=True))
    assert catalog.empty_classes == ()


def test_other_columns_are_no_labels(table):
    header = "id,path,split,width,height,cat,score,outdoor,notes"
    rows = [
        "7,a.png,train,640,1,1,0.5,1,1",
        "8,b.png,train,1,1,1,0.1,0,ok",
        "9,c.png,val,1,0,0,0,0,",
        "4,d.png,val,0,1,0,2,1,x",
    ]
    catalog = read_table(table("\n".join([header, *rows])))
    assert catalog.classes == ("cat", "outdoor") and [p.split for p in catalog.pictures] == ["train"] * 2 + ["val"] * 2


def test_a_label_column_wins_over_columns_of_marks(table):
    catalog = read_table(table(columns(["cat,1,0", "dog,0,1", "cat,1,1", "dog,0,0"], "path,label,seen,kept")))
    assert catalog.task == "single" and catalog.classes == ("cat", "dog")


def test_a_label_that_no_picture_bears_is_an_empty_class(table):
    catalog = read_table(table(columns(["1,0,1", "1,0,0", "0,0,0", "0,0,1"], "path,cat,dog,outdoor")))
    assert catalog.classes == ("cat", "outdoor") and catalog.empty_classes == (("dog", None),)


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["1,1", "1,x", "0,0", "0,1"], "path,cat,outdoor", ["line 3", "outdoor is 'x'", "0 or 1 in every line"]),
        (["1,1", "1,", "0,0", "0,1"], "path,cat,outdoor", ["line 3", "outdoor is ''"]),
        (["1,1", "1,0", "0,0", "0,-1"], "path,cat,outdoor", ["line 5", "'-1'"]),
        (["1", "0", "0", "1"], "path,cat", ["no column 'label'", "one column of 0 and 1 for each label", "path, cat"]),
        (["1,1", "1,0", "0,0", "0,1"], "path,cat;dog,outdoor", ["'cat;dog'", "rename"]),
    ],
)
def test_what_is_wrong_is_said(table, rows, header, words):
    said = complaint(table(columns(rows, header)))
    assert all(word in said for word in words), said


def test_a_table_without_rows(table):
    assert "no column 'label'" in complaint(table("path,cat,dog\n"))


def test_a_mirror_is_judged_by_each_label(table):
    assert read_data(table(written(["cat;outdoor", "cat"]))).mirrored
    assert not read_data(table(written(["left;cat", "cat"]))).mirrored


# ------------------------------------------------------------------ splits


def toy(labels):
    pictures = (Picture(f"{n:04d}.png", Path("x"), label) for n, label in enumerate(labels))
    return Catalog("toy", "toy", tuple(pictures), task="multi")


def by_label(done):
    return {label: Counter(p.split for p in done.pictures if label in split_labels(p.label)) for label in done.classes}


SETS = st.lists(st.sets(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=25)


@settings(max_examples=300, deadline=None)
@given(SETS, st.integers(0, 5))
def test_every_label_has_a_training_picture(sets, seed):
    done = assign_splits(toy([";".join(sorted(s)) for s in sets]), 0.3, seed)
    assert all(counts["train"] for counts in by_label(done).values())
    assert done.task == "multi"


def keys(low, high, count):
    """Names whose lot lies between these."""
    return [key for key in (f"{n}.png" for n in range(10_000)) if low <= _split_hash(0, key) < high][:count]


def test_a_training_picture_comes_before_another_labels_validation_picture():
    """Both pictures of `x` validate, each the only one to do so for another label: one of them trains all the same."""
    sets = dict(zip(keys(0.1, 0.2, 2), ["x;y", "x;z"], strict=True))
    sets |= dict.fromkeys([*keys(0.0, 0.1, 1), *keys(0.2, 1.0, 3)], "y;z")
    pictures = tuple(Picture(key, Path("x"), label) for key, label in sets.items())
    counts = by_label(assign_splits(Catalog("toy", "toy", pictures, task="multi")))
    assert counts["x"] == {"train": 1, "val": 1}
    assert all(counts[label][split] for label in "yz" for split in ("train", "val"))


def test_a_frequent_label_is_everywhere_and_a_rare_one_trains():
    labels = [";".join(["a"] + ["b"] * (n % 2) + ["c"] * (n == 17) + ["d"] * (n in (3, 5, 8))) for n in range(60)]
    counts = by_label(assign_splits(toy(labels)))
    assert all(counts[label][split] for label in "abd" for split in ("train", "val", "test"))
    assert counts["c"] == {"train": 1}


def test_adding_pictures_moves_nobody():
    labels = [["", "a", "a;b", "b;c"][n % 4] for n in range(200)]
    before, after = assign_splits(toy(labels)), assign_splits(toy(labels + ["a", "c"] * 40))
    lots = {p.key: p.split for p in after.pictures}
    assert all(lots[p.key] == p.split for p in before.pictures)


def test_one_label_each_is_divided_as_ever():
    labels = [f"class {n % 7}" for n in range(90)]
    several_, one = toy(labels), dataclasses.replace(toy(labels), task="single")
    assert [p.split for p in assign_splits(several_).pictures] == [p.split for p in assign_splits(one).pictures]
