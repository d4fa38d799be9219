"""An exported model answers as its network does, through every door and in any company."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.data.catalog import Picture
from reslab.engine.base import OneCoreEngine, stream_outputs
from reslab.engine.onnx import open_exported
from reslab.evaluate.predict import load_model
from reslab.export.graph import write_onnx
from reslab.model.file import Calibration, Header, write_model
from reslab.nn.zoo import build_named
from reslab.pixels.preprocess import Preprocess

DIFFERENCE = 1e-4  # of a probability, between engines (issue 6)
ROUNDING = 1e-6  # between an exported model's answers on one core and on all
CLASSES = tuple("abcdefghij")
PICTURES, BROKEN = 21, {2, 4, 20}  # at 224 px they are answered four at a time


@pytest.fixture(scope="module", params=[(32, "crop"), (224, "pad")], ids=lambda p: f"{p[0]} px")
def models(request, tmp_path_factory):
    """The same network for torch and as a graph, its norms settled and its answers far apart."""
    size, resize = request.param
    folder = tmp_path_factory.mktemp("models")
    network = build_named("resnet20", seed=3, num_classes=len(CLASSES))
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(5):
            network.train()(torch.rand(8, 3, 32, 32) * torch.rand(8, 3, 1, 1))
        network.head.weight *= 30
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(size, resize), Calibration(1.3, 50, "val"))
    write_model(folder / "m.safetensors", {k: v.numpy() for k, v in network.state_dict().items()}, header)
    write_onnx(folder / "m.onnx", network.eval(), header, np.zeros((0, 5), np.uint8))
    return load_model(folder / "m.safetensors"), load_model(folder / "m.onnx"), folder / "m.onnx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        dice = np.random.default_rng(number)
        colour = dice.integers(0, 256, 3)
        pixels = colour + dice.normal(0, 40, (40 + number % 5, 50 - number % 3, 3))
        kind = "jpg" if number % 2 else "png"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / f"{number:02d}.{kind}")
        if number in BROKEN:
            (root / f"{number:02d}.{kind}").write_bytes(b"broken")
    return root


def test_every_door_answers_as_torch_does(models, folder):
    theirs, ours, _ = models
    paths = sorted(folder.iterdir())
    expected = theirs.predict(folder)
    assert [row.error is None for row in expected] == [number not in BROKEN for number in range(PICTURES)]
    assert len({row.label for row in expected if row.error is None}) > 1
    doors = {
        "folder": ours.predict(folder),
        "paths": ours.predict(paths),
        "bytes": ours.predict([path.read_bytes() for path in paths]),
        "one by one": [ours.predict(path)[0] for path in paths],
        "without threads": ours.predict(paths, workers=0),
        "in many threads": ours.predict(paths, workers=5),
    }
    for name, rows in doors.items():
        assert len(rows) == PICTURES, name
        for row, wanted in zip(rows, expected, strict=True):
            assert (row.label, row.error) == (wanted.label, wanted.error), name
            if wanted.error is None:
                assert [label for label, _ in row.top] == [label for label, _ in wanted.top], name
                assert max(abs(p - q) for (_, p), (_, q) in zip(row.top, wanted.top, strict=True)) <= DIFFERENCE, name
        for row, wanted in zip(rows, doors["paths"], strict=True):
            assert (row.probability, row.top) == (wanted.probability, wanted.top), f"{name}: to the bit"


def test_blocks_say_where_their_pictures_stand(models, folder):
    for model in models[:2]:
        pictures = [Picture(path.name, path, "") for path in sorted(folder.iterdir())]
        blocks = [block for block, _ in stream_outputs(model.engine, pictures)]
        assert np.concatenate([block.indices for block in blocks]).tolist() == list(range(PICTURES))
        assert {index for block in blocks for index in block.errors} == BROKEN


def test_one_core_answers_as_all_do(models):
    _, ours, _ = models
    assert isinstance(ours.engine, OneCoreEngine) and not isinstance(models[0].engine, OneCoreEngine)
    size = ours.header.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    alone, together = ours.engine.one_core_logits(pixels), ours.engine.logits(pixels)
    assert np.abs(alone - together).max() <= ROUNDING * np.abs(together).max()


def test_a_fault_of_the_engine_is_not_swallowed(models, folder):
    """What a thread raises, who asks gets; nothing hangs."""
    _, ours, _ = models
    pictures = [Picture(path.name, path, "") for path in sorted(folder.iterdir())]

    class Failing:
        header, explains = ours.header, False

        def one_core_logits(self, pixels):
            raise RuntimeError("no memory")

        one_core_embed = one_core_logits

    with pytest.raises(RuntimeError, match="no memory"):
        list(stream_outputs(Failing(), pictures))


def test_the_session_for_all_cores_is_made_when_first_asked_for(models):
    """`predict` does without it."""
    engine = open_exported(models[2])
    assert len(list(stream_outputs(engine, [Picture("a", np.zeros((8, 8, 3), np.uint8), "")]))) == 1
    assert "session" not in vars(engine)
    assert engine.session is engine.session
