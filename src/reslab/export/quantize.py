"""Quantise a graph to int8, and accept it only where it is nearly as accurate and faster on this machine."""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from reslab.engine.base import Engine, batch_size, block_logits
from reslab.export.certify import time_alternately
from reslab.export.graph import OnnxGraph
from reslab.metrics.paired import Comparison, compare_paired

_BATCH = 8
_OPERATIONS = ["Conv", "Add", "MaxPool", "Relu"]
"""What is quantised. The last pooling and the linear head are not: they cost next to nothing, and left in float32 the
features and the head still give the logits to the last digit, as an explanation requires."""


def quantize(graph: OnnxGraph, pixels: np.ndarray) -> OnnxGraph:
    """The same graph with static 8-bit weights (per output channel, symmetric) and activations.

    Weights and maps are each rounded to multiples of a scale: Jacob et al. 2018 (arXiv:1712.05877), section 2. Weights
    use seven bits where the processor's 8-bit products would saturate (AVX2). The range of a map is the mean over batches,
    so that one bright picture does not widen it for all.

    Args:
        pixels: training pictures, uint8 `[n, size, size, 3]` or as the graph takes them, that the ranges are measured on.
    """

    class Pictures(CalibrationDataReader):
        """The pictures in batches, through the library's interface."""

        def __init__(self) -> None:
            self._batches: Iterator[np.ndarray] = iter(np.array_split(pixels, max(1, len(pixels) // _BATCH)))

        def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
            batch = next(self._batches, None)
            return None if batch is None else {"images": batch}

    logging.getLogger().addFilter(lambda record: "pre-processing" not in record.getMessage())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        source = Path(folder) / "float32.onnx"
        onnx.save(graph, source)  # given the graph itself, the library would move its weights into a file
        quantize_static(
            source, out, Pictures(), quant_format=QuantFormat.QDQ, op_types_to_quantize=_OPERATIONS, per_channel=True,
            reduce_range=saturates(), activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax, extra_options={"CalibMovingAverage": True},
        )  # fmt: skip
        return onnx.load(out)


def saturates() -> bool:
    """Whether this processor adds pairs of 8-bit products in 16 bits, which may overflow: x86 without VNNI."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True  # unknown: seven bits are safe everywhere
    return "vnni" not in flags and "aarch64" not in flags and "asimd" not in flags


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The accuracy and speed of int8 beside float32, and whether it is accepted."""

    pictures: str
    engine: str
    comparison: Comparison
    """a: float32, b: int8."""
    max_drop_points: float
    images_per_second_before: float
    images_per_second_after: float

    @property
    def drop_points(self) -> float:
        return 100 * self.comparison.difference

    @property
    def reasons(self) -> list[str]:
        """Why int8 is rejected; empty where it is accepted."""
        found = []
        if self.drop_points > self.max_drop_points:
            found.append(
                f"it loses {self.drop_points:.2f} points of accuracy, and {self.max_drop_points:g} are allowed"
            )
        if self.images_per_second_after <= self.images_per_second_before:
            found.append("it is slower than float32 on this machine")
        return found

    def document(self) -> dict[str, Any]:
        return {"schema": 1, **asdict(self), "drop_points": self.drop_points, "reasons": self.reasons}


def measure_acceptance(
    before: Engine, after: Engine, pixels: np.ndarray, labels: np.ndarray, pictures: str, max_drop_points: float
) -> Acceptance:
    """Compare an int8 engine with its float32 one on the same labelled pictures, and time both.

    Args:
        pixels: uint8 `[n, size, size, 3]`, prepared.
        labels: int64 `[n]`.
    """
    right = [block_logits(engine, pixels).argmax(1) == labels for engine in (before, after)]
    block = pixels[np.arange(batch_size(pixels.shape[1])) % len(pixels)]
    slow, fast = time_alternately(lambda: before.logits(block), lambda: after.logits(block))
    speeds = len(block) / slow, len(block) / fast
    return Acceptance(pictures, after.name, compare_paired(*right), max_drop_points, *speeds)
