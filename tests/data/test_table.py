"""Tables as people's tools write them; every complaint gives the line."""

import codecs
import unicodedata

import numpy as np
import pytest

from reslab.data.reader import load
from reslab.data.table import read_table
from reslab.errors import BadPicture, ResLabError

PICTURES = ["pics/a.png", "pics/b.png", "pics/deep/c.png"]
ROWS = [("pics/a.png", "cat"), ("pics/b.png", "dog"), ("pics/deep/c.png", "cat")]
EXPECTED = [("pics/a.png", "cat"), ("pics/b.png", "dog"), ("pics/deep/c.png", "cat")]


@pytest.fixture
def table(plant):
    """Write a table beside three pictures and give its path."""
    base = plant(PICTURES)

    def write(content, name="table.csv", encoding="utf-8"):
        path = base / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def listed(catalog):
    return [(p.key, p.label) for p in catalog.pictures]


def complaint(path):
    with pytest.raises(ResLabError) as caught:
        read_table(path)
    return f"{caught.value.message} | {caught.value.hint}"


def text(delimiter=",", end="\n", rows=ROWS, header="path{}label"):
    return end.join([header.format(delimiter), *(delimiter.join(row) for row in rows)]) + end


# ------------------------------------------------------------------ every way of writing the same thing


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_delimiters_line_ends_and_encodings(table, delimiter, end, encoding):
    path = table(text(delimiter, end), encoding=encoding)
    assert path.read_bytes().startswith(codecs.BOM_UTF8) == (encoding == "utf-8-sig")
    assert listed(read_table(path)) == EXPECTED


def test_the_pictures_are_those_of_the_rows(table):
    catalog = read_table(table(text()))
    assert catalog.name == "table" and not catalog.declares_splits and catalog.skipped == {}
    folder = catalog.pictures[0].source.parent
    for picture in catalog.pictures:
        assert picture.source.is_file() and picture.source.name == picture.key.rsplit("/", 1)[1]
    assert np.array_equal(load(catalog.pictures[1]), load(read_table(table(text(), "x.txt")).pictures[1]))
    assert folder.name == "pics"


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_chinese_names(plant, encoding):
    base = plant(["数据 集/图 1.png", "数据 集/图 2.png"])
    path = base / "表.csv"
    path.write_bytes("path,label\n数据 集/图 1.png,猫\n数据 集/图 2.png,狗\n".encode(encoding))
    assert listed(read_table(path)) == [("数据 集/图 1.png", "猫"), ("数据 集/图 2.png", "狗")]


def test_backslashes_quotes_blank_lines_and_spaces(table):
    path = table('path,label\npics\\a.png, cat \n\n,,\n"pics/b.png","dog"\npics\\deep\\c.png,cat')
    assert listed(read_table(path)) == EXPECTED


def test_an_absolute_path(table, tmp_path):
    place = (tmp_path / "data" / "pics" / "a.png").as_posix()
    assert listed(read_table(table(f"path,label\n{place},cat\n"))) == EXPECTED[:1]


@pytest.mark.parametrize("path_column", ["path", "Path", "file", "filename", "filepath", "image", "image_path"])
@pytest.mark.parametrize("label_column", ["label", "LABEL", "class", "category", "target"])
def test_other_words_for_the_columns(table, path_column, label_column):
    assert listed(read_table(table(text(header=path_column + "{}" + label_column)))) == EXPECTED


def test_our_own_word_wins_over_a_synonym(table):
    path = table("class,label,file,path\n0,cat,x.png,pics/a.png\n1,dog,y.png,pics/b.png\n")
    assert listed(read_table(path)) == EXPECTED[:2]


def test_other_columns_are_left_alone(table):
    path = table("id,path,width,height,label,notes\n7,pics/a.png,640,480,cat,nice\n8,pics/b.png,640,480,dog,\n")
    catalog = read_table(path)
    assert listed(catalog) == EXPECTED[:2]
    assert all(p.box is None for p in catalog.pictures)  # the size of a picture is no box in it


def test_labels_are_words_even_where_they_look_like_numbers(table):
    rows = [("pics/a.png", "1"), ("pics/b.png", "10"), ("pics/deep/c.png", "2")]
    assert read_table(table(text(rows=rows))).classes == ("1", "10", "2")


def test_an_accent_stored_as_its_own_letter_is_the_same_class(table):
    apart = unicodedata.normalize("NFD", "Café")
    assert read_table(table(f"path,label\npics/a.png,Café\npics/b.png,{apart}\n")).classes == ("Café",)


# ------------------------------------------------------------------ splits, groups, boxes


