"""DATA as a person writes it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from reslab.data.named import NAMED
from reslab.data.reader import load
from reslab.data.sources import NAMES, read_data
from reslab.errors import ResLabError

DIGIT_TOP = 16  # scikit-learn's digits are counts of 0 to 16


def complaint(data):
    with pytest.raises(ResLabError) as caught:
        read_data(data)
    return f"{caught.value.message} | {caught.value.hint}"


def test_digits_are_scikit_learns():
    catalog, theirs = read_data("digits"), load_digits()
    assert len(catalog.pictures) == len(theirs.images) == 1797
    assert [p.label for p in catalog.pictures] == [str(t) for t in theirs.target]
    ours = np.stack([load(p) for p in catalog.pictures])
    assert ours.shape == (1797, 8, 8, 3) and ours.dtype == np.uint8
    assert np.abs(ours[..., 1] - theirs.images * (255 / DIGIT_TOP)).max() <= 0.5
    assert len({p.key for p in catalog.pictures}) == 1797
    assert len(catalog.split("test")) == 359 and not catalog.split("val")
    assert {p.label for p in catalog.split("test")} == set("0123456789")
    assert not catalog.mirrored


def test_a_folder_a_table_and_a_name(plant, monkeypatch):
    base = plant({"a/1.png": None, "b/2.png": None, "t.csv": b"path,label\na/1.png,x\nb/2.png,y\n"})
    assert read_data(base).classes == read_data(str(base)).classes == ("a", "b")
    assert read_data(base / "t.csv").classes == ("x", "y")
    assert read_data("Digits").name == "digits"
    monkeypatch.chdir(base)
    (base / "a").rename(base / "digits")
    (base / "digits" / "deeper").mkdir()
    assert "no class folders" in complaint("digits") or "holds no pictures" in complaint("digits")  # a path wins


def test_every_name_is_known_to_the_leaf_that_opens_it():
    assert set(NAMES) == set(NAMED) | {"digits"}


@pytest.mark.parametrize(
    "data, words",
    [("nowhere/at/all", ["there is no nowhere/at/all"]), ("cifar", ["there is no cifar", "'cifar10'"]),
     ("digit", ["'digits'"]), ("ünïcode", ["there is no ünïcode"])],
)  # fmt: skip
def test_a_path_that_is_not_there(data, words):
    said = complaint(data)
    assert all(word in said for word in words), said


def test_folders_without_anything_to_learn_from(plant):
    base = plant({"empty/x.txt": b"x", "loose/1.png": None})
    (base / "void").mkdir()
    assert "holds no pictures" in complaint(base / "void")
    assert "one folder per class" in complaint(base / "void")
    assert "no class folders, only 1 file" in complaint(base / "loose")
    assert "is a file" in complaint(base / "loose" / "1.png")


# ------------------------------------------------------------------ mirror images


@pytest.mark.parametrize(
    "classes, mirrored",
    [
        (["0", "1", "2"], False), (["10", "20", "30"], False), (["a", "b"], False), (["A", "b", "3"], False),
        (["left", "right"], False), (["turn-left", "turn-right"], False), (["arrow_LEFT", "other"], False),
        (["ant", "bee"], True), (["1", "bee"], True), (["leftover", "fresh"], True), (["cat", "dog"], True),
        (["左", "右"], False), (["clockwise turn", "none at all"], False),
    ],
)  # fmt: skip
def test_whether_a_mirror_image_keeps_its_label(plant, classes, mirrored):
    assert read_data(plant([f"{name}/1.png" for name in classes])).mirrored == mirrored


def test_the_mirror_rule_holds_for_tables_too(plant):
    base = plant({"p/1.png": None, "p/2.png": None, "t.csv": b"path,label\np/1.png,3\np/2.png,7\n"})
    assert not read_data(base / "t.csv").mirrored


# ------------------------------------------------------------------ what a catalog answers


def test_a_catalog_counts_selects_and_leaves_out(plant):
    catalog = read_data(plant(["train/a/1.png", "train/b/2.png", "val/a/3.png", "test/b/4.png", "test/b/5.png"]))
    assert catalog.counts() == {"a": 2, "b": 3} and catalog.classes == ("a", "b")
    assert [p.key for p in catalog.only(("train", "val")).pictures] == ["train/a/1.png", "train/b/2.png", "val/a/3.png"]
    assert not catalog.only(("train",)).split("test")
    left = catalog.without({"test/b/4.png", "train/b/2.png"})
    assert [p.key for p in left.pictures] == ["test/b/5.png", "train/a/1.png", "val/a/3.png"]
    assert len(catalog.pictures) == 5  # a catalog is never changed
    assert (left.name, left.root, left.mirrored) == (catalog.name, catalog.root, catalog.mirrored)
