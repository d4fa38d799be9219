"""`--engine fastest`: the faster of two libraries is taken, and the usual one where they are alike."""

import time

import numpy as np
import pytest

from reslab.engine.fastest import choose_fastest
from reslab.engine.open import open_engine
from reslab.errors import ResLabError
from reslab.model.run import packaged_file

GRAPH = packaged_file("cifar10_resnet20", ".onnx")


class Waiting:
    """An engine that takes so long."""

    header = open_engine(GRAPH).header

    def __init__(self, seconds):
        self.seconds = seconds

    def one_core_logits(self, pixels):
        time.sleep(self.seconds)
        return np.zeros((len(pixels), 10), np.float32)


def test_the_faster_one_is_taken_and_the_first_of_two_alike():
    slow, fast = Waiting(0.05), Waiting(0.001)
    assert choose_fastest(slow, fast) is fast and choose_fastest(fast, slow) is fast
    assert choose_fastest(first := Waiting(0.05), Waiting(0.0499)) is first


def test_a_model_opens_with_what_can_read_it(tmp_path):
    pytest.importorskip("openvino")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    fastest, usual = open_engine(GRAPH, engine="fastest"), open_engine(GRAPH)
    assert fastest.name in ("onnxruntime", "openvino")
    np.testing.assert_allclose(fastest.logits(pixels), usual.logits(pixels), atol=1e-4)
    (tmp_path / "model.txt").write_text("no model")
    with pytest.raises(ResLabError):
        open_engine(tmp_path / "model.txt", engine="fastest")