def test_splits_by_any_of_their_names(table):
    path = table("path,label,split\npics/a.png,cat,Training\npics/b.png,dog,valid\npics/deep/c.png,cat,TEST\n")
    assert [p.split for p in read_table(path).pictures] == ["train", "val", "test"]


def test_an_empty_split_column_declares_nothing(table):
    catalog = read_table(table("path,label,split\npics/a.png,cat,\npics/b.png,dog,\n"))
    assert [p.split for p in catalog.pictures] == [None, None] and not catalog.declares_splits


def test_groups(table):
    path = table("path,label,group\npics/a.png,cat,anna\npics/b.png,dog,\npics/deep/c.png,cat,anna\n")
    assert [p.group for p in read_table(path).pictures] == ["anna", None, "anna"]


def test_boxes_cut_out_what_counts(table):
    path = table("path,label,x,y,w,h\npics/a.png,cat,1,2,3,4\npics/a.png,dog,4.6,0,3,2\npics/b.png,cat,,,,\n")
    first, second, third = read_table(path).pictures
    assert (first.box, second.box, third.box) == ((1, 2, 3, 4), (5, 0, 3, 2), None)
    assert len({first.key, second.key, third.key}) == 3
    whole = load(read_table(table(text(), "whole.csv")).pictures[0])
    assert np.array_equal(load(first), whole[2:6, 1:4])
    assert np.array_equal(load(second), whole[0:2, 5:8])


@pytest.mark.parametrize("box", ["-9,0,5,5", "0,-9,5,5", "8,0,5,5", "0,6,5,5"])
def test_a_box_beside_the_picture_is_a_bad_picture(table, box):
    (picture,) = read_table(table(f"path,label,x,y,w,h\npics/a.png,cat,{box}\n")).pictures
    with pytest.raises(BadPicture, match="outside"):
        load(picture)


def test_a_box_that_sticks_out_is_cut_at_the_edge(table):
    (picture,) = read_table(table("path,label,x,y,w,h\npics/a.png,cat,-2,-1,5,3\n")).pictures
    assert load(picture).shape == (2, 3, 3)


# ------------------------------------------------------------------ what is wrong, and in which line


def test_a_missing_file_gives_the_line_and_the_folder(table):
    path = table("path,label\npics/a.png,cat\n\npics/nope.png,dog\n")
    said = complaint(path)
    assert "line 4" in said and "pics/nope.png" in said and str(path.parent) in said


@pytest.mark.parametrize(
    "content, words",
    [
        ("path,label\npics/a.png,\n", ["line 2", "no label"]),
        ("path,label\npics/a.png\n", ["line 2", "no label"]),
        ("path,label,split\npics/a.png,cat,trian\n", ["line 2", "'trian'", "'train'"]),
        ("path,label,x,y,w,h\npics/a.png,cat,a,0,2,2\n", ["line 2", "four numbers"]),
        ("path,label,x,y,w,h\npics/a.png,cat,1,2,,\n", ["line 2", "four numbers"]),
        ("path,label,x,y,w,h\npics/a.png,cat,nan,0,2,2\n", ["line 2", "four numbers"]),
        ("path,label,x,y,w,h\npics/a.png,cat,inf,0,2,2\n", ["line 2", "four numbers"]),
        ("path,label,x,y,w,h\npics/a.png,cat,0,0,0,2\n", ["line 2", "0 x 2 pixels"]),
        ("name,label\npics/a.png,cat\n", ["no column 'path'", "it names name, label"]),
        ("path,lable\npics/a.png,cat\n", ["no column 'label'", "path, lable"]),
        ("pics/a.png,cat\npics/b.png,dog\n", ["no column 'path'"]),
        ("", ["no column 'path'", "the file is empty"]),
        ("path,label\n" + "x" * 200_000 + ",cat\n", ["after line 1", "field"]),
    ],
)
def test_what_is_wrong_is_said(table, content, words):
    said = complaint(table(content))
    assert all(word in said for word in words), said


def test_text_in_no_known_encoding(table):
    assert "neither UTF-8 nor GBK" in complaint(table("path,label\npics/a.png,cat\n".encode("utf-16")))


def test_two_lines_that_disagree_about_a_picture(table):
    said = complaint(table("path,label\npics/a.png,cat\npics/b.png,cat\npics\\a.png,dog\n"))
    assert "line 4" in said and "line 2" in said and "pics/a.png" in said
    assert "line 3" in complaint(table("path,label,split\npics/a.png,cat,train\npics/a.png,cat,test\n"))


def test_a_line_said_twice_counts_once(table):
    catalog = read_table(table("path,label\npics/a.png,cat\npics/b.png,dog\npics/a.png,cat\n"))
    assert listed(catalog) == EXPECTED[:2]
    assert catalog.skipped == {"repeated lines": 1}
