"""Somebody else's ONNX graph: where its picture goes in, where its answer comes out, and how to ask it.

Nothing here decides how pixels become the graph's numbers: that is an `InputRule`, and `trial` finds it.
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

from reslab.engine.base import batch_size
from reslab.engine.protobuf import check_tensors
from reslab.errors import ResLabError
from reslab.model.file import KEY, refuse_duplicate_classes
from reslab.pixels.preprocess import SIDES, Preprocess

Order = Literal["RGB", "BGR"]

USUAL_SIZE = 224
"""Side of the input where neither the graph nor the person says one."""

_TYPES: dict[int, type[np.generic]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.UINT8: np.uint8,
}
_OLDEST = 7  # before this set of operations, arithmetic did not broadcast
LEAST = 1e-30
"""Of a probability whose logarithm is taken."""

_CLOSE = 1e-3
_HINT = "adopt takes a classifier of one picture with one label"


@dataclass(frozen=True, slots=True)
class InputRule:
    """How the bytes of a picture become the numbers that a graph was trained on."""

    numbers: str
    """A name for `mean` and `std`: `0-255`, `imagenet`, …"""
    mean: tuple[float, ...]
    """Red, green, blue; in [0, 1]."""
    std: tuple[float, ...]
    order: Order
    """Which colour comes first."""
    preprocess: Preprocess

    @property
    def told(self) -> str:
        """In a few words."""
        return f"{self.numbers} {self.order}"

    @property
    def line(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 `[3]` twice: `byte * factor + term` is `(byte / 255 - mean) / std`."""
        mean, std = np.array(self.mean), np.array(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, size, size, 3]`, the colours in the graph's order, for uint8 `[batch, size, size, 3]`."""
        factor, term = self.line
        numbers = pixels.astype(np.float32) * factor + term
        return numbers[..., ::-1] if self.order == "BGR" else numbers


@dataclass(frozen=True, slots=True)
class Picture:
    """The one input of a graph."""

    name: str
    kind: int
    """`TensorProto.FLOAT`, `FLOAT16` or `UINT8`."""
    channels_last: bool
    batch: int | None
    """Pictures per run where the graph fixes it."""
    size: int
    """Side in pixels."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An opened graph."""

    sha256: str
    picture: Picture
    answer: str
    """The tensor that is taken for logits: what a last softmax is fed with, or the output itself."""
    softmax: bool
    """The output is probabilities, and the graph shows no softmax to be taken off: the logarithm does it."""
    classes: tuple[str, ...]
    licence: str | None
    """What the file says about it."""
    proto: onnx.ModelProto
    """The graph, for any number of pictures at once if it allows that."""
    together: bool
    """It does allow that; else for one at a time."""
    session: onnxruntime.InferenceSession
    """The graph as it came."""

    def logits(self, pixels: np.ndarray, rule: InputRule) -> np.ndarray:
        """float32 `[n, classes]` for uint8 `[n, size, size, 3]`, by the graph as it came and the rule in numpy."""
        count = self.picture.batch or batch_size(pixels.shape[1])
        rows = []
        for start in range(0, len(pixels), count):
            part = pixels[start : start + count]
            missing = (count - len(part)) if self.picture.batch else 0
            padded = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
            rows.append(_asked(self.session, self.picture, self.answer, rule(padded))[: len(part)])
        found = np.concatenate(rows)
        return np.log(np.maximum(found, np.float32(LEAST))) if self.softmax else found


def open_foreign_graph(path: Path, classes: tuple[str, ...] | None, size: int | None) -> Foreign:
    """Open somebody else's classifier.

    Args:
        classes: names in the order of its answers; what the file itself says (Ultralytics) by default.
        size: side of the input, where the graph takes any.

    Raises:
        ResLabError: damaged, incomplete, already ours, no classifier of one picture, or its answers are not as many as
            the names.
    """
    proto = _read(path)
    said = _said(proto)
    names = _names(path, classes or said.get("names"))
    picture = _picture(path, proto, size, said.get("imgsz"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    session = _session(path, proto)
    output, kind, rows = _output(path, session, picture, len(names))
    answer = _before_softmax(path, proto, output)
    softmax = answer == output and bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=_CLOSE))
    if answer != output:
        proto.graph.output.append(helper.make_tensor_value_info(answer, kind, None))
        session = _session(path, proto)
    free = _freed(proto, picture)
    together = _same_together(path, session, free, picture, answer)
    if not together:
        free, picture = proto, dataclasses.replace(picture, batch=1)
    return Foreign(digest, picture, answer, softmax, names, said.get("license"), free, together, session)


def constants(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Every tensor that the graph holds, by name."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                value = helper.get_attribute_value(attribute)
                array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.array(value)
                found[node.output[0]] = array
    return found


def producers(proto: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Tensor -> the node that it comes from."""
    return {name: node for node in proto.graph.node for name in node.output}


def _read(path: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ResLabError(f"cannot open the model {path}: {error.strerror or error}") from None
    except Exception as error:  # protobuf's errors have no common class
        raise ResLabError(f"{path} is damaged or no ONNX model: {str(error).splitlines()[0]}") from None
    if not proto.graph.node:
        raise ResLabError(f"{path} is damaged or no ONNX model: it holds no graph")
    if any(entry.key == KEY for entry in proto.metadata_props):
        raise ResLabError(f"{path} is a ResLab model already", "predict, eval and explain take it as it is")
    opset = max((entry.version for entry in proto.opset_import if not entry.domain), default=0)
    if opset < _OLDEST:
        raise ResLabError(f"{path} is written in opset {opset}, which is too old", "export it anew, say in opset 17")
    absent = sorted(name for name in set(_external(proto)) if not (path.parent / name).is_file())
    if absent:
        raise ResLabError(
            f"{path} keeps its weights in {', '.join(absent)}, which is not there", "put it beside the graph"
        )
    try:
        load_external_data_for_model(proto, str(path.parent))  # refuses links, and what does not lie beside the graph
    except Exception as error:  # onnx's checker has several
        raise ResLabError(f"the weights beside {path} cannot be read: {str(error).splitlines()[0]}") from None
    check_tensors(proto.SerializeToString(), path)
    return proto


def _external(proto: onnx.ModelProto) -> Iterator[str]:
    for tensor in proto.graph.initializer:
        if uses_external_data(tensor):
            yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _said(proto: onnx.ModelProto) -> dict[str, Any]:
    """What Ultralytics writes into its exports: class names by number, the side of the input, the licence."""
    said: dict[str, Any] = {
        entry.key: entry.value for entry in proto.metadata_props if entry.key in ("names", "imgsz", "license")
    }
    for key in said.keys() & {"names", "imgsz"}:
        try:
            said[key] = ast.literal_eval(said[key])
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            del said[key]
    names = said.get("names")
    if isinstance(names, dict):
        names = [names.get(number) for number in range(len(names))]  # by number, from 0
    whole = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return said | {"names": tuple(names) if whole else None}  # type: ignore[arg-type]


def _names(path: Path, names: tuple[str, ...] | None) -> tuple[str, ...]:
    if not names:
        raise ResLabError(f"{path} does not say its classes", "--classes FILE: one name per line, in its order")
    refuse_duplicate_classes(names)
    return tuple(names)


def _picture(path: Path, proto: onnx.ModelProto, asked: int | None, said: Any) -> Picture:
    inner = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in inner]
    if len(inputs) != 1:
        named = ", ".join(value.name for value in inputs) or "none"
        raise ResLabError(f"{path} takes {len(inputs)} inputs ({named}), not one picture", _HINT)
    taken = inputs[0].type.tensor_type
    dims = [dim.dim_value if dim.dim_value > 0 else None for dim in taken.shape.dim]
    if taken.elem_type not in _TYPES or len(dims) != 4:
        kind = TensorProto.DataType.Name(taken.elem_type).lower()
        raise ResLabError(f"{path} takes {kind} {_shown(dims)}, no batch of pictures", _HINT)
    channels_last = dims[3] == 3 and dims[1] != 3
    batch, channels, height, width = (dims[i] for i in ((0, 3, 1, 2) if channels_last else (0, 1, 2, 3)))
    if channels not in (3, None):
        raise ResLabError(f"{path} takes {_shown(dims)}: pictures of {channels} channels, not 3", _HINT)
    sides = {side for side in (height, width) if side}
    if len(sides) > 1:
        raise ResLabError(f"{path} takes pictures of {width} x {height} px", "only square inputs can be adopted")
    own = next(iter(sides), None)
    if own and asked and own != asked:
        raise ResLabError(f"--size {asked}, but {path} takes {own} px and no other", "leave --size out")
    told = said[0] if isinstance(said, list) and said and type(said[0]) is int else None
    size = own or asked or told or USUAL_SIZE
    if not SIDES[0] <= size <= SIDES[1]:
        raise ResLabError(f"{path} says that it takes pictures of {size} px", "give its --size")
    return Picture(inputs[0].name, taken.elem_type, channels_last, batch, size)


def _shown(dims: list[int | None]) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]"


def _session(path: Path, proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says is raised as well
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise ResLabError(f"{path} is damaged, or onnxruntime cannot run it: {str(error).splitlines()[0]}") from None


def _asked(session: onnxruntime.InferenceSession, picture: Picture, output: str, numbers: np.ndarray) -> np.ndarray:
    """float32 answers for float32 `[batch, size, size, 3]`."""
    images = numbers if picture.channels_last else numbers.transpose(0, 3, 1, 2)
    given = np.ascontiguousarray(images, dtype=_TYPES[picture.kind])
    return np.asarray(session.run([output], {picture.name: given})[0]).astype(np.float32)


def _noise(picture: Picture, count: int) -> np.ndarray:
    """Numbers that no rule is needed for: shapes and sums do not depend on them."""
    return np.random.default_rng(0).uniform(0, 2, (count, picture.size, picture.size, 3)).astype(np.float32)


def _output(
    path: Path, session: onnxruntime.InferenceSession, picture: Picture, count: int
) -> tuple[str, int, np.ndarray]:
    """The output with a number per class: its name, its type, its rows for some noise."""
    kinds = {"tensor(float)": TensorProto.FLOAT, "tensor(float16)": TensorProto.FLOAT16}
    numbers = _noise(picture, picture.batch or 2)
    shapes = {}
    for output in session.get_outputs():
        try:
            rows = _asked(session, picture, output.name, numbers)
        except Exception as error:  # onnxruntime's errors have no common class
            raise ResLabError(
                f"{path} does not run on {picture.size} px: {str(error).splitlines()[0]}", "give its --size"
            ) from None
        if output.type in kinds and rows.shape == (len(numbers), count):
            return output.name, kinds[output.type], rows
        shapes[output.name] = list(rows.shape)
    flat = next((shape for shape in shapes.values() if len(shape) == 2 and shape[0] == len(numbers)), None)
    if flat:
        raise ResLabError(
            f"{path} answers with {flat[1]} classes, and {count} are named",
            "--classes FILE: one name per line in the order of its answers",
        )
    given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    raise ResLabError(f"{path} gives {given}, not a number for each class", _HINT)


def _before_softmax(path: Path, proto: onnx.ModelProto, output: str) -> str:
    """What a last softmax is fed with; the output itself where there is none."""
    made = producers(proto)
    name = output
    while name in made and made[name].op_type == "Identity":
        name = made[name].input[0]
    last = made[name].op_type if name in made else ""
    if last == "Sigmoid":
        raise ResLabError(f"{path} ends in a sigmoid: a yes or no for each of several labels", _HINT)
    return made[name].input[0] if last in ("Softmax", "LogSoftmax") else output


def _freed(proto: onnx.ModelProto, picture: Picture) -> onnx.ModelProto:
    """The graph for any number of pictures, as far as a fixed number stands only in its shapes.

    Exporters write the number of pictures into the first place of every reshape: there, "whatever is left" says the
    same for any number; where another place says so already, "as many as came in".
    """
    free = onnx.ModelProto()
    free.CopyFrom(proto)
    if picture.batch is None:
        return free
    del free.graph.value_info[:]
    for value in (*free.graph.input, *free.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == picture.batch:
            dims[0].dim_param = "batch"
    held = constants(free)
    for number, node in enumerate(free.graph.node):
        shape = held.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or not shape.size or shape[0] != picture.batch:
            continue
        left = 0 if -1 in shape else -1
        tensor = numpy_helper.from_array(np.array([left, *shape[1:]], np.int64), f"reslab_shape_{number}")
        free.graph.initializer.append(tensor)
        node.input[1] = tensor.name
        if left == 0:
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)
    return free


def _same_together(
    path: Path, session: onnxruntime.InferenceSession, free: onnx.ModelProto, picture: Picture, answer: str
) -> bool:
    """Whether three pictures together are answered as each of them is."""
    count = picture.batch or 1
    numbers = _noise(picture, 3 * count)
    alone = np.concatenate(
        [_asked(session, picture, answer, numbers[i : i + count]) for i in range(0, 3 * count, count)]
    )
    near = _CLOSE * max(1.0, float(np.abs(alone).max()))
    try:
        together = _asked(_session(path, free), picture, answer, numbers)
        same = together.shape == alone.shape and np.allclose(together, alone, rtol=0, atol=near, equal_nan=True)
    except Exception:  # onnxruntime's errors have no common class
        same = False
    if not same and count > 1:
        raise ResLabError(
            f"{path} answers for {count} pictures at a time and for no other number",
            "export it for any number: dynamic_axes or dynamic_shapes in torch.onnx.export, dynamic=True in Ultralytics",
        )
    return same
