"""Class activation maps: nothing is left unexplained, Grad-CAM agrees, and a planted cause is found."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image

from reslab.cli.app import run as reslab
from reslab.engine.onnx import open_exported
from reslab.engine.torch import TorchEngine, open_torch
from reslab.errors import ResLabError
from reslab.explain.cam import explain
from reslab.explain.draw import draw_explanation, overlay, scale_limit
from reslab.export.graph import write_onnx
from reslab.model.file import Calibration, Header
from reslab.nn.layers import to_images
from reslab.nn.zoo import build_named
from reslab.pixels.preprocess import Preprocess
from reslab.run.train import train
from reslab.train.config import TrainConfig

CLASSES = ("a", "b", "c")
SIDE, PATCH = 32, 10
COLOURS = {"blue": (30, 30, 220), "green": (30, 200, 30), "red": (220, 30, 30), "yellow": (220, 220, 30)}


def settled(name="resnet20", size=SIDE):
    network = build_named(name, num_classes=3)
    torch.manual_seed(0)
    with torch.no_grad():
        network.train()(torch.rand(8, 3, size, size))
        network.head.bias.copy_(torch.tensor([0.3, -0.2, 0.1]))
    return network.eval()


def opened(network, name="resnet20", size=SIDE):
    header = Header(
        {"name": name, **dataclasses.asdict(network.config)}, CLASSES, Preprocess(size), Calibration(1.7, 9)
    )
    return TorchEngine(network, header)


def pixels(seed=0, size=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "size"), [("resnet20", 32), ("resnet18", 64), ("preact_resnet18", 64)])
def test_the_map_adds_up_to_the_logit(name, size):
    engine = opened(settled(name, size), name, size)
    logits = engine.logits(pixels(0, size)[None])[0]
    for number, label in enumerate(CLASSES):
        found = explain(engine, pixels(0, size), label)
        assert found.heat.mean() + found.bias == pytest.approx(found.logit, rel=1e-6)
        assert found.logit == pytest.approx(logits[number], abs=1e-4)
    best = explain(engine, pixels(0, size))
    assert best.label == CLASSES[logits.argmax()]
    expected = torch.softmax(torch.from_numpy(logits).double() / 1.7, 0).max()
    assert best.probability == pytest.approx(float(expected), abs=1e-5)


def test_it_is_captums_grad_cam():
    network, picture = settled(), pixels(1)
    theirs = LayerGradCam(network, network.last).attribute(to_images(torch.from_numpy(picture[None])), target=1)
    ours = explain(opened(network), picture, "b").heat
    places = ours.size  # its gradient of the mean is 1 / places of ours
    assert np.allclose(theirs.detach()[0, 0].numpy() * places, ours, atol=1e-4 * np.abs(ours).max())


def test_an_exported_file_gives_the_same_map(tmp_path):
    network = settled()
    engine = opened(network)
    write_onnx(tmp_path / "m.onnx", network, engine.header, np.zeros((0, 5), np.uint8))
    ours, theirs = (explain(e, pixels(2), "c") for e in (engine, open_exported(tmp_path / "m.onnx")))
    assert np.allclose(ours.heat, theirs.heat, atol=1e-4 * np.abs(ours.heat).max())
    assert ours.probability == pytest.approx(theirs.probability, abs=1e-5) and ours.label == theirs.label


def test_colours_say_for_and_against_and_how_much():
    heat = np.zeros((4, 4))
    heat[0, 0], heat[3, 3] = 2.0, -1.0
    grey = np.full((64, 64, 3), 128, np.uint8)
    drawn = overlay(grey, heat).astype(int)
    assert drawn[4, 4, 0] > drawn[4, 4, 2] + 60 and drawn[60, 60, 2] > drawn[60, 60, 0] + 15
    assert np.abs(drawn[40, 20] - 128).max() < 25  # nothing said, (nearly) nothing drawn
    assert scale_limit(heat) == 2.0 and draw_explanation(grey, heat).size == (158, 124)
    assert np.array_equal(overlay(grey, np.zeros((4, 4))), grey)


def planted(seed, label):
    """Noise with a patch of one colour somewhere: the only difference between the classes."""
    dice = np.random.default_rng([seed, ord(label[0])])
    picture = dice.integers(60, 196, (SIDE, SIDE, 3), dtype=np.uint8)
    x, y = dice.integers(0, SIDE - PATCH + 1, 2)
    picture[y : y + PATCH, x : x + PATCH] = COLOURS[label]
    return picture, (x, y)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    for label in COLOURS:
        (root / "data" / label).mkdir(parents=True)
        for seed in range(60):
            Image.fromarray(planted(seed, label)[0]).save(root / "data" / label / f"{seed}.png")
    config = TrainConfig(data=str(root / "data"), model="resnet20", epochs=6, batch_size=32, precision="float32")
    return train(dataclasses.replace(config, layout="channels-last", zero_init=False), root / "run")


def peaks_in_the_patch(engine, seeds=range(1000, 1025)):
    found = 0
    for seed in seeds:
        for label in COLOURS:
            picture, (left, top) = planted(seed, label)
            x, y = explain(engine, picture, label).peak(SIDE)
            found += left <= x < left + PATCH and top <= y < top + PATCH
    return found / (len(COLOURS) * len(seeds))


def test_a_planted_cause_is_found_and_random_weights_find_nothing(run):
    engine = open_torch(run.model)
    assert run.evaluation.score.top1.value == 1
    assert peaks_in_the_patch(engine) >= 0.9
    fresh = TorchEngine(build_named("resnet20", seed=3, num_classes=4), engine.header)
    assert peaks_in_the_patch(fresh) < 0.5
    pairs = [(explain(e, planted(5, "red")[0], "red").heat.ravel() for e in (engine, fresh))]
    assert abs(np.corrcoef(*pairs[0])[0, 1]) < 0.5


def test_the_command(run, tmp_path, capsys):
    for number, label in enumerate(("red", "blue")):
        Image.fromarray(planted(number, label)[0]).save(tmp_path / f"{label}.png")
    one = tmp_path / "heat.png"
    assert reslab(["explain", str(run.folder), str(tmp_path / "red.png"), "--out", str(one), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["label"] == "red" and np.mean(row["heat"]) + row["bias"] == pytest.approx(row["logit"], abs=1e-4)
    with Image.open(one) as drawn:
        assert drawn.size[0] > 2 * 384
    both = [str(tmp_path / "red.png"), str(tmp_path / "blue.png"), str(tmp_path / "none.png")]
    assert reslab(["explain", str(run.folder), *both, "--out", str(tmp_path / "maps")]) == 0
    captured = capsys.readouterr()
    assert "none.png: cannot explain: no such file" in captured.err and len(list((tmp_path / "maps").iterdir())) == 2
    assert reslab(["explain", str(run.folder), str(tmp_path / "red.png"), "--label", "rde"]) == 2
    assert "did you mean 'red'" in capsys.readouterr().err
    assert reslab(["explain", str(run.folder)]) == 2


def test_an_unknown_label_is_refused():
    with pytest.raises(ResLabError, match="has no class 'd'"):
        explain(opened(settled()), pixels(), "d")
