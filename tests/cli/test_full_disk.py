"""A disk that is really full: one sentence, no half file, and the same command does the rest once there is room."""

import pytest

from reslab.data.archives.write import write_shards
from reslab.data.sources import read_data
from tests.machine import small_disk
from tests.pictures import colour_folder

pytest.importorskip("pyarrow")
MODEL = "cifar10_resnet20"
PARTS = ["_reslab.json", *(f"data-00000{number}.parquet" for number in range(4))]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("full") / "photos", classes=2, each=15)


@pytest.fixture(scope="module")
def shards(photos):
    out = photos.parent / "shards"
    assert len(write_shards(read_data(photos), out, 40_000).shards) == 4
    return out


@pytest.mark.parametrize(
    ("words", "room", "whole"),
    [
        (("predict", MODEL, "SHARDS", "--parquet"), 28, {1, 2, 3}),
        (("embed", MODEL, "SHARDS", "--parquet"), 28, {1, 2, 3}),
        (("check", "SHARDS", "--near", "--parts"), 64, {1, 2, 3}),
        (("check", "SHARDS", "--near", "--parts"), 0, {0}),
        (("shard", "PHOTOS"), 80, {0}),
    ],
)
def test_full(reslab, photos, shards, tmp_path, words, room, whole):
    """`room` kB are left, enough for so many whole files."""
    words = [{"SHARDS": shards, "PHOTOS": photos}.get(word, word) for word in words]
    with small_disk(tmp_path / "disk", 1) as disk:
        filler, out = disk / "filler", disk / "out"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - room * 1024)
        code, printed, err = reslab(*words, out)
        assert (code, printed) == (2, "") and "cannot write" in err and "No space left on device" in err
        kept = {path.name for path in out.glob("*") if path.name != "_reslab.json"}
        assert len(kept) in whole and all(name.endswith(".parquet") for name in kept)
        before = {name: (out / name).read_bytes() for name in kept}
        filler.unlink()
        assert reslab(*words, out)[0] == 0
        assert all((out / name).read_bytes() == content for name, content in before.items())
        names = sorted(path.name for path in out.iterdir())
        assert names == (["data-000000.json", "data-000000.tar", "index.json"] if words[0] == "shard" else PARTS)
