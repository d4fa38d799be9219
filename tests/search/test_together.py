"""Processes that share a folder take part in one search: each trial once, and what one leaves that is killed is taken up."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from reslab.errors import ResLabError
from reslab.search.log import open_study
from reslab.search.trial import wall_seconds
from tests.pictures import colour_folder

SMALL = ("--model", "resnet20", "--size", "8", "--batch-size", "8", "--epochs", "3", "--layout", "channels-last",
         "--precision", "float32")  # fmt: skip
TRIALS = 6
PATIENCE = 300


@pytest.fixture
def searching():
    """Starts a process that takes part; it has no time left once so many trials have begun.

    It begins each trial that it has taken when a file `gate` lies beside the search.
    """
    code = (
        "import sys, time\nfrom reslab.cli.app import run\nfrom reslab.search import search, trial\ntake = trial.take_trial\n"
        "def run_trial(state, one):\n    while not (state.job.folder.parent / 'gate').exists(): time.sleep(0.05)\n"
        "    return trial.run_trial(state, one)\nsearch.run_trial = run_trial\n"
        f"search.take_trial = lambda state, seconds, held: take(state, "
        f"seconds if len(state.study.get_trials(deepcopy=False)) < {TRIALS} else 0, held)\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    started = []

    def start(data, out):
        words = ("search", data, *SMALL, "--minutes", "30", "--out", out, "--json")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, "-c", code, *map(str, words)], **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_until(true, *processes):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), [process.communicate() for process in processes]
        time.sleep(0.05)


def claimed(out):
    """Trial -> the process that is at it."""
    found = {}
    for path in out.glob(".trial-*.claim"):
        with suppress(FileNotFoundError):
            found[path.name] = json.loads(path.read_text())["pid"]
    return found


@pytest.mark.skipif(os.name == "nt", reason="a process that is killed is seen at once where it has a number of its own")
def test_two_processes_and_one_is_killed(searching, tmp_path):
    data, out = colour_folder(tmp_path / "data", each=12), tmp_path / "out"
    first, second = searching(data, out), searching(data, out)
    wait_until(lambda: set(claimed(out).values()) == {first.pid, second.pid}, first, second)
    cut = next(name for name, pid in claimed(out).items() if pid == second.pid)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    (tmp_path / "gate").touch()
    third = searching(data, out)
    told = [process.communicate(timeout=PATIENCE) for process in (first, third)]
    assert first.returncode == third.returncode == 0, told
    documents = [json.loads(printed) for printed, _ in told]
    assert documents[0]["trials"] == documents[1]["trials"] == json.loads((out / "search.json").read_text())["trials"]
    assert documents[0]["winner"] == documents[1]["winner"], "they agree on the decision"
    trials = documents[0]["trials"]
    assert [trial["trial"] for trial in trials] == list(range(TRIALS))
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    assert trials[int(cut[7:10])]["epochs"] >= 1, "the trial of the one that was killed was taken up"
    assert all(len(trial["curve"]) == trial["epochs"] for trial in trials)
    assert documents[0]["comparison"]["rivals"] == TRIALS - 1
    kept = {path.name for path in (out / "trials").iterdir()}
    assert kept == {f"{documents[0][who]['trial']:03d}" for who in ("default", "leader")}
    assert not list(out.glob(".*.claim")) and (out / "best" / "model.safetensors").is_file()


def test_half_a_line_is_cut_off_by_the_next_who_writes(tmp_path):
    study, other = open_study(tmp_path), open_study(tmp_path)
    study.set_user_attr("a", 1)
    with (tmp_path / "search.log").open("ab") as file:
        file.write(b'{"op_code":9,"worker')
    assert other.user_attrs == {"a": 1}
    other.set_user_attr("b", 2)
    assert study.user_attrs == open_study(tmp_path).user_attrs == {"a": 1, "b": 2}
    (tmp_path / "search.log").write_bytes(b"{}\n" + (tmp_path / "search.log").read_bytes())
    with pytest.raises(ResLabError, match="is damaged"):
        open_study(tmp_path)


def test_seconds_in_which_two_were_at_work_count_once():
    noon = datetime(2026, 1, 1, 12)

    def trial(begun, lasted, ended=None):
        complete = None if ended is None else noon + timedelta(seconds=ended)
        start = noon + timedelta(seconds=begun)
        return SimpleNamespace(user_attrs={"seconds": lasted}, datetime_start=start, datetime_complete=complete)

    assert wall_seconds([]) == 0
    assert wall_seconds([trial(0, 10, 10), trial(10, 5, 15)]) == 15, "one after the other"
    assert wall_seconds([trial(0, 10, 10), trial(2, 5, 7), trial(4, 8, 12)]) == 12, "side by side"
    assert wall_seconds([trial(0, 10, 10), trial(100, 4)]) == 14, "the second one is at work"
    assert wall_seconds([trial(0, 10, 1000)]) == 10, "it was stopped, and went on much later"
