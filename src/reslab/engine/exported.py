"""The engine for exported models: an ONNX graph in onnxruntime, without torch."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from reslab.errors import ResLabError
from reslab.modelfile import Carried, carried

_FLOATS = "tensor(float)"


class OnnxEngine:
    """Answers with an exported graph, which normalises the pixels itself."""

    name = "onnxruntime"

    def __init__(self, session: onnxruntime.InferenceSession, told: Carried, sha256: str) -> None:
        self.session, self.sha256 = session, sha256
        self.header, self.seen, self.certificate = told.header, told.seen, told.certificate
        self._floats = session.get_inputs()[0].type == _FLOATS
        self._outputs = {output.name for output in session.get_outputs()}

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._run("logits", pixels)[0]

    def features(self, pixels: np.ndarray) -> np.ndarray:
        if "features" not in self._outputs:
            raise ResLabError(
                "this model does not put out the map before its pooling, so its answers cannot be explained",
                "its network may not end in pooling and one linear layer",
            )
        return self._run("features", pixels)[0]

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        size = self.header.preprocess.size
        black = np.zeros((1, size, size, 3), np.uint8)  # the graph gives its constants with any answer
        weight, bias = self._run("head_weight head_bias", black)
        return weight, bias

    def _run(self, outputs: str, pixels: np.ndarray) -> list[Any]:
        images = planes(pixels) if self._floats else pixels
        return list(self.session.run(outputs.split(), {"images": images}))


def planes(pixels: np.ndarray) -> np.ndarray:
    """uint8 `[batch, size, size, 3]` as `--input-layout nchw-float32` takes it: `[batch, 3, size, size]` in [0, 1]."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def open_exported(path: Path) -> OnnxEngine:
    """The engine of a `model.onnx` that ResLab wrote.

    Raises:
        ResLabError: it is damaged, or not ours.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ResLabError(f"cannot open the model {path}: {error.strerror or error}") from None
    return from_bytes(data, path)


def from_bytes(data: bytes, path: Path) -> OnnxEngine:
    """The same from the file's content; `path` is what errors call it."""
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise ResLabError(f"{path} is damaged or no ONNX model: {str(error).splitlines()[0]}") from None
    told = carried(session.get_modelmeta().custom_metadata_map, path)
    return OnnxEngine(session, told, hashlib.sha256(data).hexdigest())
