"""The engine for exported models in OpenVINO: Intel's compiler for its own processors and graphics."""

import hashlib
import sys
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reslab.engine.base import Outputs
from reslab.engine.onnx import EXPLAINING, check_answer, pooled, require_explainable, to_planes
from reslab.engine.protobuf import check_tensors
from reslab.errors import ResLabError
from reslab.model.file import CERTIFICATE_KEY, KEY, SEEN_KEY, read_metadata, read_model_bytes
from reslab.system.machine import default_workers, kept_signal_stack

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  else the next line sends telemetry
import openvino  # noqa: E402

# By default it computes in bfloat16 where the processor can, and its answers differ from those of all other engines.
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
_COMPILING = threading.Lock()
METADATA_SECTION = "framework"
"""Where OpenVINO keeps the metadata of an ONNX file, and our export its own."""


class OpenvinoEngine:
    """Runs a graph that OpenVINO compiled for this processor."""

    name = "openvino"

    def __init__(self, data: bytes, weights: bytes, path: Path) -> None:
        """`data` is the graph, `weights` the content of the `.bin` beside it, `path` its name in errors."""
        self._data, self._weights = data, weights
        metadata = read_metadata(_metadata_texts(self.model), path)
        self.sha256 = hashlib.sha256(data + weights).hexdigest()
        self.header, self.seen, self.certificate = metadata.header, metadata.seen, metadata.certificate
        self._floats = self.model.input("images").get_element_type() == openvino.Type.f32
        self._outputs = {name for output in self.model.outputs for name in output.get_names()}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is compiled: a copy compiles its own."""
        made = ("model", "_threads", "_all_cores", "_one_core")
        return {name: value for name, value in vars(self).items() if name not in made}

    @cached_property
    def model(self) -> openvino.Model:
        return openvino.Core().read_model(self._data, self._weights)

    @cached_property
    def _threads(self) -> threading.local:
        return threading.local()

    @cached_property
    def _all_cores(self) -> openvino.CompiledModel:
        """For one synchronous batch."""
        with kept_signal_stack():
            return openvino.Core().compile_model(self.model, "CPU", _EXACT)

    @cached_property
    def _one_core(self) -> openvino.CompiledModel:
        """One stream per core."""
        cores = default_workers()
        streams = {"NUM_STREAMS": str(cores), "INFERENCE_NUM_THREADS": cores}
        with kept_signal_stack():
            return openvino.Core().compile_model(self.model, "CPU", _EXACT | streams)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._run(pixels)["logits"]

    @property
    def _request(self) -> Any:
        """This thread's own."""
        if not hasattr(self._threads, "request"):
            with _COMPILING:
                self._threads.request = self._one_core.create_infer_request()
        return self._threads.request

    def one_core_logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._request.infer(self._inputs(pixels))["logits"].copy()

    def one_core_embed(self, pixels: np.ndarray) -> Outputs:
        found = self._request.infer(self._inputs(pixels))
        return pooled(found["logits"].copy(), found["features"])

    def embed(self, pixels: np.ndarray) -> Outputs:
        require_explainable(self._outputs)
        found = self._run(pixels)
        return pooled(found["logits"], found["features"])

    @property
    def explains(self) -> bool:
        """Whether the graph has the outputs that an explanation needs."""
        return self._outputs >= EXPLAINING

    def features(self, pixels: np.ndarray) -> np.ndarray:
        require_explainable(self._outputs)
        return self._run(pixels)["features"]

    @cached_property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        size = self.header.preprocess.size
        found = self._run(np.zeros((1, size, size, 3), np.uint8))
        return found["head_weight"], found["head_bias"]

    def _inputs(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        return {"images": to_planes(pixels) if self._floats else pixels}

    def _run(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        found = self._all_cores(self._inputs(pixels))
        return {name: value.copy() for output, value in found.items() for name in output.get_names()}


def open_openvino(path: Path) -> OpenvinoEngine:
    """The engine of an exported `model.onnx` or `model.xml` (whose weights lie beside it in `model.bin`).

    Raises:
        ResLabError: it is damaged, or ResLab did not write it.
    """
    data, weights = read_model_bytes(path), b""
    if path.suffix == ".xml":
        weights = read_model_bytes(path.with_suffix(".bin"))
    else:
        check_tensors(data, path)
    try:
        engine = OpenvinoEngine(data, weights, path)
        _check_graph(engine, path)
    except ResLabError:
        raise
    except Exception as error:  # openvino's errors have no common class
        raise ResLabError(
            f"{path} is damaged or not an OpenVINO model: {(str(error).splitlines() or [''])[-1]}"
        ) from None
    return engine


def _check_graph(engine: OpenvinoEngine, path: Path) -> None:
    """`check_answer` and `check_tensors` by the graph's own description: compiling it to run it would take too long."""
    width = engine.model.output("logits").get_partial_shape()[1]
    count = len(engine.header.classes)
    check_answer(np.zeros((1, count if width.is_dynamic else width.get_length()), np.float32), engine.header, path)
    for operation in engine.model.get_ops():
        if operation.get_type_name() == "Constant" and operation.get_element_type().is_real():
            numbers = np.asarray(operation.data)
            if numbers.size > 1 and numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
                name = operation.get_friendly_name()
                raise ResLabError(
                    f"{path} is no trained network: its tensor {name!r} holds numbers that are not finite"
                )


def _metadata_texts(model: openvino.Model) -> dict[str, str]:
    """Metadata of an ONNX file, or those that our export wrote."""
    if not model.has_rt_info(METADATA_SECTION):
        return {}
    kept = model.get_rt_info()[METADATA_SECTION]
    return {key: kept[key].astype(str) for key in (KEY, SEEN_KEY, CERTIFICATE_KEY) if key in kept}
