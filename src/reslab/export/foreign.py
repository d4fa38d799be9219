"""Open a foreign ONNX classifier: find its input and its logits, and run it.

How pixels become the graph's input is an `InputRule`, which `input_rule` finds.
"""

import ast
import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from reslab.engine.base import batch_size, padded_logits
from reslab.engine.protobuf import check_tensors
from reslab.errors import ResLabError
from reslab.model.file import KEY, read_model_bytes, refuse_duplicate_classes
from reslab.pixels.preprocess import SIDES, Preprocess

Order = Literal["RGB", "BGR"]

DEFAULT_SIZE = 224
"""Side of the input where neither the graph nor the caller sets one."""

_TYPES: dict[int, type[np.generic]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.UINT8: np.uint8,
}
_OLDEST_OPSET = 7  # earlier ones have no broadcasting
LEAST = 1e-30
"""The smallest probability whose logarithm is taken."""

_CLOSE = 1e-3
_HINT = "adopt takes a classifier of one picture with one label"


@dataclass(frozen=True, slots=True)
class InputRule:
    """How the pixels of a picture become the input that a graph was trained on."""

    numbers: str
    """A name for `mean` and `std`: `0-255`, `imagenet`, …"""
    mean: tuple[float, ...]
    """Red, green, blue; in [0, 1]."""
    std: tuple[float, ...]
    order: Order
    """Of the colours."""
    preprocess: Preprocess

    @property
    def summary(self) -> str:
        """Range and order in two words."""
        return f"{self.numbers} {self.order}"

    @property
    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Factor and term, float32 `[3]` each: `byte * factor + term` is `(byte / 255 - mean) / std`."""
        mean, std = np.array(self.mean), np.array(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, size, size, 3]`, the colours in the graph's order, for uint8 `[batch, size, size, 3]`."""
        factor, term = self.affine
        numbers = pixels.astype(np.float32) * factor + term
        return numbers[..., ::-1] if self.order == "BGR" else numbers


@dataclass(frozen=True, slots=True)
class GraphInput:
    """The only input of a graph."""

    name: str
    kind: int
    """`TensorProto.FLOAT`, `FLOAT16` or `UINT8`."""
    channels_last: bool
    batch: int | None
    """Pictures per run where the graph fixes their number."""
    size: int
    """Side in pixels."""


@dataclass(frozen=True, slots=True)
class ForeignGraph:
    """An opened graph."""

    sha256: str
    input: GraphInput
    output: str
    """The tensor that is taken for logits: the input of a final softmax, or the output itself."""
    softmax: bool
    """The output is probabilities without a softmax node to bypass, so their logarithm is taken for logits."""
    classes: tuple[str, ...]
    licence: str | None
    """As the file states it."""
    proto: onnx.ModelProto
    """The graph, for any number of pictures at once where that is possible."""
    batched: bool
    """Whether that is possible; else `proto` takes one picture at a time."""
    session: onnxruntime.InferenceSession
    """The original graph."""

    def logits(self, pixels: np.ndarray, rule: InputRule) -> np.ndarray:
        """float32 `[n, classes]` for uint8 `[n, size, size, 3]`, by the original graph and the rule in numpy."""

        def run(part: np.ndarray) -> np.ndarray:
            return _run(self.session, self.input, self.output, rule(part))

        if self.input.batch:
            found = padded_logits(run, pixels, self.input.batch)
        else:
            count = batch_size(pixels.shape[1])
            found = np.concatenate([run(pixels[start : start + count]) for start in range(0, len(pixels), count)])
        return np.log(np.maximum(found, np.float32(LEAST))) if self.softmax else found


def open_foreign_graph(path: Path, classes: tuple[str, ...] | None, size: int | None) -> ForeignGraph:
    """Open a foreign classifier.

    Args:
        classes: names in the order of its outputs; by default those in the file (Ultralytics writes them).
        size: side of the input, where the graph takes any.

    Raises:
        ResLabError: it is damaged, incomplete, a ResLab model already or not a classifier of one picture, or its
            outputs are not as many as the names.
    """
    digest = hashlib.sha256(read_model_bytes(path)).hexdigest()
    proto = _load(path)
    metadata = _ultralytics_metadata(proto)
    names = classes or metadata.get("names")
    if not names:
        raise ResLabError(f"{path} does not name its classes", "--classes FILE: one name per line, in its order")
    refuse_duplicate_classes(names)
    graph_input = _find_input(path, proto, size, metadata.get("imgsz"))
    session = _session(path, proto)
    output, kind, rows = _find_output(path, session, graph_input, len(names))
    logits = _before_softmax(path, proto, output)
    softmax = logits == output and bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=_CLOSE))
    if logits != output:
        proto.graph.output.append(helper.make_tensor_value_info(logits, kind, None))
        session = _session(path, proto)
    free = _free_batch_axis(proto, graph_input)
    batched = _check_batches(path, session, free, graph_input, logits)
    if not batched:
        free, graph_input = proto, dataclasses.replace(graph_input, batch=1)
    return ForeignGraph(
        digest, graph_input, logits, softmax, tuple(names), metadata.get("license"), free, batched, session
    )


