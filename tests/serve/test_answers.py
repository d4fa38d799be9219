"""What the server says is what `predict` and `explain` say, however the pictures come."""

import base64
import concurrent.futures
import dataclasses
import io
import json
import logging

import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from reslab.engine.base import block_logits, forward_of
from reslab.engine.open import open_engine
from reslab.engine.torch import TorchEngine
from reslab.evaluate.predict import Model, Prediction, SetOptions
from reslab.explain.cam import explain
from reslab.explain.draw import draw_explanation
from reslab.model.file import Calibration, Header, write_model
from reslab.nn.zoo import build_named
from reslab.pixels.decode import decode
from reslab.pixels.preprocess import Preprocess
from reslab.serve.batcher import fixed_outputs
from reslab.serve.metrics import Metrics
from reslab.serve.run import open_for_serving
from tests.serve.door import file_of, noise, one_of_each, served

NEAR = 1e-5


def offline(engine, files):
    rows = Model(engine).predict(list(files.values()))
    return [dataclasses.replace(row, path=name) for row, name in zip(rows, files, strict=True)]


def assert_same(rows, expected):
    """The same documents but for the last digits of probabilities."""
    assert len(rows) == len(expected)
    for row, one in zip(rows, expected, strict=True):
        wanted = json.loads(json.dumps(dataclasses.asdict(one)))
        assert row.keys() == wanted.keys()
        for key in row.keys() - {"probability", "outlier_score", "top", "labels"}:
            assert row[key] == wanted[key], key
        for key in ("probability", "outlier_score"):
            assert row[key] == pytest.approx(wanted[key], abs=NEAR)
        for key in ("top", "labels"):
            assert [label for label, _ in row[key] or ()] == [label for label, _ in wanted[key] or ()]
            assert [p for _, p in row[key] or ()] == pytest.approx([p for _, p in wanted[key] or ()], abs=NEAR)


def base64_of(data):
    return base64.b64encode(data).decode()


def test_raw_bytes_one_by_one(client, engine):
    for name, data in one_of_each().items():
        for kind in ("application/octet-stream", "image/jpeg", "Image/X-Whatever; a=b"):
            answer = client.post("/predict", content=data, headers={"Content-Type": kind})
            assert answer.status_code == 200, (name, kind, answer.text)
            assert_same(answer.json()["predictions"], offline(engine, {"<bytes 0>": data}))
    assert answer.json()["model"] == engine.sha256 and answer.json()["schema"] == 1
    assert client.post("/predict", content=data).status_code == 200, "without a content type"


def test_a_form_with_several_files_under_any_field_name(client, engine):
    files = one_of_each()
    parts = [(f"field{number % 2}", (name, data)) for number, (name, data) in enumerate(files.items())]
    answer = client.post("/predict", files=parts, data={"comment": "not a picture"})
    assert_same(answer.json()["predictions"], offline(engine, files))


def test_json_with_base64_and_data_urls(client, engine):
    files = one_of_each()
    images = [{"name": name, "data": base64_of(data)} for name, data in files.items()]
    images[1]["data"] = "data:image/jpeg;base64," + images[1]["data"]
    images[2]["data"] = "\n".join(images[2]["data"][i : i + 60] for i in range(0, len(images[2]["data"]), 60))
    assert_same(client.post("/predict", json={"images": images}).json()["predictions"], offline(engine, files))
    one = client.post("/predict", json={"image": base64_of(files["rgb.png"])}).json()["predictions"]
    assert_same(one, offline(engine, {"<bytes 0>": files["rgb.png"]}))
    nameless = client.post("/predict", json={"images": [{"data": base64_of(files["grey.png"])}] * 2}).json()
    assert [row["path"] for row in nameless["predictions"]] == ["<bytes 0>", "<bytes 1>"]


def test_unreadable_files_among_others_are_rows_with_their_reason(client, engine):
    files = {"a.png": file_of(noise(1)), "notes.txt": b"no picture", "cut.jpg": file_of(noise(2), "JPEG")[:300]}
    answer = client.post("/predict", files=[("file", item) for item in files.items()])
    assert answer.status_code == 200
    assert_same(answer.json()["predictions"], offline(engine, files))
    assert [row["error"] is None for row in answer.json()["predictions"]] == [True, False, False]


