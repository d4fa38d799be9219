"""An answer does not depend on who else is asked, nor on the door it came through."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK
from reslab.engine.base import MirrorAveraged, block_logits
from reslab.engine.open import find_model, open_engine
from reslab.engine.torch import open_torch
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.evaluation import evaluate_engine
from reslab.evaluate.predict import load_model
from reslab.metrics.calibration import cross_fit, softmax
from reslab.model.file import Calibration, Header, write_model
from reslab.nn.resnet import fold_batch_norm
from reslab.nn.zoo import ZOO, build_named
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Preprocess

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
    evaluation = evaluate_engine(open_torch(model), catalog(folder), "test")
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
    evaluation = evaluate_engine(open_torch(model), catalog(folder), "test")
    assert np.allclose(evaluation.calibrated, evaluation.logits.astype(np.float64) / 1.7)
    assert np.array_equal(evaluation.calibrated.argmax(1), evaluation.logits.argmax(1))


def test_labels_are_matched_by_name(model, folder):
    engine = open_torch(model)
    straight = evaluate_engine(engine, catalog(folder), "test").score
    shuffled = open_torch(model)
    shuffled.header = dataclasses.replace(engine.header, classes=CLASSES[::-1])
    renamed = [dataclasses.replace(p, label=CLASSES[::-1][CLASSES.index(p.label)]) for p in catalog(folder)]
    assert evaluate_engine(shuffled, renamed, "test").score.top1 == straight.top1
    with pytest.raises(ResLabError, match="'A'") as caught:
        evaluate_engine(engine, [dataclasses.replace(catalog(folder)[0], label="A")], "test")
    assert "'a'" in caught.value.hint


def test_unreadable_pictures_stop_or_are_left_out(model, folder, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"bad")
    pictures = [*catalog(folder), Picture("bad.png", tmp_path / "bad.png", "a")]
    with pytest.raises(BadPicture, match=r"bad\.png"):
        evaluate_engine(open_torch(model), pictures, "test")
    evaluation = evaluate_engine(open_torch(model), pictures, "test", skip_bad=True)
    assert len(evaluation.keys) == BLOCK + 5 and [bad.name for bad in evaluation.unreadable] == [
        str(tmp_path / "bad.png")
    ]


def test_pictures_that_trained_the_model_are_counted(model, folder):
    document = evaluate_engine(open_torch(model), catalog(folder), "test").document()
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


def test_seen_pictures_are_flagged_one_by_one(model, folder):
    evaluation = evaluate_engine(open_torch(model), catalog(folder), "test")
    assert [key for key, seen in zip(evaluation.keys, evaluation.seen, strict=True) if seen] == ["000.png", "003.png"]
    right = evaluation.calibrated.argmax(1) == evaluation.labels
    assert evaluation.document()["top1_unseen"]["value"] == right[~evaluation.seen].mean()


def test_the_split_that_fitted_the_temperature_is_judged_by_its_other_folds(model, folder):
    engine = open_torch(model)
    engine.header = dataclasses.replace(engine.header, calibration=Calibration(1.7, BLOCK + 5, "val"))
    own = evaluate_engine(engine, catalog(folder), "val")
    assert np.array_equal(own.calibrated, cross_fit(own.logits, own.labels))
    for pictures, split in ((catalog(folder), "test"), (catalog(folder)[:-1], "val")):
        other = evaluate_engine(engine, pictures, split)
        assert np.array_equal(other.calibrated, other.logits.astype(np.float64) / 1.7)
    assert np.array_equal(own.calibrated.argmax(1), own.logits.argmax(1))


def test_the_worst_confusions_name_their_surest_examples(model, folder):
    evaluation = evaluate_engine(open_torch(model), catalog(folder), "test")
    answers, sure = evaluation.calibrated.argmax(1), softmax(evaluation.calibrated).max(1)
    rows = evaluation.document()["worst_confusions"]
    assert rows and [row["n"] for row in rows] == sorted((row["n"] for row in rows), reverse=True)
    for row in rows:
        true, answer = CLASSES.index(row["true"]), CLASSES.index(row["answered"])
        mine = np.flatnonzero((evaluation.labels == true) & (answers == answer))
        assert true != answer and row["n"] == len(mine)
        assert row["examples"] == [evaluation.keys[i] for i in sorted(mine, key=lambda i: -sure[i])[:5]]
    wrong = answers != evaluation.labels
    most = max(np.bincount(evaluation.labels[wrong] * 10 + answers[wrong]))
    assert rows[0]["n"] == most


def test_no_picture_at_all_is_told_in_a_sentence(model, tmp_path):
    with pytest.raises(ResLabError, match="no picture in the test split"):
        evaluate_engine(open_torch(model), [], "test")
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(ResLabError, match="no picture of the test split can be read"):
        evaluate_engine(open_torch(model), [Picture("bad.png", tmp_path / "bad.png", "a")], "test", skip_bad=True)


def test_the_mirrored_engine_is_the_mean_of_both_views(model):
    engine = open_torch(model)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    both = MirrorAveraged(engine)
    expected = (engine.logits(pixels) + engine.logits(pixels[:, :, ::-1].copy())) / 2
    assert np.allclose(both.logits(pixels), expected) and both.header is engine.header and both.sha256 == engine.sha256
    assert np.allclose(both.logits(pixels), both.logits(pixels[:, :, ::-1].copy()), atol=1e-5)
    assert not np.allclose(both.logits(pixels), engine.logits(pixels))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20", "fast_resnet8"])
def test_folding_the_norms_changes_nothing_but_rounding(name):
    network = build_named(name, num_classes=7)
    images = torch.rand(6, 3, 40, 40)
    network.train()(images)  # norms that have seen something
    network.eval()
    with torch.no_grad():
        expected, got = network(images), fold_batch_norm(network)(images)
    assert (got - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())
    kinds = [type(m).__name__ for m in fold_batch_norm(network).modules()]
    assert kinds.count("BatchNorm2d") == (3 if name == "fast_resnet8" else 0)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()), "the original keeps its own"