def constants(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The constants of the graph by name."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                value = helper.get_attribute_value(attribute)
                array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.array(value)
                found[node.output[0]] = array
    return found


def producers(proto: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Tensor -> the node that computes it."""
    return {name: node for node in proto.graph.node for name in node.output}


def _load(path: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no common class
        raise ResLabError(f"{path} is damaged or not an ONNX model: {str(error).splitlines()[0]}") from None
    if not proto.graph.node:
        raise ResLabError(f"{path} is damaged or not an ONNX model: it holds no graph")
    if any(entry.key == KEY for entry in proto.metadata_props):
        raise ResLabError(f"{path} is a ResLab model already", "predict, eval and explain open it directly")
    opset = max((entry.version for entry in proto.opset_import if not entry.domain), default=0)
    if opset < _OLDEST_OPSET:
        raise ResLabError(f"{path} is written in opset {opset}, which is too old", "export it again, e.g. in opset 17")
    absent = sorted(name for name in set(_external(proto)) if not (path.parent / name).is_file())
    if absent:
        raise ResLabError(
            f"{path} keeps its weights in {', '.join(absent)}, which is missing", "put it beside the graph"
        )
    try:
        load_external_data_for_model(proto, str(path.parent))  # refuses links and other folders
    except Exception as error:  # onnx's errors have no common class
        raise ResLabError(f"the weights beside {path} cannot be read: {str(error).splitlines()[0]}") from None
    check_tensors(proto.SerializeToString(), path)
    return proto


def _external(proto: onnx.ModelProto) -> Iterator[str]:
    for tensor in proto.graph.initializer:
        if uses_external_data(tensor):
            yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _ultralytics_metadata(proto: onnx.ModelProto) -> dict[str, Any]:
    """What Ultralytics writes into its exports: class names by number, the side of the input, the licence."""
    found: dict[str, Any] = {
        entry.key: entry.value for entry in proto.metadata_props if entry.key in ("names", "imgsz", "license")
    }
    for key in found.keys() & {"names", "imgsz"}:
        try:
            found[key] = ast.literal_eval(found[key])
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            del found[key]
    names = found.get("names")
    if isinstance(names, dict):
        names = [names.get(number) for number in range(len(names))]  # by number, from 0
    complete = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return found | {"names": tuple(names) if complete else None}  # type: ignore[arg-type]


def _find_input(path: Path, proto: onnx.ModelProto, asked: int | None, image_size: Any) -> GraphInput:
    inner = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in inner]
    if len(inputs) != 1:
        named = ", ".join(value.name for value in inputs) or "none"
        raise ResLabError(f"{path} takes {len(inputs)} inputs ({named}), not one picture", _HINT)
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]
    if tensor.elem_type not in _TYPES or len(dims) != 4:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ResLabError(f"{path} takes {kind} {_format_shape(dims)}, not a batch of pictures", _HINT)
    channels_last = dims[3] == 3 and dims[1] != 3
    batch, channels, height, width = (dims[i] for i in ((0, 3, 1, 2) if channels_last else (0, 1, 2, 3)))
    if channels not in (3, None):
        raise ResLabError(f"{path} takes {_format_shape(dims)}: pictures of {channels} channels, not 3", _HINT)
    sides = {side for side in (height, width) if side}
    if len(sides) > 1:
        raise ResLabError(f"{path} takes pictures of {width} x {height} px", "only square inputs can be adopted")
    own = next(iter(sides), None)
    if own and asked and own != asked:
        raise ResLabError(f"--size {asked}, but {path} takes only {own} px", "leave --size out")
    listed = isinstance(image_size, list) and image_size and type(image_size[0]) is int
    stated = image_size[0] if listed else None
    size = own or asked or stated or DEFAULT_SIZE
    if not SIDES[0] <= size <= SIDES[1]:
        raise ResLabError(f"{path} takes pictures of {size} px by its metadata", "set --size")
    return GraphInput(inputs[0].name, tensor.elem_type, channels_last, batch, size)


def _format_shape(dims: list[int | None]) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]"


def _session(path: Path, proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its messages are raised as well
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise ResLabError(f"{path} is damaged, or onnxruntime cannot run it: {str(error).splitlines()[0]}") from None


def _run(session: onnxruntime.InferenceSession, taken: GraphInput, output: str, numbers: np.ndarray) -> np.ndarray:
    """One output, as float32, for float32 `[batch, size, size, 3]`."""
    images = numbers if taken.channels_last else numbers.transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(images, dtype=_TYPES[taken.kind])
    return np.asarray(session.run([output], {taken.name: images})[0]).astype(np.float32)


def _noise(taken: GraphInput, count: int) -> np.ndarray:
    """Inputs that need no rule: the shapes and sums of the outputs do not depend on it."""
    return np.random.default_rng(0).uniform(0, 2, (count, taken.size, taken.size, 3)).astype(np.float32)


def _find_output(
    path: Path, session: onnxruntime.InferenceSession, taken: GraphInput, count: int
) -> tuple[str, int, np.ndarray]:
    """The output with a number per class: its name, its type, its values for some noise."""
    kinds = {"tensor(float)": TensorProto.FLOAT, "tensor(float16)": TensorProto.FLOAT16}
    numbers = _noise(taken, taken.batch or 2)
    shapes = {}
    for output in session.get_outputs():
        try:
            rows = _run(session, taken, output.name, numbers)
        except Exception as error:  # onnxruntime's errors have no common class
            raise ResLabError(
                f"{path} does not run on {taken.size} px: {str(error).splitlines()[0]}", "set --size"
            ) from None
        if output.type in kinds and rows.shape == (len(numbers), count):
            return output.name, kinds[output.type], rows
        shapes[output.name] = list(rows.shape)
    flat = next((shape for shape in shapes.values() if len(shape) == 2 and shape[0] == len(numbers)), None)
    if flat:
        raise ResLabError(
            f"{path} has {flat[1]} classes, and {count} are named",
            "--classes FILE: one name per line in the order of its outputs",
        )
    outputs = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    raise ResLabError(f"{path} gives {outputs}, not a number for each class", _HINT)


def _before_softmax(path: Path, proto: onnx.ModelProto, output: str) -> str:
    """The input of a final softmax; the output itself where there is none."""
    source = producers(proto)
    name = output
    while name in source and source[name].op_type == "Identity":
        name = source[name].input[0]
    last = source[name].op_type if name in source else ""
    if last == "Sigmoid":
        raise ResLabError(f"{path} ends in a sigmoid, for several labels per picture", _HINT)
    return source[name].input[0] if last in ("Softmax", "LogSoftmax") else output


def _free_batch_axis(proto: onnx.ModelProto, taken: GraphInput) -> onnx.ModelProto:
    """The graph for any number of pictures, as far as only its shapes fix their number.

    Exporters write the batch size as the first dimension of every Reshape. There, -1 ("whatever is left") is right for
    any number; where another dimension is -1 already, 0 ("as in the input") is.
    """
    free = onnx.ModelProto()
    free.CopyFrom(proto)
    if taken.batch is None:
        return free
    del free.graph.value_info[:]
    for value in (*free.graph.input, *free.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == taken.batch:
            dims[0].dim_param = "batch"
    arrays = constants(free)
    for number, node in enumerate(free.graph.node):
        shape = arrays.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or not shape.size or shape[0] != taken.batch:
            continue
        first = 0 if -1 in shape else -1
        tensor = numpy_helper.from_array(np.array([first, *shape[1:]], np.int64), f"reslab_shape_{number}")
        free.graph.initializer.append(tensor)
        node.input[1] = tensor.name
        if first == 0:
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)
    return free


def _check_batches(
    path: Path, session: onnxruntime.InferenceSession, free: onnx.ModelProto, taken: GraphInput, output: str
) -> bool:
    """Whether `free` gives for three pictures (or batches) at once what the original gives one by one."""
    count = taken.batch or 1
    numbers = _noise(taken, 3 * count)
    alone = np.concatenate([_run(session, taken, output, numbers[i : i + count]) for i in range(0, 3 * count, count)])
    near = _CLOSE * max(1.0, float(np.abs(alone).max()))
    try:
        together = _run(_session(path, free), taken, output, numbers)
        same = together.shape == alone.shape and np.allclose(together, alone, rtol=0, atol=near, equal_nan=True)
    except Exception:  # onnxruntime's errors have no common class
        same = False
    if not same and count > 1:
        raise ResLabError(
            f"{path} takes exactly {count} pictures at a time",
            "export it with dynamic_axes or dynamic_shapes (torch.onnx.export) or with dynamic=True (Ultralytics)",
        )
    return same
