"""MODEL may be somebody else's checkpoint or a packaged name."""

import functools
import hashlib
import http.server
import json
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from reslab.engine.onnx import open_exported
from reslab.engine.open import open_engine
from reslab.engine.torch import open_torch
from reslab.errors import ResLabError
from reslab.model.run import packaged_file
from reslab.nn.weights import to_torchvision
from reslab.nn.zoo import build_named
from reslab.system.fetch import Remote
from reslab.train.start import IMAGENET
from tests.pictures import colour_folder

SHARED = Path(__file__).parents[3] / "shared"
WEIGHTS, PICTURES = SHARED / "weights" / "cifar10_resnet20_idelbayev.th", SHARED / "data" / "cifar10.zip"
NAME = "cifar10_resnet20"


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save(to_torchvision(build_named("resnet18", num_classes=3)), path)
    return path


def test_guesses_are_said_and_json_stays_clean(reslab, checkpoint, tmp_path):
    data = colour_folder(tmp_path / "data")
    code, out, err = reslab("eval", checkpoint, data, "--split", "val", "--size", 32, "--json")
    assert code == 0 and json.loads(out)["classes"] == sorted(p.name for p in data.iterdir())
    for guess in ("looks like resnet18", "--mean, --std", "sorted order"):
        assert guess in err
    assert "--size sets" not in err


def test_what_is_given_is_not_guessed(reslab, checkpoint, tmp_path):
    data = colour_folder(tmp_path / "data")
    names = sorted((p.name for p in data.iterdir()), reverse=True)
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8-sig")
    given = ["--model", "resnet18", "--size", 32, "--mean", 0.5, 0.5, 0.5, "--std", 0.5, 0.5, 0.5]
    code, out, err = reslab("predict", checkpoint, data, *given, "--classes", tmp_path / "names.txt", "--json")
    assert code == 0 and not any(guess in err for guess in ("looks like", "--size sets", "ImageNet", "--classes"))
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 36 and {row["label"] for row in rows} <= set(names)
    again = reslab("predict", checkpoint, data, *given, "--json")
    assert "classes without names" in again[2]
    numbers = [int(json.loads(line)["label"]) for line in again[1].splitlines()]
    assert [names[number] for number in numbers] == [row["label"] for row in rows]


def test_bad_input(reslab, checkpoint, tmp_path):
    data = colour_folder(tmp_path / "data", classes=2)
    code, _, err = reslab("eval", checkpoint, data)
    assert code == 2 and "has 3 classes, and 2 are named" in err
    code, _, err = reslab("eval", checkpoint, data, "--model", "resnet50")
    assert code == 2 and "do not fit this network: lacks" in err
    code, _, err = reslab("eval", NAME, data, "--mean", 0.5, 0.5, 0.5)
    assert code == 2 and "--mean is for checkpoints of other libraries" in err
    code, _, err = reslab("predict", checkpoint, data, "--classes", tmp_path / "absent.txt")
    assert code == 2 and "cannot read the class names" in err
    code, _, err = reslab("predict", "cifar10_resnet2", data)
    assert code == 2 and "did you mean 'cifar10_resnet20'" in err
    (tmp_path / "alien.onnx").write_bytes(b"no graph")
    code, _, err = reslab("predict", tmp_path / "alien.onnx", data)
    assert code == 2 and "damaged or not an ONNX model" in err


def test_the_packaged_files_agree():
    """The graph answers as the tensors do, and says the same about itself."""
    ours, exported = open_torch(packaged_file(NAME, ".safetensors")), open_exported(packaged_file(NAME, ".onnx"))
    assert ours.header == exported.header and np.array_equal(ours.seen, exported.seen) and len(ours.seen) == 12_500
    assert packaged_file(NAME, ".safetensors").stat().st_size <= 1.2e6
    for batch in (1, 2, 7, 64):
        pixels = np.random.default_rng(batch).integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)
        expected, found = ours.logits(pixels), exported.logits(pixels)
        assert np.abs(expected - found).max() <= 1e-4 * max(1.0, np.abs(expected).max())
    features, weight, bias, logits, probabilities = exported.session.run(
        ["features", "head_weight", "head_bias", "logits", "probabilities"], {"images": pixels}
    )
    assert np.allclose(features.mean((2, 3)) @ weight.T + bias, logits, atol=1e-4)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5) and features.shape == (64, 64, 8, 8)


def test_the_card_says_what_the_files_say():
    card = packaged_file(NAME, ".md").read_text(encoding="utf-8")
    score = open_exported(packaged_file(NAME, ".onnx")).header.scores["test"]
    assert (
        f"{100 * score['top1']['value']:.2f} %" in card
        and f"n = {score['n']:,}" in card
        and score["top1"]["value"] >= 0.9125
    )


def test_the_packaged_model_answers_without_torch(tmp_path):
    """As after the base installation, in which there is none; other files say what to install."""
    data = colour_folder(tmp_path / "data", classes=1, each=2)

    def without_torch(*words):
        code = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; from reslab.cli.app import run; "
        code += f"sys.exit(run({[str(w) for w in words]!r}))"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    done = without_torch("predict", NAME, data, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2 and all(row["error"] is None and row["label"] for row in rows)
    done = without_torch("predict", packaged_file(NAME, ".safetensors"), data)
    assert done.returncode == 2 and "needs PyTorch" in done.stderr


def test_imagenet_weights_come_from_a_server_once(reslab, tmp_path, monkeypatch):
    """A file of torchvision's format with random weights, on a mirror: fetched, said, trained from, and kept."""
    theirs, served = torchvision.models.resnet18(), tmp_path / "served"
    served.mkdir()
    torch.save(theirs.state_dict(), served / "resnet18.pth")
    digest = hashlib.sha256((served / "resnet18.pth").read_bytes()).hexdigest()[:8]
    path = (served / "resnet18.pth").rename(served / f"resnet18-{digest}.pth")
    remote = Remote(f"https://download.pytorch.org/models/{path.name}", digest, path.stat().st_size, "some licence")
    monkeypatch.setitem(IMAGENET, "resnet18", remote)
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    data = colour_folder(tmp_path / "data")
    words = ["train", data, "--weights", "imagenet", "--size", "32", "--epochs", "1"]
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("RESLAB_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        code, _, err = reslab(*words, "--out", tmp_path / "one")
        server.shutdown()
    assert code == 0 and "some licence" in err and remote.place.is_file(), err
    code, _, err = reslab(*words, "--out", tmp_path / "two")  # the server is gone
    assert code == 0, err
    header = open_torch(tmp_path / "two" / "model.safetensors").header
    assert header.training["weights"] == "imagenet" and header.training["weights_licence"] == "some licence"


@pytest.mark.skipif(not (WEIGHTS.exists() and PICTURES.exists()), reason="needs ../shared/weights and ../shared/data")
def test_the_external_checkpoint_scores_what_it_scores(reslab, tmp_path):
    with zipfile.ZipFile(PICTURES) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if "/test/" in name])
    code, out, _ = reslab("eval", WEIGHTS, tmp_path / "cifar10", "--split", "test", "--json")
    found = json.loads(out)
    assert code == 0 and found["n"] == 10_000 and round(found["top1"]["value"] * 10_000) == 9_173


def test_a_damaged_model_of_ours_is_not_taken_for_somebody_elses(tmp_path):
    data = bytearray(packaged_file(NAME, ".safetensors").read_bytes())
    data[40] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(ResLabError, match="damaged"):
        open_engine(tmp_path / "model.safetensors")
