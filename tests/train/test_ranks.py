"""Two processes (gloo) on one machine: the same scores, the same gradients, and no hang when one dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.machine import wait_for_epochs
from tests.pictures import colour_folder

CHILD = Path(__file__).with_name("ranks_child.py")
PATIENCE = 30  # seconds in which the others must end when one is killed
pytestmark = pytest.mark.skipif(os.name == "nt", reason="torchrun with gloo and signals")


def torchrun(*arguments, restarts=0):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHILD.parents[2]), *sys.path])}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        f"--max-restarts={restarts}",
    ]
    return subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def train(folder, out, *extra, restarts=0):
    arguments = ("--model", "resnet20", "--size", "16", "--batch-size", "6", "--augment", "strong")
    arguments += ("--layout", "channels-last", "--out", out)
    return torchrun("-m", "reslab", "train", folder, *arguments, *extra, restarts=restarts)


def workers_of(process):
    """The training processes that an agent started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children]


def test_two_processes_agree_with_one():
    process = torchrun(CHILD)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0 and "all the same" in err, err[-3000:]


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", 3, 20)


@pytest.fixture(scope="module")
def finished(colours, tmp_path_factory):
    """A run of two processes, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    process = train(colours, folder, "--epochs", "6", "--json")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    return folder, out


def test_a_run_of_two_writes_one_folder(finished):
    folder, out = finished
    assert json.loads(out)["split"] == "val"  # one process talks
    names = {p.name for p in folder.iterdir()}
    assert {"model.safetensors", "evaluation.json", "report.html", "journal.jsonl", "state"} <= names


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_when_one_is_killed_the_others_end(colours, tmp_path):
    process = train(colours, tmp_path / "run", "--epochs", "4000")
    wait_for_epochs(tmp_path / "run", process, 1)
    os.kill(workers_of(process)[1], signal.SIGKILL)
    begin = time.monotonic()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0 and time.monotonic() - begin < PATIENCE and "SIGKILL" in err


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_a_restart_goes_on_to_the_same_bytes(finished, colours, tmp_path):
    process = train(colours, tmp_path / "parts", "--epochs", "6", restarts=3)
    wait_for_epochs(tmp_path / "parts", process, 2)
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    for name in ("model.safetensors", "margins.csv"):
        assert (finished[0] / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_a_cross_validation_of_two_processes(colours, tmp_path):
    process = train(colours, tmp_path / "run", "--epochs", "1", "--folds", "2", "--json")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    assert json.loads(out)["split"] == "out-of-fold" and len(json.loads(out)["folds"]["values"]) == 2
    for place in ("", "fold-1", "fold-2"):
        assert (tmp_path / "run" / place / "model.safetensors").exists()
