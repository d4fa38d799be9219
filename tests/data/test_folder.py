"""A folder of class folders, as people really have them."""

import os
import sys
import tracemalloc
import unicodedata
from pathlib import Path

import pytest

from reslab.data.folder import picture_files, read_folder
from reslab.data.reader import load
from reslab.errors import ResLabError


def keys(catalog, split=None):
    return [p.key for p in catalog.pictures if split is None or p.split == split]


def test_class_folders_without_splits(plant):
    catalog = read_folder(plant(["dogs/b.jpg", "cats/a.png", "dogs/a.JPG", "10/x.webp", "2/y.gif"]))
    assert catalog.classes == ("10", "2", "cats", "dogs")
    assert keys(catalog) == ["10/x.webp", "2/y.gif", "cats/a.png", "dogs/a.JPG", "dogs/b.jpg"]
    assert not catalog.declares_splits
    assert catalog.counts() == {"10": 1, "2": 1, "cats": 1, "dogs": 2}
    assert catalog.name == "data" and catalog.skipped == {} and catalog.empty_classes == ()
    assert Path(catalog.pictures[-1].source).name == "b.jpg"


@pytest.mark.parametrize("train", ["train", "Train", "training"])
@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
@pytest.mark.parametrize("test", ["test", "testing", "TEST"])
def test_synonyms_of_the_splits(plant, train, val, test):
    catalog = read_folder(plant([f"{train}/a/1.png", f"{val}/a/2.png", f"{test}/a/3.png"]))
    assert {p.split: p.key for p in catalog.pictures} == {
        "train": f"{train}/a/1.png",
        "val": f"{val}/a/2.png",
        "test": f"{test}/a/3.png",
    }
    assert catalog.classes == ("a",) and catalog.declares_splits


def test_train_and_test_without_val(plant):
    catalog = read_folder(plant(["train/a/1.png", "train/b/2.png", "test/a/3.png"]))
    assert keys(catalog, "train") == ["train/a/1.png", "train/b/2.png"]
    assert keys(catalog, "test") == ["test/a/3.png"] and not keys(catalog, "val")


@pytest.mark.parametrize("only", [["test"], ["val"], ["val", "test"]])
def test_nothing_but_a_split_to_be_scored(plant, only):
    catalog = read_folder(plant([f"{split}/{label}/1.png" for split in only for label in "ab"]))
    assert catalog.classes == ("a", "b")
    assert {p.split for p in catalog.pictures} == set(only)


def test_a_class_called_train(plant):
    catalog = read_folder(plant(["train/1.png", "car/2.png", "bus/3.png"]))
    assert catalog.classes == ("bus", "car", "train")
    assert not catalog.declares_splits
    catalog = read_folder(plant(["test/1/1.png", "cars/2.png"], "other"))  # a class `test`, its pictures deeper
    assert catalog.classes == ("cars", "test") and not catalog.declares_splits


def test_folders_beside_the_splits_are_counted(plant):
    catalog = read_folder(plant(["train/a/1.png", "val/a/1.png", "raw/x/1.png", "labels.csv", "train/list.txt"]))
    assert keys(catalog) == ["train/a/1.png", "val/a/1.png"]
    assert catalog.skipped == {"folders beside the splits": 1, "files outside a class folder": 2}


def test_hidden_folders_and_files_are_no_classes_and_are_counted(plant):
    tree = ["a/1.png", "b/2.png", ".ipynb_checkpoints/x.png", "__MACOSX/a/y.png", "a/.ipynb_checkpoints/1.png"]
    catalog = read_folder(plant([*tree, "a/._1.png", "a/.DS_Store", "b/@eaDir/2.png"]))
    assert catalog.classes == ("a", "b") and keys(catalog) == ["a/1.png", "b/2.png"]
    assert catalog.skipped == {"hidden folders": 4, "hidden files": 2}
    split = read_folder(plant(["train/a/1.png", "train/.ipynb_checkpoints/x.png", "val/__MACOSX/y.png"], "split"))
    assert split.classes == ("a",)


def test_files_that_are_no_pictures_are_counted(plant):
    tree = {"a/1.png": None, "a/notes.txt": b"x", "a/Thumbs.db": b"x", "b/2.png": None, "b/deep/x.json": b"{}"}
    catalog = read_folder(plant(tree))
    assert catalog.skipped == {"files that are no pictures": 3} and len(catalog.pictures) == 2


def test_pictures_may_lie_deeper(plant):
    catalog = read_folder(plant(["a/2020/may/1.png", "a/2021/2.png", "a/3.png", "b/x/4.png"]))
    assert keys(catalog) == ["a/2020/may/1.png", "a/2021/2.png", "a/3.png", "b/x/4.png"]
    assert [p.label for p in catalog.pictures] == ["a", "a", "a", "b"]


