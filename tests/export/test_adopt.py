"""Somebody else's graph becomes a model of ours: the right input rule is found, and nothing else changes."""

import itertools
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
import torchvision
from onnx import TensorProto, helper

from reslab.cli.app import run
from reslab.data.reader import load
from reslab.engine.exported import open_exported
from reslab.engine.face import block_logits
from reslab.errors import GateNotMet, ResLabError
from reslab.explain.cam import explain
from reslab.export import adopt as room
from reslab.export.adopt import CERTIFICATE_KEY, Source, adopt, certified
from reslab.export.graph import OUTPUTS
from reslab.export.trial import NUMBERS, Choices
from reslab.metrics.calibration import softmax
from reslab.predict import load_model
from tests.export.foreigners import NAMES, SIZE, exported, hand_written, nearest_colour, save
from tests.pictures import colour_folder, colour_picture, tree

BATCHES = (1, 2, 3, 7, 32)
PLAIN = Choices(NUMBERS)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Five colours; enough pictures that a wrong rule shows."""
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", 5, 40)


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return path


def adopted(path, data, out, **how):
    how = {"choices": PLAIN, "classes": tuple(NAMES)} | how
    return adopt(path, out, Source(str(data), division={"val": 0.3}), **how)


def their_answers(path, given):
    """The graph as it came, one picture at a time."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: given[i : i + 1]})[0] for i in range(len(given))]).astype(np.float32)


@pytest.mark.parametrize(("name", "order"), list(itertools.product(NUMBERS, ("RGB", "BGR"))))
def test_the_right_rule_is_found(name, order, colours, tmp_path):
    mean, std = NUMBERS[name]
    path = nearest_colour(tmp_path / "theirs.onnx", mean, std, order)
    made = adopted(path, colours, tmp_path / "ours.onnx")
    rule = made.search.best.rule
    assert (rule.numbers, rule.order) == (name, order) and made.search.best.accuracy == 1
    model = load_model(tmp_path / "ours.onnx")
    pictures = [np.array(colour_picture(label, 900)) for label in NAMES]
    pixels = np.stack([model.header.preprocess(picture) for picture in pictures])
    expected = their_answers(path, hand_written(pixels, mean, std, order))
    calibrated = softmax(expected / model.header.calibration.temperature)
    for row, probabilities, label in zip(model.predict(pictures), calibrated, NAMES, strict=True):
        assert row.label == label
        assert all(abs(p - probabilities[NAMES.index(one)]) <= 1e-4 for one, p in row.top)


@pytest.mark.parametrize(
    ("change", "explains"),
    [
        ({"channels_last": True}, True),
        ({"kind": TensorProto.FLOAT16}, True),
        ({"kind": TensorProto.UINT8}, True),
        ({"tail": "matmul"}, True),
        ({"tail": "turned"}, True),
        ({"batch": 1}, True),
        ({"end": "Softmax", "batch": 1}, True),
        ({"end": "parts"}, False),
        ({"opset": 11}, True),
    ],
    ids=str,
)
def test_other_forms_of_the_same_graph(change, explains, colours, tmp_path):
    mean, std = NUMBERS["0-255"]
    path = nearest_colour(tmp_path / "theirs.onnx", mean, std, "BGR", **change)
    made = adopted(path, colours, tmp_path / "ours.onnx")
    assert (made.search.best.rule.numbers, made.search.best.rule.order) == ("0-255", "BGR")
    engine = open_exported(tmp_path / "ours.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)
    given = hand_written(pixels, mean, std, "BGR", change.get("channels_last", False), change.get("kind", TensorProto.FLOAT))
    theirs, ours = their_answers(path, given), engine.logits(pixels)
    if change.get("end"):
        theirs, ours = theirs, softmax(ours)
    assert np.allclose(ours, theirs, atol=1e-4)
    assert engine.explains == made.explains == explains
    if explains:
        weight, bias = engine.head
        assert np.allclose(engine.features(pixels).mean((2, 3)) @ weight.T + bias, engine.logits(pixels), atol=1e-3)
    onnx.checker.check_model(onnx.load(tmp_path / "ours.onnx"), full_check=True)


def test_the_file_is_one_of_ours(colours, tmp_path):
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["-1-1"], author="somebody", license="CC0")
    made = adopted(path, colours, tmp_path / "ours.onnx")
    engine = open_exported(tmp_path / "ours.onnx")
    header = engine.header
    (taken,) = engine.session.get_inputs()
    assert (taken.name, taken.type, taken.shape) == ("images", "tensor(uint8)", ["batch", SIZE, SIZE, 3])
    assert tuple(output.name for output in engine.session.get_outputs()) == OUTPUTS
    assert header.classes == tuple(NAMES) and header.network == {"name": "theirs", "foreign": True}
    assert header.scores["val"]["chose_the_model"] and header.scores["val"]["n"] == header.calibration.n
    assert header.training["adopted"]["numbers"] == "-1-1" and header.training["weights_licence"] == "CC0"
    props = engine.session.get_modelmeta().custom_metadata_map
    assert props["author"] == "somebody" and json.loads(props[CERTIFICATE_KEY]) == made.certificate
    assert made.certificate["top1_equal"] and made.certificate["batches"] == list(BATCHES)
    fit = made.document()["calibration"]
    assert fit["temperature"] == header.calibration.temperature != 1 and fit["nll_after"] < fit["nll_before"]
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    logits, probabilities = engine.session.run(["logits", "probabilities"], {"images": pixels})
    assert np.allclose(probabilities, softmax(logits / header.calibration.temperature), atol=1e-6)
    assert made.evaluation.model == engine.sha256 == made.document()["sha256"]


