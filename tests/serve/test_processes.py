"""`reslab serve --processes`: killed, reloaded and ended under load, without a wrong answer or one too few."""

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import httpx
import pytest

from reslab.cli.app import run as reslab
from reslab.engine.open import open_engine
from reslab.model.run import packaged_file
from reslab.serve.metrics import Metrics
from tests.examples.scripts import ROOT, script
from tests.serve.conftest import MODEL
from tests.serve.door import PATIENCE, wait_for
from tests.serve.test_models import PICTURE, renamed
from tests.serve.test_process import begun, process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")


@pytest.fixture(scope="module")
def load():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    return script("benchmarks/serve_load.py")


@pytest.fixture(scope="module")
def asked(load):
    pictures = load.some_pictures(8)
    return pictures, load.answers_of(MODEL, pictures)


def health(address):
    return httpx.get(f"{address}/health", timeout=PATIENCE).json()


def alive(pid):
    """Whether a process runs: a zombie, which nobody waits for in a container, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_process_costs_its_own_answers_only(load, asked):
    flags = ["--processes", "3", "--max-bytes", str(load.MAX_BYTES), "--decode-seconds", str(PATIENCE)]
    with process(*flags) as (child, address):
        at_work = load.Load(httpx.URL(address).port, *asked)
        outcome = at_work.run(connections=12, requests=300)
        assert outcome.wrong == [] and outcome.lost_elsewhere() == 0
        assert len(outcome.times) + len(outcome.lost) == 300 and len(outcome.lost) <= 12
        wait_for(lambda: len(health(address)["processes"]) == 3 and outcome.killed not in health(address)["processes"])
        assert health(address)["restarts"] == 1
        refused, metrics = sum(n for kind, n in outcome.statuses.items() if not kind.endswith("200")), {}
        for line in httpx.get(f"{address}/metrics").text.splitlines():
            name, _, value = line.rpartition(" ")
            metrics[name] = value
        counted = sum(float(n) for name, n in metrics.items() if name.startswith("reslab_errors_total"))
        assert refused <= counted <= refused + len(outcome.lost), "the counts of all processes, the killed one's too"
        assert metrics["reslab_running_requests"] == "0.0"
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0
        lines = [json.loads(line) for line in child.stderr.read().splitlines()]
    (ended,) = (line for line in lines if line.get("event") == "process ended")
    assert ended["process"] == outcome.killed and ended["code"] == -signal.SIGKILL
    assert {line["process"] for line in lines if line.get("path") == "/predict"} > {outcome.killed}


def children(pid):
    """The server's processes, the one in reserve too: they are forked, so their command is the supervisor's."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(one) for one in found if alive(one) and Path(f"/proc/{one}/cmdline").read_bytes() == command}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_in_reserve_takes_over_and_ends_with_the_others():
    with process("--processes", "2") as (child, address):
        wait_for(lambda: len(children(child.pid)) == 3)
        serving = set(health(address)["processes"])
        (reserve,) = children(child.pid) - serving
        killed = min(serving)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: set(health(address)["processes"]) == serving - {killed} | {reserve})
        wait_for(lambda: health(address)["process"] == reserve)
        assert health(address)["restarts"] == 1
        wait_for(lambda: len(children(child.pid)) == 3)
        (next_one,) = children(child.pid) - set(health(address)["processes"])
        os.kill(next_one, signal.SIGKILL)
        wait_for(lambda: children(child.pid) - {next_one} - set(health(address)["processes"]))
        assert health(address)["restarts"] == 1
        pids = children(child.pid)
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0 and not any(alive(pid) for pid in pids)


def test_a_reload_under_load_loses_nothing(tmp_path):
    path = tmp_path / "live.onnx"
    shutil.copy(packaged_file(MODEL, ".onnx"), path)
    before, found, stop = open_engine(path).sha256, [], threading.Event()
    with process("--processes", "2", model=path) as (child, address):

        def ask():
            with httpx.Client(base_url=address, timeout=PATIENCE) as client:
                while not stop.is_set():
                    answer = client.post("/predict", content=PICTURE)
                    found.append((answer.status_code, answer.json()["model"]))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        path.write_bytes(b"no model")
        child.send_signal(signal.SIGHUP)
        wait_for(lambda: health(address)["models"][0]["error"])
        assert health(address)["models"][0]["sha256"] == before
        first = set(health(address)["processes"])
        after = open_engine(renamed(path)).sha256
        child.send_signal(signal.SIGHUP)
        wait_for(lambda: all(not alive(pid) for pid in first))
        end = len(found)
        wait_for(lambda: len(found) > end + 20)
        stop.set()
        for thread in threads:
            thread.join()
        assert {status for status, _ in found} == {200}
        assert {sha256 for _, sha256 in found[:1]} == {before} and {sha256 for _, sha256 in found[end + 8 :]} == {after}
        now = health(address)
        assert now["models"][0]["error"] is None and now["restarts"] == 0 and not first & set(now["processes"])


def test_sigterm_lets_running_requests_of_every_process_finish():
    with process("--processes", "2", "--timeout", str(PATIENCE)) as (child, address), begun(address) as wire:
        pids = health(address)["processes"]
        child.send_signal(signal.SIGTERM)
        wait_for(lambda: sum(alive(pid) for pid in pids) == 1)
        wire.sendall(PICTURE[-10:])
        answer = b"".join(iter(lambda: wire.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200") and b'"predictions"' in answer
        assert child.wait(PATIENCE) == 0 and not any(alive(pid) for pid in pids)


def test_processes_end_without_their_supervisor():
    with process("--processes", "2") as (child, address):
        wait_for(lambda: len(children(child.pid)) == 3 or sys.platform != "linux")
        pids = children(child.pid) if sys.platform == "linux" else health(address)["processes"]
        child.kill()
        wait_for(lambda: not any(alive(pid) for pid in pids))


def test_what_cannot_be_forked_is_refused(capsys, tmp_path):
    pytest.importorskip("openvino")
    assert reslab(["serve", MODEL, "--port", "0", "--processes", "2", "--engine", "openvino"]) == 2
    error = capsys.readouterr().err
    assert "openvino cannot serve" in error and "with several processes" in error
    assert b"reslab_queue_pictures 0.0" in Metrics(lambda: 0, lambda: 0).text(), "metrics are this process's own again"
    assert reslab(["serve", MODEL, "--processes", "0"]) == 2
    assert "--processes 0 is not between 1 and" in capsys.readouterr().err
    assert reslab(["serve", MODEL, "--processes", "257"]) == 2
    assert "--processes 257 is too large" in capsys.readouterr().err
