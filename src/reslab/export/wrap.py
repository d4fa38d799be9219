"""Wrap a foreign graph into one of ours: uint8 pixels in, calibrated answers out, and its head where it has one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from reslab.export.foreign import LEAST, ForeignGraph, GraphInput, InputRule, constants, producers
from reslab.model.file import Header, encode_metadata
from reslab.pixels.fingerprint import FINGERPRINT_BYTES

PREFIX = "foreign/"
"""Before every name of the foreign graph, so that none collides with ours."""

_OLDEST_IR = 4  # earlier versions of the format required every constant to be an input
_RESHAPING = ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze")
_BGR = np.array([2, 1, 0], np.int64)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a graph: a map, its mean over all positions, one linear layer. Names of tensors."""

    features: str
    weight: str
    transposed: bool
    """The weight is `[classes, features]`, else `[features, classes]`."""
    bias: str | None


def wrap_graph(
    foreign: ForeignGraph, rule: InputRule, header: Header, certificate: dict[str, Any] | None = None
) -> bytes:
    """The bytes of a model file, as `export.graph.write_onnx` writes them for our own networks.

    Args:
        rule: how pixels become the foreign graph's input.
        header: written into the metadata; its temperature goes into the graph.
        certificate: written into the metadata, which keeps what the graph's author wrote there.
    """
    prefixed = compose.add_prefix(foreign.proto, PREFIX)
    head, size = find_head(foreign), rule.preprocess.size
    wanted = [PREFIX + name for name in ([foreign.output] if head is None else [foreign.output, head.features])]
    entry, arrays = _input_nodes(foreign.input, rule, PREFIX + foreign.input.name if foreign.batched else "pictures")
    middle = list(prefixed.graph.node)
    if not foreign.batched:
        middle, more, wanted = _loop_over_pictures(middle, foreign.input, wanted)
        arrays |= more
    outputs = {"logits": ("batch", len(foreign.classes)), "probabilities": ("batch", len(foreign.classes))}
    tail, more = _output_nodes(foreign, wanted[0], header.calibration.temperature)
    if head is not None:
        end, last, shapes = _explanation_nodes(
            head, wanted[1], len(foreign.classes), constants(foreign.proto)[head.weight]
        )
        tail, more, outputs = tail + end, more | last, outputs | shapes
    every, needed = _remove_unused([*entry, *middle, *tail], set(outputs))
    tensors = [*prefixed.graph.initializer, *(numpy_helper.from_array(a, name) for name, a in (arrays | more).items())]
    graph = helper.make_graph(
        every,
        "reslab",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ("batch", size, size, 3))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [tensor for tensor in tensors if tensor.name in needed],
        sparse_initializer=prefixed.graph.sparse_initializer,
    )
    proto = helper.make_model(graph, opset_imports=prefixed.opset_import, functions=prefixed.functions)
    proto.ir_version = max(_OLDEST_IR, prefixed.ir_version)
    own = {prop.key: prop.value for prop in prefixed.metadata_props}
    none_seen = np.zeros((0, FINGERPRINT_BYTES), np.uint8)
    helper.set_model_props(proto, own | encode_metadata(header, none_seen, certificate))
    return proto.SerializeToString()


def find_head(foreign: ForeignGraph) -> Head | None:
    """Global average pooling and one linear layer, where the graph ends in them; else None."""
    source, arrays = producers(foreign.proto), constants(foreign.proto)
    linear = _linear(source, arrays, _trace_back(source, foreign.output, ("Identity",)))
    if linear is None or foreign.softmax:
        return None
    pooled, weight, transposed, bias = linear
    pool = source.get(_trace_back(source, pooled, _RESHAPING))
    if pool is None or not _is_global_mean(pool, arrays):
        return None
    return Head(pool.input[0], weight, transposed, bias)


def _trace_back(source: Mapping[str, onnx.NodeProto], name: str, through: tuple[str, ...]) -> str:
    while name in source and source[name].op_type in through:
        name = source[name].input[0]
    return name


def _linear(
    source: Mapping[str, onnx.NodeProto], arrays: Mapping[str, np.ndarray], name: str
) -> tuple[str, str, bool, str | None] | None:
    """Input, weight, whether that is `[classes, features]`, and bias of the linear layer that computes a tensor."""
    node = source.get(name)
    if node is None:
        return None
    if node.op_type == "Gemm":
        given = _attributes(node)
        plain = given.get("alpha", 1.0) == given.get("beta", 1.0) == 1.0 and not given.get("transA", 0)
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
        if plain and node.input[1] in arrays and (bias is None or arrays.get(bias, np.zeros(())).ndim == 1):
            return node.input[0], node.input[1], bool(given.get("transB", 0)), bias
        return None
    bias = None
    if node.op_type == "Add":
        bias = next((one for one in node.input if one in arrays and arrays[one].ndim == 1), None)
        if bias is None:
            return None
        node = source.get(next(one for one in node.input if one != bias))
    if node is None or node.op_type != "MatMul" or node.input[1] not in arrays or arrays[node.input[1]].ndim != 2:
        return None
    return node.input[0], node.input[1], False, bias


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _is_global_mean(node: onnx.NodeProto, arrays: Mapping[str, np.ndarray]) -> bool:
    if node.op_type == "GlobalAveragePool":
        return True
    given = _attributes(node)
    axes = given.get("axes", arrays.get(node.input[1]) if len(node.input) > 1 else None)
    return node.op_type == "ReduceMean" and axes is not None and {int(axis) % 4 for axis in axes} == {2, 3}


