"""A table of corrections over a folder of pictures: what it changes, and what it must not name."""

import dataclasses

import pytest
from tests.pictures import colour_folder, tree

from reslab.data.corrections import correct_labels, corrections_digest
from reslab.data.sources import read_data
from reslab.errors import ResLabError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", each=3)


def corrected(folder, tmp_path, *rows, heading="path,label", catalog=None):
    table = tmp_path / "corrections.csv"
    table.write_text("\n".join([heading, *rows]) + "\n", encoding="utf-8")
    return correct_labels(catalog or read_data(folder), table)


def test_labels_change_and_pictures_go_while_the_data_stay(folder, tmp_path):
    before = tree(folder)
    rows = ("red/000.png,blue", "red/001.png,-", "red/002.png,", "blue/000.png,blue", "./green/000.png,red",
            f"{folder}/green/001.png,red", "green\\002.png,blue")  # fmt: skip
    catalog = corrected(folder, tmp_path, *rows)
    labels = {p.key: p.label for p in catalog.pictures}
    assert {k: v for k, v in labels.items() if not k.startswith(v)} == {
        "red/000.png": "blue", "green/000.png": "red", "green/001.png": "red", "green/002.png": "blue"
    }  # fmt: skip
    assert len(labels) == 7 and not labels.keys() & {"red/001.png", "red/002.png"}
    assert len(catalog.corrections) == 6 and ("red/001.png", "") in catalog.corrections
    assert ("corrections", f"4 relabelled and 2 left out, as {tmp_path}/corrections.csv says") in catalog.remarks
    assert tree(folder) == before


def test_the_digest_is_that_of_what_changes(folder, tmp_path):
    digests = [
        corrections_digest(corrected(folder, tmp_path, *rows))
        for rows in (
            (),
            ("red/000.png,red",),
            ("red/000.png,blue",),
            ("red/000.png,blue", "red/001.png,red"),
            ("red/000.png,-",),
        )
    ]
    assert digests[:2] == [None, None] and digests[2] == digests[3] != digests[4]


def test_the_table_of_review_can_be_edited_and_given_back(folder, tmp_path):
    catalog = corrected(folder, tmp_path, "red/000.png,blue,green,0.1,why", heading="Path,Label,proposed,score,reason")
    assert catalog.corrections == (("red/000.png", "blue"),)


@pytest.mark.parametrize(
    ("rows", "message", "hint"),
    [
        (["red/9.png,blue"], r"line 2: .*colours has no picture red/9.png", "such as blue/000.png"),
        (["red/000.png,blu"], r"line 2: .*colours has no class 'blu'", "did you mean 'blue'"),
        (
            ["red/000.png,blue", "red/000.png,green"],
            "line 3: another line gives red/000.png the label 'blue'",
            "one of",
        ),
        (["red/000.png,blue", "red/000.png,-"], "line 3: another line", "one of"),
    ],
)
def test_what_the_data_lack_is_refused(folder, tmp_path, rows, message, hint):
    with pytest.raises(ResLabError, match=message) as caught:
        corrected(folder, tmp_path, *rows)
    assert hint in caught.value.hint


def test_a_test_picture_is_left_alone(folder, tmp_path):
    catalog = read_data(folder)
    tested = tuple(dataclasses.replace(p, split="test") for p in catalog.pictures)
    catalog = dataclasses.replace(catalog, pictures=tested)
    with pytest.raises(ResLabError, match="line 2: red/000.png is a test picture"):
        corrected(folder, tmp_path, "red/000.png,blue", catalog=catalog)
    assert corrected(folder, tmp_path, "red/000.png,red", catalog=catalog).corrections == ()


def test_other_tables_are_refused(folder, tmp_path):
    with pytest.raises(ResLabError, match="has no column 'label'"):
        corrected(folder, tmp_path, "red/000.png,blue", heading="path,class")
    with pytest.raises(ResLabError, match="there is no nowhere.csv"):
        correct_labels(read_data(folder), tmp_path.joinpath("nowhere.csv").relative_to(tmp_path))
