"""A finished model is used without PyTorch: where it is installed it is not imported, and where it is not nothing lacks."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

from reslab.export.graph import write_onnx
from reslab.model.file import Calibration, Header
from reslab.nn.zoo import build_named
from reslab.pixels.preprocess import Preprocess
from tests.pictures import colour_folder

ROOT = Path(__file__).parents[2]
CLASSES, EACH = ("blue", "green", "red"), 5
TRAINING = ("torch", "torchvision", "sklearn", "scipy", "onnx", "filelock")  # of the extra `train`
UNKNOWN = ("macs", "training_images_per_second", "training_precision", "matmul_gflops", "percent_of_peak")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data"), each=EACH, prefix="test")


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A fresh network, exported."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    network = build_named("resnet20", seed=1, num_classes=len(CLASSES))
    torch.manual_seed(0)
    with torch.no_grad():
        network.train()(torch.rand(4, 3, 16, 16))
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16), Calibration(1.5, 50, "val"))
    write_onnx(path, network.eval(), header, np.zeros((0, 5), np.uint8))
    return path


def use_everything(call, graph, data, work):
    """Every verb that takes an exported model, through `call(*words)` -> standard output; they agree with each other."""
    rows = [
        json.loads(line) for line in call("predict", graph, data, "--csv", work / "rows.csv", "--json").splitlines()
    ]
    assert len(rows) == len(CLASSES) * EACH and all(row["error"] is None for row in rows)
    assert [row["label"] for row in rows] == [
        row["label"] for row in csv.DictReader((work / "rows.csv").read_text().splitlines())
    ]
    scored = json.loads(call("eval", graph, data, "--json"))
    right = sum(row["label"] == Path(row["path"]).parent.name for row in rows)
    assert scored["n"] == len(rows) and scored["top1"]["value"] == pytest.approx(right / len(rows))
    (explained,) = [json.loads(call("explain", graph, rows[0]["path"], "--out", work / "heat.png", "--json"))]
    assert explained["label"] == rows[0]["label"] and (work / "heat.png").stat().st_size
    assert explained["probability"] == pytest.approx(rows[0]["probability"], abs=1e-5)
    made = json.loads(call("embed", graph, data, "--out", work / "features.npz", "--json"))
    assert (made["n"], made["splits"]) == (len(rows), {"test": len(rows)})
    (found,) = [json.loads(call("near", graph, data, rows[0]["path"], "--features", work / "features.npz", "--json"))]
    assert found["neighbours"][0]["same"] and found["neighbours"][0]["label"] == Path(rows[0]["path"]).parent.name
    measured = json.loads(call("bench", graph, "--data", data, "--seconds", "0.05", "--json"))
    assert measured["engine"] == "onnxruntime" and measured["files_images_per_second"] > 0
    assert [measured[key] for key in UNKNOWN] == [None] * len(UNKNOWN) and "onnxruntime" in measured["machine"]
    assert "images/s" in call("bench", graph, "--seconds", "0.05")


@pytest.mark.parametrize("installed", [True, False])
def test_no_verb_imports_torch_for_an_exported_model(installed, graph, data, tmp_path):
    before = "" if installed else f"sys.modules.update(dict.fromkeys({TRAINING!r})); "
    after = f"; assert not any(sys.modules.get(name) for name in {TRAINING!r}), sorted(sys.modules); sys.exit(code)"

    def call(*words):
        code = f"import sys; {before}from reslab.cli.app import run; code = run({[str(w) for w in words]!r}){after}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    use_everything(call, graph, data, tmp_path)


def test_an_installation_without_torch(graph, data, tmp_path):
    """The base package in a fresh environment, as `pip install reslab` makes it. About half a minute."""
    environment, clean = tmp_path / "venv", {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    venv.create(environment, with_pip=True)
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    words = [binaries / "python", "-m", "pip", "install", "--quiet", "--retries", "1", ROOT]
    installed = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True)
    if installed.returncode:
        unreachable = any(word in installed.stderr for word in ("No matching distribution", "onnection", "resolution"))
        assert unreachable, installed.stderr
        pytest.skip(f"pip reaches no registry here: {installed.stderr.strip().splitlines()[-1]}")

    def call(*words, code=0):
        done = subprocess.run([binaries / "reslab", *words], cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    listed = subprocess.run(
        [binaries / "python", "-m", "pip", "list"], env=clean, capture_output=True, text=True
    ).stdout
    assert "onnxruntime" in listed and not {line.split()[0] for line in listed.splitlines()} & {
        *TRAINING,
        "scikit-learn",
    }
    use_everything(call, graph, data, tmp_path)
    assert "predict" in call("--help")
    undivided = colour_folder(tmp_path / "undivided", each=EACH)
    for pictures in ("digits", undivided):
        assert "pip install 'reslab[train]'" in call("train", pictures, code=2)
    assert "resnet50" in call("models") and f"{len(CLASSES) * EACH} pictures" in call("check", undivided)
    assert "pip install 'reslab[train]'" in call("bench", "resnet18", code=2)
