"""Training over several hosts that fail: what is left goes on from the last state, and says so."""

import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch.distributed import HashStore

from reslab.errors import ResLabError
from reslab.train.restart import refuse_different_states
from reslab.train.step import process_group
from tests.pictures import colour_folder
from tests.train.hosts import hosts

CHILD = Path(__file__).with_name("hosts_child.py")
EPOCHS, STEPS = 3, 7  # of 7 or 8 pictures
PATIENCE = 200  # seconds, until anything must have happened

pytestmark = pytest.mark.skipif(os.name == "nt", reason="network namespaces")


def environment():
    path = os.pathsep.join([str(CHILD.parents[2]), *sys.path])
    return {**os.environ, "PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "eth0", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def torchrun(host, first, folder, *words):
    """`torchrun` on one host, with the rendezvous on the first."""
    conf = f"last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=5,is_host={int(host is first)}"
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2:3", "--nproc-per-node", "1"]
    command += ["--max-restarts", "1", "--rdzv-backend", "c10d", "--rdzv-id", "job-7", "--rdzv-conf", conf]
    command += ["--rdzv-endpoint", f"{first.address}:29400", "--local-addr", host.address, CHILD, *words]
    with (folder / f"err-{host.number}").open("w") as err:
        own = {"RESLAB_TEST_HOST": str(host.number), "RESLAB_TEST_STOPS": str(folder / "stops")}
        return host.run(*command, stdout=subprocess.DEVNULL, stderr=err, env=environment() | own)


def wait_for(path, folder):
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, "\n".join(p.read_text()[-3000:] for p in sorted(folder.glob("err-*")))
        time.sleep(0.05)


def history(folder, restarts):
    """Of each step that counts, the pictures that any host trained on: what a restart went back behind did not happen."""
    rows = [json.loads(line) for path in sorted(folder.glob("log-*")) for line in path.read_text().splitlines()]
    worlds = [restarts[0]["before"], *(event["processes"] for event in restarts)]
    begins, ends = [0, *(event["step"] for event in restarts)], [event["step"] for event in restarts] + [EPOCHS * STEPS]
    return [
        (epoch, picture)
        for world, begin, end in zip(worlds, begins, ends, strict=True)
        for size, step, epoch, pictures in rows
        for picture in pictures
        if size == world and begin <= step < end
    ]


def test_one_comes_late_and_one_is_killed(tmp_path):
    data = colour_folder(tmp_path / "colours", 3, 20)
    stops, run = tmp_path / "stops", tmp_path / "run"
    stops.mkdir()
    for stop in ("all-3", "2-9"):
        (stops / stop).touch()
    settings = f"--model resnet20 --size 16 --batch-size 8 --epochs {EPOCHS} --layout channels-last"
    words = ["train", data, "--out", run, *settings.split()]
    with hosts(3) as (one, two, three):
        first = torchrun(one, one, tmp_path, *words)
        torchrun(two, one, tmp_path, *words)
        wait_for(stops / "1-all-3.reached", tmp_path)
        wait_for(stops / "2-all-3.reached", tmp_path)
        torchrun(three, one, tmp_path, *words)  # asks the others to start again; none of them counts that as a failure
        wait_for(stops / "2-9.reached", tmp_path)
        two.kill()
        code = first.wait(PATIENCE)
    said = (tmp_path / "err-1").read_text()
    assert code == 0, said[-3000:]
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    restarts = [{k: v for k, v in event.items() if k != "event"} for event in events if event["event"] == "restart"]
    assert restarts == [
        {"step": 4, "processes": 3, "before": 2},
        {"step": 7, "processes": 2, "before": 3},
    ]
    for line in ("3 processes instead of 2, from step 4", "2 of 3 processes, from step 7"):
        assert said.count(f"restarted with {line}\n") == 1
    with (run / "margins.csv").open() as file:
        seen = {row["path"]: int(row["seen"]) for row in csv.DictReader(file)}
    assert set(seen.values()) == {EPOCHS}
    visits = Counter(history(tmp_path, restarts))
    assert set(visits.values()) == {1} and len(visits) == EPOCHS * len(seen)
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == list(range(1, EPOCHS + 1))


WAITS = """
import dataclasses, sys, time, torch
from reslab.errors import ResLabError
from reslab.train.step.process_group import join
group = dataclasses.replace(join(), in_steps=True)
group.add([torch.ones(1)])
print("together", flush=True)
time.sleep(600 * group.rank)
try:
    group.add([torch.ones(1)])
except ResLabError as error:
    print(error.message)
"""


def test_a_host_that_vanishes_without_a_word_is_given_up():
    with hosts(2) as machines:
        both = [
            host.run(
                sys.executable, "-c", WAITS, stdout=subprocess.PIPE, text=True,
                env={**environment(), "RESLAB_PATIENCE": "2", "RANK": str(rank), "WORLD_SIZE": "2",
                     "MASTER_ADDR": machines[0].address, "MASTER_PORT": "29500"},
            )
            for rank, host in enumerate(machines)
        ]  # fmt: skip
        with both[0].stdout as said, both[1].stdout:
            assert said.readline() == "together\n"
            machines[1].unplug()
            assert said.read().startswith("another process of this run does not answer: Timed out waiting 2000ms")
        assert both[0].wait(PATIENCE) == 0


def test_processes_that_read_different_states_stop():
    refuse_different_states([7, 7, 7], Path("run/state"))
    with pytest.raises(ResLabError, match="different states in run/state: of the steps 5, 7"):
        refuse_different_states([7, 5, 7], Path("run/state"))


def test_patience_is_a_number_of_seconds(monkeypatch):
    assert process_group._patience() == 600
    for written in ("0", "-1", "1.5", "long", "86401"):
        monkeypatch.setenv("RESLAB_PATIENCE", written)
        with pytest.raises(ResLabError, match=f"RESLAB_PATIENCE is '{written}'"):
            process_group._patience()


def test_all_find_one_prefix_in_a_store_that_an_earlier_start_has_used():
    """Of three processes the first comes last."""
    store = HashStore()
    (first,), (second,) = set(together(store)), set(together(store))
    assert first != second


def together(store):
    def come(rank):
        time.sleep(0.1 * (rank == 0))
        return process_group._fresh_prefix(store, rank, 3)

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(come, range(3)))