def test_classes_without_pictures_are_named(plant):
    base = plant({"train/a/1.png": None, "train/b/notes.txt": b"x", "val/a/2.png": None})
    (base / "val" / "c" / "deeper").mkdir(parents=True)
    assert read_folder(base).empty_classes == (("train/b", "train"), ("val/c", "val"))


def test_a_folder_with_the_ending_of_a_picture_is_listed_so_that_somebody_complains(plant):
    base = plant(["a/1.png"])
    (base / "a" / "trap.jpg").mkdir()
    assert keys(read_folder(base)) == ["a/1.png", "a/trap.jpg"]


def test_non_ascii_and_long_names(plant):
    root = f"数据 集/ñ é/{'长' * 60}"
    catalog = read_folder(plant(["猫 咪/图 1.png", "perro ñ/é.png"], root))
    assert catalog.classes == ("perro ñ", "猫 咪")
    assert keys(catalog) == ["perro ñ/é.png", "猫 咪/图 1.png"]
    assert all(load(p).shape == (6, 8, 3) for p in catalog.pictures)


def test_an_accent_stored_as_its_own_letter_is_the_same_class(plant):
    composed, apart = unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")
    assert composed != apart
    catalog = read_folder(plant([f"train/{composed}/1.png", "train/x/1.png", f"val/{apart}/2.png"]))
    assert catalog.classes == (composed, "x")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode on this system")
def test_names_that_are_no_unicode(plant):
    base = plant(["a/1.png"])
    (base / "a" / "1.png").rename(base / "a" / os.fsdecode("数据.png".encode("gbk")))
    (base / "a").rename(base / os.fsdecode("数据".encode("gbk")))
    catalog = read_folder(base)
    (picture,) = catalog.pictures
    with pytest.raises(UnicodeEncodeError):
        str(picture.source).encode()
    picture.key.encode(), picture.label.encode(), catalog.root.encode()  # can be printed and stored
    assert load(picture).shape == (6, 8, 3)


def test_a_picture_takes_little_memory(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(1000):
            (tmp_path / label / f"{number:07}.png").touch()
    tracemalloc.start()
    try:
        found = read_folder(tmp_path)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.pictures) == 2000 and kept / 2000 < 300 + len(str(tmp_path))  # bytes


def test_links_are_followed_once(plant, tmp_path):
    base = plant(["a/1.png", "b/2.png"])
    outside = plant(["more/3.png"], "outside")
    (base / "a" / "linked").symlink_to(outside / "more")
    (base / "a" / "again").symlink_to(outside / "more")
    (base / "c").symlink_to(outside / "more")
    (base / "b" / "one.png").symlink_to(outside / "more" / "3.png")
    assert keys(read_folder(base)) == ["a/1.png", "a/again/3.png", "b/2.png", "b/one.png", "c/3.png"]


def test_links_in_a_circle_end(plant):
    base = plant(["a/1.png", "b/2.png"])
    (base / "a" / "self").symlink_to(base / "a")
    (base / "a" / "up").symlink_to(base)  # must not make the pictures of b pictures of a
    (base / "a" / "parent").symlink_to(base.parent)
    (base / "x").symlink_to(base / "y")
    (base / "y").symlink_to(base / "x")
    (base / "a" / "lost.png").symlink_to(base / "nowhere.png")
    catalog = read_folder(base)
    assert keys(catalog) == ["a/1.png", "a/lost.png", "b/2.png"]
    assert catalog.skipped == {"files outside a class folder": 2}


def test_a_folder_that_may_not_be_listed(plant, without_rights):
    base = plant(["a/1.png", "b/2.png"])
    (base / "b").chmod(0)
    try:
        with without_rights(), pytest.raises(ResLabError, match="cannot list .*Permission denied") as caught:
            read_folder(base)
        assert caught.value.hint
    finally:
        (base / "b").chmod(0o755)


def test_a_folder_that_vanishes_is_one_sentence(tmp_path):
    with pytest.raises(ResLabError, match="cannot list .*gone"):
        read_folder(tmp_path / "gone")


def test_picture_files_come_in_sorted_order(plant):
    base = plant(["b/1.png", "a/z/2.png", "a/y.png", "c.png", ".hidden/3.png", "a/b.txt"])
    found = [path.relative_to(base).as_posix() for path in picture_files(base)]
    assert found == ["a/y.png", "a/z/2.png", "b/1.png", "c.png"]


@pytest.mark.parametrize("written", [".", "data", "./data/", "data/../data"])
def test_keys_do_not_depend_on_how_the_folder_is_written(plant, monkeypatch, written):
    base = plant(["a/1.png", "b/2.png"])
    monkeypatch.chdir(base if written == "." else base.parent)
    catalog = read_folder(Path(written))
    assert keys(catalog) == ["a/1.png", "b/2.png"] and catalog.name == "data"