def settled(network):
    """Norms that have seen pictures, and a head that answers differently for different ones."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        network.train()(torch.rand(8, 3, 32, 32))
    return network.eval()


NETWORKS = {
    "torchvision resnet18": (lambda: torchvision.models.resnet18(num_classes=5), True),
    "timm resnet10t": (lambda: timm.create_model("resnet10t", num_classes=5), True),
    "timm mobilenetv3": (lambda: timm.create_model("mobilenetv3_small_050", num_classes=5), False),
    "timm convnext": (lambda: timm.create_model("convnext_atto", num_classes=5), False),
}


@pytest.mark.parametrize("dynamic", [True, False], ids=["dynamic", "fixed"])
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
@pytest.mark.parametrize("name", NETWORKS)
def test_real_exports(name, dynamo, dynamic, colours, tmp_path):
    build, explains = NETWORKS[name]
    path = exported(settled(build()), tmp_path / "theirs.onnx", 32, dynamo, dynamic)
    made = adopted(path, colours, tmp_path / "ours.onnx")
    engine, rule = open_exported(tmp_path / "ours.onnx"), made.search.best.rule
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    expected = their_answers(path, hand_written(pixels, rule.mean, rule.std, rule.order))
    for batch in BATCHES:
        found = engine.logits(pixels[:batch])
        assert np.abs(found - expected[:batch]).max() <= 1e-4 * max(1, np.abs(expected).max())
    assert engine.explains == explains
    if explains:
        heat = explain(engine, pixels[0], NAMES[0])
        assert heat.logit == pytest.approx(float(expected[0, 0]), abs=1e-4 * max(1, np.abs(expected).max()))
        assert heat.heat.mean() + heat.bias == pytest.approx(heat.logit)


def trained(colours):
    """A small network of timm's that has learnt the colours from BGR pictures between -1 and 1."""
    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=5)
    mean, std = NUMBERS["-1-1"]
    pictures = [(np.array(colour_picture(label, 500 + k, (32, 32))), i) for k in range(8) for i, label in enumerate(NAMES)]
    images = torch.from_numpy(hand_written(np.stack([p for p, _ in pictures]), mean, std, "BGR"))
    labels = torch.tensor([i for _, i in pictures])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval()


def test_a_trained_network_through_every_door(reslab, colours, names, tmp_path):
    """BGR, -1 to 1: found, and afterwards every answer is the foreign runtime's own."""
    path, out = exported(trained(colours), tmp_path / "theirs.onnx", 32, dynamo=False), tmp_path / "ours.onnx"
    words = ["--classes", names, "--data", colours, "--val", 0.3, "--out", out]
    code, text, err = reslab("adopt", path, *words, "--json")
    assert code == 0, err
    told = json.loads(text)
    assert told["schema"] == 1 and (told["rule"]["numbers"], told["rule"]["order"]) == ("-1-1", "BGR")
    assert told["top1"]["value"] >= 0.95 and {one["question"] for one in told["tried"]} == {"numbers", "shape"}
    code, text, err = reslab("predict", out, colours / "red", "--json")
    assert code == 0, err
    header = open_exported(out).header
    for line in text.splitlines():
        row = json.loads(line)
        pixels = header.preprocess(load_pixels(row["path"]))[None]
        logits = their_answers(path, hand_written(pixels, *NUMBERS["-1-1"], "BGR"))
        expected = softmax(logits / header.calibration.temperature)[0]
        assert max(abs(p - expected[NAMES.index(label)]) for label, p in row["top"]) <= 1e-4
    code, text, err = reslab("eval", out, colours, "--split", "val", "--json")
    judged = json.loads(text)
    assert code == 0 and judged["n"] == told["n"] and judged["top1"] == told["top1"] and judged["nll"] == told["nll"], err
    code, text, err = reslab("explain", out, colours / "red" / "000.png", "--out", tmp_path / "heat.png")
    assert code == 0 and (tmp_path / "heat.png").is_file(), err
    before = tree(colours)
    code, text, err = reslab("adopt", path, *words)
    assert code == 0 and "input: -1-1 BGR, 32 px" in text and "certificate: " in text and tree(colours) == before


def load_pixels(path):
    from reslab.data.catalog import Picture

    from pathlib import Path

    return load(Picture(path, Path(path), ""))
