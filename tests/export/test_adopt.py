"""Somebody else's graph becomes a model of ours: the right input rule is found, and nothing else changes."""

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
import torchvision
from onnx import TensorProto, helper
from PIL import Image

from reslab.cli.app import run
from reslab.data.splits import SplitConfig
from reslab.engine.onnx import open_exported
from reslab.errors import ResLabError
from reslab.evaluate.predict import load_model
from reslab.explain.cam import explain
from reslab.export import adopt as room
from reslab.export.adopt import Source, adopt
from reslab.export.graph import OUTPUTS
from reslab.export.options import NUMBERS, RuleChoices
from reslab.metrics.calibration import softmax
from reslab.pixels.decode import decode
from tests.export.foreigners import NAMES, SIZE, exported, hand_written, nearest_colour, save
from tests.pictures import colour_folder, colour_picture, tree

BATCHES = (1, 2, 3, 7, 32)
PLAIN = RuleChoices(NUMBERS)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Five colours; enough pictures that a wrong rule shows."""
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", 5, 40)


@pytest.fixture
def reslab(capsys):
    """Run one command in this process: exit code, standard output, standard error."""

    def call(*tokens):
        capsys.readouterr()
        code = run([str(token) for token in tokens])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return path


def adopted(path, data, out, **how):
    how = {"choices": PLAIN, "classes": tuple(NAMES)} | how
    return adopt(path, out, Source(str(data), division=SplitConfig(val=0.3)), **how)


def their_answers(path, given):
    """The graph as it came, one picture at a time."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: given[i : i + 1]})[0] for i in range(len(given))]).astype(
        np.float32
    )


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
    ],
    ids=str,
)
def test_other_forms_of_the_same_graph(change, explains, colours, tmp_path, capfd):
    mean, std = NUMBERS["0-255"]
    path = nearest_colour(tmp_path / "theirs.onnx", mean, std, "BGR", **change)
    made = adopted(path, colours, tmp_path / "ours.onnx")
    assert (made.search.best.rule.numbers, made.search.best.rule.order) == ("0-255", "BGR")
    engine = open_exported(tmp_path / "ours.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)
    given = hand_written(
        pixels, mean, std, "BGR", change.get("channels_last", False), change.get("kind", TensorProto.FLOAT)
    )
    theirs, ours = their_answers(path, given), engine.logits(pixels)
    if change.get("end"):
        theirs, ours = theirs, softmax(ours)
    assert np.allclose(ours, theirs, atol=1e-4)
    assert engine.explains == made.explains == explains
    if explains:
        weight, bias = engine.head
        assert np.allclose(engine.features(pixels).mean((2, 3)) @ weight.T + bias, engine.logits(pixels), atol=1e-3)
    proto = onnx.load(tmp_path / "ours.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node].count("Softmax") == 1  # theirs is off
    assert capfd.readouterr().err == ""  # onnxruntime says what a graph holds in vain


def test_the_file_is_one_of_ours(tmp_path):
    data = colour_folder(tmp_path / "data", 5, 20)
    for number in range(12):  # wrong labels, so that there is something to calibrate
        colour_picture("red", number).save(data / "blue" / f"wrong{number}.png")
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["-1-1"], author="somebody", license="CC0")
    made = adopt(
        path, tmp_path / "ours.onnx", Source(str(data), "train"), RuleChoices({"-1-1": NUMBERS["-1-1"]}), tuple(NAMES)
    )
    engine = open_exported(tmp_path / "ours.onnx")
    header = engine.header
    (taken,) = engine.session.get_inputs()
    assert (taken.name, taken.type, taken.shape) == ("images", "tensor(uint8)", ["batch", SIZE, SIZE, 3])
    assert tuple(output.name for output in engine.session.get_outputs()) == OUTPUTS
    assert header.classes == tuple(NAMES) and header.network == {"name": "theirs", "foreign": True}
    assert header.scores["train"]["chose_the_model"] and header.scores["train"]["n"] == header.calibration.n
    assert header.training["adopted"]["numbers"] == "-1-1" and header.training["weights_licence"] == "CC0"
    props = engine.session.get_modelmeta().custom_metadata_map
    assert props["author"] == "somebody" and engine.certificate == json.loads(json.dumps(made.certificate.document()))
    assert made.certificate.holds and made.certificate.batches == BATCHES
    fit = made.document()["calibration"]
    assert fit["temperature"] == header.calibration.temperature and fit["nll_after"] <= fit["nll_before"]
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


DYNAMO, LEGACY, ANY, ONE = True, False, True, False


@pytest.mark.parametrize(
    ("package", "name", "dynamo", "dynamic", "explains", "together"),
    [
        (torchvision.models.get_model, "shufflenet_v2_x0_5", DYNAMO, ANY, True, True),
        (torchvision.models.get_model, "shufflenet_v2_x0_5", LEGACY, ONE, True, True),
        (torchvision.models.get_model, "resnet18", LEGACY, ANY, True, True),
        (timm.create_model, "resnet10t", DYNAMO, ONE, True, True),
        (timm.create_model, "mobilenetv3_small_050", LEGACY, ANY, False, True),
        (timm.create_model, "convnext_atto", DYNAMO, ONE, False, False),  # its exporter wrote 1 into many places
    ],
)
def test_real_exports(package, name, dynamo, dynamic, explains, together, colours, tmp_path):
    path = exported(settled(package(name, num_classes=5)), tmp_path / "theirs.onnx", 32, dynamo, dynamic)
    made = adopted(path, colours, tmp_path / "ours.onnx")
    assert made.foreign.batched == together
    engine, rule = open_exported(tmp_path / "ours.onnx"), made.search.best.rule
    onnx.checker.check_model(onnx.load(tmp_path / "ours.onnx"), full_check=True)
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    expected = their_answers(path, hand_written(pixels, rule.mean, rule.std, rule.order))
    for batch in BATCHES:
        found = engine.logits(pixels[:batch])
        assert np.abs(found - expected[:batch]).max() <= 1e-4 * max(1, np.abs(expected).max())
    assert engine.explains == explains
    if explains:
        heat = explain(engine, pixels[0], NAMES[0])
        assert heat.logit == pytest.approx(float(expected[0, 0]), abs=1e-4 * max(1.0, float(np.abs(expected).max())))
        assert heat.heat.mean() + heat.bias == pytest.approx(heat.logit)


def trained(colours):
    """A small network of timm's that has learnt the colours from BGR pictures between -1 and 1."""
    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=5)
    mean, std = NUMBERS["-1-1"]
    pictures = [
        (np.array(colour_picture(label, 500 + k, (32, 32))), i) for k in range(8) for i, label in enumerate(NAMES)
    ]
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
        pixels = header.preprocess(decode(Path(row["path"])))[None]
        logits = their_answers(path, hand_written(pixels, *NUMBERS["-1-1"], "BGR"))
        expected = softmax(logits / header.calibration.temperature)[0]
        assert max(abs(p - expected[NAMES.index(label)]) for label, p in row["top"]) <= 1e-4
    code, text, err = reslab("eval", out, colours, "--split", "val", "--json")
    judged = json.loads(text)
    assert code == 0 and judged["n"] == told["n"] and judged["top1"] == told["top1"] and judged["nll"] == told["nll"], (
        err
    )
    code, text, err = reslab("explain", out, colours / "red" / "000.png", "--out", tmp_path / "heat.png")
    assert code == 0 and (tmp_path / "heat.png").is_file(), err
    before = tree(colours)
    code, text, err = reslab("adopt", path, *words)
    assert code == 0 and "input: -1-1 BGR, 32 px" in text and "certificate: " in text and tree(colours) == before


