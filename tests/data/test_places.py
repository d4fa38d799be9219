"""URLs: shards in memory, on an S3-compatible server, and without a network, a right or a package; the bounded cache."""

import builtins
import hashlib
import os
import socket
import threading
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from tests.pictures import colour_folder

from reslab.data.archives import cache, remote, shards
from reslab.data.archives.cache import kept
from reslab.data.archives.places import is_url
from reslab.data.archives.remote import with_retries
from reslab.data.archives.shards import open_shards, stream_shards
from reslab.data.archives.write import write_shards
from reslab.data.reader import content
from reslab.data.sources import at_hand, is_archive, read_data
from reslab.errors import ResLabError, Unreachable
from reslab.system.fetch import cache_folder

pytest.importorskip("fsspec")


@pytest.fixture
def pets(tmp_path):
    return read_data(colour_folder(tmp_path / "pets", classes=3, each=6))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_PAUSES", ())


@pytest.fixture
def memory(pets):
    """The pictures as shards at a URL in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    write_shards(pets, "memory://bucket/pets", max_bytes=20_000)
    yield MemoryFileSystem()
    MemoryFileSystem().rm("/bucket", recursive=True)


def contents(catalog):
    return [(p.key, p.label, p.split, content(p)) for p in catalog.pictures]


def test_what_is_a_url():
    assert is_url("s3://bucket/pets") and is_url("memory://a") and is_url("hf://datasets/a/b")
    assert not is_url("C:\\pets") and not is_url("data/a") and not is_url("")


def test_a_file_url_is_a_folder(pets, tmp_path):
    write_shards(pets, f"file://{tmp_path}/o ut".replace(" ", "%20"))
    assert (tmp_path / "o ut" / "index.json").is_file()
    assert contents(read_data(f"file://{tmp_path}/o%20ut")) == contents(pets)
    assert not (tmp_path / "cache").exists()


def test_shards_at_a_url_are_cached_whole(pets, memory):
    found = read_data("memory://bucket/pets")
    assert contents(found) == contents(pets)
    assert found.root == "memory://bucket/pets" and at_hand(found.root)
    there = [path for path in cache_folder("shards").iterdir() if path.suffix == ".tar"]
    assert len(there) == len([name for name in memory.ls("/bucket/pets", detail=False) if name.endswith(".tar")])
    for path in there:  # in the cache they are named by their sha256, and are not asked for again
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(Exception, match="was edited"):
        content(found.pictures[0])


def test_more_than_the_cache_holds_is_read_by_ranges(pets, memory, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE_BYTES", "1000")
    assert contents(read_data("memory://bucket/pets")) == contents(pets)
    assert not cache_folder("shards").exists()


def test_shards_that_are_read_in_turn_are_cached_a_few_at_a_time(pets, memory, monkeypatch):
    _, index = open_shards("memory://bucket/pets")
    largest, total = max(shard.bytes for shard in index.shards), sum(shard.bytes for shard in index.shards)
    monkeypatch.setattr(shards, "_AT_ONCE", 1)
    monkeypatch.setenv("RESLAB_CACHE_BYTES", str(total - 1))
    assert largest < total and not open_shards("memory://bucket/pets")[0].cached
    assert [content(p) for p in stream_shards("memory://bucket/pets")] == [content(p) for p in pets.pictures]
    left = [path.stat().st_size for path in cache_folder("shards").iterdir() if path.suffix == ".tar"]
    assert left and sum(left) < total
    monkeypatch.setenv("RESLAB_CACHE_BYTES", str(largest - 1))
    assert not open_shards("memory://bucket/pets", sequential=True)[0].cached


def test_a_zip_and_a_parquet_file_at_a_url(pets, memory, tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for picture in pets.pictures:
            archive.writestr(picture.key, Path(picture.source).read_bytes())
    memory.put_file(str(tmp_path / "pets.zip"), "/bucket/pets.zip")
    assert contents(read_data("memory://bucket/pets.zip")) == contents(pets)
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = {
        "image": [{"bytes": content(p), "path": p.key} for p in pets.pictures],
        "label": [p.label for p in pets.pictures],
    }
    parquet.write_table(pyarrow.table(rows), tmp_path / "a.parquet")
    memory.put_file(str(tmp_path / "a.parquet"), "/bucket/hub/data/train-00000-of-00001.parquet")
    found = contents(read_data("memory://bucket/hub"))
    assert found == [(key, label, "train", data) for key, label, _, data in contents(pets)]


def test_what_is_wrong_at_a_url_is_named(pets, memory):
    with pytest.raises(ResLabError, match="memory://bucket/pets already holds shards"):
        write_shards(pets, "memory://bucket/pets")
    memory.pipe_file("/bucket/new/.reslab-shard.lock", b"")
    with pytest.raises(ResLabError, match="another process is writing into memory://bucket/new"):
        write_shards(pets, "memory://bucket/new")
    memory.rm_file("/bucket/pets/data-000001.tar")
    with pytest.raises(ResLabError, match=r"memory://bucket/pets/data-000001\.tar is missing"):
        read_data("memory://bucket/pets")
    with pytest.raises(ResLabError, match="memory://bucket/nothing"):
        read_data("memory://bucket/nothing")


def test_an_edited_shard_at_a_url_is_refused(pets, memory):
    path = "/bucket/pets/data-000000.tar"
    memory.pipe_file(path, b"x" * memory.info(path)["size"])
    found = read_data("memory://bucket/pets")
    with pytest.raises(ResLabError, match=r"data-000000\.tar is not the file that its index names: another sha256"):
        content(found.pictures[0])
    assert not [p for p in cache_folder("shards").iterdir() if p.suffix in (".tar", ".tmp")]


def test_a_shard_that_came_wrongly_is_fetched_again(pets, memory, monkeypatch):
    read, spoilt = type(memory).cat_file, []

    def once_wrong(system, path, **more):
        data = read(system, path, **more)
        if not path.endswith(".tar") or spoilt:
            return data
        spoilt.append(path)
        return b"x" * len(data)

    monkeypatch.setattr(type(memory), "cat_file", once_wrong)
    assert contents(read_data("memory://bucket/pets")) == contents(pets) and spoilt


def test_a_missing_package_is_named(monkeypatch):
    with pytest.raises(ResLabError, match="gs:// needs the package gcsfs"):
        read_data("gs://bucket/pets")
    with pytest.raises(ResLabError, match="Protocol not known: s4"):
        read_data("s4://bucket/pets")
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("fsspec"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ResLabError, match="needs the package fsspec") as caught:
        read_data("s3://bucket/pets")
    assert caught.value.hint == "pip install 'reslab[scale]'"
    assert is_archive("s3://bucket/pets")


def test_faults_that_pass_are_tried_again_and_others_are_not(monkeypatch):
    monkeypatch.setattr(remote, "_PAUSES", (0, 0))
    faults = [ConnectionResetError("reset"), TimeoutError("slow")]

    def answer():
        if faults:
            raise faults.pop()
        return 1

    assert with_retries("s3://a", answer) == 1

    def always(error):
        tries.append(1)
        raise error

    tries = []
    with pytest.raises(ResLabError, match="no answer for s3://a: reset"):
        with_retries("s3://a", lambda: always(ConnectionResetError("reset")))
    assert len(tries) == 3
    tries = []
    with pytest.raises(ResLabError, match="no permission for s3://a: Forbidden"):
        with_retries("s3://a", lambda: always(PermissionError("Forbidden")))
    assert len(tries) == 1


class Busy(Exception):
    """What botocore raises for a 503."""

    def __init__(self, seconds):
        super().__init__("SlowDown")
        self.response = {"ResponseMetadata": {"HTTPHeaders": {"retry-after": seconds}}}


def test_a_server_is_left_alone_for_as_long_as_it_says(monkeypatch):
    slept = []
    monkeypatch.setattr(remote.time, "sleep", slept.append)
    monkeypatch.setattr(remote, "_PAUSES", (0.5, 0.5))
    translated = OSError("SlowDown")
    translated.__cause__ = Busy("7")
    faults = [translated, Busy("Thu, 26 Nov 2026 17:00:00 GMT")]

    def answer():
        if faults:
            raise faults.pop()
        return 1

    assert with_retries("s3://a", answer) == 1 and slept == [0.5, 7.0]
    faults[:] = [Busy("3600")]
    with pytest.raises(Unreachable, match="no answer for s3://a: SlowDown"):
        with_retries("s3://a", answer)
    assert slept == [0.5, 7.0]


def test_a_server_that_takes_long_to_fail_is_not_asked_for_ever(monkeypatch):
    now, tries = [0.0], []
    monkeypatch.setattr(remote.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(remote, "_PAUSES", (1.0,) * 100)

    def answer():
        now[0] += 60
        tries.append(1)
        raise TimeoutError("slow")

    with pytest.raises(Unreachable):
        with_retries("s3://a", answer)
    assert len(tries) == 3


def test_a_large_file_is_copied_in_little_memory_and_goes_on_where_it_was_cut(memory, monkeypatch, tmp_path):
    size, cuts = 48 * 2**20, [1, 5]
    memory.pipe_file("/bucket/large", b"abcd" * (size // 4))
    monkeypatch.setattr(remote, "_PAUSES", (0,))
    read, asked_for = type(memory).cat_file, []

    def cut(system, path, start=None, end=None, **more):
        data = read(system, path, start=start, end=end, **more)
        asked_for.append(start)
        return data[:100] if len(asked_for) - 1 in cuts else data

    monkeypatch.setattr(type(memory), "cat_file", cut)
    with (tmp_path / "copy").open("wb") as file:
        tracemalloc.start()
        digest = remote.copy_file(memory, "/bucket/large", "memory://bucket/large", size, file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert digest == hashlib.sha256(b"abcd" * (size // 4)).hexdigest() and peak < 3 * remote.CHUNK
    assert (tmp_path / "copy").stat().st_size == size
    assert len(asked_for) == size // remote.CHUNK + len(cuts) and asked_for[1] == asked_for[2] == remote.CHUNK
    memory.rm_file("/bucket/large")


# ------------------------------------------------------------------ the cache


def write(data):
    return lambda file: file.write(data)


def test_the_least_recently_used_leave_first(monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE_BYTES", "250")
    for number, name in enumerate("ab"):
        os.utime(kept(name, 100, write(b"x" * 100)), (number, number))
    kept("a", 100, write(b"never"))  # used again
    kept("c", 100, write(b"y" * 100))
    assert sorted(p.name for p in cache_folder("shards").iterdir() if not p.name.startswith(".")) == ["a", "c"]
    with pytest.raises(ResLabError, match="are more than the cache"):
        kept("d", 251, write(b""))
    monkeypatch.setenv("RESLAB_CACHE_BYTES", "many")
    with pytest.raises(ResLabError, match="RESLAB_CACHE_BYTES is 'many'"):
        kept("d", 1, write(b""))


def test_a_failed_fetch_leaves_nothing():
    def fail(file):
        file.write(b"half")
        raise ResLabError("no answer")

    with pytest.raises(ResLabError, match="no answer"):
        kept("a", 100, fail)
    assert [p for p in cache_folder("shards").iterdir() if not p.name.endswith(".lock")] == []


def test_many_readers_fetch_once(monkeypatch):
    fetched = []

    def fetch(file):
        fetched.append(1)
        file.write(b"z" * 50)

    threads = [threading.Thread(target=kept, args=("a", 50, fetch)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(fetched) == 1


def test_readers_with_too_little_room_still_read_rightly(pets, memory, monkeypatch):
    """Two sets compete for the room of one: each read finds its bytes, whoever pushed them out."""
    write_shards(pets, "memory://bucket/other", max_bytes=200_000)
    size = sum(row["size"] for row in memory.ls("/bucket/other", detail=True) if row["name"].endswith(".tar"))
    monkeypatch.setenv("RESLAB_CACHE_BYTES", str(size + 10_000))
    sets = [read_data(f"memory://bucket/{name}") for name in ("pets", "other")]
    wrong = []

    def look(found):
        for _ in range(3):
            if contents(found) != contents(pets):
                wrong.append(found.root)

    threads = [threading.Thread(target=look, args=(found,)) for found in sets]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []
    assert (
        cache._files(cache_folder("shards"))
        and sum(s for _, s, _ in cache._files(cache_folder("shards"))) <= size + 10_000
    )


# ------------------------------------------------------------------ an S3-compatible server


@pytest.fixture(scope="module")
def s3():
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    made = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    yield f"http://{host}:{port}"
    made.stop()


def test_shards_on_an_object_store(pets, s3, tmp_path, monkeypatch):
    import s3fs

    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", s3)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    write_shards(pets, "s3://bucket/pets", max_bytes=20_000)
    assert contents(read_data("s3://bucket/pets")) == contents(pets)
    monkeypatch.setenv("RESLAB_CACHE_BYTES", "1000")
    assert contents(read_data("s3://bucket/pets")) == contents(pets)
    with pytest.raises(ResLabError, match="already holds shards"):
        write_shards(pets, "s3://bucket/pets")
    with pytest.raises(ResLabError, match="s3://nowhere"):
        read_data("s3://nowhere/pets")
    with pytest.raises(ResLabError, match="s3://nowhere"):  # no bucket is made
        write_shards(pets, "s3://nowhere/pets")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for picture in pets.pictures:
            archive.writestr(picture.key, Path(picture.source).read_bytes())
    monkeypatch.delenv("RESLAB_CACHE_BYTES")
    s3fs.S3FileSystem().put_file(str(tmp_path / "pets.zip"), "bucket/pets.zip")
    assert contents(read_data("s3://bucket/pets.zip")) == contents(pets)


def test_without_a_network(monkeypatch):
    pytest.importorskip("s3fs")
    import s3fs

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ResLabError, match="no answer for s3://bucket/pets"):
        read_data("s3://bucket/pets")
