"""Who trains, validates and tests: by the share asked for, for ever, whatever else changes."""

import dataclasses
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from reslab.data.catalog import Catalog, Picture
from reslab.data.splits import MAX_VAL, TEST_FRACTION, _split_hash, assign_folds, assign_splits, most_folds
from reslab.errors import ResLabError

SPREAD = 4.0  # standard deviations of a binomial; the lots are fixed hashes, so this holds always or never


def catalog(sizes, prefix="", **changes):
    """Classes of given sizes: {"a": 10}."""
    pictures = tuple(
        Picture(f"{label}/{prefix}{number:05d}.png", Path("x"), label)
        for label, n in sizes.items()
        for number in range(n)
    )
    return Catalog("toy", "toy", pictures, **changes)


def splits(done):
    return {p.key: p.split for p in done.pictures}


def by_class(done):
    return {label: Counter(p.split for p in done.pictures if p.label == label) for label in done.classes}


# ------------------------------------------------------------------ shares


@pytest.mark.parametrize("val", [0.05, 0.1, 0.2, 0.5])
def test_shares_are_those_asked_for_in_every_class(val):
    n = 4000
    for counts in by_class(assign_splits(catalog({"a": n, "b": n, "c": n}), val)).values():
        for split, share in (("val", val), ("test", TEST_FRACTION), ("train", 1 - val - TEST_FRACTION)):
            assert abs(counts[split] - n * share) <= SPREAD * (n * share * (1 - share)) ** 0.5
        assert counts.total() == n


def test_no_validation():
    counts = by_class(assign_splits(catalog({"a": 200, "b": 200}), 0))
    assert all(c["val"] == 0 and c["test"] > 0 and c["train"] > 0 for c in counts.values())


def test_nothing_but_the_split_is_changed():
    before = catalog({"a": 30, "b": 30}, mirrored=False, skipped={"x": 1}, empty_classes=(("c", None),))
    after = assign_splits(before)
    for old, new in zip(before.pictures, after.pictures, strict=True):
        assert (
            dataclasses.replace(new, split=None).key == old.key and new.label == old.label and new.source is old.source
        )
    assert (after.mirrored, after.skipped, after.empty_classes) == (False, {"x": 1}, (("c", None),))
    assert all(p.split is None for p in before.pictures)


# ------------------------------------------------------------------ nobody moves


def test_adding_files_and_classes_moves_nobody():
    before = splits(assign_splits(catalog({"a": 60, "b": 60})))
    more = catalog({"a": 90, "b": 60, "c": 50})
    newer = Catalog("toy", "toy", more.pictures + catalog({"a": 40}, "new-").pictures)
    after = splits(assign_splits(newer))
    assert len(before) == 120 and all(after[key] == split for key, split in before.items())


def test_the_order_of_the_files_does_not_matter():
    plain = catalog({"a": 50, "b": 3, "c": 2, "d": 1})
    turned = dataclasses.replace(plain, pictures=plain.pictures[::-1])
    assert splits(assign_splits(plain)) == splits(assign_splits(turned))


def test_another_split_seed_is_another_division():
    pictures = catalog({"a": 500, "b": 500})
    first, second = splits(assign_splits(pictures, seed=0)), splits(assign_splits(pictures, seed=1))
    assert first == splits(assign_splits(pictures, seed=0)) and first != second
    both = sum(first[k] == second[k] == "val" for k in first)
    assert both < 0.3 * sum(split == "val" for split in first.values())


@pytest.mark.parametrize("val", [0, 0.05, 0.3, MAX_VAL])
def test_more_or_less_validation_never_lets_a_testing_picture_train(val):
    pictures = catalog({"a": 300, "b": 300})
    usual, other = splits(assign_splits(pictures, 0.1)), splits(assign_splits(pictures, val))
    assert {k for k, s in usual.items() if s == "test"} == {k for k, s in other.items() if s == "test"}
    if val > 0.1:
        assert {k for k, s in usual.items() if s == "val"} < {k for k, s in other.items() if s == "val"}


# ------------------------------------------------------------------ tiny classes


@pytest.mark.parametrize("seed", range(40))
def test_tiny_classes_train_first_then_validate_then_test(seed):
    counts = by_class(assign_splits(catalog({"one": 1, "two": 2, "three": 3, "four": 4}), seed=seed))
    assert counts["one"] == {"train": 1}
    assert counts["two"] == {"train": 1, "val": 1}
    assert counts["three"] == {"train": 1, "val": 1, "test": 1}
    assert set(counts["four"]) == {"train", "val", "test"}


