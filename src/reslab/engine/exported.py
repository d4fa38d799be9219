"""The engine for exported models: an ONNX graph in onnxruntime, without torch."""

import base64
import hashlib
import json
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

    def __init__(self, session: onnxruntime.InferenceSession, header: Header, sha256: str, seen: np.ndarray) -> None:
        self.session, self.header, self.sha256, self.seen = session, header, sha256, seen

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self.session.run(["logits"], {"images": pixels})[0])

    @property
    def explains(self) -> bool:
        """Whether the graph gives what an explanation needs; one that was adopted from elsewhere may not."""
        return {"features", "head_weight", "head_bias"} <= {output.name for output in self.session.get_outputs()}

    def features(self, pixels: np.ndarray) -> np.ndarray:
        self._explainable()
        return np.asarray(self.session.run(["features"], {"images": pixels})[0])

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        self._explainable()
        size = self.header.preprocess.size
        black = np.zeros((1, size, size, 3), np.uint8)  # the graph gives its constants with any answer
        weight, bias = self.session.run(["head_weight", "head_bias"], {"images": black})
        return np.asarray(weight), np.asarray(bias)

    def _explainable(self) -> None:
        if not self.explains:
            raise ResLabError(
                "this model does not end in average pooling and one linear layer, so its answers cannot be explained",
                "predict and eval work",
            )


def open_exported(path: Path) -> OnnxEngine:
    """The engine of a `model.onnx` that ResLab wrote.

    Raises:
        ResLabError: it is damaged, or not ours.
    """
    try:
        data = path.read_bytes()
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise ResLabError(f"cannot open the model {path}: {error.strerror or error}") from None
    except Exception as error:  # onnxruntime's errors have no common class
        raise ResLabError(f"{path} is damaged or no ONNX model: {str(error).splitlines()[0]}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    if KEY not in metadata:
        raise ResLabError(
            f"{path} is an ONNX model, but ResLab did not write it",
            f"it does not say its classes and pixels; reslab adopt {path} --classes FILE --data DATA finds them",
        )
    seen = np.frombuffer(base64.b64decode(metadata.get(SEEN_KEY, "")), np.uint8).reshape(-1, FINGERPRINT_BYTES)
    header = header_from(json.loads(metadata[KEY]), path)
    return OnnxEngine(session, header, hashlib.sha256(data).hexdigest(), seen)
