"""The command: it starts, says where, and ends when it is told to, after what is under way."""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reslab.cli.app import run as reslab
from tests.serve.conftest import MODEL
from tests.serve.door import PATIENCE, file_of, noise, wait_for
from tests.serve.test_limits import head

PICTURE = file_of(noise(0))


@contextmanager
def process(*flags, model=MODEL, **environment):
    """`reslab serve` on a free port: the process and its address. Its log is a file: a pipe that is full would stop it."""
    command = [sys.executable, "-m", "reslab", "serve", str(model), "--port", "0", *flags]
    with (
        tempfile.NamedTemporaryFile() as log,
        Path(log.name).open() as lines,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | environment,
        ) as child,
    ):
        child.stderr = lines
        try:
            line = child.stdout.readline()
            assert "answers at http://127.0.0.1:" in line, line + child.stderr.read()
            yield child, line.split()[-1]
        finally:
            if child.poll() is None:
                child.kill()


@contextmanager
def begun(address):
    """A connection whose request is under way and lacks its last ten bytes."""
    with socket.create_connection(("127.0.0.1", httpx.URL(address).port), timeout=PATIENCE) as wire:
        wire.sendall(head(len(PICTURE)) + b"\r\n" + PICTURE[:-10])
        wait_for(lambda: b"reslab_running_requests 1.0" in httpx.get(f"{address}/metrics").content)
        yield wire


def test_sigterm_lets_running_requests_finish():
    with process("--timeout", str(PATIENCE)) as (child, address), httpx.Client(base_url=address) as client:
        card = client.get("/model").json()
        assert card["sha256"] and card["limits"]["bytes"] == 32 * 2**20
        with begun(address) as wire:
            child.send_signal(signal.SIGTERM)
            wait_for(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/livez").status_code == 200
            refused = client.post("/predict", content=PICTURE)
            assert refused.status_code == 503 and "shutting down" in refused.json()["error"]
            assert refused.headers["Connection"] == "close" and int(refused.headers["Retry-After"]) >= 1
            wire.sendall(PICTURE[-10:])
            answer = b"".join(iter(lambda: wire.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200") and b'"predictions"' in answer
        assert child.wait(PATIENCE) == 0
        lines = [json.loads(line) for line in child.stderr.read().splitlines()]
    assert {"time", "id", "method", "path", "status", "ms", "pictures"} <= lines[-1].keys()
    assert lines[-1]["path"] == "/predict" and lines[-1]["status"] == 200


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators return memory by rules of their own")
def test_a_large_body_does_not_leave_its_memory_to_the_next():
    def resident():
        return int(next(x.split()[1] for x in status.read_text().splitlines() if x.startswith("VmRSS"))) / 1024

    with process() as (child, address), httpx.Client(base_url=address, timeout=PATIENCE) as client:
        status = Path(f"/proc/{child.pid}/status")
        assert client.post("/predict", content=PICTURE).status_code == 200
        start = resident()
        for _ in range(4):
            answer = client.post("/predict", json={"image": "A" * (30 * 2**20)})
            assert answer.status_code == 422, answer.text
        wait_for(lambda: resident() - start < 100)


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(word):
    with process() as (child, address):
        assert httpx.get(f"{address}/readyz").status_code == 200
        child.send_signal(word)
        assert child.wait(PATIENCE) == 0


def test_a_second_signal_does_not_wait():
    with process("--timeout", str(PATIENCE)) as (child, address), begun(address):
        child.send_signal(signal.SIGTERM)
        wait_for(lambda: httpx.get(f"{address}/readyz").status_code == 503)
        begin = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0 and time.monotonic() - begin < PATIENCE / 2


def test_the_token_comes_from_the_environment():
    with process(RESLAB_TOKEN="secret") as (_, address):
        assert httpx.get(f"{address}/model").status_code == 401
        assert httpx.get(f"{address}/model", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_mistakes_are_sentences(capsys, monkeypatch, tmp_path):
    def told(*words):
        assert reslab(["serve", *words]) == 2
        return capsys.readouterr().err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = told(MODEL, "--port", port)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in error and "hint: try --port" in error
    assert "cannot listen on" in told(MODEL, "--host", "no.such.host.invalid", "--port", "0")
    assert "--port 70000 is not between 0 and 65,535" in told(MODEL, "--port", "70000")
    assert "there is no model nowhere" in told("nowhere")
    assert "--max-bytes 0 is not between 1 and" in told(MODEL, "--max-bytes", "0")
    assert "--queue 3 has no room" in told(MODEL, "--queue", "3")
    (tmp_path / "m.onnx").write_bytes(b"no model")
    assert "m.onnx is damaged" in told(str(tmp_path / "m.onnx"), "--port", "0")
    monkeypatch.setenv("RESLAB_TOKEN", "")
    assert "RESLAB_TOKEN is empty" in told(MODEL)


def test_a_missing_extra_is_named():
    code = "import sys; sys.modules['fastapi'] = None; from reslab.cli.app import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, "serve", MODEL], capture_output=True, text=True)
    assert done.returncode == 2 and "error: serve needs the package fastapi" in done.stderr
    assert "pip install 'reslab[serve]'" in done.stderr
    assert subprocess.run([sys.executable, "-c", code, "serve", "--help"], capture_output=True).returncode == 0


def test_no_torch_is_loaded():
    code = (
        "import sys; sys.modules.update(torch=None, torchvision=None)\n"
        "from reslab.engine.open import open_engine\n"
        "from reslab.serve.run import open_for_serving\n"
        "from reslab.serve.app import create_app\n"
        f"create_app(open_for_serving({MODEL!r}, None, print))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
