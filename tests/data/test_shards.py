"""Shards: what is written is what was there, read back by offset; what was changed since is refused by name."""

import dataclasses
import hashlib
import json
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from tests.pictures import colour_folder, patches_table

from reslab.data.archives.places import place_of
from reslab.data.archives.shards import read_shards, stream_shards
from reslab.data.archives.write import write_shards
from reslab.data.catalog import Catalog, Picture
from reslab.data.reader import content, load
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.errors import BadPicture, ResLabError

FACTS = ("key", "label", "split", "group", "box")


def facts(catalog):
    return [tuple(getattr(picture, name) for name in FACTS) for picture in catalog.pictures]


def same(one, other):
    assert facts(one) == facts(other)
    assert (one.name, one.task, one.mirrored, one.skipped, one.empty_classes, one.remarks, one.doubts) == (
        other.name, other.task, other.mirrored, other.skipped, other.empty_classes, other.remarks, other.doubts,
    )  # fmt: skip


@pytest.fixture
def pets(tmp_path):
    return read_data(colour_folder(tmp_path / "pets", classes=3, each=8))


@pytest.fixture
def shards(pets, tmp_path):
    write_shards(pets, tmp_path / "out", max_bytes=30_000)
    return tmp_path / "out"


def edited(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_the_catalog_and_every_byte_come_back(pets, shards):
    found = read_data(shards)
    same(pets, found)
    assert [content(p) for p in found.pictures] == [Path(p.source).read_bytes() for p in pets.pictures]
    assert facts(assign_splits(found, seed=3)) == facts(assign_splits(pets, seed=3))
    assert [p.key for p in stream_shards(shards)] == [p.key for p in pets.pictures]
    assert not list(shards.glob(".*"))


def test_other_tools_read_them_as_webdataset_has_it(pets, shards):
    """Samples by name up to the first dot: the picture, and the class as a number."""
    samples = {}
    for path in sorted(shards.glob("*.tar")):
        assert path.stat().st_size <= 30_000
        with tarfile.open(path) as tar:
            for member in tar:
                name, ending = member.name.split(".")
                samples.setdefault(name, {})[ending] = tar.extractfile(member).read()
    assert [sorted(sample) for sample in samples.values()] == [["cls", "png"]] * 24
    assert [sample["png"] for sample in samples.values()] == [Path(p.source).read_bytes() for p in pets.pictures]
    assert [pets.classes[int(sample["cls"])] for sample in samples.values()] == [p.label for p in pets.pictures]


def test_the_index_has_the_checksums_of_the_files(shards):
    index = json.loads((shards / "index.json").read_text())
    assert len(index["shards"]) > 2
    for shard in index["shards"]:
        for name, key in ((f"{shard['name']}.tar", "sha256"), (f"{shard['name']}.json", "table_sha256")):
            assert hashlib.sha256((shards / name).read_bytes()).hexdigest() == shard[key]


def test_equal_data_give_equal_bytes(pets, shards, tmp_path):
    write_shards(read_shards(shards), tmp_path / "again", max_bytes=30_000)
    files = sorted(path.name for path in shards.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "again").iterdir())
    assert all((shards / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files)


def test_a_picture_larger_than_a_shard_has_one_of_its_own(pets, tmp_path):
    index = write_shards(pets, tmp_path / "out", max_bytes=1)
    assert [shard.pictures for shard in index.shards] == [1] * 24
    same(pets, read_shards(tmp_path / "out"))


def test_splits_groups_boxes_and_several_labels_are_kept(tmp_path):
    """Rows of different splits among each other: a shard holds one split, and the order of the table is that of the catalog."""
    colour_folder(tmp_path, classes=2, each=3)
    rows = [
        f"{c}/00{n % 3}.png,{c},{('train', 'test')[n % 2]},g{n % 3},{n},{n},{4 + n},5"
        for n in range(6)
        for c in ("blue", "green")
    ]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,split,group,x,y,w,h", *rows]))
    table = read_data(tmp_path / "t.csv")
    index = write_shards(table, tmp_path / "out")
    assert [(shard.name, shard.split) for shard in index.shards] == [("train-000000", "train"), ("test-000000", "test")]
    found = read_data(tmp_path / "out")
    same(table, found)
    assert all(np.array_equal(load(a), load(b)) for a, b in zip(table.pictures, found.pictures, strict=True))
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        assert len(tar.getnames()) == 6  # a picture of several boxes is stored once
    several = read_data(patches_table(tmp_path / "patches", 12))
    write_shards(several, tmp_path / "several")
    same(several, read_data(tmp_path / "several"))


def test_pictures_without_a_file_become_png(tmp_path):
    digits = read_data("digits")
    digits = dataclasses.replace(digits, pictures=digits.pictures[:40])
    write_shards(digits, tmp_path / "out")
    found = read_data(tmp_path / "out")
    same(digits, found)
    assert found.mirrored is False
    assert all(np.array_equal(load(a), load(b)) for a, b in zip(digits.pictures, found.pictures, strict=True))


def test_a_damaged_picture_is_kept_as_it_is(pets, tmp_path):
    bad = Picture("bad.jpg", b"\xff\xd8\xff not a picture", "blue")
    write_shards(dataclasses.replace(pets, pictures=(*pets.pictures, bad)), tmp_path / "out")
    found = read_data(tmp_path / "out").pictures[-1]
    assert content(found) == bad.source
    with pytest.raises(BadPicture, match="cannot read bad.jpg: the file is cut short"):
        load(found)


# ------------------------------------------------------------------ what was changed since


def cut(folder):
    path = folder / "data-000001.tar"
    path.write_bytes(path.read_bytes()[:-1000])


def gone(folder):
    (folder / "data-000001.tar").unlink()


def no_table(folder):
    (folder / "data-000001.json").unlink()


def other_table(folder):
    (folder / "data-000001.json").write_bytes((folder / "data-000000.json").read_bytes())


def later(folder):
    edited(folder / "index.json", lambda index: index.update(schema=2))


def twice(folder):
    edited(folder / "index.json", lambda index: index["shards"].append(index["shards"][0]))


def again(folder):
    """The same pictures under another name."""
    for ending in ("tar", "json"):
        shutil.copy(folder / f"data-000000.{ending}", folder / f"data-000009.{ending}")

    def add(index):
        first = index["shards"][0]
        index["shards"].append({**first, "name": "data-000009"})
        index["pictures"] += first["pictures"]

    edited(folder / "index.json", add)


def left_out(folder):
    def drop(index):
        index["pictures"] -= index["shards"].pop(1)["pictures"]

    edited(folder / "index.json", drop)


def outside(folder):
    edited(folder / "index.json", lambda index: index["shards"][0].update(name="../../etc/passwd"))


def beyond(folder):
    table = folder / "data-000000.json"
    edited(table, lambda columns: columns["offset"].__setitem__(0, 2**40))
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    edited(folder / "index.json", lambda index: index["shards"][0].update(table_sha256=digest))


def truncated(folder):
    path = folder / "index.json"
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, r"data-000001\.tar has [\d,]+ bytes instead of [\d,]+: it was cut short or edited"),
        (gone, r"data-000001\.tar is missing"),
        (no_table, r"data-000001\.json is missing"),
        (other_table, r"data-000001\.json is not the table that the index names"),
        (later, r"index\.json is of schema 2; this version reads 1"),
        (twice, "it names data-000000 2 times"),
        (again, "picture 0 is in two shards"),
        (left_out, "pictures between others are in no shard"),
        (outside, "is no name of a shard"),
        (beyond, r"a picture lies outside data-000000\.tar"),
        (truncated, r"index\.json is damaged: it is not JSON"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(shards, change, message):
    change(shards)
    with pytest.raises(ResLabError, match=message):
        read_data(shards)


def test_an_edited_shard_cannot_give_another_picture(shards):
    path = shards / "data-000000.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    first, second = read_data(shards).pictures[:2]
    with pytest.raises(BadPicture, match=r"cannot read blue/000.png: data-000000\.tar was edited"):
        load(first)
    assert load(second).shape == (18, 24, 3)


# ------------------------------------------------------------------ writing


def test_an_occupied_folder_is_refused_and_untouched(pets, shards, tmp_path):
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    with pytest.raises(ResLabError, match="already holds shards"):
        write_shards(pets, shards)
    assert before == {path.name: path.read_bytes() for path in shards.iterdir()}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ResLabError, match=r"is not empty: it holds thesis\.txt"):
        write_shards(pets, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (tmp_path / "mine" / "thesis.txt").rename(tmp_path / "mine" / "train-000000.tar")
    with pytest.raises(ResLabError, match=r"is not empty: it holds train-000000\.tar"):  # another tool's shards
        write_shards(pets, tmp_path / "mine")
    assert (tmp_path / "mine" / "train-000000.tar").read_text() == "mine"
    with pytest.raises(ResLabError, match=r"holds tar files, but neither index\.json nor class folders"):
        read_data(tmp_path / "mine")


def test_two_writers_do_not_share_a_folder(pets, tmp_path):
    place = place_of(tmp_path / "out")
    with place.claimed(), pytest.raises(ResLabError, match="another process is writing into"):
        write_shards(pets, tmp_path / "out")
    write_shards(pets, tmp_path / "out")
    same(pets, read_data(tmp_path / "out"))


def test_a_picture_that_cannot_be_read_leaves_nothing(pets, tmp_path):
    Path(pets.pictures[20].source).unlink()
    with pytest.raises(BadPicture, match="no such file"):
        write_shards(pets, tmp_path / "out", max_bytes=20_000)
    assert list((tmp_path / "out").iterdir()) == []


CHILD = """
import sys, time
from reslab.data.archives.write import write_shards
from reslab.data.sources import read_data
slowly = lambda n: (print(n, flush=True), time.sleep(0.05))
write_shards(read_data(sys.argv[1]), sys.argv[2], 20_000, slowly)
"""


def test_a_killed_writer_leaves_no_index_and_the_next_one_begins_again(pets, tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, pets.root, tmp_path / "out"], stdout=subprocess.PIPE)
    for _ in range(10):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert "data-000000.tar" in left and "index.json" not in left
    write_shards(pets, tmp_path / "out")
    same(pets, read_data(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"data-000000.tar", "data-000000.json", "index.json"}


def test_a_full_disk_leaves_no_index(pets, tmp_path):
    """A limit on the size of a file stands for the disk; the shards before the one that does not fit go, too."""
    large = Picture("red/large.jpg", np.random.default_rng(0).bytes(30_000), "red")
    pets = dataclasses.replace(pets, pictures=(*pets.pictures, large))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with pytest.raises(ResLabError, match=r"cannot write .*data-0000\d\d\.tar: File too large"):
            write_shards(pets, tmp_path / "out", max_bytes=19_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def test_memory_does_not_grow_with_the_data(tmp_path):
    """What writing keeps of a picture is a row of numbers, not its content."""
    import tracemalloc

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 200_000, np.uint8).tobytes()

    def pictures(n, size):
        return Catalog("big", "big", tuple(Picture(f"{i:05d}.jpg", noise[:size], str(i % 2)) for i in range(n)))

    def peak(n, size=200_000, max_bytes=2_000_000):
        given = pictures(n, size)
        tracemalloc.start()
        write_shards(given, tmp_path / f"{n} {size}", max_bytes)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(5)
    assert peak(200) < peak(20) + 500_000  # of 40 MB
    assert peak(3000, 10, 2**30) < 3_300_000  # of one shard: its table, but not the names of its members
