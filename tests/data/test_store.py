"""Decoded once, as long as there is room."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from reslab.data.catalog import Picture
from reslab.data.folder import read_folder
from reslab.data.reader import load
from reslab.data.store import Store, memory_limit
from reslab.errors import BadPicture
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Preprocess
from reslab.system import machine
from reslab.system.machine import free_memory


@pytest.fixture
def folder(plant):
    """Ten picture files of 6 x 8 pixels, 144 bytes each."""
    return read_folder(plant([f"a/{n}.png" for n in range(10)])).pictures


def same(picture):
    return picture


def forget(pictures):
    """Remove the files: whatever is still given was remembered."""
    for picture in pictures:
        Path(picture.source).unlink()


def test_a_store_is_its_pictures_transformed(folder):
    store = Store(folder, Preprocess(8))
    assert len(store) == 10
    for number, picture in enumerate(folder):
        assert np.array_equal(store[number], Preprocess(8)(load(picture)))


def test_within_the_limit_a_file_is_read_once(folder):
    store = Store(folder, same, limit=10 * 144)
    first = [store[n] for n in range(10)]
    forget(folder)
    assert all(np.array_equal(store[n], first[n]) for n in range(10))


def test_beyond_the_limit_it_is_read_again(folder):
    store = Store(folder, same, limit=4 * 144 + 100)
    for n in range(10):
        store[n]
    forget(folder)
    assert all(store[n].shape == (6, 8, 3) for n in range(4))
    for n in range(4, 10):
        with pytest.raises(BadPicture, match="no such file"):
            store[n]


def test_the_limit_counts_what_is_kept_not_what_is_decoded(folder):
    store = Store(folder, lambda picture: np.asarray(picture)[:2, :2], limit=10 * 12)
    for n in range(10):
        store[n]
    forget(folder)
    assert store[9].shape == (2, 2, 3)
    assert store[9].base is None  # a copy: a view would keep the whole picture in memory


def test_a_picture_that_somebody_else_decoded_is_kept(folder):
    store = Store(folder, Preprocess(8))
    pixels = load(folder[3])
    forget(folder)
    assert np.array_equal(store.keep(folder[3], pixels), store[3])


def test_fingerprints_are_of_the_whole_pictures_and_cost_no_second_look(folder):
    store = Store(folder, Preprocess(8), limit=0)
    expected = [fingerprint(load(p)) for p in folder]
    for n in range(5):
        store[n]
    assert store.fingerprints() == expected  # decodes the other five
    forget(folder)
    assert store.fingerprints() == expected


def test_many_threads_share_one_store(folder):
    store = Store(folder, same, limit=6 * 144)
    expected = [load(p) for p in folder]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: store[n % 10], range(400)))
    assert all(np.array_equal(picture, expected[n % 10]) for n, picture in enumerate(got))
    assert len(store._memory.kept) == 6 and store._memory.left == 0


def test_a_part_and_the_whole_remember_for_each_other(folder):
    store = Store(folder, same, limit=4 * 144)
    part = store.part(folder[5:8])
    expected, hashes = [load(p) for p in folder], [fingerprint(load(p)) for p in folder]
    assert len(part) == 3 and np.array_equal(part[0], expected[5]) and np.array_equal(store[6], expected[6])
    assert store.part(folder[:2]).fingerprints() == hashes[:2]
    forget(folder)
    assert np.array_equal(store[5], expected[5]) and np.array_equal(part[1], expected[6])
    assert all(np.array_equal(store[n], expected[n]) for n in (0, 1))
    with pytest.raises(BadPicture, match="no such file"):  # the limit is one for all
        part[2]


def test_a_bad_picture_is_raised_each_time(tmp_path):
    store = Store([Picture("k", tmp_path / "gone.png", "a")], same)
    for _ in range(2):
        with pytest.raises(BadPicture):
            store[0]


# ------------------------------------------------------------------ how much is free


def test_two_stores_leave_half_of_the_free_memory():
    assert 0 < 2 * memory_limit() <= 0.51 * free_memory() + 2**28  # the rest of the machine goes on living


def test_a_container_limits_what_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    roomy = free_memory()
    (tmp_path / "memory.max").write_text("300000000\n")
    (tmp_path / "memory.current").write_text("100000000\n")
    assert free_memory() == 200_000_000 < roomy
    (tmp_path / "memory.current").write_text("400000000\n")
    assert free_memory() == 0
    (tmp_path / "memory.max").write_text("max\n")
    assert abs(free_memory() - roomy) < 2**30


def test_a_system_without_meminfo_gets_a_modest_guess(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    assert free_memory() == 4 * 2**30
