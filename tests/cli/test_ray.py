"""A Ray cluster of two nodes, begun and ended here: `predict --engine-on`, `train --ray`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_bulk import MODEL, assert_right, child, expected, photos, shards  # noqa: F401  fixtures
from tests.pictures import colour_folder
from tests.train.test_ranks import train as torchrun_train

pytest.importorskip("ray")

PATIENCE = 900  # seconds; on a busy machine the dozen processes of a training take minutes to begin
pytestmark = pytest.mark.timeout(2 * PATIENCE)
QUIET = os.environ | {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # by default workers give way to whatever else runs here
    "GRPC_ENABLE_FORK_SUPPORT": "0",  # with it every twelfth client or so is refused: Ray's issue 63202
}
START = (
    sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--object-store-memory=80000000",
    "--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0",
)  # fmt: skip
SMALL = ("--model", "resnet20", "--size", "16", "--batch-size", "6", "--augment", "strong", "--layout", "channels-last")
HERE, THERE = (f"10.213.{os.getpid() % 256}.{host}" for host in (1, 2))
SPACE, ENDS = f"reslab-ray-{os.getpid()}", [f"ray{os.getpid()}-{end}" for end in (0, 1)]


def free_port():
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


def wait_until(true, process):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def listens(host, port):
    with socket.socket() as asked:
        return asked.connect_ex((host, port)) == 0


@contextmanager
def network():
    """Addresses of the two nodes, and the words before the second one's command: in a network namespace of its own."""

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, check=True)

    try:
        ip("netns", "add", SPACE)
    except (OSError, subprocess.CalledProcessError):  # no right to do this: both on one address
        yield "127.0.0.1", "127.0.0.1", ()
        return
    try:
        ip("link", "add", ENDS[0], "type", "veth", "peer", "name", ENDS[1], "netns", SPACE)
        ip("addr", "add", f"{HERE}/24", "dev", ENDS[0])
        ip("link", "set", ENDS[0], "up")
        inside = ("netns", "exec", SPACE)
        for words in (("addr", "add", f"{THERE}/24", "dev", ENDS[1]), ("link", "set", ENDS[1], "up"),
                      ("link", "set", "lo", "up"), ("route", "add", "default", "via", HERE)):  # fmt: skip
            ip(*inside, "ip", *words)
        yield HERE, THERE, ("ip", *inside)
    finally:
        subprocess.run(["ip", "netns", "del", SPACE], check=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder that is another one on the second node, where that has a name space of its own."""
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def address(own, tmp_path_factory):
    """Two nodes of one core each."""
    port, client, nodes = free_port(), free_port(), []
    temporary = Path("/tmp") / f"reslab-ray-{os.getpid()}"  # its sockets have long names, and a path has 107 characters
    with network() as (here, there, inside):
        head = (
            "--head", f"--node-ip-address={here}", f"--port={port}", f"--ray-client-server-port={client}",
            "--include-dashboard=false", f"--temp-dir={temporary}",
        )  # fmt: skip
        joining = [*START, f"--address={here}:{port}", f"--node-ip-address={there}"]
        if inside:
            joining = [*inside, "sh", "-c", f'mount -t tmpfs own {own} && exec "$@"', "sh", *joining]
        try:
            for words, interface in (([*START, *head], ENDS[0]), (joining, ENDS[1])):
                log = own.parent / f"node-{len(nodes)}.log"
                quiet = QUIET | ({"GLOO_SOCKET_IFNAME": interface} if inside else {})  # both have one host name
                with log.open("w") as file:
                    nodes.append(subprocess.Popen(words, env=quiet, stdout=file, stderr=file))
                wait_until(lambda log=log: "Ray runtime started" in log.read_text(), nodes[-1])
            yield f"ray://{here}:{client}"
        finally:
            for node in reversed(nodes):
                node.terminate()
                node.wait(PATIENCE)
            shutil.rmtree(temporary, ignore_errors=True)


def ended(process):
    """Its exit code, and all that it has said."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out + err


def on_ray(address, folder, out, *extra, processes=2, patch=""):
    words = ("train", folder, *SMALL, "--out", out, "--ray", address, "--processes", processes, *extra)
    return child(*words, patch=patch)


def training_processes():
    """Those that train on the cluster."""
    found = subprocess.run(
        ["pgrep", "-f", "^ray::RayTrainWorker|^ray::_RayTrainWorker"], capture_output=True, text=True
    )
    return [int(pid) for pid in found.stdout.split()]


# ------------------------------------------------------------------ predict --engine-on


def test_every_picture_once(address, shards, expected, tmp_path):  # noqa: F811
    words = ("predict", MODEL, shards, "--parquet", tmp_path / "out", "--engine-on", address)
    code, told = ended(child(*words))
    assert code == 0 and "36 answered, 1 of them" in told, told
    assert_right(tmp_path / "out", shards, expected)


def test_a_folder_that_the_nodes_do_not_share(address, own, shards):  # noqa: F811
    if "127.0.0.1" in address:
        pytest.skip("needs a network namespace, whose processes can see another disk")
    code, told = ended(child("predict", MODEL, shards, "--parquet", own / "out", "--engine-on", address))
    assert code == 2 and "is not the folder in which this work was begun" in told, told


OTHER = "import importlib.metadata as m\nknown = m.version\nm.version = lambda x: '9.9' if x == 'reslab' else known(x)"


def test_another_version_is_refused(address, shards, colours, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    for process in (
        child("predict", MODEL, shards, "--parquet", out, "--engine-on", address, patch=OTHER),
        on_ray(address, colours, out, patch=OTHER),
    ):
        code, told = ended(process)
        assert code == 2 and "of the Ray cluster has ResLab 0." in told and ", this is ResLab 9.9" in told, told
        assert not out.exists()


def test_where_no_cluster_is(shards, colours, tmp_path):  # noqa: F811
    out, nowhere = tmp_path / "out", f"ray://127.0.0.1:{free_port()}"
    for process in (
        child("predict", MODEL, shards, "--parquet", out, "--engine-on", nowhere),
        on_ray(nowhere, colours, out),
    ):
        code, told = ended(process)
        assert code == 2 and "no Ray cluster answers at" in told, told
        assert not out.exists()


# ------------------------------------------------------------------ train --ray


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", 3, 20)


@pytest.fixture(scope="module")
def whole(colours, tmp_path_factory):
    """The run of two processes that torchrun starts."""
    out = tmp_path_factory.mktemp("torchrun") / "run"
    code, told = ended(torchrun_train(colours, out, "--epochs", "12"))
    assert code == 0, told
    return out


def assert_same(run, whole):
    for name in ("model.safetensors", "margins.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert not list(run.glob(".*.shared"))


def test_the_same_bytes_as_torchrun(address, colours, whole, tmp_path):
    out, err = (process := on_ray(address, colours, tmp_path / "run", "--epochs", "12", "--json")).communicate(
        timeout=PATIENCE
    )
    assert process.returncode == 0, err
    assert json.loads(out)["split"] == "val" and "epoch 12/12" in err
    assert_same(tmp_path / "run", whole)


def test_a_process_that_is_killed(address, colours, whole, tmp_path):
    process = on_ray(address, colours, tmp_path / "run", "--epochs", "12")
    journal = tmp_path / "run" / "journal.jsonl"
    wait_until(lambda: journal.exists() and journal.read_text().count('"epoch",') >= 3, process)
    assert len(pids := training_processes()) == 2
    os.kill(pids[-1], signal.SIGKILL)
    code, told = ended(process)
    assert code == 0, told
    assert_same(tmp_path / "run", whole)


def test_what_is_refused(address, colours, own, tmp_path):
    (tmp_path / "one" / "a").mkdir(parents=True)
    for data, out, processes, complaint in (
        (colours, tmp_path / "out", 3, "the Ray cluster has 2 cores, and 3 processes need one each"),
        (tmp_path / "one", tmp_path / "out", 2, "one"),
        (colours, own / "out", 2, "is not the folder that this machine has under that name"),
    ):
        if out.parent == own and "127.0.0.1" in address:
            continue
        code, told = ended(on_ray(address, data, out, processes=processes))
        assert code == 2 and complaint in told, told
        assert not out.exists(), sorted(path.name for path in out.iterdir())