def test_company_changes_nothing(client, engine):
    """Many at once, in batches that nobody planned, each answered as if it were alone."""
    files = {f"{seed}.png": file_of(noise(seed, (33 + seed % 5, 40))) for seed in range(60)}
    expected = offline(engine, files)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda item: client.post("/predict", files={"file": item}).json(), files.items()))
    assert_same([answer["predictions"][0] for answer in answers], expected)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 13, 15, 16, 17, 31])
def test_batches_have_few_shapes_and_lose_nobody(engine, count):
    shapes = []

    class Watched:
        header = engine.header

        def logits(self, pixels):
            shapes.append(len(pixels))
            return engine.logits(pixels)

        explains = False

    pixels = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    found = fixed_outputs(forward_of(Watched(), False), pixels).logits
    assert np.abs(found - block_logits(engine, pixels)).max() <= 1e-5 * max(1, np.abs(found).max())
    assert all(size & (size - 1) == 0 for size in shapes) and count <= sum(shapes) <= count * 8 / 7


def test_several_labels(tmp_path):
    network = build_named("resnet20", seed=2, num_classes=4)
    header = Header(
        {"name": "resnet20", **dataclasses.asdict(network.config)}, ("a", "b", "c", "d"), Preprocess(16),
        Calibration(1.3, 20, "val"), task="multi", thresholds=(0.4, 0.5, 0.1, 0.99),
    )  # fmt: skip
    engine = TorchEngine(network, header, "0" * 64)
    files = {f"{seed}.png": file_of(noise(seed)) for seed in range(5)}
    with served(engine) as client:
        rows = client.post("/predict", files=[("file", item) for item in files.items()]).json()["predictions"]
        card = client.get("/model").json()
    assert_same(rows, offline(engine, files))
    assert all(row["probability"] is None and row["labels"] is not None for row in rows)
    assert (card["task"], card["thresholds"]) == ("multi", [0.4, 0.5, 0.1, 0.99])


def test_explain_draws_what_the_command_draws(client, engine):
    data = file_of(noise(3, (200, 120)), "JPEG")
    whole = decode(data)
    found = explain(engine, engine.header.preprocess(whole), "ship")
    seen = dataclasses.replace(engine.header.preprocess, size=384)(whole)
    answer = client.post("/explain?label=ship", files={"file": ("a.jpg", data)})
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(draw_explanation(seen, found.heat)))


def test_explain_as_json(client, engine):
    data = file_of(noise(3, (200, 120)), "JPEG")
    best = explain(engine, engine.header.preprocess(decode(data)))
    answer = client.post("/explain", content=data, headers={"Accept": "application/json"}).json()
    assert answer["label"] == best.label and answer["model"] == engine.sha256 and answer["size"] == 32
    assert answer["probability"] == pytest.approx(best.probability, abs=NEAR)
    assert np.mean(answer["map"]) + answer["bias"] == pytest.approx(answer["logit"], abs=1e-4)
    assert answer["peak"] == list(best.peak(32))
    for key in ("overlay", "picture"):
        kind, _, text = answer[key].partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(text))) as square:
            assert square.size == (384, 384)
    assert answer["overlay"] != answer["picture"]


def test_the_card_of_the_model(client, engine):
    card = client.get("/model").json()
    header = engine.header
    assert card["sha256"] == engine.sha256 and card["name"] == header.network["name"]
    assert card["classes"] == list(header.classes) and card["engine"] == "onnxruntime" and card["explains"] is True
    assert card["preprocess"] == dataclasses.asdict(header.preprocess) and card["scores"] == header.scores
    assert (
        card["calibration"] == json.loads(json.dumps(dataclasses.asdict(header.calibration)))
        and card["training"] == header.training
    )
    assert card["limits"] == {"bytes": 32 * 2**20, "pixels": 50_000_000, "files": 64} and card["version"]
    top1 = card["scores"]["test"]["top1"]
    assert top1["low"] < top1["value"] < top1["high"]


@pytest.mark.parametrize("sets", [SetOptions(0.99), SetOptions(0.9, "raps"), SetOptions(0.9, "class")])
def test_the_sets_that_were_asked_for_are_answered(engine, sets):
    pictures = [file_of(noise(seed)) for seed in range(3)]
    expected = [row.prediction_set for row in Model(engine, sets).predict(pictures)]
    with served(engine, sets=sets) as client:
        rows = [client.post("/predict", content=picture).json()["predictions"][0] for picture in pictures]
        assert [tuple(row["prediction_set"]) for row in rows] == expected
        assert client.get("/model").json()["prediction_sets"] == dataclasses.asdict(sets)


