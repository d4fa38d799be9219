"""Folders that could be read in two ways, and things in them that are no files."""

import os

import pytest

from reslab.data.folder import picture_files, read_folder
from reslab.errors import BadPicture


def splits(catalog):
    return {split: sorted({p.label for p in catalog.split(split)}) for split in ("train", "val", "test")}


@pytest.mark.parametrize("inner", [True, False])
def test_splits_with_something_in_common(plant, inner):
    tree = [f"seg_{s}/{f'seg_{s}/' * inner}{c}/1.png" for s in ("train", "test") for c in ("sea", "wood")]
    catalog = read_folder(plant([*tree, "seg_pred/1.png"]))
    assert splits(catalog) == {"train": ["sea", "wood"], "val": [], "test": ["sea", "wood"]}
    assert catalog.skipped == {"folders beside the splits": 1} and "seg_pred" in catalog.doubts[0][1]


def test_a_folder_around_the_splits(plant):
    catalog = read_folder(plant([f"archive/{s}/{c}/1.png" for s in ("train", "valid") for c in "ab"]))
    assert splits(catalog) == {"train": ["a", "b"], "val": ["a", "b"], "test": []}
    assert catalog.pictures[0].key == "archive/train/a/1.png"


def test_a_split_within_a_folder_of_its_own_name(plant):
    catalog = read_folder(plant([f"{s}/{s}/{c}/1.png" for s in ("train", "test") for c in "ab"]))
    assert splits(catalog) == {"train": ["a", "b"], "val": [], "test": ["a", "b"]}


def test_a_class_called_train_among_others(plant):
    catalog = read_folder(plant(["train/steam/1.png", "car/2.png", "bus/3.png"]))
    assert catalog.classes == ("bus", "car", "train") and not catalog.declares_splits


def test_classes_called_by_chance_like_splits(plant):
    catalog = read_folder(plant(["train_station/2020/1.png", "test_tube/2021/1.png", "cat/1.png"]))
    assert catalog.classes == ("cat", "test_tube", "train_station") and not catalog.declares_splits


def test_what_lies_beside_the_splits_is_named(plant):
    catalog = read_folder(plant(["train/a/1.png", "train/b/1.png", "extra/1.png", "test/1.png"]))
    ((kind, detail),) = catalog.doubts
    assert kind == "folders beside the splits" and detail.startswith("extra:")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_no_pictures(plant):
    base = plant(["a/1.png", "b/2.png"])
    os.mkfifo(base / "a" / "pipe.jpg")
    (base / "a" / "zero.png").symlink_to("/dev/zero")
    (base / "b" / "gone.png").symlink_to("nowhere.png")
    catalog = read_folder(base)
    assert [p.key for p in catalog.pictures] == ["a/1.png", "b/2.png", "b/gone.png"]
    assert catalog.skipped == {"pipes, sockets and devices": 2}


def test_a_locked_subfolder_is_named_after_the_pictures(plant, without_rights):
    base = plant(["a/1.png", "b/2.png", "c/3.png"])
    (base / "b").chmod(0)
    for folder in (base, *base.parents[:4]):  # pytest's own, and xdist's
        folder.chmod(0o755)
    with without_rights():
        first, second, locked = picture_files(base)
    (base / "b").chmod(0o755)
    assert (first.name, second.name) == ("1.png", "3.png")
    assert isinstance(locked, BadPicture) and locked.name.endswith("b") and "Permission denied" in locked.reason
