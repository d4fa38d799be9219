"""The engine for exported models: an ONNX graph in onnxruntime, without torch."""

import hashlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from reslab.engine.protobuf import refuse_unfit
from reslab.errors import ResLabError
from reslab.model.file import Header, carried

EXPLAINING = {"features", "head_weight", "head_bias"}
"""The outputs that an explanation needs."""

_FLOATS = "tensor(float)"


class OnnxEngine:
    """Answers with an exported graph, which normalises the pixels itself."""

    name = "onnxruntime"

    def __init__(self, data: bytes, path: Path) -> None:
        """`data` is the graph; `path` is what errors call it."""
        self._data = data
        told = carried(self._one_core.get_modelmeta().custom_metadata_map, path)
        self.header, self.seen, self.certificate = told.header, told.seen, told.certificate
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._floats = self._one_core.get_inputs()[0].type == _FLOATS
        self._outputs = {output.name for output in self._one_core.get_outputs()}

    def __getstate__(self) -> dict[str, Any]:
        """A copy makes sessions of its own."""
        return {name: value for name, value in vars(self).items() if name not in ("session", "_one_core")}

    @cached_property
    def _one_core(self) -> onnxruntime.InferenceSession:
        return _session(self._data, 1)

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """Answers on all cores: for who asks for one batch and waits."""
        return _session(self._data, 0)

    def one_core_logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._run(self._one_core, pixels, "logits")[0]

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._run(self.session, pixels, "logits")[0]

    @property
    def explains(self) -> bool:
        """Whether the graph gives what an explanation needs; one that was adopted from elsewhere may not."""
        return self._outputs >= EXPLAINING

    def features(self, pixels: np.ndarray) -> np.ndarray:
        refuse_unexplained(self._outputs)
        return self._run(self.session, pixels, "features")[0]

    @cached_property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        refuse_unexplained(self._outputs)
        size = self.header.preprocess.size
        black = np.zeros((1, size, size, 3), np.uint8)  # the graph gives its constants with any answer
        weight, bias = self._run(self.session, black, "head_weight", "head_bias")
        return weight, bias

    def _run(self, session: onnxruntime.InferenceSession, pixels: np.ndarray, *outputs: str) -> list[Any]:
        return list(session.run(outputs, {"images": planes(pixels) if self._floats else pixels}))


def refuse_unexplained(outputs: Set[str]) -> None:
    """One sentence where a graph does not put out what an explanation needs."""
    if not outputs >= EXPLAINING:
        raise ResLabError(
            "this model does not end in average pooling and one linear layer, so its answers cannot be explained",
            "predict and eval work",
        )


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
    engine = from_bytes(data, path)
    size = engine.header.preprocess.size
    with _damage(path):
        refuse_other_answers(engine.one_core_logits(np.zeros((1, size, size, 3), np.uint8)), engine.header, path)
    return engine


def from_bytes(data: bytes, path: Path) -> OnnxEngine:
    """The same from the file's content; `path` is what errors call it."""
    refuse_unfit(data, path)
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
        raise ResLabError(f"{path} is damaged or no ONNX model: {str(error).splitlines()[0]}") from None


def refuse_other_answers(logits: np.ndarray, header: Header, path: Path) -> None:
    """One sentence where a graph's answer for one picture is not a finite number for each class of its header."""
    if logits.shape != (1, len(header.classes)):
        raise ResLabError(
            f"{path} is damaged: it answers with {list(logits.shape)} numbers, and its header names {len(header.classes)} classes"
        )
    if not np.isfinite(logits).all():
        raise ResLabError(f"{path} is no trained network: it gives no finite number")


def _session(data: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session that computes in so many threads; 0 takes one per core. Those that wait give the core away."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # what `refuse_unfit` has looked through
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
