"""Tables are never guessed in silence: encodings, quotation marks, declared splits, and one picture spelt in several ways."""

import os
import unicodedata

import pytest

from reslab.data.folder import read_folder
from reslab.data.splits import assign_splits
from reslab.data.table import read_table
from reslab.errors import ResLabError

NAMES = [f"pics/{n}.png" for n in range(8)]
SPLITS = ["train", "train", "train", "train", "val", "val", "test", "test"]


@pytest.fixture
def table(plant):
    base = plant(NAMES)

    def write(content, name="table.csv", encoding="utf-8"):
        (base / name).write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return base / name

    return write


def rows(labels, header="path,label"):
    return "\n".join([header, *(f"{name},{label}" for name, label in zip(NAMES, labels, strict=False))]) + "\n"


def complaint(path, read=read_table):
    with pytest.raises(ResLabError) as caught:
        read(path)
    return f"{caught.value.message} | {caught.value.hint}"


# ------------------------------------------------------------------ encodings


@pytest.mark.parametrize(
    ("labels", "encoding"),
    [
        (["Hühnchen", "Gänse"], "cp1252"),
        (["école", "forêt"], "cp1252"),
        (["mañana", "niño"], "mac_roman"),
        (["кошка", "собака"], "cp1251"),
        (["кошка", "собака"], "koi8_r"),
        (["γάτα", "σκύλος"], "cp1253"),
        (["ねこ", "いぬ"], "shift_jis"),
        (["ねこ", "いぬ"], "euc_jp"),
        (["貓咪", "烏龜"], "big5"),
        (["繁體", "烏龜"], "gbk"),
        (["猫", "𠮷"], "gb18030"),
        (["cat", "dog"], "utf-16"),
        (["cat", "dog"], "utf-32"),
    ],
)
def test_other_encodings_stop(table, labels, encoding):
    said = complaint(table(rows(labels * 4), encoding=encoding))
    assert "neither UTF-8 nor GBK" in said and "CSV UTF-8" in said


@pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
def test_chinese_is_read_and_said(table, encoding):
    catalog = read_table(table(rows(["猫", "狗"] * 4), encoding=encoding))
    assert catalog.classes == ("狗", "猫")
    ((kind, detail),) = catalog.doubts
    assert kind == "encoding" and "GBK" in detail and "狗, 猫" in detail


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_leaves_no_doubt(table, encoding):
    assert read_table(table(rows(["Hühnchen", "猫"] * 4), encoding=encoding)).doubts == ()


# ------------------------------------------------------------------ quotation marks


@pytest.mark.parametrize("line", range(2, 9))
@pytest.mark.parametrize("column", ["path", "label"])
def test_an_open_quotation_mark_stops_with_its_line(table, line, column):
    lines = rows(["cat", "dog"] * 4).splitlines()
    path, label = lines[line - 1].split(",")
    lines[line - 1] = f'"{path},{label}' if column == "path" else f'{path},"{label}'
    said = complaint(table("\n".join(lines) + "\n"))
    assert f"line {line}: a quotation mark opens" in said


def test_a_quotation_mark_that_closes_further_down_stops_too(table):
    text = 'path,label\npics/0.png,cat\npics/1.png,"dog\npics/2.png,cat\npics/3.png,dog"\npics/4.png,cat\n'
    assert "line 3: a quotation mark opens" in complaint(table(text))


def test_rows_swallowed_by_another_column_are_doubted(table):
    text = (
        'path,label,notes\npics/0.png,cat,\npics/1.png,dog,"well\npics/2.png,cat,\npics/3.png,dog,x"\npics/4.png,cat,\n'
    )
    catalog = read_table(table(text))
    assert len(catalog.pictures) == 3
    ((kind, detail),) = catalog.doubts
    assert kind == "line breaks" and "line 3" in detail


def test_lines_are_counted_through_quoted_breaks_and_blank_lines(table):
    text = 'path,label,notes\npics/0.png,cat,"two\nlines"\n\n\npics/nope.png,dog,\n'
    assert "line 6: there is no file" in complaint(table(text))


def test_a_stray_quotation_mark_stops(table):
    assert "after line 1" in complaint(table('path,label\n"pics/0.png" x,cat\n'))


def test_a_column_named_twice_stops(table):
    assert "'label' twice" in complaint(table("path,label,label\npics/0.png,cat,dog\n"))


