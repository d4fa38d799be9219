"""Several models under one server, and a model that is replaced while it serves."""

import json
import os
import shutil
import socket

import onnx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from reslab.engine.open import open_engine
from reslab.errors import ResLabError
from reslab.model.file import KEY
from reslab.model.run import MODEL_NAME, packaged_file
from reslab.serve.sources import Source, Watch, named_models
from tests.serve.conftest import MODEL
from tests.serve.door import PATIENCE, file_of, noise, served, wait_for
from tests.serve.test_limits import head

PICTURE = file_of(noise(0))
SHOUTED = "SHOUTED"


def renamed(path, mark=SHOUTED):
    """The packaged network, its classes with a mark behind their names: the same numbers under other words."""
    model = onnx.load(packaged_file(MODEL, ".onnx"))
    (entry,) = (entry for entry in model.metadata_props if entry.key == KEY)
    header = json.loads(entry.value)
    header["classes"] = [f"{name} {mark}" for name in header["classes"]]
    entry.value = json.dumps(header)
    onnx.save(model, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return open_engine(renamed(tmp_path_factory.mktemp("other") / "other.onnx"))


@pytest.fixture(scope="module")
def both(engine, other):
    with served({"plain": engine, "loud": other}) as client:
        yield client


def test_each_model_answers_under_its_name_and_the_first_without_one(both, engine, other):
    def answer(path):
        document = both.post(path, content=PICTURE).json()
        return document["model"], document["predictions"][0]["label"]

    sha256, label = answer("/predict")
    assert sha256 == engine.sha256 and answer("/models/plain/predict") == (sha256, label)
    assert answer("/models/loud/predict") == (other.sha256, f"{label} {SHOUTED}")
    found = both.post("/models/loud/explain", content=PICTURE, headers={"Accept": "application/json"}).json()
    assert (found["model"], found["label"]) == (other.sha256, f"{label} {SHOUTED}")
    assert both.post("/models/loud/explain", params={"label": label}, content=PICTURE).status_code == 404
    assert both.get("/model").json() == both.get("/models/plain").json()
    assert both.get("/models/loud").json()["classes"] == list(other.header.classes)


def test_the_models_are_listed(both, engine, other):
    rows = both.get("/models").json()["models"]
    told = [(row["name"], row["sha256"], row["classes"], row["error"]) for row in rows]
    assert told == [("plain", engine.sha256, 10, None), ("loud", other.sha256, 10, None)]
    health = both.get("/health").json()
    assert health["models"] == rows and health["ok"] and health["processes"] == [health["process"]] == [os.getpid()]


def test_another_name_is_refused(both):
    for ask in (both.get("/models/quiet"), both.post("/models/quiet/predict", content=PICTURE)):
        assert ask.status_code == 404 and "no model of that name" in ask.json()["error"]


def test_metrics_tell_models_apart_only_where_there_are_several(both, client):
    both.post("/models/loud/predict", content=PICTURE)
    client.post("/predict", content=PICTURE)

    def labels(server):
        families = text_string_to_metric_families(server.get("/metrics").text)
        return {key for f in families if f.name == "reslab_pictures" for s in f.samples for key in s.labels}

    assert labels(both) == {"model", "end"} and labels(client) == {"end"}


def test_names_come_from_words_files_and_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("one.onnx", "many/a.onnx", f"many/run/{MODEL_NAME}", f"runs/b c/{MODEL_NAME}", "x=y.onnx"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    def names(*words):
        return {name: str(path) for name, path in named_models(words).items()}

    assert names("one.onnx", "two=one.onnx") == {"one": "one.onnx", "two": "one.onnx"}
    assert names("many") == {"a": "many/a.onnx", "run": f"many/run/{MODEL_NAME}"}
    assert names("runs/b c", "x=y.onnx") == {"b-c": f"runs/b c/{MODEL_NAME}", "x-y": "x=y.onnx"}
    assert names("runs") == names("runs/b c") and list(named_models([MODEL])) == [MODEL]
    (tmp_path / "empty").mkdir()
    for words, sentence in {
        ("one.onnx", "one=one.onnx"): "two models are called one",
        ("a/b=one.onnx",): "'a/b' cannot be the name of a model",
        ("two=nowhere",): "there is no model nowhere",
        ("empty",): "holds no",
    }.items():
        with pytest.raises(ResLabError, match=sentence):
            named_models(words)


@pytest.fixture
def live(tmp_path, monkeypatch):
    """A server of a file: the file and a client."""
    monkeypatch.setattr("reslab.serve.reload.POLL_SECONDS", 0.02)
    path = tmp_path / "live.onnx"
    shutil.copy(packaged_file(MODEL, ".onnx"), path)
    watch = Watch([Source("live", path, lambda: open_engine(path))])
    with served({"live": open_engine(path)}, watch=watch) as client:
        yield path, client


def test_a_changed_file_is_served_after_what_is_under_way(live, other):
    path, client = live
    before = client.get("/model").json()["sha256"]
    with socket.create_connection(("127.0.0.1", client.port), timeout=PATIENCE) as wire:
        wire.sendall(head(len(PICTURE)) + b"Connection: close\r\n\r\n" + PICTURE[:-10])
        wait_for(lambda: client.app.state.service.running)
        renamed(path)
        wait_for(lambda: client.get("/model").json()["sha256"] == other.sha256)
        wire.sendall(PICTURE[-10:])
        answer = b"".join(iter(lambda: wire.recv(4096), b""))
    assert before.encode() in answer and SHOUTED.encode() not in answer
    document = client.post("/predict", content=PICTURE).json()
    assert document["model"] == other.sha256 and document["predictions"][0]["label"].endswith(SHOUTED)
    wait_for(lambda: len(client.app.state.service._users) == 1)  # the one before is closed


def test_a_broken_file_leaves_the_model_and_is_told(live, other):
    path, client = live
    before = client.get("/model").json()["sha256"]

    def row():
        return client.get("/health").json()["models"][0]

    path.write_bytes(b"no model")
    wait_for(lambda: row()["error"])
    assert "live.onnx is damaged" in row()["error"] and row()["sha256"] == before
    assert client.post("/predict", content=PICTURE).json()["model"] == before
    path.unlink()
    wait_for(lambda: "there is no model" in (row()["error"] or ""))
    renamed(path)
    wait_for(lambda: row()["sha256"] == other.sha256)
    assert row()["error"] is None


def test_a_file_that_is_still_being_written_is_not_opened(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"1")
    watch = Watch([Source("a", path, lambda: None)])
    assert watch.changed() == [] and watch.changed(at_once=True) == list(watch.sources)
    path.write_bytes(b"12")
    assert watch.changed() == []
    path.write_bytes(b"123")
    assert watch.changed() == []
    assert watch.changed() == list(watch.sources) and watch.changed() == []