def test_a_certificate_is_shown(engine):
    class Certified:
        name, header, sha256, seen = engine.name, engine.header, engine.sha256, engine.seen
        certificate, explains = {"n": 10, "max_difference": 1e-6}, False
        logits = staticmethod(engine.logits)

    with served(Certified()) as client:
        card = client.get("/model").json()
        assert card["certificate"] == {"n": 10, "max_difference": 1e-6} and card["explains"] is False
        refused = client.post("/explain", content=file_of(noise(0)))
        assert refused.status_code == 409 and "cannot be explained" in refused.json()["error"]
        assert client.post("/predict", content=file_of(noise(0))).status_code == 200


def test_metrics_and_log_tell_what_happened(engine, caplog):
    caplog.set_level(logging.INFO, "reslab.serve")
    files = {f"{seed}.png": file_of(noise(seed)) for seed in range(3)}
    with served(engine) as client:
        rows = client.post("/predict", files=[("file", item) for item in files.items()]).json()["predictions"]
        client.post("/predict", content=b"no picture", headers={"X-Request-ID": "mine-1"})
        client.get("/no/such/path")
        text = client.get("/metrics").text
    samples = {}
    for family in text_string_to_metric_families(text):
        samples |= {(s.name, *sorted(s.labels.items())): s.value for s in family.samples}
    labels = [row["label"] for row in rows]
    for label in set(labels):
        assert samples["reslab_predictions_total", ("label", label)] == labels.count(label)
    assert samples["reslab_request_seconds_count", ("path", "/predict"), ("status", "200")] == 1
    assert samples["reslab_request_seconds_count", ("path", "/predict"), ("status", "422")] == 1
    assert samples["reslab_request_seconds_count", ("path", "other"), ("status", "404")] == 1
    assert samples["reslab_errors_total", ("reason", "unreadable")] == 1
    assert [samples["reslab_pictures_total", ("end", end)] for end in ("answered", "unreadable")] == [3, 1]
    assert samples[("reslab_confidence_count",)] == 3 and samples[("reslab_queue_pictures",)] == 0
    assert samples[("reslab_confidence_sum",)] == pytest.approx(sum(row["probability"] for row in rows))
    assert samples[("reslab_batch_pictures_sum",)] == 3
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "reslab.serve"]
    told = [(line["method"], line["path"], line["status"], line["pictures"], line.get("reason")) for line in lines]
    assert told[:3] == [
        ("POST", "/predict", 200, 3, None),
        ("POST", "/predict", 422, 1, "unreadable"),
        ("GET", "/no/such/path", 404, 0, "path"),
    ]
    assert lines[1]["id"] == "mine-1" and all(line["ms"] >= 0 for line in lines)


def test_doubts_are_counted_apart():
    metrics, answer = Metrics(lambda: 0, lambda: 0), Prediction("x", "a", 0.5, (("a", 0.5),), accepted=False)
    doubts = [{"may_be_wrong": True}, {"may_be_wrong": True, "not_from_here": True}, {"not_from_here": True}, {}]
    for one in doubts:
        metrics.row(dataclasses.replace(answer, **one))
    (found,) = (f for f in text_string_to_metric_families(metrics.text().decode()) if f.name == "reslab_doubts")
    counted = {s.labels["doubt"]: s.value for s in found.samples if s.name.endswith("_total")}
    assert counted == {"may be wrong": 1, "not from here": 2}


def test_a_torch_model_is_exported_on_the_fly_and_keeps_its_name(tmp_path):
    path = tmp_path / "model.safetensors"
    network = build_named("fast_resnet8", seed=1, num_classes=3)
    header = Header(
        {"name": "fast_resnet8", **dataclasses.asdict(network.config)}, ("a", "b", "c"), Preprocess(16),
        Calibration(1.7, 9, "val"),
    )  # fmt: skip
    write_model(path, {k: v.numpy() for k, v in network.state_dict().items()}, header)
    told = []
    engine = open_for_serving(path, None, told.append)
    ours = open_engine(path)
    assert (engine.name, ours.name, told) == ("onnxruntime", "torch", []) and engine.sha256 == ours.sha256
    files = {f"{seed}.png": file_of(noise(seed)) for seed in range(3)}
    with served(engine) as client:
        answer = client.post("/predict", files=[("file", item) for item in files.items()]).json()
    assert answer["model"] == ours.sha256
    assert_same(answer["predictions"], offline(ours, files))