@pytest.mark.parametrize(("told", "delimiter"), [("sep=;", ";"), ('"sep=|"', "|"), ("SEP=\t", "\t")])
def test_excels_first_line_tells_the_delimiter(table, told, delimiter):
    catalog = read_table(table(f"{told}\r\n" + rows(["cat", "dog"]).replace(",", delimiter)))
    assert catalog.classes == ("cat", "dog")
    assert "line 4" in complaint(table(f"{told}\n" + rows(["cat", ""]).replace(",", delimiter)))


# ------------------------------------------------------------------ headers


@pytest.mark.parametrize("header", ["file_name", "filepaths", "FILE_PATH", "img_path"])
def test_more_words_for_the_path(table, header):
    assert len(read_table(table(rows(["cat", "dog"], f"{header},label"))).pictures) == 2


@pytest.mark.parametrize("header", ["image_id", "id", "Name"])
def test_a_column_that_may_name_the_pictures_is_suggested(table, header):
    assert f"if {header} names the pictures, call it path" in complaint(table(rows(["cat"], f"{header},label")))


def test_a_path_without_its_ending_is_found_and_doubted(table):
    catalog = read_table(table("path,label\npics/0,cat\npics/1,dog\n"))
    assert [p.key for p in catalog.pictures] == ["pics/0.png", "pics/1.png"]
    assert dict(catalog.doubts)["no ending"].startswith("2 path(s)")


def test_two_files_that_differ_by_their_ending_only_are_not_chosen_between(table):
    path = table("path,label\npics/0,cat\n")
    (path.parent / "pics/0.jpg").write_bytes((path.parent / "pics/1.png").read_bytes())
    assert "pics/0 may be pics/0.jpg and pics/0.png" in complaint(path)


# ------------------------------------------------------------------ declared splits


def declared(values, header):
    lines = [f"{name},{'ab'[n % 2]},{value}" for n, (name, value) in enumerate(zip(NAMES, values, strict=True))]
    return "\n".join([f"path,label,{header}", *lines])


@pytest.mark.parametrize(
    "header", ["split", "subset", "set", "partition", "data set", "phase", "Usage", "dataset", "whatever"]
)
@pytest.mark.parametrize("words", [str, str.upper, {"train": "Training", "val": "valid", "test": "testing"}.get])
def test_a_column_of_splits_is_used_whatever_it_is_called(table, header, words):
    catalog = read_table(table(declared([words(split) for split in SPLITS], header)))
    assert [p.split for p in catalog.pictures] == SPLITS
    assert ("declared splits" in dict(catalog.remarks)) == (header != "split")