def test_without_torch(colours, names, tmp_path):
    """Whoever adopts has often no torch."""
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"])

    def without_torch(*words):
        code = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; from reslab.cli.app import run; "
        words = [sys.executable, "-c", code + "sys.exit(run(sys.argv[1:]))", *map(str, words)]
        return subprocess.run(words, capture_output=True, text=True)

    made = without_torch("adopt", path, "--classes", names, "--data", colours, "--out", tmp_path / "ours.onnx")
    assert made.returncode == 0 and "input: 0-1 RGB" in made.stdout, made.stderr
    found = without_torch(
        "explain", tmp_path / "ours.onnx", colours / "red" / "000.png", "--out", tmp_path / "heat.png"
    )
    assert found.returncode == 0 and ": red " in found.stdout, found.stderr


def test_what_the_file_says_itself_need_not_be_said(colours, tmp_path):
    """Ultralytics writes names and size beside a graph for any size, which ends in a softmax."""
    said = str(dict(enumerate(NAMES)))
    path = nearest_colour(
        tmp_path / "theirs.onnx", *NUMBERS["0-1"], end="Softmax", size="side", names=said, imgsz="[16, 16]"
    )
    made = adopted(path, colours, tmp_path / "ours.onnx", classes=None)
    assert made.header.classes == tuple(NAMES) and made.header.preprocess.size == 16
    assert made.foreign.output == "logits"
    assert adopted(path, colours, tmp_path / "ours.onnx", classes=None, size=20).header.preprocess.size == 20


