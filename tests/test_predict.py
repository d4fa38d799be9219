"""One row per input, in order, whatever happens to it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.data.reader import BLOCK
from reslab.evaluate.predict import load_model
from reslab.model.file import Calibration, Header, write_model
from reslab.nn.zoo import build_named
from reslab.pixels.preprocess import Preprocess

CLASSES = ("ant", "bee", "猫", "dog", "elk", "fox", "gnu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = build_named("resnet20", seed=1, num_classes=len(CLASSES))
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(8), Calibration(0.5, 50, "val"))
    write_model(path, {k: v.numpy() for k, v in network.state_dict().items()}, header)
    return load_model(path)


@pytest.fixture
def pictures(tmp_path):
    """a.png, b.png, deep/c.png, and what is no picture."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "empty").mkdir()
    for number, name in enumerate(("a.png", "b.png", "deep/c.png")):
        Image.fromarray(picture(number)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    return tmp_path


def picture(seed, side=9):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def names(rows):
    return [Path(row.path).name for row in rows]


def test_as_many_rows_as_inputs_in_their_order(model, tmp_path):
    inputs, broken = [], {3, BLOCK - 1, BLOCK, 2 * BLOCK + 4}
    for number in range(2 * BLOCK + 5):
        inputs.append(b"broken" if number in broken else picture(number))
    rows = model.predict(inputs)
    assert [row.path for row in rows] == [
        f"<{'bytes' if number in broken else 'array'} {number}>" for number in range(len(inputs))
    ]
    for number, row in enumerate(rows):
        if number in broken:
            assert "not a picture" in row.error and (row.label, row.probability, row.top) == (None, None, ())
        else:
            assert row == dataclasses.replace(model.predict(inputs[number])[0], path=row.path)


def test_every_error_is_a_row_with_its_reason(model, pictures):
    rows = model.predict([pictures / "nowhere.png", pictures / "notes.txt", pictures / "empty", b""])
    reasons = ("no such file", "not a picture", "the folder holds no picture", "empty")
    assert len(rows) == len(reasons)
    for row, reason in zip(rows, reasons, strict=True):
        assert reason in row.error and row.label is None


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=lambda a: f"{a.dtype} {a.shape}",
)
def test_an_array_that_is_no_picture_says_what_it_is(model, array):
    (row,) = model.predict(array)
    said = f"an array must be uint8 [height, width, 3], not {array.dtype} {list(array.shape)}"
    assert row.error == said + ("; of several pictures, give a list" if array.ndim == 4 else "")


def test_a_folder_is_all_its_pictures(model, pictures):
    assert names(model.predict(pictures)) == ["a.png", "b.png", "c.png"]


def test_a_pattern_is_what_it_matches(model, pictures):
    assert names(model.predict(str(pictures / "*.png"))) == ["a.png", "b.png"]
    assert names(model.predict(str(pictures / "d*"))) == ["c.png"]
    assert names(model.predict(str(pictures / "**" / "*.png"))) == ["a.png", "b.png", "c.png"]
    everything = model.predict(str(pictures / "**"))
    assert names(everything) == ["a.png", "b.png", "c.png", "notes.txt"]
    assert [row.error is None for row in everything] == [True, True, True, False]
    (row,) = model.predict(str(pictures / "*.jpg"))
    assert row.path.endswith("*.jpg") and row.error == "no such file"


def test_a_name_with_brackets_is_a_name(model, pictures):
    (pictures / "a.png").rename(pictures / "a[1].png")
    assert names(model.predict(str(pictures / "a[1].png"))) == ["a[1].png"]


def test_anything_that_can_be_looped_over_is_several_inputs(model, pictures):
    paths = sorted(pictures.glob("*.png"))
    expected = model.predict(paths)
    assert names(expected) == ["a.png", "b.png"] and all(row.error is None for row in expected)
    assert model.predict(path for path in paths) == model.predict(tuple(paths)) == expected
    assert list(model.stream(map(str, paths), workers=0)) == expected


def test_the_answer_is_the_top_of_a_calibrated_ranking(model):
    logits = model.engine.logits(np.stack([picture(5, side=8)] * BLOCK))[0].astype(np.float64)
    (row,) = model.predict(picture(5, side=8))
    scaled = np.exp(logits / 0.5 - (logits / 0.5).max())
    probabilities = scaled / scaled.sum()
    order = np.argsort(-probabilities)[:5]
    assert [label for label, _ in row.top] == [CLASSES[k] for k in order]
    assert [p for _, p in row.top] == pytest.approx(probabilities[order].tolist())
    assert (row.label, row.probability) == row.top[0] and (row.accepted, row.prediction_set) == (None, None)