def test_of_a_tiny_class_the_highest_lot_trains_so_that_a_new_picture_moves_few():
    for seed in range(200):
        sides = {p.split: _split_hash(seed, p.key) for p in assign_splits(catalog({"two": 2}), seed=seed).pictures}
        assert sides["train"] > sides["val"] or sides["val"] >= 0.1  # above the lots that test, each keeps its own


@pytest.mark.parametrize("seed", range(10))
def test_tiny_classes_without_validation(seed):
    counts = by_class(assign_splits(catalog({"one": 1, "two": 2, "three": 3}), 0, seed))
    assert counts["one"] == {"train": 1} and counts["two"] == {"train": 1, "test": 1}
    assert counts["three"]["train"] >= 1 and counts["three"]["test"] >= 1


# ------------------------------------------------------------------ groups


def grouped_catalog(groups=60, each=5):
    return Catalog(
        "toy",
        "toy",
        tuple(
            Picture(f"{'ab'[g % 2]}/patient{g:03d}_{i}.png", Path("x"), "ab"[g % 2])
            for g in range(groups)
            for i in range(each)
        ),
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pattern", [r"patient\d+", r"(patient\d+)_\d+.png", r"/(.*)_"])
def test_a_group_is_never_divided(pattern, seed):
    done = assign_splits(grouped_catalog(), seed=seed, group_by=pattern)
    sides = {}
    for picture in done.pictures:
        sides.setdefault(picture.key.split("_")[0], set()).add(picture.split)
    assert len(sides) == 60 and all(len(found) == 1 for found in sides.values())
    assert {p.split for p in done.pictures} == {"train", "val", "test"}


def test_group_by_parent_keeps_folders_together():
    pictures = tuple(
        Picture(f"{label}/day{d}/{i}.png", Path("x"), label) for label in "ab" for d in range(30) for i in range(4)
    )
    done = assign_splits(Catalog("toy", "toy", pictures), group_by="parent")
    sides = {}
    for picture in done.pictures:
        sides.setdefault(picture.key.rsplit("/", 1)[0], set()).add(picture.split)
    assert len(sides) == 60 and all(len(found) == 1 for found in sides.values())


def test_groups_of_a_table_are_kept_together_without_asking():
    pictures = tuple(Picture(f"{i}.png", Path("x"), "ab"[i % 2], group=f"g{i // 4}") for i in range(400))
    done = assign_splits(Catalog("toy", "toy", pictures))
    sides = {}
    for picture in done.pictures:
        sides.setdefault(picture.group, set()).add(picture.split)
    assert len(sides) == 100 and all(len(found) == 1 for found in sides.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc")), min_size=1, max_size=40), st.integers(0, 99))
def test_groups_that_mix_classes_stay_whole_and_every_class_trains(rows, seed):
    pictures = tuple(Picture(f"{n}.png", Path("x"), label, group=f"g{g}") for n, (g, label) in enumerate(rows))
    done = assign_splits(Catalog("toy", "toy", pictures), seed=seed)
    sides = {}
    for picture in done.pictures:
        sides.setdefault(picture.group, set()).add(picture.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {p.label for p in done.split("train")} == set(done.classes)


def test_pictures_that_the_pattern_does_not_match_stand_alone():
    pictures = (*grouped_catalog(4, 3).pictures, *catalog({"c": 200}).pictures)
    done = assign_splits(Catalog("toy", "toy", pictures), group_by=r"patient\d+")
    assert by_class(done)["c"].keys() == {"train", "val", "test"}
    assert {p.group for p in done.pictures if p.label == "c"} == {None}


# ------------------------------------------------------------------ data that declare their splits


def declared(splits_of):
    return Catalog(
        "toy", "toy",
        tuple(Picture(f"{split}/{label}/{i}.png", Path("x"), label, split)
              for split, n in splits_of.items() for label in "ab" for i in range(n)),
    )  # fmt: skip


def test_declared_splits_are_kept():
    done = assign_splits(declared({"train": 20, "val": 3, "test": 4}), 0.5, seed=9)
    assert all(p.key.startswith(p.split) for p in done.pictures)


def test_a_missing_validation_split_is_carved_from_train_only():
    done = assign_splits(declared({"train": 300, "test": 40}))
    assert all(p.split == "test" for p in done.pictures if p.key.startswith("test"))
    trainers = Counter(p.split for p in done.pictures if p.key.startswith("train"))
    assert trainers.keys() == {"train", "val"}
    assert abs(trainers["val"] - 60) <= SPREAD * (600 * 0.1 * 0.9) ** 0.5
    whole = assign_splits(declared({"train": 300, "test": 40}), 0)
    assert {p.split for p in whole.pictures} == {"train", "test"}


def test_pictures_without_a_split_among_declared_ones_train():
    rows = (Picture("a.png", Path("x"), "a", "val"), Picture("b.png", Path("x"), "a"), Picture("c.png", Path("x"), "b"))
    assert splits(assign_splits(Catalog("t", "t", rows))) == {"a.png": "val", "b.png": "train", "c.png": "train"}


# ------------------------------------------------------------------ folds


def undivided(rows):
    """All to train: (label, group) per picture."""
    pictures = (
        Picture(f"{label}/{n}.png", Path("x"), label, "train", group=group) for n, (label, group) in enumerate(rows)
    )
    return Catalog("toy", "toy", tuple(pictures))


def fold_sizes(done, folds):
    """Sizes of the folds of each class and, under None, in all; sorted, for which fold is which is a lottery."""
    return {
        label: sorted(sum(p.fold == k + 1 and label in (None, p.label) for p in done.pictures) for k in range(folds))
        for label in (None, *done.classes)
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=6), st.integers(2, 6), st.integers(0, 9))
def test_folds_of_single_pictures_are_scikit_learns_in_size(sizes, folds, seed):
    folds = min(folds, *sizes)
    labels = [chr(97 + k) for k, n in enumerate(sizes) for _ in range(n)]
    done = assign_folds(undivided([(label, None) for label in labels]), folds, seed=seed)
    assert all(p.fold in range(1, folds + 1) and p.split == "train" for p in done.pictures)
    theirs = [np.array(labels)[held] for _, held in StratifiedKFold(folds).split(labels, labels)]
    found = fold_sizes(done, folds)
    for label in done.classes:
        assert found[label] == sorted(int((held == label).sum()) for held in theirs)
    assert found[None] == sorted(map(len, theirs)) and found[None][-1] - found[None][0] <= 1


def test_of_a_fold_its_pictures_validate_and_the_others_train():
    whole = assign_splits(catalog({"a": 40, "b": 30}))
    tests = {p.key for p in whole.split("test")}
    validated = []
    for number in range(1, 4):
        done = assign_folds(whole, 3, number)
        assert {p.key for p in done.split("test")} == tests and len(tests) > 2
        assert {p.key for p in done.split("val")} == {p.key for p in done.pictures if p.fold == number}
        assert splits(done) == splits(assign_folds(whole, 3).with_fold(number))
        validated += [p.key for p in done.split("val")]
    assert sorted(validated) == sorted({p.key for p in whole.pictures} - tests)
    assert {p.fold for p in assign_folds(whole, 3).split("test")} == {None}


def test_declared_training_and_validation_pictures_are_one_pool():
    done = assign_folds(assign_splits(declared({"train": 20, "val": 7, "test": 4}), 0.0), 3, 2)
    assert all((p.split == "test") == p.key.startswith("test") for p in done.pictures)
    assert {p.key.split("/")[0] for p in done.split("val")} == {"train", "val"}


def test_folds_depend_on_the_seed_and_on_no_order():
    pictures = assign_splits(catalog({"a": 40, "b": 30, "c": 7}), 0)
    turned = dataclasses.replace(pictures, pictures=pictures.pictures[::-1])
    homes = [
        {p.key: p.fold for p in assign_folds(c, 4, seed=s).pictures}
        for c, s in ((pictures, 0), (turned, 0), (turned, 1))
    ]
    assert homes[0] == homes[1] and sum(homes[0][k] == homes[2][k] for k in homes[0]) < 0.5 * len(homes[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 14)), min_size=20, max_size=80), st.integers(0, 9))
