"""The three forms an exported model may have: an ONNX file, OpenVINO's pair of files, a `torch.export` program."""

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
from reslab.engine.onnx import from_bytes, planes
from reslab.errors import ResLabError
from reslab.export.graph import OnnxGraph
from reslab.model.file import Carried, metadata_of
from reslab.system.files import write_atomically


@dataclass(frozen=True, slots=True)
class Draft:
    """A model that is not written yet: an engine to try it with, and what writes it."""

    engine: Engine
    write: Callable[[Path, dict[str, Any]], None]
    """Gets the path and the certificate."""


def read_graph(path: Path) -> OnnxGraph:
    """The graph of an ONNX file."""
    return onnx.load(path)


def as_onnx(graph: OnnxGraph, told: Carried) -> Draft:
    def write(path: Path, certificate: dict[str, Any]) -> None:
        _inscribe(graph, told, certificate)
        write_atomically(path, graph.SerializeToString())

    _inscribe(graph, told)
    return Draft(from_bytes(graph.SerializeToString(), Path("the exported graph")), write)


def as_openvino(graph: OnnxGraph, told: Carried) -> Draft:
    try:
        from reslab.engine.openvino import PLACE, OpenvinoEngine, openvino
    except ImportError:
        raise ResLabError("this form needs OpenVINO", "pip install 'reslab[openvino]'") from None

    _inscribe(graph, told)
    engine = OpenvinoEngine(graph.SerializeToString(), b"", Path("the exported graph"))
    model = engine.model

    def write(path: Path, certificate: dict[str, Any]) -> None:
        for key, text in metadata_of(told.header, told.seen, certificate).items():
            model.set_rt_info(text, [PLACE, key])
        with tempfile.TemporaryDirectory(prefix="reslab-export-") as folder:
            files = Path(folder) / "model.xml", Path(folder) / "model.bin"
            openvino.save_model(model, files[0], compress_to_fp16=False)  # its default would halve the digits
            for file, place in zip(reversed(files), (path.with_suffix(".bin"), path), strict=True):
                write_atomically(place, file.read_bytes())

    return Draft(engine, write)


class _Program:
    """A `torch.export` program in memory, to compare it with the network. Its file is never opened here: it is code."""

    name = "torch.export"

    def __init__(self, program: ExportedProgram, told: Carried) -> None:
        self.header, self.seen, self.sha256 = told.header, told.seen, ""
        self._module = program.module()
        (taken,) = program.graph_signature.user_inputs
        self._floats = next(n for n in program.graph.nodes if n.name == taken).meta["val"].dtype == torch.float32

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._module(torch.from_numpy(planes(pixels) if self._floats else pixels))[0].numpy()


def as_program(program: ExportedProgram, told: Carried) -> Draft:
    engine = _Program(program, told)

    def write(path: Path, certificate: dict[str, Any]) -> None:
        file = io.BytesIO()
        torch.export.save(program, file, extra_files=metadata_of(told.header, told.seen, certificate))
        write_atomically(path, file.getvalue())
        engine.sha256 = hashlib.sha256(file.getvalue()).hexdigest()

    return Draft(engine, write)


def _inscribe(graph: OnnxGraph, told: Carried, certificate: dict[str, Any] | None = None) -> None:
    onnx.helper.set_model_props(graph, metadata_of(told.header, told.seen, certificate))
