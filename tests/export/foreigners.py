"""Graphs as others export them: small ones by hand whose right input rule is known, and whole networks."""

import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.pictures import COLOURS

NAMES = sorted(COLOURS)
SIZE = 16
KINDS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.UINT8: np.uint8}


def hand_written(pixels, mean, std, order, channels_last=False, kind=TensorProto.FLOAT):
    """What whoever trained the network does to a picture, uint8 `[n, size, size, 3]`."""
    numbers = (pixels.astype(np.float64) / 255 - np.array(mean)) / np.array(std)
    numbers = numbers[..., ::-1] if order == "BGR" else numbers
    return np.ascontiguousarray((numbers if channels_last else numbers.transpose(0, 3, 1, 2)).astype(KINDS[kind]))


def save(path, nodes, held, taken, given, opset=17, **metadata):
    """A graph as a file; `taken` and `given` are `name: (kind, shape)`."""
    values = [[helper.make_tensor_value_info(n, k, s) for n, (k, s) in side.items()] for side in (taken, given)]
    tensors = [numpy_helper.from_array(array, name) for name, array in held.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "theirs", *values, tensors), opset_imports=[helper.make_opsetid("", opset)]
    )
    model.ir_version = 8
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def nearest_colour(
    path, mean, std, order="RGB", channels_last=False, kind=TensorProto.FLOAT, batch="batch", tail="gemm", end="",
    size=SIZE, **metadata,
):  # fmt: skip
    """Which of five colours a picture's mean is nearest to, in the numbers of one rule: `2 c.x - c.c`, a linear layer."""
    colours = np.array([COLOURS[name] for name in NAMES], np.uint8)[:, None, None]
    centres = hand_written(colours, mean, std, order)[:, :, 0, 0].astype(np.float64)
    sharpness = 20 / np.square(centres[0] - centres[2]).sum()
    weight = (2 * sharpness * centres).astype(np.float32)
    bias = (-sharpness * np.square(centres).sum(axis=1)).astype(np.float32)
    turned = tail == "turned"  # Gemm without transB
    held = {"weight": weight if tail == "gemm" else weight.T.copy(), "bias": bias}
    if batch == 1:
        held["shape"] = np.array([1, 3], np.int64)
    nodes = [helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT)]
    perm = [0, 3, 1, 2] if channels_last else [0, 1, 2, 3]
    nodes += [helper.make_node("Transpose", ["float"], ["map"], perm=perm)]
    nodes += [helper.make_node("GlobalAveragePool", ["map"], ["pooled"])]
    flat = helper.make_node("Reshape", ["pooled", "shape"], ["flat"]) if batch == 1 else None
    nodes += [flat or helper.make_node("Flatten", ["pooled"], ["flat"])]
    if tail == "matmul":
        nodes += [helper.make_node("MatMul", ["flat", "weight"], ["product"])]
        nodes += [helper.make_node("Add", ["product", "bias"], ["logits"])]
    else:
        nodes += [helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], transB=int(not turned))]
    out = "logits"
    if end == "Softmax":
        nodes, out = [*nodes, helper.make_node("Softmax", ["logits"], ["probs"], axis=1)], "probs"
    if end == "parts":  # a softmax in pieces
        nodes += [helper.make_node("Exp", ["logits"], ["exp"])]
        nodes += [
            helper.make_node("ReduceL1", ["exp"], ["sum"], axes=[1]),
            helper.make_node("Div", ["exp", "sum"], ["p"]),
        ]
        out = "p"
    if end == "Exp":
        nodes, out = [*nodes, helper.make_node("Exp", ["logits"], ["exp"])], "exp"
    if end == "Sigmoid":
        nodes, out = [*nodes, helper.make_node("Sigmoid", ["logits"], ["yes"])], "yes"
    shape = (batch, size, size, 3) if channels_last else (batch, 3, size, size)
    return save(path, nodes, held, {"images": (kind, shape)}, {out: (TensorProto.FLOAT, (batch, 5))}, **metadata)


def exported(network, path, size, dynamo, dynamic=True):
    """A network by one of PyTorch's two exporters."""
    import torch

    example = torch.rand(2 if dynamic else 1, 3, size, size)
    known = {"input_names": ["input"], "output_names": ["output"], "dynamo": dynamo}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters' own making
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
            torch.onnx.export(
                network, (example,), str(path), external_data=False, verbose=False, dynamic_shapes=shapes, **known
            )
        else:
            axes = {"input": {0: "batch"}, "output": {0: "batch"}} if dynamic else None
            torch.onnx.export(network, (example,), str(path), dynamic_axes=axes, **known)
    return path
