"""Zip and Parquet files as DATA: the catalog of the same folder, and what hostile or damaged ones are answered with."""

import json
import shutil
import stat
import zipfile

import numpy as np
import pytest
from tests.pictures import colour_folder

from reslab.data.archives import parquet as ours
from reslab.data.archives import zipped
from reslab.data.reader import blocks, content, load
from reslab.data.sources import read_data
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.predict import expand
from reslab.pixels.preprocess import Preprocess


@pytest.fixture
def folder(tmp_path):
    """A folder with splits, a hidden file, an accent in two letters, and a file that is no picture."""
    root = tmp_path / "pets"
    colour_folder(root, classes=2, each=5, prefix="train")
    colour_folder(root, classes=2, each=3, prefix="test", start=5)
    (root / "train" / "blue" / ".hidden.png").write_bytes(b"")
    (root / "train" / "blue" / "notes.txt").write_text("x")
    shutil.copy(root / "train" / "blue" / "000.png", root / "train" / "blue" / "e\u0301.png")
    return root


def facts(catalog):
    return [(p.key, p.label, p.split, p.group, content(p)) for p in catalog.pictures]


# ------------------------------------------------------------------ zip


@pytest.mark.parametrize("around", [True, False])
def test_a_zip_is_the_folder_that_was_zipped(folder, tmp_path, around):
    shutil.make_archive(str(tmp_path / "a"), "zip", *((tmp_path, "pets") if around else (folder,)))
    before, found = read_data(folder), read_data(tmp_path / "a.zip")
    assert facts(found) == facts(before)
    assert (found.skipped, found.empty_classes, found.mirrored) == (
        before.skipped,
        before.empty_classes,
        before.mirrored,
    )
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("pets", "a.zip")] == []