def test_groups_are_never_divided_between_folds(rows, seed):
    pool = undivided([(label, f"g{group}") for label, group in rows])
    folds = min(4, most_folds(pool.pictures))
    if folds < 2:
        return
    homes = {}
    for picture in assign_folds(pool, folds, seed=seed).pictures:
        homes.setdefault(picture.group, set()).add(picture.fold)
    assert all(len(found) == 1 for found in homes.values())
    assert set().union(*homes.values()) == set(range(1, folds + 1))


def unevenness(labels, homes):
    """Sum over classes of the variance of a fold's share of the class."""
    shares = [[np.mean(homes[labels == label] == k) for k in np.unique(homes)] for label in np.unique(labels)]
    return np.var(shares, axis=1).sum()


def test_folds_of_groups_are_as_even_as_scikit_learns():
    """Both are greedy: on the average of many draws neither may be much behind, and ours is not."""
    mine, theirs = [], []
    for seed in range(40):
        dice = np.random.default_rng(seed)
        groups = dice.integers(0, 25, 150)
        labels = np.where(dice.random(150) < 0.7, groups % 3, dice.integers(0, 3, 150))
        done = assign_folds(undivided([("abc"[c], f"g{g}") for c, g in zip(labels, groups, strict=True)]), 5, seed=seed)
        mine.append(unevenness(labels, np.array([p.fold for p in done.pictures])))
        homes = np.zeros(150, int)
        for k, (_, held) in enumerate(StratifiedGroupKFold(5).split(labels, labels, groups)):
            homes[held] = k
        theirs.append(unevenness(labels, homes))
    assert np.mean(mine) <= np.mean(theirs)


