"""The network as an ONNX graph that takes uint8 pictures and describes itself."""

import base64
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from reslab.engine.exported import SEEN_KEY
from reslab.errors import ResLabError
from reslab.modelfile import KEY, Header, Task, header_document, write_atomically
from reslab.nn.layers import to_images
from reslab.nn.resnet import ResNet, folded

OUTPUTS = ("logits", "probabilities", "features", "head_weight", "head_bias")
"""What the graph puts out; head and features are what an explanation needs."""


class Graph(nn.Module):
    """Pixels in, answers out: normalisation and temperature included."""

    def __init__(self, network: ResNet, temperature: float, task: Task = "single") -> None:
        super().__init__()
        self.network = folded(network)
        self.temperature = temperature
        self.task = task

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 `[batch, size, size, 3]` -> the values of `OUTPUTS`."""
        features = self.network.features(to_images(images))
        logits = self.network.classify(features)
        scaled, head = logits / self.temperature, self.network.head
        probabilities = torch.sigmoid(scaled) if self.task == "multi" else torch.softmax(scaled, dim=1)
        return logits, probabilities, features, head.weight.clone(), head.bias.clone()


def write_onnx(path: Path, network: ResNet, header: Header, seen: np.ndarray) -> None:
    """Write the graph with the header in its metadata, in one file.

    Args:
        seen: uint8 `[n, 5]`, hashes of training pictures.
    """
    graph = Graph(network, header.calibration.temperature, header.task).eval()
    size = header.preprocess.size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)  # a batch of one would be taken for a constant
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        program = torch.onnx.export(
            graph, (example,), dynamo=True, verbose=False, external_data=False, input_names=["images"],
            output_names=list(OUTPUTS), dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    if program is None:
        raise ResLabError("the network cannot be written as an ONNX graph")
    proto = program.model_proto
    text = json.dumps(header_document(header), sort_keys=True, allow_nan=False)
    onnx.helper.set_model_props(proto, {KEY: text, SEEN_KEY: base64.b64encode(seen.tobytes()).decode()})
    write_atomically(path, proto.SerializeToString())
