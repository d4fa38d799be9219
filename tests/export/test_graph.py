"""The exported graph answers as the network does, for every network and every batch, and describes itself."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch

from reslab.engine.onnx import open_exported
from reslab.engine.torch import TorchEngine
from reslab.errors import ResLabError
from reslab.export.certify import certify
from reslab.export.graph import OUTPUTS, write_onnx
from reslab.model.file import KEY, Calibration, Header
from reslab.nn.config import config_from
from reslab.nn.layers import to_images
from reslab.nn.zoo import ZOO, build_named
from reslab.pixels.preprocess import Preprocess

RELATIVE = 1e-4
KINDS = {
    dataclasses.replace(config, depths=tuple(min(depth, 2) for depth in config.depths)): name
    for name, config in reversed(ZOO.items())
}
"""Every network with its further blocks left out, since they are like the second, -> its name; the deepest two are exported as
they are in reproduce/."""


def settled(name, size, **changes):
    """Norms that have seen pictures: the logits of deep random networks explode otherwise."""
    network = build_named(name, num_classes=3, **changes)
    torch.manual_seed(0)
    with torch.no_grad():
        network.train()(torch.rand(4, 3, size, size))
    return network.eval()


def header(network, name, size=32, **fields):
    return Header({"name": name, **dataclasses.asdict(network.config)}, ("a", "b", "c"), Preprocess(size), **fields)


def pictures(count, size=32):
    return np.random.default_rng(count).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("config", "name"), KINDS.items(), ids=KINDS.values())
def test_every_network_can_be_exported(config, name, tmp_path):
    network = settled(name, 32, depths=config.depths)
    write_onnx(tmp_path / "m.onnx", network, header(network, name), np.zeros((0, 5), np.uint8))
    engine = open_exported(tmp_path / "m.onnx")
    found = certify(TorchEngine(network, engine.header), engine, pictures(45), "noise")
    assert found.holds and found.n == 45
    pixels = pictures(3)
    with torch.no_grad():
        expected = network(to_images(torch.from_numpy(pixels))).numpy()
    assert np.abs(engine.logits(pixels) - expected).max() <= RELATIVE * max(1.0, np.abs(expected).max())


def test_the_graph_normalises_calibrates_and_says_so(tmp_path):
    network = settled("resnet20", 16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    seen = np.arange(15, dtype=np.uint8).reshape(3, 5)
    given = header(network, "resnet20", 16, calibration=Calibration(2.0, 50, "val"))
    write_onnx(tmp_path / "m.onnx", network, given, seen)
    engine = open_exported(tmp_path / "m.onnx")
    assert config_from(engine.header.network) == network.config and engine.header.classes == given.classes
    assert engine.header.calibration == given.calibration and np.array_equal(engine.seen, seen)
    pixels = pictures(5, 16)
    found = dict(zip(OUTPUTS, engine.session.run(list(OUTPUTS), {"images": pixels}), strict=True))
    with torch.no_grad():
        images = to_images(torch.from_numpy(pixels))
        logits = network(images)
        assert np.allclose(found["features"], network.features(images), atol=1e-4)
    assert np.allclose(found["logits"], logits, atol=1e-4)
    assert np.allclose(found["probabilities"], torch.softmax(logits / 2, 1), atol=1e-5)
    assert np.array_equal(found["head_weight"], network.head.weight.detach())
    assert np.array_equal(found["head_bias"], network.head.bias.detach())
    (taken,) = engine.session.get_inputs()
    assert taken.type == "tensor(uint8)" and taken.shape[1:] == [16, 16, 3] and isinstance(taken.shape[0], str)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_graph_from_elsewhere_is_refused(tmp_path):
    network = settled("resnet20", 16)
    write_onnx(tmp_path / "m.onnx", network, header(network, "resnet20", 16), np.zeros((0, 5), np.uint8))
    proto = onnx.load(tmp_path / "m.onnx")
    kept = {entry.key: entry.value for entry in proto.metadata_props}
    onnx.helper.set_model_props(proto, {"author": "somebody"})
    onnx.save(proto, tmp_path / "theirs.onnx")
    with pytest.raises(ResLabError, match="ResLab did not write it"):
        open_exported(tmp_path / "theirs.onnx")
    onnx.helper.set_model_props(proto, kept | {KEY: json.dumps(json.loads(kept[KEY]) | {"format": 99})})
    onnx.save(proto, tmp_path / "later.onnx")
    with pytest.raises(ResLabError, match="has format 99"):
        open_exported(tmp_path / "later.onnx")
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "m.onnx").read_bytes()[:5000])
    with pytest.raises(ResLabError, match="damaged or not an ONNX model"):
        open_exported(tmp_path / "cut.onnx")
