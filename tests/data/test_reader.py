"""The reading loop: in order, not too far ahead, errors where they belong, constant memory."""

import threading
import time
import weakref

import numpy as np
import pytest
from PIL import Image

from reslab.data import reader
from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK, blocks, load, map_in_order
from reslab.errors import BadPicture
from reslab.pixels.preprocess import Preprocess
from reslab.system.machine import default_workers

WORKERS = [0, 1, 2, 4]


def array_pictures(n, side=8):
    rng = np.random.default_rng(0)
    return [Picture(f"{i}", rng.integers(0, 256, (side, side, 3)).astype(np.uint8), "x") for i in range(n)]


# ------------------------------------------------------------------ ordered


@pytest.mark.parametrize("workers", WORKERS)
def test_results_come_in_the_order_of_the_items(workers):
    def slow_at_first(n):
        time.sleep(0.002 * (20 - n) if n < 20 else 0)
        return n * n

    assert list(map_in_order(slow_at_first, range(50), workers, ahead=8)) == [n * n for n in range(50)]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("ahead", [1, 3, 10])
def test_it_never_runs_further_ahead_than_told(workers, ahead):
    drawn = []

    def items():
        for n in range(200):
            drawn.append(n)
            yield n

    for got in map_in_order(lambda n: n, items(), workers, ahead):
        assert len(drawn) <= got + 1 + ahead
        if workers and got == 20:
            assert len(drawn) > got + 1  # but it does run ahead


@pytest.mark.parametrize("workers", WORKERS)
def test_an_exception_arrives_with_its_item_and_ends_it(workers):
    def fail_at_seven(n):
        if n == 7:
            raise ValueError("seven")
        return n

    got = []
    with pytest.raises(ValueError, match="seven"):
        for n in map_in_order(fail_at_seven, range(100), workers, ahead=3):
            got.append(n)
    assert got == list(range(7))


@pytest.mark.parametrize("workers", WORKERS)
def test_an_exception_of_the_items_arrives_too(workers):
    def items():
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(map_in_order(lambda n: n, items(), workers, ahead=3))


@pytest.mark.parametrize(("seconds", "largest"), [(0, 21), (0.006, 1)])
def test_quick_calls_are_handed_over_several_at_a_time(monkeypatch, seconds, largest):
    handed, map_chunk = [], reader.map_chunk
    monkeypatch.setattr(
        reader, "map_chunk", lambda function, items: handed.append(len(items)) or map_chunk(function, items)
    )
    assert list(map_in_order(lambda n: time.sleep(seconds) or n, range(100), 2, ahead=64)) == list(range(100))
    assert max(handed) == largest and sum(handed) == 100


def test_an_exception_in_a_chunk_comes_after_the_results_before_it():
    got = []
    with pytest.raises(ZeroDivisionError):
        for n in map_in_order(lambda n: 1 / (n - 200), range(400), 2, ahead=64):
            got.append(n)
    assert len(got) == 200


def test_whoever_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    stream = map_in_order(lambda n: n, iter(int, 1), 4, ahead=8)  # endless
    assert next(stream) == 0
    stream.close()
    assert threading.active_count() == before


def test_the_work_is_done_in_threads_unless_none_are_wanted():
    here = threading.current_thread().name
    assert set(map_in_order(lambda n: threading.current_thread().name, range(5), 0, 2)) == {here}
    assert here not in set(map_in_order(lambda n: threading.current_thread().name, range(5), 2, 2))
    assert default_workers() >= 1


# ------------------------------------------------------------------ load


def test_load_takes_files_bytes_and_arrays(plant):
    base = plant(["a/1.png"])
    path = base / "a" / "1.png"
    whole = np.asarray(Image.open(path))
    for source in (path, path.read_bytes(), whole):
        assert np.array_equal(load(Picture("k", source, "a")), whole)
        part = load(Picture("k", source, "a", box=(0, 1, 8, 4)))
        assert np.array_equal(part, whole[1:5]) and part.base is None  # it does not keep the whole picture alive


def test_load_names_the_file_or_the_key(tmp_path):
    with pytest.raises(BadPicture) as caught:
        load(Picture("key", tmp_path / "gone.png", "a"))
    assert caught.value.name == str(tmp_path / "gone.png")
    with pytest.raises(BadPicture) as caught:
        load(Picture("upload 3", b"junk", "a"))
    assert caught.value.name == "upload 3"


# ------------------------------------------------------------------ blocks


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("n", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_blocks_hold_every_picture_once_in_order(n, workers):
    pictures, prepare = array_pictures(n), Preprocess(8)
    made = list(blocks(pictures, prepare, 8, workers))
    assert [len(b.indices) for b in made[:-1]] == [BLOCK] * (len(made) - 1)
    assert np.array_equal(np.concatenate([b.indices for b in made]), np.arange(n))
    assert np.array_equal(np.concatenate([b.pixels for b in made]), np.stack([p.source for p in pictures]))
    assert not any(b.errors for b in made)


def test_no_picture_no_block():
    assert list(blocks([], Preprocess(8), 8)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_pictures_are_black_and_named(workers):
    pictures = array_pictures(BLOCK + 5)
    for place in (0, 3, BLOCK + 4):
        pictures[place] = Picture(f"bad {place}", b"junk", "x")
    first, second = blocks(pictures, Preprocess(8), 8, workers)
    assert {**first.errors, **second.errors}.keys() == {0, 3, BLOCK + 4}
    assert first.errors[3].name == "bad 3"
    assert (first.pixels[[0, 3]] == 0).all() and (second.pixels[4] == 0).all()
    assert first.pixels[1].any()


def test_prepared_by_what_is_given_and_read_by_whoever_watches():
    seen = []

    def watching(picture):
        seen.append(picture.key)
        return load(picture)

    (block,) = blocks(array_pictures(5, side=20), Preprocess(10, "pad"), 10, 2, watching)
    assert block.pixels.shape == (5, 10, 10, 3) and sorted(seen) == ["0", "1", "2", "3", "4"]


def test_memory_stays_constant_over_a_generator():
    alive, most = set(), 0

    def many():
        nonlocal most
        for n in range(40 * BLOCK):
            source = np.zeros((4, 4, 3), np.uint8)
            alive.add(n)
            weakref.finalize(source, alive.discard, n)
            most = max(most, len(alive))
            yield Picture(str(n), source, "x")

    count = sum(len(block.indices) for block in blocks(many(), lambda a: np.zeros((8, 8, 3), np.uint8), 8, 2))
    assert count == 40 * BLOCK
    assert most <= 2 * BLOCK + 8