def planted(path, members, method=zipfile.ZIP_DEFLATED):
    """A zip with these members, as they are given: name or ZipInfo -> bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_names_that_lead_out_are_counted_and_left_out(folder, tmp_path):
    png = (folder / "train" / "blue" / "000.png").read_bytes()
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    names = [
        "../evil/1.png",
        "/etc/2.png",
        "a/../../3.png",
        "C:/x/4.png",
        "..\\evil\\5.png",
        "/".join("d" * 50) + "/6.png",
    ]
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = planted(
            tmp_path / "a.zip",
            [
                *((name, png) for name in names),
                (link, b"/etc/passwd"),
                ("a/1.png", png),
                ("a/1.png", b""),
                ("b/1.png", png),
            ],
        )
    found = read_data(path)
    assert [p.key for p in found.pictures] == ["a/1.png", "b/1.png"]
    assert found.skipped == {
        "paths that lead out of the archive": 6, "pipes, sockets and devices": 1, "names that occur twice": 1,
    }  # fmt: skip


def test_chinese_names_of_windows_are_read(folder, tmp_path):
    """Its zip program writes them in GBK and does not say so; the `zipfile` of Python takes that for code page 437."""
    png = (folder / "train" / "blue" / "000.png").read_bytes()
    path = planted(tmp_path / "a.zip", [("@@1@/1.png", png), ("@@2@/1.png", png)])
    data = path.read_bytes()
    for number, label in enumerate(("猫猫", "小狗"), 1):
        data = data.replace(f"@@{number}@".encode(), label.encode("gbk"))
    path.write_bytes(data)
    found = read_data(path)
    assert found.classes == ("小狗", "猫猫")
    assert found.doubts == (("encoding", "its names are not UTF-8 and were read as Chinese (GBK)"),)
    assert load(found.pictures[0]).shape == (18, 24, 3)
    utf8 = planted(tmp_path / "b.zip", [("猫/1.png", png), ("狗/1.png", png)])
    assert (read_data(utf8).classes, read_data(utf8).doubts) == (("狗", "猫"), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-30], "is no zip file, or is cut short"),
        (lambda data: b"", "is no zip file, or is cut short"),
        (lambda data: b"PK\5\6" + b"\0" * 18, "holds no pictures"),
    ],
)
def test_a_zip_that_is_none_is_refused(folder, tmp_path, change, message):
    shutil.make_archive(str(tmp_path / "a"), "zip", folder)
    (tmp_path / "a.zip").write_bytes(change((tmp_path / "a.zip").read_bytes()))
    with pytest.raises(ResLabError, match=message):
        read_data(tmp_path / "a.zip")


def test_what_a_member_claims_is_checked_before_it_is_read(folder, tmp_path, monkeypatch):
    png = (folder / "train" / "blue" / "000.png").read_bytes()
    bomb = png + b"\0" * 10**6
    path = planted(tmp_path / "a.zip", [("a/1.png", png), ("b/bomb.png", bomb)])
    monkeypatch.setattr(zipped, "MAX_BYTES", 10**5)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was read"))
    with pytest.raises(BadPicture, match="bytes are more than 100,000"):
        content(read_data(path).pictures[1])


def test_a_member_that_lies_about_its_size_is_damaged(folder, tmp_path):
    """The bomb of which the directory says that it is small: no more is inflated than it says."""
    bomb = (folder / "train" / "blue" / "000.png").read_bytes() + b"\0" * 10**7
    path = planted(tmp_path / "a.zip", [("a/1.png", bomb), ("b/1.png", b"x")])
    data = path.read_bytes().replace(len(bomb).to_bytes(4, "little"), (2000).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(BadPicture, match="it is damaged in the archive: Bad CRC-32"):
        content(read_data(path).pictures[0])


def test_encrypted_and_odd_members_are_unreadable_pictures(folder, tmp_path):
    png = (folder / "train" / "blue" / "000.png").read_bytes()
    path = planted(tmp_path / "a.zip", [("a/1.png", png), ("b/1.png", png)], zipfile.ZIP_LZMA)
    with pytest.raises(BadPicture, match="compressed by a method that is not read"):
        content(read_data(path).pictures[0])
    path = planted(tmp_path / "b.zip", [("a/1.png", png), ("b/1.png", png)])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(BadPicture, match="it is encrypted"):
        content(read_data(path).pictures[0])


def test_predict_takes_a_zip_of_loose_pictures(folder, tmp_path):
    png = (folder / "train" / "blue" / "000.png").read_bytes()
    path = planted(tmp_path / "a.zip", [("1.png", png), ("deep/er/2.png", png), ("readme.txt", b"")])
    found = list(expand(path))
    assert [p.key for p in found] == [f"{path}/1.png", f"{path}/deep/er/2.png"]
    assert all(load(p).shape == (18, 24, 3) for p in found)


# ------------------------------------------------------------------ Parquet

pyarrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def hub_schema(names):
    """The schema as the library `datasets` writes it."""
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([("image", kind), ("label", pyarrow.int64())])
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def hub_file(path, pictures, names, group=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {
        "image": [{"bytes": content(p), "path": p.key} for p in pictures],
        "label": [names.index(p.label) for p in pictures],
    }
    pq.write_table(pyarrow.table(rows, schema=hub_schema(names)), path, row_group_size=group)


def test_a_folder_of_the_hub_is_the_same_catalog(folder, tmp_path):
    """Class names out of order, splits in the names of the files, row groups of four rows."""
    before = read_data(folder)
    for split in ("test", "train"):
        hub_file(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet", before.split(split), ["green", "blue"])
    (tmp_path / "hub" / "README.md").write_text("x")
    found = read_data(tmp_path / "hub")
    assert facts(found) == facts(before)
    assert (found.name, found.mirrored) == ("hub", True)


def table(path, **columns):
    pq.write_table(pyarrow.table(columns), path)
    return path


@pytest.fixture
def pngs(folder):
    return [path.read_bytes() for path in sorted((folder / "train" / "blue").glob("0*.png"))]


def test_plain_bytes_and_words_do_too(pngs, tmp_path):
    splits = ["train", "valid", None, "test", "test"]
    path = table(
        tmp_path / "a.parquet",
        image=pngs,
        label=["cat", "dog", "cat", "dog", ""],
        split=splits,
        group=[1, 1, 2, None, 3],
    )
    found = read_data(path)
    assert [(p.key, p.label, p.split, p.group) for p in found.pictures] == [
        ("a/000000", "cat", "train", "1"), ("a/000001", "dog", "val", "1"), ("a/000002", "cat", None, "2"),
        ("a/000003", "dog", "test", None),
    ]  # fmt: skip
    assert found.skipped == {"rows without a label": 1}


def test_lists_are_several_labels(pngs, tmp_path):
    path = table(tmp_path / "a.parquet", image=pngs[:3], labels=[["dog", "cat", "dog"], [], None])
    found = read_data(path)
    assert (found.task, [p.label for p in found.pictures]) == ("multi", ["cat;dog", "", ""])
    with pytest.raises(ResLabError, match="the label 'a;b' contains a ;"):
        read_data(table(tmp_path / "b.parquet", image=pngs[:1], labels=[["a;b"]]))


def test_equal_paths_are_numbered(pngs, tmp_path):
    """The hub keeps file names without their folders, which need not differ."""
    images = [{"bytes": png, "path": "1.png"} for png in pngs]
    found = read_data(table(tmp_path / "a.parquet", image=images, label=list("ababa")))
    assert [p.key for p in found.pictures][:2] == ["a/000000", "a/000001"]


def test_empty_cells_are_unreadable_pictures(pngs, tmp_path):
    images = [
        {"bytes": pngs[0], "path": "1.png"},
        {"bytes": None, "path": "2.png"},
        None,
        {"bytes": b"", "path": "3.png"},
    ]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    path = table(tmp_path / "a.parquet", image=pyarrow.array(images, kind), label=list("abab"))
    (block,) = blocks(read_data(path).pictures, Preprocess(8), 8, workers=0)
    assert {i: bad.reason for i, bad in block.errors.items()} == {
        1: "its cell is empty", 2: "its cell is empty", 3: "the file is empty",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "label": ["b"]}, "holds no pictures: it has no column of bytes"),
        ({"image": [b"x"]}, "has no column 'label'"),
        ({"image": [b"x"], "label": [0.5]}, "its column label holds double, not labels"),
        ({"one": [b"x"], "two": [b"y"], "label": [1]}, "has several columns of pictures: one, two"),
        ({"image": [b"x"], "label": ["a"], "split": ["sideways"]}, r"row 1: the split 'sideways' is unknown"),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path, columns, message):
    with pytest.raises(ResLabError, match=message):
        read_data(table(tmp_path / "a.parquet", **columns))


def test_damaged_files_are_named(folder, tmp_path):
    before = read_data(folder)
    path = tmp_path / "a.parquet"
    hub_file(path, before.pictures, ["blue", "green"])
    data = path.read_bytes()
    for broken in (data[:-100], b"", b"PAR1 no"):
        path.write_bytes(broken)
        with pytest.raises(ResLabError, match=r"a\.parquet is no Parquet file, or is cut short"):
            read_data(path)
    hub_file(path, before.pictures, ["blue", "green", "red"])
    path.write_bytes(path.read_bytes())
    names = ["blue"]
    pq.write_table(
        pyarrow.table({"image": [{"bytes": b"x", "path": "a"}], "label": [4]}, schema=hub_schema(names)), path
    )
    with pytest.raises(ResLabError, match="row 1: the label 4 is none of the 1 classes of its schema"):
        read_data(path)


def test_row_groups_are_bounded(folder, tmp_path, monkeypatch):
    hub_file(tmp_path / "a.parquet", read_data(folder).pictures, ["blue", "green"])
    found = read_data(tmp_path / "a.parquet")
    monkeypatch.setattr(ours, "_MOST_BYTES", 100)
    with pytest.raises(ResLabError, match="a row group holds .* GB of pictures, which are read together"):
        content(found.pictures[0])
    monkeypatch.undo()
    monkeypatch.setattr(ours, "KEPT_BYTES", 1)
    order = np.random.default_rng(0).permutation(len(found.pictures))
    before = read_data(folder).pictures
    assert all(content(found.pictures[i]) == content(before[i]) for i in order)
    assert len(ours._GROUPS._kept) == 1


def test_predict_takes_parquet_without_labels(pngs, tmp_path):
    path = table(tmp_path / "a.parquet", image=pngs, name=list("abcde"))
    assert [p.key for p in expand(str(path))] == [f"{path}/a/{n:06d}" for n in range(5)]
    (row,) = expand(str(table(tmp_path / "b.parquet", text=["a"])))
    assert isinstance(row.source, BadPicture) and "holds no pictures" in row.source.reason
