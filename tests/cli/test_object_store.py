"""Training from an object store that fails now and then: the same model, nothing skipped, an end to patience."""

import json
import logging

import pytest

from reslab.data import store
from reslab.data.archives import remote
from reslab.data.archives.write import write_shards
from reslab.data.sources import read_data
from reslab.train.journal import Journal
from tests.cli.conftest import QUICK
from tests.cli.faulty_store import FAULTS, faulty_store
from tests.pictures import colour_folder

moto = pytest.importorskip("moto.server")
s3fs = pytest.importorskip("s3fs")

URL = "s3://bucket/shards"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Pictures as shards, and the model that is trained on them where they lie on this disk."""
    from reslab.cli.app import run

    folder = tmp_path_factory.mktemp("data")
    write_shards(read_data(colour_folder(folder / "colours", 3, 12)), folder / "shards", 20_000)
    assert run(["train", str(folder / "shards"), *QUICK, "--out", str(folder / "run")]) == 0
    return folder / "shards", (folder / "run" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def server():
    """An S3-compatible one: host and port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def proxy(shards, server, tmp_path, monkeypatch):
    """The shards on a server whose answers can be spoilt. Decoded pictures are not kept, so that each epoch reads them."""
    with faulty_store(server) as proxy:
        for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(remote, "_PAUSES", (0.01,) * 4)
        quick = {"config_kwargs": {**remote._OPTIONS["s3"]["config_kwargs"], "read_timeout": 1}}
        monkeypatch.setattr(remote, "_OPTIONS", {"s3": quick})
        monkeypatch.setattr(store, "_SHARE_OF_FREE_MEMORY", 0)
        s3fs.S3FileSystem.clear_instance_cache()
        system = s3fs.S3FileSystem()
        system.makedirs("bucket", exist_ok=True)
        for path in shards[0].iterdir():
            system.put_file(str(path), f"bucket/shards/{path.name}")
        yield proxy
    s3fs.S3FileSystem.clear_instance_cache()


def test_the_same_model_whatever_the_server_does(reslab, shards, proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE_BYTES", "1000")  # each picture is a request
    proxy.every = 23
    code, _, err = reslab("train", URL, *QUICK, "--out", tmp_path / "run")
    assert code == 0, err
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == shards[1]
    assert set(proxy.made) == set(FAULTS) and proxy.too_early == 0


def test_whole_shards_through_the_cache(reslab, shards, proxy, tmp_path):
    proxy.every, proxy.spoilt = 2, ".tar"
    code, _, err = reslab("train", URL, *QUICK, "--out", tmp_path / "run")
    assert code == 0, err
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == shards[1]
    assert set(proxy.made) == set(FAULTS) and proxy.reads < 40


def test_a_server_that_is_gone_ends_the_run_and_resume_continues(reslab, shards, proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE_BYTES", "1000")
    write = Journal.write

    def written(journal, event):
        write(journal, event)
        if event["event"] == "epoch" and proxy.alive_for is None:
            proxy.alive_for = 10

    monkeypatch.setattr(Journal, "write", written)
    code, out, err = reslab("train", URL, *QUICK, "--out", tmp_path / "run")
    assert code == 2 and out == ""
    error, hint = err.splitlines()[-2:]
    assert error.startswith(f"error: no answer for {URL}/data-00000")
    assert hint == f"hint: is there a network? Once there is: reslab resume {tmp_path / 'run'}"
    events = [json.loads(line)["event"] for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert events == ["epoch"]
    monkeypatch.setattr(Journal, "write", write)
    assert reslab("resume", tmp_path / "run")[0] == 2  # still gone
    proxy.alive_for = None
    assert reslab("resume", tmp_path / "run")[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == shards[1]
