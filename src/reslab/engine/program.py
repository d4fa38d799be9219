"""The engine for `torch.export` programs: PyTorch without our source of the network."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from reslab.engine.exported import planes
from reslab.errors import ResLabError
from reslab.modelfile import CERTIFICATE_KEY, KEY, SEEN_KEY, Carried, carried


class ProgramEngine:
    """Answers with an exported program, whose values are `export.graph.OUTPUTS` by position."""

    name = "torch.export"

    def __init__(self, program: ExportedProgram, told: Carried, sha256: str) -> None:
        self.sha256 = sha256
        self.header, self.seen, self.certificate = told.header, told.seen, told.certificate
        self._module = program.module()
        (taken,) = program.graph_signature.user_inputs
        self._floats = next(n for n in program.graph.nodes if n.name == taken).meta["val"].dtype == torch.float32

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return self._run(pixels)[0].numpy()

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return self._run(pixels)[2].numpy()

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        size = self.header.preprocess.size
        weight, bias = self._run(np.zeros((1, size, size, 3), np.uint8))[3:]
        return weight.numpy(), bias.numpy()

    def _run(self, pixels: np.ndarray) -> tuple[Any, ...]:
        with torch.inference_mode():
            return self._module(torch.from_numpy(planes(pixels) if self._floats else pixels))


def open_program(path: Path) -> ProgramEngine:
    """The engine of a `model.pt2` that ResLab wrote.

    Raises:
        ResLabError: it is damaged, or not ours.
    """
    told = dict.fromkeys((KEY, SEEN_KEY, CERTIFICATE_KEY), "")
    try:
        data = path.read_bytes()
        program = torch.export.load(io.BytesIO(data), extra_files=told)
    except OSError as error:
        raise ResLabError(f"cannot open the model {path}: {error.strerror or error}") from None
    except Exception as error:  # zip, JSON and schema errors alike
        raise ResLabError(f"{path} is damaged or no exported program: {str(error).splitlines()[0]}") from None
    return ProgramEngine(program, carried(told, path), hashlib.sha256(data).hexdigest())