def _loop_over_pictures(
    prefixed: list[onnx.NodeProto], taken: GraphInput, wanted: list[str]
) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray], list[str]]:
    """A graph that takes one picture at a time in a loop over the tensor `pictures`.

    Returns:
        Nodes, their constants, and the names of the wanted tensors for all pictures.
    """
    shape = (1, taken.size, taken.size, 3) if taken.channels_last else (1, 3, taken.size, taken.size)
    arrays = {"one_shape": np.array(shape, np.int64), "one_first": np.array(0, np.int64)}
    outside = [node for node in prefixed if node.op_type == "Constant"]  # the head's weights may be among them
    inside = [helper.make_node("Reshape", ["one", "one_shape"], [PREFIX + taken.name])]
    inside += [node for node in prefixed if node.op_type != "Constant"]
    inside += [helper.make_node("Gather", [name, "one_first"], [f"one/{name}"], axis=0) for name in wanted]
    body = helper.make_graph(
        _remove_unused(inside, {f"one/{name}" for name in wanted})[0],
        "one_by_one",
        [helper.make_tensor_value_info("one", taken.kind, None)],
        [onnx.ValueInfoProto(name=f"one/{name}") for name in wanted],
    )
    every = [f"every/{name}" for name in wanted]
    return [*outside, helper.make_node("Scan", ["pictures"], every, body=body, num_scan_inputs=1)], arrays, every


def _remove_unused(nodes: list[onnx.NodeProto], needed: set[str]) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that the outputs need, and every name that these read."""
    kept = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed = needed | set(_inputs_of(node))
    return kept[::-1], needed


def _inputs_of(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, including those inside its branches and loops."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _inputs_of(inner)
            yield from (value.name for value in graph.output)


def _input_nodes(taken: GraphInput, rule: InputRule, into: str) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """From the pixels of `images` to the tensor `into`, which the foreign graph takes."""
    factor, term = rule.affine
    arrays = {"input_factor": factor, "input_term": term}
    nodes = [
        helper.make_node("Cast", ["images"], ["input_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["input_float", "input_factor"], ["input_scaled"]),
        helper.make_node("Add", ["input_scaled", "input_term"], ["input_numbers"]),
    ]
    name = "input_numbers"
    if rule.order == "BGR":
        arrays["input_order"] = _BGR
        nodes.append(helper.make_node("Gather", [name, "input_order"], ["input_bgr"], axis=3))
        name = "input_bgr"
    if not taken.channels_last:
        nodes.append(helper.make_node("Transpose", [name], ["input_planes"], perm=[0, 3, 1, 2]))
        name = "input_planes"
    nodes.append(helper.make_node("Cast", [name], [into], to=taken.kind))
    return nodes, arrays


def _output_nodes(
    foreign: ForeignGraph, answer: str, temperature: float
) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """From the foreign output to `logits` and `probabilities`."""
    arrays = {"temperature": np.array([temperature], np.float32)}
    if foreign.softmax:
        arrays["least_probability"] = np.array([LEAST], np.float32)
        nodes = [
            helper.make_node("Cast", [answer], ["answer_float"], to=TensorProto.FLOAT),
            helper.make_node("Max", ["answer_float", "least_probability"], ["answer_positive"]),
            helper.make_node("Log", ["answer_positive"], ["logits"]),
        ]
    else:
        nodes = [helper.make_node("Cast", [answer], ["logits"], to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node("Div", ["logits", "temperature"], ["calibrated"]),
        helper.make_node("Softmax", ["calibrated"], ["probabilities"], axis=1),
    ]
    return nodes, arrays


def _explanation_nodes(
    head: Head, features: str, classes: int, weight: np.ndarray
) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray], dict[str, tuple[str | int, ...]]]:
    """The map before pooling, and the linear layer as `[classes, features]` with its bias."""
    channels = weight.shape[1] if head.transposed else weight.shape[0]
    arrays: dict[str, np.ndarray] = {} if head.bias else {"head_no_bias": np.zeros(classes, np.float32)}
    turned = PREFIX + head.weight
    nodes = [helper.make_node("Cast", [features], ["features"], to=TensorProto.FLOAT)]
    if not head.transposed:
        nodes.append(helper.make_node("Transpose", [turned], ["head_turned"], perm=[1, 0]))
        turned = "head_turned"
    nodes.append(helper.make_node("Cast", [turned], ["head_weight"], to=TensorProto.FLOAT))
    bias = PREFIX + head.bias if head.bias else "head_no_bias"
    nodes.append(helper.make_node("Cast", [bias], ["head_bias"], to=TensorProto.FLOAT))
    shapes: dict[str, tuple[str | int, ...]] = {"features": ("batch", channels, "height", "width")}
    return nodes, arrays, shapes | {"head_weight": (classes, channels), "head_bias": (classes,)}