def test_what_is_given_is_not_searched_for(reslab, colours, names, tmp_path):
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["imagenet"])
    given = ["--mean", 0.4, 0.4, 0.4, "--std", 0.3, 0.3, 0.3, "--resize", "stretch", "--interpolation", "bicubic"]
    code, out, err = reslab(
        "adopt", path, "--classes", names, "--data", colours, *given, "--out", tmp_path / "ours.onnx", "--json"
    )
    told = json.loads(out)
    assert code == 0 and [one["order"] for one in told["tried"]] == ["RGB", "BGR"], err
    assert told["doubts"].keys() == {"numbers"}
    header = open_exported(tmp_path / "ours.onnx").header
    assert (header.preprocess.resize, header.preprocess.interpolation) == ("stretch", "bicubic")
    assert header.training["adopted"]["mean"] == [0.4] * 3


@pytest.mark.parametrize("every", [1, 3])
def test_resize_is_found(every, tmp_path):
    """Wide pictures whose colour stands at their edges, all or a third: only what keeps the whole picture sees it."""
    data = tmp_path / "data"
    for label in NAMES[:3]:
        (data / label).mkdir(parents=True)
        for number in range(30):
            middle = "white" if number % every == 0 else label
            picture = np.array(colour_picture(middle, number, (48, 16)))
            edge = np.array(colour_picture(label, number, (48, 16)))
            picture[:, :16], picture[:, 32:] = edge[:, :16], edge[:, 32:]
            save_picture(data / label / f"{number}.png", picture)
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"])
    made = adopted(path, data, tmp_path / "ours.onnx")
    assert made.search.best.rule.preprocess.resize in ("pad", "stretch")
    assert made.search.best.accuracy == 1
    crops = [one for one in made.search.tried if one.rule.preprocess.resize == "crop"]
    assert max(one.accuracy for one in crops if one.rule.numbers == "0-1") < 0.85


def test_answers_that_are_no_numbers(reslab, names, tmp_path):
    """Too large an input overflows: that rule is out, and JSON has no infinity."""
    data = colour_folder(tmp_path / "data", 5, 12)
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"], end="Exp")
    code, out, err = reslab("adopt", path, "--classes", names, "--data", data, "--out", tmp_path / "o.onnx", "--json")
    assert code == 0, err
    found = {(one["numbers"], one["nll"] is None) for one in json.loads(out)["tried"]}
    assert {("0-255", True), ("0-1", False)} <= found


