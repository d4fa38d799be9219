"""The three formats of an exported model: an ONNX file, OpenVINO's pair of files, a `torch.export` program."""

import hashlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch.export import ExportedProgram

from reslab.engine.base import Engine
from reslab.engine.onnx import from_bytes, to_planes
from reslab.errors import ResLabError
from reslab.export.graph import OnnxGraph
from reslab.model.file import ModelMetadata, encode_metadata
from reslab.system.files import write_atomically


@dataclass(frozen=True, slots=True)
class Draft:
    """An exported model before it is written: an engine to test it with, and a function that writes it."""

    engine: Engine
    write: Callable[[Path, dict[str, Any]], None]
    """Takes the path and the certificate."""


def read_graph(path: Path) -> OnnxGraph:
    """The graph of an ONNX file."""
    return onnx.load(path)


def as_onnx(graph: OnnxGraph, metadata: ModelMetadata) -> Draft:
    def write(path: Path, certificate: dict[str, Any]) -> None:
        _set_metadata(graph, metadata, certificate)
        write_atomically(path, graph.SerializeToString())

    _set_metadata(graph, metadata)
    return Draft(from_bytes(graph.SerializeToString(), Path("the exported graph")), write)


def as_openvino(graph: OnnxGraph, metadata: ModelMetadata) -> Draft:
    try:
        from reslab.engine.openvino import METADATA_SECTION, OpenvinoEngine, openvino
    except ImportError:
        raise ResLabError("this format needs OpenVINO", "pip install 'reslab[openvino]'") from None

    _set_metadata(graph, metadata)
    engine = OpenvinoEngine(graph.SerializeToString(), b"", Path("the exported graph"))
    model = engine.model

    def write(path: Path, certificate: dict[str, Any]) -> None:
        for key, text in encode_metadata(metadata.header, metadata.seen, certificate).items():
            model.set_rt_info(text, [METADATA_SECTION, key])
        with tempfile.TemporaryDirectory(prefix="reslab-export-") as folder:
            files = Path(folder) / "model.xml", Path(folder) / "model.bin"
            openvino.save_model(model, files[0], compress_to_fp16=False)  # its default would halve the digits
            for file, place in zip(reversed(files), (path.with_suffix(".bin"), path), strict=True):
                write_atomically(place, file.read_bytes())

    return Draft(engine, write)


class _Program:
    """A `torch.export` program in memory, to compare it with the network. Its file is never opened: it is code."""

    name, explains = "torch.export", False

    def __init__(self, program: ExportedProgram, metadata: ModelMetadata) -> None:
        self.header, self.seen, self.sha256 = metadata.header, metadata.seen, ""
        self._module = program.module()
        (taken,) = program.graph_signature.user_inputs
        self._floats = next(n for n in program.graph.nodes if n.name == taken).meta["val"].dtype == torch.float32

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._module(torch.from_numpy(to_planes(pixels) if self._floats else pixels))[0].numpy()


def as_program(program: ExportedProgram, metadata: ModelMetadata) -> Draft:
    engine = _Program(program, metadata)

    def write(path: Path, certificate: dict[str, Any]) -> None:
        file = io.BytesIO()
        torch.export.save(program, file, extra_files=encode_metadata(metadata.header, metadata.seen, certificate))
        write_atomically(path, file.getvalue())
        engine.sha256 = hashlib.sha256(file.getvalue()).hexdigest()

    return Draft(engine, write)


def _set_metadata(graph: OnnxGraph, metadata: ModelMetadata, certificate: dict[str, Any] | None = None) -> None:
    onnx.helper.set_model_props(graph, encode_metadata(metadata.header, metadata.seen, certificate))