@pytest.mark.parametrize(
    ("folds", "fold", "words", "hint"),
    [
        (1, 0, "--folds 1 divides nothing", "2 or more"),
        (-3, 0, "--folds -3 divides nothing", "2 or more"),
        (5, 0, "--folds 5 needs 5 pictures of every class, and 'rare' has 3", "--folds 3"),
        (3, 4, "there is no fold 4 of 3", "from 1 to 3"),
        (3, -1, "there is no fold -1 of 3", "from 1 to 3"),
    ],
)
def test_impossible_folds_are_refused(folds, fold, words, hint):
    pool = undivided([("much", None)] * 9 + [("rare", None)] * 3)
    with pytest.raises(ResLabError, match=words) as caught:
        assign_folds(pool, folds, fold)
    assert hint in caught.value.hint


def test_more_folds_than_groups_of_a_class_are_refused():
    pool = undivided([("a", f"g{n % 4}") for n in range(20)] + [("b", f"h{n % 2}") for n in range(20)])
    with pytest.raises(ResLabError, match="--folds 3 needs 3 groups of every class, and 'b' has 2"):
        assign_folds(pool, 3)
    lonely = undivided([("a", None)] * 5 + [("b", None)])
    with pytest.raises(ResLabError, match="'b' has 1") as caught:
        assign_folds(lonely, 2)
    assert "leave the class out" in caught.value.hint


# ------------------------------------------------------------------ bad values


@pytest.mark.parametrize("val", [-0.1, 0.81, 1, 10, float("nan")])
def test_an_impossible_share_is_refused(val):
    with pytest.raises(ResLabError, match="--val") as caught:
        assign_splits(catalog({"a": 5}), val)
    assert caught.value.hint


def test_a_pattern_that_is_none_or_matches_nothing_is_refused():
    with pytest.raises(ResLabError, match="no regular expression"):
        assign_splits(catalog({"a": 5}), group_by="(")
    with pytest.raises(ResLabError, match="matches no picture") as caught:
        assign_splits(catalog({"a": 5}), group_by="patient")
    assert "a/00000.png" in caught.value.hint


def test_names_of_any_script_get_a_lot():
    done = assign_splits(Catalog("t", "t", tuple(Picture(f"猫/ñ é {i}.png", Path("x"), "猫") for i in range(100))))
    assert {p.split for p in done.pictures} == {"train", "val", "test"}


def test_the_lots_are_written_in_stone():
    """A new hash would move the pictures of every data set that somebody has already trained on."""
    done = assign_splits(catalog({"a": 40}))
    numbers = {split: [int(p.key[2:7]) for p in done.split(split)] for split in ("val", "test")}
    assert numbers == {"val": [0, 25, 39], "test": [14]}


def test_a_picture_takes_little_memory_while_the_splits_are_made():
    whole = catalog({"a": 2000, "b": 2000})
    tracemalloc.start()
    try:
        assign_splits(whole)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / 4000 < 300  # bytes, the pictures of the result among them
