"""Export a network with normalisation and temperature inside, as an ONNX graph or a `torch.export` program."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from reslab.errors import ResLabError
from reslab.export.options import Layout
from reslab.model.file import Header, encode_metadata
from reslab.nn.layers import to_images
from reslab.nn.resnet import ResNet, fold_batch_norm
from reslab.system.files import write_atomically

OnnxGraph = onnx.ModelProto

OUTPUTS = ("logits", "probabilities", "features", "head_weight", "head_bias")
"""The outputs of the graph; an explanation needs features and head."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "single": lambda logits: torch.softmax(logits, dim=1),
    "multi": torch.sigmoid,
}
"""Task -> what makes probabilities of logits: `Task.probabilities` in PyTorch."""


class Graph(nn.Module):
    """From pixels to answers, normalisation and temperature included."""

    def __init__(
        self, network: ResNet, temperature: float, task: str = "single", layout: Layout = "nhwc-uint8"
    ) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        self.activation = ACTIVATIONS[task]
        self.layout = layout

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 `[batch, size, size, 3]`, or float32 `[batch, 3, size, size]` in [0, 1] -> the values of `OUTPUTS`."""
        features = self.network.features(to_images(images) if self.layout == "nhwc-uint8" else images)
        logits = self.network.classify(features)
        probabilities, head = self.activation(logits / self.temperature), self.network.head
        return logits, probabilities, features, head.weight.clone(), head.bias.clone()

    def example(self, size: int) -> Tensor:
        """Two black pictures: the exporter would take a batch of one for a constant."""
        if self.layout == "nhwc-uint8":
            return torch.zeros(2, size, size, 3, dtype=torch.uint8)
        return torch.zeros(2, 3, size, size)


def export_program(network: ResNet, header: Header, layout: Layout = "nhwc-uint8") -> ExportedProgram:
    """A folded network as a `torch.export` program for any batch size."""
    graph = Graph(network, header.calibration.temperature, header.task, layout).eval()
    return torch.export.export(graph, (graph.example(header.preprocess.size),), dynamic_shapes=({0: _BATCH},))


def export_onnx(network: ResNet, header: Header, layout: Layout = "nhwc-uint8", opset: int | None = None) -> OnnxGraph:
    """A folded network as an ONNX graph for any batch size, weights included.

    Raises:
        ResLabError: the graph cannot be written in this opset.
    """
    graph = Graph(network, header.calibration.temperature, header.task, layout).eval()
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            graph, (graph.example(header.preprocess.size),), dynamo=True, verbose=False, external_data=False,
            input_names=["images"], output_names=list(OUTPUTS), dynamic_shapes=({0: _BATCH},), opset_version=opset,
        )  # fmt: skip
    if program is None:
        raise ResLabError("the network cannot be written as an ONNX graph")
    proto = program.model_proto
    written = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    if opset not in (None, written):
        raise ResLabError(f"the graph cannot be written in opset {opset}", f"leave --opset out for {written}")
    return proto


def write_onnx(path: Path, network: ResNet, header: Header, seen: np.ndarray) -> None:
    """Write the graph with the header in its metadata, in one file, without a certificate.

    Args:
        seen: uint8 `[n, 5]`, hashes of training pictures.
    """
    proto = export_onnx(fold_batch_norm(network), header)
    onnx.helper.set_model_props(proto, encode_metadata(header, seen))
    write_atomically(path, proto.SerializeToString())


_BATCH = torch.export.Dim("batch")
