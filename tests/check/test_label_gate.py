"""The data check on tables whose pictures have several labels: the same findings by the same names, and a few of its own."""

import pytest
from small_pictures import picture

from reslab.check.data import examine
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits


@pytest.fixture
def judged(plant):
    """Plant pictures, write a table of (split, label) about them, and examine it."""

    def examined(rows, twins=()):
        pictures = {f"{n:02d}.png": n for n in range(len(rows))}
        pictures |= {f"{n:02d}.png": picture(twin) for n, twin in twins}
        base = plant(pictures)
        lines = ["path,split,labels", *(f'{n:02d}.png,{split},"{label}"' for n, (split, label) in enumerate(rows))]
        (base / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return examine(assign_splits(read_data(base / "table.csv"), 0.0))

    return examined


def found(verdict):
    return {(p.kind, p.path.rsplit("/", 1)[-1], p.severity) for p in verdict.problems}


GOOD = [(split, label) for split in ("train", "val", "test") for label in ("cat;outdoor", "cat", "outdoor")]


def test_good_tables_have_no_problem(judged):
    verdict = judged(GOOD)
    assert verdict.problems == () and verdict.ok and verdict.task == "multi"
    assert verdict.images == 9 and verdict.classes == {"cat": 6, "outdoor": 6}
    assert verdict.majority_baseline == pytest.approx(6 / 9)


def test_a_label_with_one_picture(judged):
    verdict = judged([*GOOD, ("train", "cat;rare")])
    assert found(verdict) == {("missing class", "val: rare", "warning"), ("missing class", "test: rare", "warning")}
    details = {p.path: p.detail for p in verdict.problems}
    assert details["val: rare"].endswith("its score there is unknown and its threshold stays at 0.5")
    assert details["test: rare"].endswith("its score there is unknown") and verdict.ok


def test_a_label_that_nobody_trains_on(judged):
    verdict = judged([*GOOD, ("val", "cta;outdoor"), ("test", "cta")])
    assert ("unknown class", "val: cta", "error") in found(verdict) and not verdict.ok
    problem = next(p for p in verdict.problems if p.path == "val: cta")
    assert "09.png" in problem.detail and "did you mean 'cat'" in problem.detail and problem.blocks_training


def test_empty_cells_are_noted(judged):
    verdict = judged([*GOOD, ("train", ""), ("val", "")])
    assert found(verdict) == {("no label", "09.png", "note")} and verdict.ok
    assert "2 picture(s)" in verdict.problems[0].detail


def test_untidy_cells_are_noted(judged):
    verdict = judged([*GOOD, ("train", "cat ; outdoor"), ("train", "cat;cat"), ("train", "cat;")])
    kinds = {"repeated label", "spaces around ;", "stray ;"}
    assert found(verdict) == {(kind, "table.csv", "note") for kind in kinds} and verdict.ok


def test_labels_that_only_capitals_tell_apart(judged):
    verdict = judged([(split, f"{label};Cat") for split, label in GOOD])
    assert {p.kind for p in verdict.problems} == {"similar classes", "constant label"}


def test_a_label_that_every_training_picture_bears(judged):
    verdict = judged([(split, ";".join(sorted({*label.split(";"), "cat"}))) for split, label in GOOD])
    assert found(verdict) == {("constant label", "cat", "warning")}


def test_one_label_alone_is_no_classifier(judged):
    verdict = judged([("train", "cat"), ("train", ""), ("val", "cat")])
    assert ("one class", "cat", "error") in found(verdict)


def test_unequal_labels(judged):
    verdict = judged([*[("train", "cat")] * 11, *[("train", "cat;dog")]])
    problem = next(p for p in verdict.problems if p.kind == "imbalance")
    assert problem.path == "cat" and problem.detail == "12 pictures against 1 of 'dog'"


def test_twins_must_bear_the_same_labels(judged):
    twins = [(9, 105), (10, 105), (11, 106), (12, 106)]
    rows = [*GOOD, ("train", "outdoor;cat"), ("train", "cat;outdoor"), ("train", "cat"), ("train", "")]
    verdict = judged(rows, twins)
    kinds = found(verdict)
    assert ("duplicate", "09.png", "warning") in kinds and ("conflicting labels", "11.png", "error") in kinds
    detail = next(p.detail for p in verdict.problems if p.kind == "conflicting labels")
    assert "no label and cat" in detail


def test_a_column_of_zeros_stops(plant):
    base = plant({f"{n}.png": n for n in range(4)})
    rows = ["path,cat,dog,outdoor", "0.png,1,0,1", "1.png,0,0,1", "2.png,1,0,0", "3.png,0,0,0"]
    (base / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    verdict = examine(assign_splits(read_data(base / "table.csv"), 0.0))
    problem = next(p for p in verdict.problems if p.kind == "empty class")
    assert (problem.path, problem.detail) == (
        "dog",
        "no picture has it; remove its column",
    ) and problem.blocks_training
