"""An ensemble is a network whose logits are the mean of its members', for every engine and every door."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch

from reslab.engine.onnx import from_bytes, open_exported
from reslab.engine.open import open_engine
from reslab.errors import ResLabError
from reslab.explain.cam import explain
from reslab.export.graph import export_onnx, write_onnx
from reslab.export.quantize import quantize
from reslab.metrics.calibration import softmax
from reslab.model.file import Header, encode_metadata, write_model
from reslab.nn.config import MOST_MEMBERS, member_configs
from reslab.nn.ensemble import combine
from reslab.nn.layers import to_images
from reslab.nn.resnet import build
from reslab.nn.zoo import ZOO
from reslab.pixels.preprocess import Preprocess

CLASSES = ("a", "b", "c")
SIZE, MEMBERS = 16, 3
EXACT = 1e-5


def settled(config, seed):
    """A network with weights and statistics of its own in every layer."""
    network = build(config, seed)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 4)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def members():
    """Three networks, each normalising the input in its own way."""
    config = dataclasses.replace(ZOO["resnet20"], depths=(1, 1, 1), num_classes=len(CLASSES))
    inputs = [dataclasses.replace(config, mean=(0.1 * k, 0.2, 0.3), std=(0.5, 0.4, 0.2 + k)) for k in range(MEMBERS)]
    return [settled(one, seed) for seed, one in enumerate(inputs)]


@pytest.fixture(scope="module")
def described(members):
    inputs = [{"mean": m.config.mean, "std": m.config.std} for m in members]
    return {"name": "resnet20", **dataclasses.asdict(members[0].config), "members": inputs}


@pytest.fixture(scope="module")
def path(members, described, tmp_path_factory):
    tensors = combine([{name: t.numpy() for name, t in m.state_dict().items()} for m in members])
    path = tmp_path_factory.mktemp("ensemble") / "model.safetensors"
    write_model(path, tensors, Header(described, CLASSES, Preprocess(SIZE)))
    return path


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def alone(members, pixels):
    """The logits of each member, `[members, pictures, classes]`."""
    with torch.inference_mode():
        return np.stack([m(to_images(torch.from_numpy(pixels))).numpy() for m in members])


def test_its_logits_are_the_mean_of_those_of_its_members(path, pixels, alone):
    assert np.abs(alone - alone.mean(0)).max() > 0.1  # they differ, or nothing would be tested
    assert np.allclose(open_engine(path).logits(pixels), alone.mean(0), atol=EXACT)


def test_its_probabilities_are_the_geometric_mean(path, pixels, alone):
    product = softmax(alone.reshape(-1, len(CLASSES))).reshape(alone.shape).prod(0) ** (1 / MEMBERS)
    expected = product / product.sum(1, keepdims=True)
    assert np.allclose(softmax(open_engine(path).logits(pixels)), expected, atol=EXACT)


def test_features_and_head_give_the_logits_and_a_map_is_the_mean_of_the_maps(path, pixels, members, alone):
    engine = open_engine(path)
    (weight, bias), features = engine.head, engine.features(pixels)
    assert features.shape[1] == weight.shape[1] == MEMBERS * 64
    assert np.allclose(features.mean((2, 3)) @ weight.T + bias, alone.mean(0), atol=EXACT)
    with torch.inference_mode():
        images = to_images(torch.from_numpy(pixels[:1]))
        maps = [torch.einsum("c,chw->hw", m.head.weight[1], m.features(images)[0]).numpy() for m in members]
    assert np.allclose(explain(engine, pixels[0], "b").heat, np.mean(maps, axis=0), atol=1e-4)


def test_exported_it_answers_and_explains_as_before(path, pixels, tmp_path):
    engine = open_engine(path)
    write_onnx(tmp_path / "m.onnx", engine.network, engine.header, engine.seen)
    exported = open_exported(tmp_path / "m.onnx")
    for rows in (pixels[:1], pixels):
        assert np.allclose(exported.logits(rows), engine.logits(rows), atol=1e-4)
    assert np.allclose(exported.features(pixels), engine.features(pixels), atol=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(exported.head, engine.head, strict=True))


def test_in_int8_the_features_and_the_head_still_give_the_logits(path, pixels, alone, tmp_path):
    engine = open_engine(path)
    small = quantize(export_onnx(engine.network, engine.header), pixels)
    onnx.helper.set_model_props(small, encode_metadata(engine.header, engine.seen))
    smaller = from_bytes(small.SerializeToString(), tmp_path / "small.onnx")
    (weight, bias), features = smaller.head, smaller.features(pixels)
    assert np.allclose(features.mean((2, 3)) @ weight.T + bias, smaller.logits(pixels), atol=1e-4)
    off = np.abs(smaller.logits(pixels) - alone.mean(0)).max()
    assert 1e-4 < off < 0.1 * np.ptp(alone.mean(0))


@pytest.mark.parametrize(
    "damage",
    [
        None, 3, "x", [], [{"mean": [0.0], "std": [1.0]}], [{"mean": [0.0], "std": [1.0]}] * (MOST_MEMBERS + 1), [1, 2],
        [{"mean": [0.0], "std": [0.0]}] * 2, [{"mean": [0.0], "std": [1.0], "depths": [9]}] * 2,
    ],
)  # fmt: skip
def test_a_damaged_description_is_refused(described, damage):
    with pytest.raises(ResLabError):
        member_configs(described | {"members": damage})


def test_a_file_of_more_members_than_it_has_tensors_for_is_refused_before_they_are_built(described, tmp_path):
    many = described | {"members": described["members"][:1] * MOST_MEMBERS}
    tensors = {"head.weight": np.zeros((3, 64), np.float32), "head.bias": np.zeros(3, np.float32)}
    write_model(tmp_path / "m.safetensors", tensors, Header(many, CLASSES, Preprocess(SIZE)))
    with pytest.raises(ResLabError, match="far too few"):
        open_engine(tmp_path / "m.safetensors")
