"""An answer does not depend on who else is asked, nor on the door it came through."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK
from reslab.engine.choose import find_model, open_engine
from reslab.engine.face import block_logits
from reslab.engine.torch import TorchEngine, open_torch
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.judge import judge
from reslab.metrics.calibration import softmax
from reslab.modelfile import Calibration, Header, write_model
from reslab.nn.zoo import ZOO, build_named
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Preprocess
from reslab.predict import load_model

CLASSES = tuple("abcdefghij")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    dice = np.random.default_rng(0)
    for number in range(BLOCK + 5):
        size = (20 + number % 7, 24)
        Image.fromarray(dice.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / f"{number:03d}.png")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory, folder):
    """A fresh resnet20 with a temperature, that has seen two of the pictures."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = build_named("resnet20", seed=1)
    header = Header(dataclasses.asdict(ZOO["resnet20"]), CLASSES, Preprocess(16, "pad"), Calibration(1.7, 50, "val"))
    seen = [fingerprint(np.array(Image.open(folder / name).convert("RGB"))) for name in ("000.png", "003.png")]
    write_model(path, {k: v.numpy() for k, v in network.state_dict().items()}, header, seen)
    return path


def catalog(folder, labels=CLASSES):
    return [Picture(p.name, p, labels[i % len(labels)]) for i, p in enumerate(sorted(folder.glob("*.png")))]


def test_logits_do_not_depend_on_the_company(model):
    engine = open_engine(model)
    pixels = np.random.default_rng(1).integers(0, 256, (BLOCK, 16, 16, 3), dtype=np.uint8)
    whole = block_logits(engine, pixels)
    for n in (1, 2, 7, BLOCK - 1):
        assert np.array_equal(block_logits(engine, pixels[:n]), whole[:n])
    assert np.array_equal(block_logits(engine, pixels[::-1].copy()), whole[::-1])


def test_every_door_gives_the_same_answer(model, folder):
    evaluation = judge(open_torch(model), catalog(folder), "test")
    sure = softmax(evaluation.calibrated)
    asked = load_model(model)
    paths = sorted(folder.glob("*.png"))
    doors = {
        "folder": asked.predict(folder),
        "paths": asked.predict([str(p) for p in paths]),
        "pattern": asked.predict(str(folder / "*.png")),
        "bytes": asked.predict([p.read_bytes() for p in paths]),
        "arrays": asked.predict([np.array(Image.open(p).convert("RGB")) for p in paths]),
        "one by one": [asked.predict(p)[0] for p in paths[:3]] + asked.predict(paths[3:]),
    }
    for name, rows in doors.items():
        assert len(rows) == len(paths) == BLOCK + 5, name
        for row, probabilities in zip(rows, sure, strict=True):
            assert row.label == CLASSES[probabilities.argmax()] == row.top[0][0]
            assert row.probability == probabilities.max() and len(row.top) == 5 and row.accepted is None


def test_the_temperature_is_applied_and_changes_no_answer(model, folder):
    evaluation = judge(open_torch(model), catalog(folder), "test")
    assert np.allclose(evaluation.calibrated, evaluation.logits.astype(np.float64) / 1.7)
    assert np.array_equal(evaluation.calibrated.argmax(1), evaluation.logits.argmax(1))


def test_labels_are_matched_by_name(model, folder):
    engine = open_torch(model)
    straight = judge(engine, catalog(folder), "test").score
    shuffled = TorchEngine(engine.network, dataclasses.replace(engine.header, classes=CLASSES[::-1]))
    renamed = [dataclasses.replace(p, label=CLASSES[::-1][CLASSES.index(p.label)]) for p in catalog(folder)]
    assert judge(shuffled, renamed, "test").score.top1 == straight.top1
    with pytest.raises(ResLabError, match="'A'") as caught:
        judge(engine, [dataclasses.replace(catalog(folder)[0], label="A")], "test")
    assert "'a'" in caught.value.hint


def test_unreadable_pictures_stop_or_are_left_out(model, folder, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"bad")
    pictures = [*catalog(folder), Picture("bad.png", tmp_path / "bad.png", "a")]
    with pytest.raises(BadPicture, match=r"bad\.png"):
        judge(open_torch(model), pictures, "test")
    evaluation = judge(open_torch(model), pictures, "test", skip_bad=True)
    assert len(evaluation.keys) == BLOCK + 5 and [bad.name for bad in evaluation.unreadable] == [
        str(tmp_path / "bad.png")
    ]


def test_pictures_that_trained_the_model_are_counted(model, folder):
    document = judge(open_torch(model), catalog(folder), "test").document()
    assert document["seen_in_training"] == 2 and document["n"] == BLOCK + 5


def test_a_model_is_found_by_file_folder_or_latest(model, tmp_path):
    assert find_model(model) == find_model(model.parent) == model
    with pytest.raises(ResLabError, match="there is no trained model"):
        find_model("latest", tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"")
    assert find_model("latest", tmp_path) == tmp_path / "b" / "model.safetensors"


def test_tensors_of_another_network_are_refused(model, tmp_path):
    header = Header(dataclasses.asdict(ZOO["resnet20"]), CLASSES, Preprocess(16))
    write_model(tmp_path / "m", {"head.weight": np.zeros((10, 64), np.float32)}, header)
    with pytest.raises(ResLabError, match="do not fit"):
        open_engine(tmp_path / "m")
