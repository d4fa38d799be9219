"""A Ray cluster of two nodes, begun and ended here: every picture once; another version of ResLab is refused."""

import os
import socket
import subprocess
import sys
import time

import pytest

from tests.cli.test_bulk import MODEL, assert_right, child, expected, photos, shards  # noqa: F401  fixtures

pytest.importorskip("ray")

PATIENCE = 300
START = (
    sys.executable,
    "-m",
    "ray.scripts.scripts",
    "start",
    "--block",
    "--num-cpus=1",
    "--object-store-memory=80000000",
)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(port, process):
    """Until somebody listens there."""
    for _ in range(PATIENCE):
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, process.communicate()
        time.sleep(1)
    raise AssertionError(f"nobody listens on port {port}")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    quiet = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    port, client = free_port(), free_port()
    head = (
        "--head", "--node-ip-address=127.0.0.1", f"--port={port}", f"--ray-client-server-port={client}",
        "--include-dashboard=false", f"--temp-dir={folder}",
    )  # fmt: skip
    nodes = []
    try:
        for words in (head, (f"--address=127.0.0.1:{port}", "--node-ip-address=127.0.0.1")):
            nodes.append(
                subprocess.Popen([*START, *words], env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            )
            wait_for(client, nodes[0])
        yield f"ray://127.0.0.1:{client}"
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.communicate(timeout=PATIENCE)


def test_every_picture_once(address, shards, expected, tmp_path):  # noqa: F811
    words = ("predict", MODEL, shards, "--parquet", tmp_path / "out", "--engine-on", address)
    done = child(*words)
    told = done.communicate(timeout=PATIENCE)
    assert done.returncode == 0 and "36 answered, 1 of them" in told[1], told
    assert_right(tmp_path / "out", shards, expected)


def test_another_version_is_refused(address, shards, tmp_path):  # noqa: F811
    patch = (
        "import importlib.metadata as m\nknown = m.version\nm.version = lambda x: '9.9' if x == 'reslab' else known(x)"
    )
    words = ("predict", MODEL, shards, "--parquet", tmp_path / "out", "--engine-on", address)
    done = child(*words, patch=patch)
    told = done.communicate(timeout=PATIENCE)
    assert done.returncode == 2, told
    assert "the Ray cluster has ResLab 0." in told[1] and ", this is ResLab 9.9" in told[1]
    assert not (tmp_path / "out").exists()


def test_where_no_cluster_is(shards, tmp_path):  # noqa: F811
    words = ("predict", MODEL, shards, "--parquet", tmp_path / "out", "--engine-on", f"ray://127.0.0.1:{free_port()}")
    done = child(*words, patch="import os\nos.environ['RAY_CLIENT_RECONNECT_GRACE_PERIOD'] = '0'")
    told = done.communicate(timeout=PATIENCE)
    assert done.returncode == 2 and "no Ray cluster answers at ray://127.0.0.1" in told[1], told
    assert not (tmp_path / "out").exists()