def test_data_may_hold_fewer_classes(tmp_path):
    data = colour_folder(tmp_path / "data", 3, 20)
    made = adopted(nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"]), data, tmp_path / "ours.onnx")
    assert made.header.classes == tuple(NAMES) and made.evaluation.score.top1.value == 1


def test_doubt_is_said(reslab, names, tmp_path):
    """Grey pictures look the same from red and from blue; and a graph that knows nothing is not taken for a model."""
    data = tmp_path / "data"
    for label in NAMES[:2]:
        (data / label).mkdir(parents=True)
        for number in range(20):
            grey = np.random.default_rng([number, len(label)]).integers(0, 256, (16, 16, 1), dtype=np.uint8)
            save_picture(data / label / f"{number}.png", np.repeat(grey, 3, axis=2))
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"])
    code, _, err = reslab(
        "adopt", path, "--classes", names, "--data", data, "--val", 0.5, "--out", tmp_path / "ours.onnx"
    )
    assert code == 0 and "cannot be told apart" in err and "is no better than always answering one class" in err


def save_picture(path, picture):
    Image.fromarray(picture).save(path)


def test_no_file_where_the_graphs_differ(reslab, colours, names, tmp_path, monkeypatch):
    path, out = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"]), tmp_path / "ours.onnx"
    right = room.wrap_graph

    def slightly_wrong(foreign, rule, *rest):
        return right(foreign, dataclasses.replace(rule, mean=tuple(m + 1e-3 for m in rule.mean)), *rest)

    monkeypatch.setattr(room, "wrap_graph", slightly_wrong)
    out.write_bytes(b"what was there")
    code, _, err = reslab("adopt", path, "--classes", names, "--data", colours, "--out", out)
    assert code == 1 and "does not give the answers of the original" in err and out.read_bytes() == b"what was there"


def plain(path, out_shape, in_shape=("b", 3, 8, 8), kind=TensorProto.FLOAT, inputs=1):
    """A graph that answers with zeros of some shape."""
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["out"])]
    held = {"shape": np.array(out_shape, np.int64)}
    taken = {f"in{k}": (kind, in_shape) for k in range(inputs)}
    return save(path, nodes, held, taken, {"out": (TensorProto.FLOAT, [f"d{k}" for k in range(len(out_shape))])})


def beside(path):
    """Its weights in a second file, as PyTorch's newer exporter writes them by itself."""
    nearest_colour(path, *NUMBERS["0-1"])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.data", size_threshold=0)
    return path


def external(path):
    beside(path)
    (path.parent / "w.data").unlink()
    return path


def test_weights_beside_the_graph_come_into_the_file(colours, tmp_path):
    adopted(beside(tmp_path / "theirs.onnx"), colours, tmp_path / "ours.onnx")
    (tmp_path / "w.data").unlink()
    assert load_model(tmp_path / "ours.onnx").predict([np.array(colour_picture("red", 900))])[0].label == "red"


def cut(path):
    nearest_colour(path, *NUMBERS["0-1"])
    path.write_bytes(path.read_bytes()[:300])
    return path


def garbage(path):
    path.write_bytes(b"no graph")
    return path


