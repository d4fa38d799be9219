"""The same answers from other processes, in order; what fails there is said here, and nothing is left running."""

import operator
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from reslab.data.processes import map_in_processes
from reslab.errors import BadPicture, ResLabError
from reslab.pixels.decode import decode


@pytest.mark.parametrize("count", [0, 1, 16, 100])
def test_it_is_map_in_order(count):
    assert list(map_in_processes(partial(operator.mul, 3), range(count), 2)) == [3 * n for n in range(count)]


def test_the_work_is_done_elsewhere():
    assert os.getpid() not in set(map_in_processes(operator.call, [os.getpid] * 100, 2))


def test_an_exception_arrives_with_its_item():
    got = []
    with pytest.raises(ZeroDivisionError):
        for n in map_in_processes(partial(operator.truediv, 1), [*range(1, 40), 0, *range(1, 40)], 2):
            got.append(n)
    assert len(got) == 39


def test_a_bad_picture_stays_one(tmp_path):
    """Whatever an error is made with, it arrives whole."""
    with pytest.raises(BadPicture) as caught:
        list(map_in_processes(decode, [str(tmp_path)], 1))
    assert (caught.value.reason, caught.value.hint) == ("it is a folder", BadPicture("", "").hint)


def test_a_process_that_is_ended_is_an_error():
    with pytest.raises(ResLabError, match="a process that reads pictures was ended"):
        list(map_in_processes(os._exit, [3], 1))


def test_a_process_that_cannot_be_started_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ResLabError, match="cannot start a process: No such file"):
        list(map_in_processes(abs, [1], 1))


def test_whoever_stops_early_leaves_no_process_behind():
    stream = map_in_processes(operator.call, iter(lambda: os.getpid, 0), 2)  # endless
    found = {next(stream) for _ in range(100)}
    stream.close()
    for process in found:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_they_end_with_the_process_that_began_them():
    program = """
import operator, os, time
from reslab.data.processes import map_in_processes
for pid in map_in_processes(operator.call, iter(lambda: os.getpid, 0), 1):
    print(pid, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as begun:
        reader = int(begun.stdout.readline())
        begun.kill()
    until = time.monotonic() + 30
    while is_running(reader) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(reader)


def is_running(process):
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]
    except FileNotFoundError:
        return False
