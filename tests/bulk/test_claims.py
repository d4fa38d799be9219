"""Claims: one worker at a time, whichever machine it is on; a dead one's are taken over, a living one's are not."""

import json
import os
import subprocess
import sys
import threading

import pytest

from reslab.bulk import claims
from reslab.bulk.claims import Claims
from reslab.data.archives.places import place_of

ELSEWHERE = {"owner": "x", "machine": "another", "pid": 1, "beat": 3}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "out").mkdir()
    return place_of(tmp_path / "out")


def names(place):
    return sorted(place.sizes())


def left_by(place, **claim):
    place.create(".a.claim", json.dumps(ELSEWHERE | claim).encode())


def test_one_at_a_time(place):
    first, second = Claims(place), Claims(place)
    with first.claimed("a") as mine, second.claimed("a") as theirs, second.claimed("b") as other:
        assert (mine, theirs, other) == (True, False, True)
    with second.claimed("a") as theirs:
        assert theirs
    assert names(place) == []


def test_of_many_at_once_one_wins(place):
    won, ready = [], threading.Barrier(16)

    def take():
        ready.wait()
        if place.create("a", b"whole"):
            won.append(1)

    threads = [threading.Thread(target=take) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert won == [1] and names(place) == ["a"] and place.read("a") == b"whole"


def test_without_links_it_still_is_one(place, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert place.create("a", b"first") and not place.create("a", b"second")
    assert names(place) == ["a"] and place.read("a") == b"first"


def test_a_dead_process_of_this_machine_is_seen_at_once(place):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left_by(place, machine=claims._machine(), pid=gone.pid)
    place.create(".a.parquet.0123.tmp", b"half")
    place.create(".b.parquet.0123.tmp", b"another part's")
    with Claims(place).claimed("a") as mine:
        assert mine and names(place) == [".a.claim", ".b.parquet.0123.tmp"]


def test_a_living_one_is_not(place):
    left_by(place, machine=claims._machine(), pid=os.getppid())
    with Claims(place).claimed("a") as mine:
        assert not mine


def test_of_another_machine_only_silence_tells(place, monkeypatch):
    """By the watcher's own clock: a claim that changes in between lives."""
    clock = [0.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: clock[0])
    watcher = Claims(place)
    left_by(place)
    for now, beat, expected in ((0, 3, False), (50, 3, False), (61, 4, False), (110, 4, False), (122, 4, True)):
        clock[0] = now
        (place.path / ".a.claim").write_text(json.dumps(ELSEWHERE | {"beat": beat}))
        with watcher.claimed("a") as mine:
            assert mine == expected, now


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"machine": 1}', b"\xff", b'{"pid": "x"}'])
def test_a_damaged_claim_is_one_that_is_silent(place, monkeypatch, content):
    place.create(".a.claim", content)
    watcher = Claims(place)
    with watcher.claimed("a") as mine:
        assert not mine
    monkeypatch.setattr(claims, "STALE", -1.0)
    with watcher.claimed("a") as mine:
        assert mine


def test_a_claim_beats(place, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with Claims(place).claimed("a"):
        seen = set()
        while len(seen) < 3:
            seen.add(place.read(".a.claim"))
    assert names(place) == []


def test_what_died_after_its_file_was_whole_leaves_no_claim(place):
    for name in (".a.claim", "..a.claim.0f.tmp", ".b.claim", "..b.claim.0f.tmp", "a.parquet"):
        place.create(name, b"")
    Claims(place).sweep({"a"})
    assert names(place) == ["..b.claim.0f.tmp", ".b.claim", "a.parquet"]
