"""Open a MODEL argument as an engine: a file, a run folder, `latest`, or the name of a packaged model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from reslab.data.sources import path_of
from reslab.engine.base import CheckpointAssumptions
from reslab.errors import ResLabError, nearest
from reslab.model.file import is_foreign
from reslab.model.run import MODEL_NAME, PACKAGED, RUNS, packaged_file


def find_model(model: str | Path, runs: Path = RUNS) -> Path:
    """The model file that `model` stands for.

    Raises:
        ResLabError: there is none.
    """
    path = path_of(model, "MODEL")
    if str(model) == "latest":
        found = sorted(runs.glob(f"*/{MODEL_NAME}"), key=lambda p: (p.stat().st_mtime_ns, p))
        if not found:
            raise ResLabError(f"there is no trained model under {runs}", "train one: reslab train DATA, or reslab demo")
        return found[-1]
    if path.is_dir():
        if not (path / MODEL_NAME).is_file():
            raise ResLabError(f"{path} holds no {MODEL_NAME}", "give a run folder whose training got past one epoch")
        return path / MODEL_NAME
    if path.is_file():
        return path
    if str(model) in PACKAGED:
        return packaged_file(str(model), ".onnx")
    known = f"MODEL is a .safetensors or .onnx file, a run folder, latest, or {', '.join(PACKAGED)}"
    raise ResLabError(f"there is no model {model}", nearest(str(model), PACKAGED, otherwise=known))


EngineName = Literal["auto", "fastest", "torch", "onnxruntime", "openvino"]
"""The library that computes: `auto` chooses by the kind of file, `fastest` by timing those that are installed and can read it."""


def open_engine(model: str | Path, assumed: CheckpointAssumptions | None = None, engine: EngineName = "auto") -> Any:
    """The engine for a model, chosen by the kind of file.

    Args:
        assumed: what a foreign checkpoint does not say itself.
        engine: the library, where a file leaves a choice, as an ONNX file does.

    Raises:
        ResLabError: there is no such model, the library cannot read it or is not installed.
    """
    path = find_model(model)
    if path.suffix == ".pt2":
        raise ResLabError(
            f"{path} is a torch.export program: loading it runs its code, so ResLab writes such files and never opens them",
            "export the model as .onnx and use that",
        )
    readers: dict[str, dict[EngineName, Callable[[Path], Any]]] = {
        ".onnx": {"auto": _exported, "fastest": _fastest, "onnxruntime": _onnxruntime, "openvino": _openvino},
        ".xml": {"auto": _openvino, "fastest": _openvino, "openvino": _openvino},
    }
    ours: dict[EngineName, Callable[[Path], Any]] = {"auto": _torch, "fastest": _torch, "torch": _torch}
    if is_foreign(path):
        ours = dict.fromkeys(ours, lambda path: _foreign(path, assumed or CheckpointAssumptions()))
    known = readers.get(path.suffix, ours)
    if engine not in known:
        names = [name for name in known if name not in ("auto", "fastest")]
        raise ResLabError(f"{engine} cannot read {path}", f"--engine {' or '.join(names)}, or leave it out")
    return known[engine](path)


def _onnxruntime(path: Path) -> Any:
    from reslab.engine.onnx import open_exported

    return open_exported(path)


def _exported(path: Path) -> Any:
    engine = _onnxruntime(path)
    int8 = (engine.certificate or {}).get("int8", {}).get("reasons") == []
    return _openvino(path) if int8 and find_spec("openvino") else engine  # some four times as fast in int8 (LOG.md)


def _fastest(path: Path) -> Any:
    engine = _exported(path)
    if engine.name == "openvino" or not find_spec("openvino"):
        return engine
    from reslab.engine.fastest import choose_fastest

    return choose_fastest(engine, _openvino(path))


@contextmanager
def _needs(path: Path, package: str, extra: str) -> Iterator[None]:
    """Turn a missing library into one sentence."""
    try:
        yield
    except ImportError:
        raise ResLabError(f"{path} needs {package}", f"pip install 'reslab[{extra}]'") from None


def _openvino(path: Path) -> Any:
    with _needs(path, "OpenVINO", "openvino"):
        from reslab.engine.openvino import open_openvino
    return open_openvino(path)


def _foreign(path: Path, assumed: CheckpointAssumptions) -> Any:
    with _needs(path, "PyTorch", "train"):
        from reslab.engine.checkpoint import open_foreign
    return open_foreign(path, assumed)


def _torch(path: Path) -> Any:
    with _needs(path, "PyTorch", "train"):
        from reslab.engine.torch import open_torch
    return open_torch(path)
