"""Check the tensors of an ONNX file without the onnx package, by walking the fields of its protobuf messages.

Tensors occur in graphs, in attributes of nodes, in graphs that are attributes, in sparse tensors and in functions. A
model is one file here: a tensor in another file would be read from below the working directory.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reslab.errors import ResLabError

# Message -> field number -> the message in it (onnx.proto, "onnx/onnx.proto3").
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
}
_TYPE, _FLOATS, _NAME, _RAW, _DOUBLES, _EXTERNAL, _LOCATION = 2, 4, 8, 9, 10, 13, 14
_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def check_tensors(data: bytes, path: Path) -> None:
    """Refuse an ONNX file with a tensor in another file, or with numbers that are not finite.

    A constant of one infinity is allowed: some graphs mask with it.
    """
    try:
        for tensor in _tensors(memoryview(data)):
            fields = list(_fields(tensor))
            name = next((bytes(value).decode(errors="replace") for key, value in fields if key == _NAME and value), "")  # type: ignore[arg-type]
            if any(key == _EXTERNAL or (key == _LOCATION and value) for key, value in fields):
                raise ResLabError(
                    f"{path} keeps its tensor {name[:60]!r} in another file, and a model is one file here",
                    "save it with all weights inside: onnx.save(onnx.load(path), path)",
                )
            if not _finite(fields):
                raise ResLabError(
                    f"{path} is no trained network: its tensor {name[:60]!r} holds numbers that are not finite"
                )
    except (ValueError, IndexError, TypeError):
        raise ResLabError(f"{path} is damaged or not an ONNX model") from None


def _tensors(data: memoryview) -> Iterator[memoryview]:
    waiting = [("model", data)]
    while waiting:
        kind, message = waiting.pop()
        if kind == "tensor":
            yield message
            continue
        inner = _FIELDS[kind]
        for key, value in _fields(message):
            if key in inner and isinstance(value, memoryview):
                waiting.append((inner[key], value))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; raises where the bytes are not protobuf."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind not in (_BYTES, _EIGHT, _FOUR):
            raise ValueError("a group, which ONNX does not use")
        length, at = _varint(message, at) if kind == _BYTES else ({_EIGHT: 8, _FOUR: 4}[kind], at)
        if at + length > end:
            raise ValueError("truncated")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number beyond 64 bits")


def _finite(fields: list[tuple[int, int | memoryview]]) -> bool:
    kind = next((value for key, value in fields if key == _TYPE), 0)
    types = {_RAW: _TYPES.get(kind), _FLOATS: "<f4", _DOUBLES: "<f8"}  # type: ignore[arg-type]
    for key, value in fields:
        if isinstance(value, memoryview) and (dtype := types.get(key)):
            numbers = np.frombuffer(value, dtype, len(value) // np.dtype(dtype).itemsize)
            if not np.isfinite(numbers).all() and (len(numbers) > 1 or np.isnan(numbers).any()):
                return False
    return True
