"""An exported model is written only when it answers as the network does, in every form, and int8 only when it is worth it."""

import csv
import json
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from reslab.cli.app import run
from reslab.engine.onnx import from_bytes, open_exported
from reslab.engine.open import open_engine
from reslab.engine.torch import open_torch
from reslab.errors import GateNotMet, ResLabError
from reslab.export import certify as certifying
from reslab.export.certify import BATCHES, certify
from reslab.export.graph import Graph, export_onnx
from reslab.export.quantize import measure_acceptance, quantize
from reslab.model.file import encode_metadata
from reslab.model.run import packaged_file
from reslab.run.export import Shipping, ship

MODEL = packaged_file("cifar10_resnet20", ".safetensors")


@pytest.fixture(scope="module")
def engine():
    return open_torch(MODEL)


@pytest.fixture(scope="module")
def data(tmp_path_factory, engine):
    """60 training and 60 validation pictures, each bearing the label that the network itself gives it."""
    root = tmp_path_factory.mktemp("data")
    dice = np.random.default_rng(0)
    rows = [("path", "label", "split")]
    for number in range(120):
        rough = dice.integers(0, 256, (3 + number % 5, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(rough).resize((32, 32), Image.Resampling.BICUBIC)
        label = engine.header.classes[int(engine.logits(np.array(picture)[None]).argmax())]
        picture.save(root / f"{number:03d}.png")
        rows.append((f"{number:03d}.png", label, "train" if number % 2 else "val"))
    with (root / "pictures.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "pictures.csv"


@pytest.fixture(scope="module")
def graph(engine):
    found = export_onnx(engine.network, engine.header)
    onnx.helper.set_model_props(found, encode_metadata(engine.header, engine.seen))
    return found


def pixels(count, seed=0, side=32):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def opened(graph):
    return from_bytes(graph.SerializeToString(), MODEL)


@pytest.mark.parametrize("n", [1, 5, 44, 45, 46, 200])
def test_every_picture_is_asked_and_every_batch_size_used(n):
    turns = list(certifying._batches(n))
    assert {len(rows) for rows in turns} == set(BATCHES)
    assert set(np.concatenate(turns)) == set(range(n))


@pytest.mark.parametrize("layout", ["nhwc-uint8", "nchw-float32"])
@pytest.mark.parametrize("form, suffix", [("onnx", ".onnx"), ("openvino", ".xml")])
def test_every_form_answers_as_the_network(tmp_path, engine, data, form, suffix, layout):
    if form == "openvino":
        pytest.importorskip("openvino")
    shipped = ship(MODEL, tmp_path / f"model{suffix}", Shipping(form, layout), data)
    found = open_engine(shipped.path)
    assert found.header == engine.header and np.array_equal(found.seen, engine.seen)
    asked = pixels(5)
    assert np.abs(found.logits(asked) - engine.logits(asked)).max() < 1e-3
    assert np.abs(found.features(asked) - engine.features(asked)).max() < 1e-3
    for theirs, ours in zip(found.head, engine.head, strict=True):
        assert np.allclose(theirs, ours, atol=1e-6)
    told = found.certificate
    assert told == json.loads(json.dumps(shipped.certificate.document()))
    assert told["n"] == 60 and told["other_answers"] == 0 and told["max_difference"] <= told["limit"]
    assert told["accuracy_before"]["value"] == told["accuracy_after"]["value"] == 1
    assert "60 validation pictures of pictures.csv" in told["pictures"]


@pytest.mark.parametrize("layout", ["nhwc-uint8", "nchw-float32"])
def test_a_program_answers_as_the_network(tmp_path, engine, data, layout):
    shipped = ship(MODEL, tmp_path / "model.pt2", Shipping("pt2", layout), data)
    told = {"reslab.certificate": ""}
    asked = pixels(5)
    planes = torch.from_numpy(asked.transpose(0, 3, 1, 2) / np.float32(255))
    found = torch.export.load(shipped.path, extra_files=told).module()(
        torch.from_numpy(asked) if layout == "nhwc-uint8" else planes
    )
    assert np.abs(found[0].detach().numpy() - engine.logits(asked)).max() < 1e-3
    assert json.loads(told["reslab.certificate"]) == json.loads(json.dumps(shipped.certificate.document()))


def evil(good, path, command):
    """A program that runs a command when torch.export loads it."""
    with zipfile.ZipFile(good) as files, zipfile.ZipFile(path, "w") as out:
        for name in files.namelist():
            content = files.read(name)
            if name.endswith("models/model.json"):
                text = content.decode()
                old = re.search(r'"expr_str": "(Symbol[^"]*)"', text)[1]
                code = f"(__import__('os').system('{command}'), {old})[1]"
                content = text.replace(f'"{old}"', f'"{code}"', 1).encode()
            out.writestr(name, content)


def test_a_program_is_never_opened(tmp_path, monkeypatch, capsys):
    """The file runs its code in torch.export.load, and in no verb of ours, whatever it is called."""
    monkeypatch.chdir(tmp_path)
    ship(MODEL, tmp_path / "good.pt2", Shipping("pt2"))
    evil(tmp_path / "good.pt2", tmp_path / "evil.pt2", "touch RAN")
    torch.export.load(tmp_path / "evil.pt2")
    assert (tmp_path / "RAN").exists()
    (tmp_path / "RAN").unlink()
    Image.new("RGB", (8, 8)).save("a.png")
    for words in (["predict", "a.png"], ["eval", "digits"], ["explain", "a.png", "--out", "heat.png"], ["bench"], ["serve"],
                  ["export", "--out", "m.onnx"], ["compare", "evil.pt2", "digits"]):  # fmt: skip
        assert run([words[0], "evil.pt2", *words[1:]]) == 2, words
        assert ".onnx" in capsys.readouterr().err
    for suffix in (".pth", ".pt", ".bin", ".safetensors", ".onnx", ".xml"):
        shutil.copy("evil.pt2", "evil" + suffix)
        assert run(["predict", "evil" + suffix, "a.png"]) == 2
    assert not (tmp_path / "RAN").exists()


def test_the_planes_are_what_other_programs_give(tmp_path, engine):
    import onnxruntime

    ship(MODEL, tmp_path / "model.onnx", Shipping(layout="nchw-float32"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (taken,) = session.get_inputs()
    assert taken.type == "tensor(float)" and taken.shape[1:] == [3, 32, 32]
    asked = pixels(3)
    planes = torch.from_numpy(asked).permute(0, 3, 1, 2).float().div(255).numpy()
    assert np.abs(session.run(["logits"], {"images": planes})[0] - engine.logits(asked)).max() < 1e-3


def test_the_opset_is_the_one_asked_for(tmp_path):
    ship(MODEL, tmp_path / "model.onnx", Shipping(opset=18))
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == 18
    with pytest.raises(ResLabError, match="opset 3"):
        ship(MODEL, tmp_path / "other.onnx", Shipping(opset=3))
    assert not (tmp_path / "other.onnx").exists()


def spoilt(graph, by):
    """The graph with one weight of the head moved."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    head = next(t for t in copy.graph.initializer if "head" in t.name and len(t.dims) == 2)
    values = onnx.numpy_helper.to_array(head).copy()
    values[0, 0] += by
    head.CopyFrom(onnx.numpy_helper.from_array(values, head.name))
    return copy


def test_one_tampered_weight_breaks_the_certificate(engine, graph):
    asked = pixels(50)
    assert certify(engine, opened(graph), asked, "noise").holds
    with pytest.raises(GateNotMet, match="does not give the answers of the original"):
        certify(engine, opened(spoilt(graph, 0.02)), asked, "noise")


class Moved:
    """Answers with logits of pictures that bear their number, the last one's moved."""

    def __init__(self, name, logits, by=0.0):
        self.name, self.moved = name, logits.copy()
        self.moved[-1] += np.float32(by)

    def logits(self, pixels):
        return self.moved[pixels[:, 0, 0, 0]]


@pytest.mark.parametrize("by, good", [(0.5, True), (2, False), (np.nan, False)])
def test_the_limit_is_relative_and_a_nan_never_passes(by, good):
    logits = np.random.default_rng(0).normal(0, 9, (40, 5)).astype(np.float32)
    logits[39, 0] = 30  # the greatest finds a NaN there too
    asked = np.arange(40, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    limit = 1e-4 * float(np.abs(logits).max())
    theirs, ours = Moved("theirs", logits), Moved("ours", logits, by * limit)
    if not good:
        with pytest.raises(GateNotMet):
            certify(theirs, ours, asked, "numbers")
        return
    found = certify(theirs, ours, asked, "numbers", logits.argmax(1))
    assert found.accuracy_after.value == 1 and found.n == 40 and found.max_difference <= found.limit == limit


def test_a_batch_axis_that_is_a_constant_breaks_it(tmp_path, engine):
    graph = Graph(engine.network, 1.0).eval()
    torch.onnx.export(
        graph, (graph.example(32),), tmp_path / "m.onnx", dynamo=True, verbose=False, external_data=False,
        input_names=["images"], output_names=["logits", "probabilities", "features", "head_weight", "head_bias"],
    )  # fmt: skip
    fixed = onnx.load(tmp_path / "m.onnx")
    onnx.helper.set_model_props(fixed, encode_metadata(engine.header, engine.seen))
    with pytest.raises(GateNotMet, match="batch of 1"):
        certify(engine, opened(fixed), pixels(50), "noise")


def test_a_failed_certificate_leaves_no_file(tmp_path, graph, data, monkeypatch, capsys):
    monkeypatch.setattr(
        "reslab.run.export.export_onnx", lambda *_: spoilt(graph, 0.5)
    )  # what an exporter's fault would look like
    assert run(["export", str(MODEL), "--out", str(tmp_path / "model.onnx"), "--data", str(data)]) == 1
    assert "does not give the answers of the original" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form, suffix", [("onnx", ".onnx"), ("openvino", ".xml")])
def test_int8_that_is_good_is_kept(tmp_path, engine, data, form, suffix):
    if form == "openvino":
        pytest.importorskip("openvino")
    shipped = ship(MODEL, tmp_path / f"model{suffix}", Shipping(form, int8=True, max_drop_points=20), data)
    slower = [reason for reason in shipped.acceptance.reasons if "slower" not in reason]
    assert not slower and shipped.acceptance.comparison.n == 60 and abs(shipped.acceptance.drop_points) <= 20
    if shipped.acceptance.reasons:
        return  # the machine was busy, and float32 was kept, as it must
    found = open_engine(shipped.path)
    assert "int8" in found.certificate and shipped.path.stat().st_size < MODEL.stat().st_size / 2
    asked = pixels(4)
    logits = found.features(asked).mean((2, 3)) @ found.head[0].T + found.head[1]
    assert np.allclose(logits, found.logits(asked), atol=1e-4), "explanations stay exact in int8"


def test_int8_calibrated_on_the_wrong_pictures_is_refused(engine, graph, data):
    black = np.zeros((16, 32, 32, 3), np.uint8)
    asked = pixels(60)
    labels = engine.logits(asked).argmax(1)
    bad = opened(quantize(graph, black))
    found = measure_acceptance(opened(graph), bad, asked, labels, "noise", 0.5)
    assert found.drop_points > 0.5 and "loses" in found.reasons[0]


def test_a_refused_int8_keeps_float32_and_says_both(tmp_path, engine, data, capsys):
    """Calibrated on black pictures."""
    out, table = tmp_path / "model.onnx", tmp_path / "pictures.csv"
    lines = [data.read_text().splitlines()[0]]
    for line in data.read_text().splitlines()[1:]:
        path, label, split = line.split(",")
        if split == "train":
            Image.new("RGB", (32, 32)).save(tmp_path / path)
        lines.append(f"{tmp_path if split == 'train' else data.parent}/{path},{label},{split}")
    table.write_text("\n".join(lines))
    assert run(["export", str(MODEL), "--int8", "--data", str(table), "--out", str(out)]) == 1
    told = capsys.readouterr().out
    assert "refused: it loses" in told and "in float32" in told and "in int8" in told and "(float32)" in told
    found = open_exported(out)
    assert np.abs(found.logits(pixels(3)) - engine.logits(pixels(3))).max() < 1e-3, "float32 is kept"
    assert found.certificate["int8"]["reasons"]


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--max-drop-points", "-1"], "negative"),
        (["--out", "model.tflite"], "does not say a format"),
        (["--out", "model.onnx", "--format", "pt2", "--int8"], "float32 only"),
        (["--out", "model.xml", "--format", "pt2"], "is no name for"),
        (["--int8"], "calibrated on training pictures"),
        (["--int8", "--input-layout", "nchw-float32"], "uint8 pixels"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert run(["export", str(MODEL), *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_golden_vectors_come_with_the_model(tmp_path, data):
    ship(MODEL, tmp_path / "model.onnx", Shipping(golden=tmp_path / "golden"), data)
    told = json.loads((tmp_path / "golden" / "golden.json").read_text())
    found = open_exported(tmp_path / "model.onnx")
    assert told["model"]["sha256"] == found.sha256 and len(told["pictures"]) == 8
    prepared = np.array(Image.open(tmp_path / "golden" / told["pictures"][0]["prepared"]))
    assert np.allclose(found.logits(prepared[None])[0], told["pictures"][0]["logits"], atol=1e-3)
    with pytest.raises(ResLabError, match="not an empty folder"):
        ship(MODEL, tmp_path / "other.onnx", Shipping(golden=tmp_path / "golden"), data)
    assert not (tmp_path / "other.onnx").exists()


def test_what_is_exported_already_gets_int8_but_no_other_layout(tmp_path, data):
    ship(MODEL, tmp_path / "model.onnx", Shipping(), data)
    shipped = ship(tmp_path / "model.onnx", tmp_path / "small.onnx", Shipping(int8=True, max_drop_points=50), data)
    assert shipped.certificate.max_difference == 0 and shipped.acceptance is not None
    with pytest.raises(ResLabError, match="exported already"):
        ship(tmp_path / "model.onnx", tmp_path / "m.pt2", Shipping("pt2"), data)


def test_a_file_may_leave_the_choice_of_engine(tmp_path, data):
    pytest.importorskip("openvino")
    onnx_file = ship(MODEL, tmp_path / "model.onnx", Shipping()).path
    assert open_engine(onnx_file).name == open_engine(onnx_file, engine="onnxruntime").name == "onnxruntime"
    asked = pixels(3)
    theirs, ours = open_engine(onnx_file, engine="openvino"), open_engine(onnx_file)
    assert theirs.name == "openvino" and theirs.sha256 == ours.sha256
    assert np.abs(theirs.logits(asked) - ours.logits(asked)).max() < 1e-3
    for path, engine in ((onnx_file, "torch"), (MODEL, "openvino"), (MODEL, "onnxruntime")):
        with pytest.raises(ResLabError, match=f"{engine} cannot read"):
            open_engine(path, engine=engine)
    int8 = ship(MODEL, tmp_path / "int8.onnx", Shipping(int8=True, max_drop_points=50), data)
    assert open_engine(int8.path).name == ("openvino" if not int8.acceptance.reasons else "onnxruntime")
    assert open_engine(int8.path, engine="onnxruntime").name == "onnxruntime"


def test_a_packaged_name_is_exported_from_its_network(tmp_path):
    shipped = ship("cifar10_resnet20", tmp_path / "m.pt2", Shipping("pt2"))
    assert shipped.certificate.engines == ("torch", "torch.export")


def test_an_unreadable_picture_stops_or_is_left_out(tmp_path, data, capsys):
    (tmp_path / "bad.png").write_bytes(b"bad")
    first, *rest = data.read_text().splitlines()
    lines = [first, *(f"{data.parent}/{line}" for line in rest), f"{tmp_path}/bad.png,{rest[0].split(',')[1]},val"]
    (tmp_path / "pictures.csv").write_text("\n".join(lines))
    words = ["export", str(MODEL), "--data", str(tmp_path / "pictures.csv"), "--out", str(tmp_path / "model.onnx")]
    assert run(words) == 2 and "bad.png" in capsys.readouterr().err and not (tmp_path / "model.onnx").exists()
    assert run([*words, "--skip-bad"]) == 0 and "60 validation pictures" in capsys.readouterr().out


OVERLAPPING = """
import ctypes, sys
import numpy as np
from pathlib import Path
from reslab.engine.openvino import open_openvino
from reslab.system.machine import _Stack

def stack():
    found = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found.start

before, pixels = stack(), np.zeros((2, 32, 32, 3), np.uint8)
engines = [open_openvino(Path(sys.argv[1])) for _ in range(3)]
for engine in engines:
    engine.logits(pixels), engine.one_core_logits(pixels)
while engines:
    engines.pop(0)
    print(stack() == before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such stack, or lay it out otherwise")
def test_openvino_leaves_no_freed_signal_stack_behind(tmp_path, engine, graph):
    """It did on a processor with AMX, and the next Ctrl-C ended the process."""
    pytest.importorskip("openvino")
    small = quantize(graph, pixels(16))
    onnx.helper.set_model_props(small, encode_metadata(engine.header, engine.seen))
    onnx.save(small, tmp_path / "int8.onnx")
    words = [sys.executable, "-c", OVERLAPPING, str(tmp_path / "int8.onnx")]
    result = subprocess.run(words, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "True\n" * 3), result.stderr
