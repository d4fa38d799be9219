"""The engine for exported models: an ONNX graph in onnxruntime, without torch."""

import base64
import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime

from reslab.errors import ResLabError
from reslab.modelfile import KEY, Header, header_from
from reslab.pixels.fingerprint import FINGERPRINT_BYTES

SEEN_KEY = "reslab.seen"
"""Metadata: the hashes of training pictures in base64."""


class OnnxEngine:
    """Answers with an exported graph. It takes uint8 pictures and normalises them itself."""

    name = "onnxruntime"

    def __init__(self, data: bytes, one_core: onnxruntime.InferenceSession, header: Header, seen: np.ndarray) -> None:
        """`data` is the graph, and `one_core` the session that answers for it on one core."""
        self._data, self._one_core, self.header, self.seen = data, one_core, header, seen
        self.sha256 = hashlib.sha256(data).hexdigest()

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """Answers on all cores: for who asks for one batch and waits."""
        return _session(self._data, 0)

    def one_core_logits(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self._one_core.run(["logits"], {"images": pixels})[0])

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self.session.run(["logits"], {"images": pixels})[0])

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self.session.run(["features"], {"images": pixels})[0])

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        size = self.header.preprocess.size
        black = np.zeros((1, size, size, 3), np.uint8)  # the graph gives its constants with any answer
        weight, bias = self.session.run(["head_weight", "head_bias"], {"images": black})
        return np.asarray(weight), np.asarray(bias)


def open_exported(path: Path) -> OnnxEngine:
    """The engine of a `model.onnx` that ResLab wrote.

    Raises:
        ResLabError: it is damaged, or not ours.
    """
    try:
        data = path.read_bytes()
        session = _session(data, 1)
    except OSError as error:
        raise ResLabError(f"cannot open the model {path}: {error.strerror or error}") from None
    except Exception as error:  # onnxruntime's errors have no common class
        raise ResLabError(f"{path} is damaged or no ONNX model: {str(error).splitlines()[0]}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    if KEY not in metadata:
        raise ResLabError(
            f"{path} is an ONNX model, but ResLab did not write it", "it does not say its classes and pixels"
        )
    seen = np.frombuffer(base64.b64decode(metadata.get(SEEN_KEY, "")), np.uint8).reshape(-1, FINGERPRINT_BYTES)
    header = header_from(json.loads(metadata[KEY]), path)
    return OnnxEngine(data, session, header, seen)


def _session(data: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session that computes in so many threads; 0 takes one per core. Those that wait give the core away."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