@pytest.mark.parametrize(
    ("header", "values", "wanted"),
    [
        ("is_valid", ["False"] * 6 + ["True"] * 2, ["train"] * 6 + ["val"] * 2),
        ("is_test", ["0"] * 6 + ["1"] * 2, ["train"] * 6 + ["test"] * 2),
        ("is_train", ["1"] * 6 + ["0"] * 2, ["train"] * 6 + ["test"] * 2),
        ("is_train,is_val", ["1,0"] * 6 + ["0,1"] * 2, ["train"] * 6 + ["val"] * 2),
        ("is_valid,is_test", ["0,0"] * 4 + ["1,0"] * 2 + ["0,1"] * 2, SPLITS),
        ("Usage", ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"] * 2, SPLITS),
        ("split,subset", [",train"] * 6 + [",test"] * 2, ["train"] * 6 + ["test"] * 2),
    ],
)
def test_other_ways_of_declaring(table, header, values, wanted):
    catalog = read_table(table(declared(values, header)))
    assert [p.split for p in catalog.pictures] == wanted


@pytest.mark.parametrize(
    ("header", "values", "words"),
    [
        ("subset", [*SPLITS[:-1], "tset"], ["line 9", "subset", "'tset'", "'test'"]),
        ("usage", [*SPLITS[:-1], "eval"], ["line 9", "'eval'"]),
        ("foo", [*SPLITS[:-1], "trian"], ["line 9", "'trian'"]),
        ("split,subset", ["train,train"] * 7 + ["train,test"], ["line 9", "split says train", "subset says test"]),
        ("is_valid", ["0"] * 7 + ["maybe"], ["line 9", "is_valid is 'maybe'"]),
    ],
)
def test_a_declaration_that_is_not_understood_stops(table, header, values, words):
    said = complaint(table(declared(values, header)))
    assert all(word in said for word in words), said


def test_a_column_in_which_a_split_is_named_by_chance_is_left_alone(table):
    catalog = read_table(table(declared(["train", "bus", "car", "car", "bus", "plane", "", "ship"], "vehicle")))
    assert not catalog.declares_splits and catalog.remarks == ()


def test_a_declaring_column_is_no_label_of_a_one_hot_table(table):
    lines = [f"{name},{n % 2},{(n + 1) % 2},{int(n > 5)}" for n, name in enumerate(NAMES)]
    catalog = read_table(table("\n".join(["path,cat,dog,is_valid", *lines])))
    assert catalog.classes == ("cat", "dog") and [p.split for p in catalog.pictures].count("val") == 2


# ------------------------------------------------------------------ one picture, several spellings


def keys(path):
    return [p.key for p in read_table(path).pictures]


@pytest.mark.parametrize("before", ["./", ".//", "pics/../", ".\\", "../data/", "{}/", "{}//./"])
def test_a_path_has_one_key_however_it_is_spelt(table, before):
    before = before.format(table("").parent)
    assert keys(table("\n".join(["path,label", *(f"{before}{name},a" for name in NAMES)]))) == NAMES


def test_and_so_it_has_one_split(table):
    def splits(before):
        lines = (f"{before}{name},{'ab'[n % 2]}" for n, name in enumerate(NAMES))
        return [p.split for p in assign_splits(read_table(table("\n".join(["path,label", *lines])))).pictures]

    assert splits("") == splits("./") == splits(f"{table('').parent}/")


@pytest.mark.parametrize("other", ["./pics/0.png", "pics//0.png", "../data/pics/0.png", "pics\\0.png"])
def test_one_file_with_two_labels_is_a_contradiction(table, other):
    assert "line 3: line 2 says something else" in complaint(table(f"path,label\npics/0.png,cat\n{other},dog\n"))
    twice = read_table(table(f"path,label\npics/0.png,cat\n{other},cat\npics/1.png,dog\n"))
    assert twice.skipped == {"repeated lines": 1}


def test_a_link_is_the_file_it_leads_to(table):
    path = table("path,label\npics/0.png,cat\npics/link.png,dog\n")
    (path.parent / "pics/link.png").symlink_to("0.png")
    assert "line 2 says something else about pics/0.png" in complaint(path)


@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_accents_are_found_as_they_are_stored_and_keyed_as_one(plant, in_table, on_disk):
    base = plant([unicodedata.normalize(on_disk, "é/ñ.png")])
    (base / "t.csv").write_text(f"path,label\n{unicodedata.normalize(in_table, 'é/ñ.png')},a\n", encoding="utf-8")
    assert keys(base / "t.csv") == [unicodedata.normalize("NFC", "é/ñ.png")]
    assert read_table(base / "t.csv").pictures[0].source.is_file()


@pytest.mark.skipif(not os.path.exists("/proc"), reason="capitals tell files apart on Linux")  # noqa: PTH110
@pytest.mark.parametrize(("written", "there"), [("Pics/0.PNG", "pics/0.png"), ("./pics/0.Png", "pics/0.png")])
def test_the_hint_names_the_spelling_that_exists(table, written, there):
    assert f"there is {there}" in complaint(table(f"path,label\n{written},cat\n"))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_keys_of_a_folder_are_composed(plant, form):
    base = plant([f"{c}/{unicodedata.normalize(form, f'é{n}')}.png" for c in "ab" for n in range(20)], form)
    catalog = assign_splits(read_folder(base))
    assert [p.key for p in catalog.pictures] == sorted(f"{c}/é{n}.png" for c in "ab" for n in range(20))
    assert {p.key: p.split for p in catalog.pictures}["a/é0.png"] == "train"


def test_two_files_whose_names_are_composed_differently_stay_two(plant):
    names = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    catalog = read_folder(plant([f"a/{name}" for name in names]))
    assert len({p.key for p in catalog.pictures}) == 2


@pytest.mark.parametrize("path", ["", "x" * 5000 + ".png", "a\0b.png", "pics", "pics/0.png/x.png"])
def test_paths_that_are_none_stop_with_the_line(table, path):
    assert "line 2" in complaint(table(f"path,label\n{path},cat\n"))