def ours_already(path):
    nearest_colour(path, *NUMBERS["0-1"], reslab="{}")
    return path


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path, "there is no file"),
        (garbage, "is damaged or not an ONNX model"),
        (cut, "is damaged"),
        (external, "keeps its weights in w.data, which is missing"),
        (ours_already, "is a ResLab model already"),
        (lambda path: plain(path, (2, 5), inputs=2), "takes 2 inputs (in0, in1), not one picture"),
        (lambda path: plain(path, (2, 5), ("b", 64)), "takes float [?, 64], not a batch of pictures"),
        (lambda path: plain(path, (2, 5), kind=TensorProto.INT64), "takes int64 [?, 3, 8, 8], not a batch"),
        (lambda path: plain(path, (2, 5), ("b", 1, 8, 8)), "pictures of 1 channels, not 3"),
        (lambda path: plain(path, (2, 5), ("b", 3, 8, 12)), "takes pictures of 12 x 8 px"),
        (lambda path: plain(path, (2, 84, 99)), "gives out [2, 84, 99], not a number for each class"),
        (lambda path: plain(path, (2, 7)), "has 7 classes, and 5 are named"),
        (lambda path: nearest_colour(path, *NUMBERS["0-1"], end="Sigmoid"), "ends in a sigmoid"),
        (lambda path: plain(path, (4, 5), (4, 3, 8, 8)), "takes exactly 4 pictures at a time"),
    ],
)  # fmt: skip
def test_graphs_that_cannot_be_adopted(make, sentence, reslab, colours, names, tmp_path):
    path = make(tmp_path / "theirs.onnx")
    code, out, err = reslab("adopt", path, "--classes", names, "--data", colours, "--out", tmp_path / "ours.onnx")
    assert code == 2 and sentence in err and out == "" and not (tmp_path / "ours.onnx").exists(), err
    assert [line.split(":")[0] for line in err.splitlines()[:1]] == ["error"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--mean", 0.5, 0.5, 0.5], "--mean and --std go together"),
        (["--mean", 123, 116, 103, "--std", 1, 1, 1], "are for pictures in [0, 1]"),
        (["--size", 32], "--size 32, but"),
        (["--size", 4], "--size 4 is too small"),
        (["--val", "none"], "there is no picture in the val split"),
    ],
)
def test_words_that_cannot_be_meant(words, sentence, reslab, colours, names, tmp_path):
    path = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"])
    code, _, err = reslab("adopt", path, "--classes", names, "--data", colours, "--out", tmp_path / "o.onnx", *words)
    assert code == 2 and sentence in err and not (tmp_path / "o.onnx").exists(), err


def test_names_and_places_that_do_not_fit(reslab, colours, names, tmp_path):
    path, out = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"]), tmp_path / "o.onnx"
    before = tree(colours)
    code, _, err = reslab("adopt", path, "--data", colours, "--out", out)
    assert code == 2 and "does not name its classes" in err and "--classes FILE" in err
    names.write_text("bleu\ngreen\nred\nviolet\nwhite\n", encoding="utf-8")
    code, _, err = reslab("adopt", path, "--classes", names, "--data", colours, "--out", out)
    assert code == 2 and "a class 'blue'" in err and "did you mean 'bleu'" in err
    names.write_text("red\ngreen\nred\nviolet\nwhite\n", encoding="utf-8")
    code, _, err = reslab("adopt", path, "--classes", names, "--data", colours, "--out", out)
    assert code == 2 and "two classes are named 'red'" in err
    names.write_text("\n".join(NAMES), encoding="utf-8")
    code, _, err = reslab("adopt", path, "--classes", names, "--data", colours, "--out", colours / "o.onnx")
    assert code == 2 and "lies inside" in err
    code, _, err = reslab("adopt", path, "--classes", names, "--data", colours, "--out", path)
    assert code == 2 and "is the foreign file itself" in err and not out.exists() and tree(colours) == before


def test_unreadable_pictures(reslab, names, tmp_path):
    data, path = colour_folder(tmp_path / "data", 5, 12), nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"])
    for number in range(6):
        (data / "red" / f"cut{number}.png").write_bytes((data / "red" / "000.png").read_bytes()[:100])
    words = ["adopt", path, "--classes", names, "--data", data, "--val", 0.5, "--out", tmp_path / "o.onnx"]
    code, _, err = reslab(*words)
    assert code == 2 and "cannot read" in err and not (tmp_path / "o.onnx").exists()
    code, out, err = reslab(*words, "--skip-bad", "--json")
    assert code == 0 and json.loads(out)["unreadable"] and json.loads(out)["top1"]["value"] == 1, err


def test_an_answer_without_features_is_not_explained(reslab, colours, names, tmp_path):
    path, out = nearest_colour(tmp_path / "theirs.onnx", *NUMBERS["0-1"], end="parts"), tmp_path / "ours.onnx"
    assert reslab("adopt", path, "--classes", names, "--data", colours, "--out", out)[0] == 0
    code, _, err = reslab("explain", out, colours / "red" / "000.png", "--out", tmp_path / "heat.png")
    assert code == 2 and "its answers cannot be explained" in err and not (tmp_path / "heat.png").exists()
    with pytest.raises(ResLabError, match="cannot be explained"):
        _ = open_exported(out).head
