"""The engine for exported models: an ONNX graph in onnxruntime, without torch."""

import hashlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from reslab.engine.base import Outputs
from reslab.engine.protobuf import check_tensors
from reslab.errors import ResLabError
from reslab.model.file import Header, read_metadata, read_model_bytes

EXPLAINING = {"features", "head_weight", "head_bias"}
"""The outputs that an explanation needs."""

_FLOATS = "tensor(float)"


class OnnxEngine:
    """Runs an exported graph, which normalises the pixels itself."""

    name = "onnxruntime"

    def __init__(self, data: bytes, path: Path) -> None:
        """`data` is the graph; `path` is its name in errors."""
        self._data = data
        metadata = read_metadata(self._one_core.get_modelmeta().custom_metadata_map, path)
        self.header, self.seen, self.certificate = metadata.header, metadata.seen, metadata.certificate
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._floats = self._one_core.get_inputs()[0].type == _FLOATS
        self._outputs = {output.name for output in self._one_core.get_outputs()}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the sessions: a copy makes its own."""
        return {name: value for name, value in vars(self).items() if name not in ("session", "_one_core")}

    @cached_property
    def _one_core(self) -> onnxruntime.InferenceSession:
        return _session(self._data, 1)

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """Session using all cores, for one synchronous batch."""
        return _session(self._data, 0)

    def keep_to_one_core(self) -> None:
        """Compute everything on one core from now on, without threads: such an engine can be used after a fork."""
        self.session = self._one_core

    def one_core_logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._run(self._one_core, pixels, "logits")[0]

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._run(self.session, pixels, "logits")[0]

    def one_core_embed(self, pixels: np.ndarray) -> Outputs:
        return pooled(*self._run(self._one_core, pixels, "logits", "features"))

    def embed(self, pixels: np.ndarray) -> Outputs:
        require_explainable(self._outputs)
        return pooled(*self._run(self.session, pixels, "logits", "features"))

    @property
    def explains(self) -> bool:
        """Whether the graph has the outputs that an explanation needs; an adopted one may not."""
        return self._outputs >= EXPLAINING

    def features(self, pixels: np.ndarray) -> np.ndarray:
        require_explainable(self._outputs)
        return self._run(self.session, pixels, "features")[0]

    @cached_property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        require_explainable(self._outputs)
        size = self.header.preprocess.size
        black = np.zeros((1, size, size, 3), np.uint8)  # the graph returns its constants with any batch
        weight, bias = self._run(self.session, black, "head_weight", "head_bias")
        return weight, bias

    def _run(self, session: onnxruntime.InferenceSession, pixels: np.ndarray, *outputs: str) -> list[Any]:
        return list(session.run(outputs, {"images": to_planes(pixels) if self._floats else pixels}))


def pooled(logits: np.ndarray, maps: np.ndarray) -> Outputs:
    """Logits, and the mean over the positions of maps `[batch, d, height, width]`."""
    return Outputs(logits, maps.mean((2, 3), dtype=np.float32))


def require_explainable(outputs: Set[str]) -> None:
    """Refuse a graph without the outputs that an explanation needs."""
    if not outputs >= EXPLAINING:
        raise ResLabError(
            "this model does not end in average pooling and one linear layer, so its answers cannot be explained",
            "predict and eval work",
        )


def to_planes(pixels: np.ndarray) -> np.ndarray:
    """uint8 `[batch, size, size, 3]` as the layout `nchw-float32` takes it: `[batch, 3, size, size]` in [0, 1]."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def open_exported(path: Path) -> OnnxEngine:
    """The engine of a `model.onnx` that ResLab wrote.

    Raises:
        ResLabError: it is damaged, or ResLab did not write it.
    """
    engine = from_bytes(read_model_bytes(path), path)
    size = engine.header.preprocess.size
    with _damage(path):
        check_answer(engine.one_core_logits(np.zeros((1, size, size, 3), np.uint8)), engine.header, path)
    return engine


def from_bytes(data: bytes, path: Path) -> OnnxEngine:
    """The same from the file's content; `path` is its name in errors."""
    check_tensors(data, path)
    with _damage(path):
        return OnnxEngine(data, path)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """onnxruntime's errors, which have no common class, as one sentence."""
    try:
        yield
    except ResLabError:
        raise
    except Exception as error:
        raise ResLabError(f"{path} is damaged or not an ONNX model: {str(error).splitlines()[0]}") from None


def check_answer(logits: np.ndarray, header: Header, path: Path) -> None:
    """Refuse a graph whose answer for one picture is not a finite number for each class of its header."""
    if logits.shape != (1, len(header.classes)):
        raise ResLabError(
            f"{path} is damaged: its output has the shape {list(logits.shape)}, and it names {len(header.classes)} classes"
        )
    if not np.isfinite(logits).all():
        raise ResLabError(f"{path} is no trained network: its output is not finite")


def _session(data: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session of so many threads; 0 takes one per core. Waiting threads sleep."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the format that `check_tensors` reads
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
