"""MODEL, as a person writes it, becomes an engine: a file, a run folder, `latest`, or the name of a packaged model."""

from pathlib import Path
from typing import Any

from reslab.engine.face import Assumed
from reslab.errors import ResLabError, nearest
from reslab.modelfile import is_foreign
from reslab.runfolder import MODEL_NAME, PACKAGED, RUNS, packaged


def find_model(model: str | Path, runs: Path = RUNS) -> Path:
    """The model file that `model` stands for.

    Raises:
        ResLabError: there is none.
    """
    path = Path(model)
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
        return packaged(str(model), ".onnx")
    known = f"MODEL is a .safetensors or .onnx file, a run folder, latest, or {', '.join(PACKAGED)}"
    close = nearest(str(model), PACKAGED)
    raise ResLabError(f"there is no model {model}", close if close.startswith("did") else known)


def open_engine(model: str | Path, assumed: Assumed | None = None) -> Any:
    """The engine for a model, chosen by what the file is.

    Args:
        assumed: what somebody else's checkpoint does not say itself.
    """
    path = find_model(model)
    if path.suffix == ".onnx":
        from reslab.engine.exported import open_exported

        return open_exported(path)
    if path.suffix == ".xml":
        return _openvino(path)
    try:  # PyTorch is needed for these kinds of file only
        if path.suffix == ".pt2":
            from reslab.engine.program import open_program

            return open_program(path)
        if is_foreign(path):
            from reslab.engine.foreign import open_foreign

            return open_foreign(path, assumed or Assumed())
        from reslab.engine.torch import open_torch
    except ImportError:
        raise ResLabError(f"{path} needs PyTorch", "pip install 'reslab[train]'") from None
    return open_torch(path)


def _openvino(path: Path) -> Any:
    try:
        from reslab.engine.openvino import open_openvino
    except ImportError:
        raise ResLabError(f"{path} needs OpenVINO", "pip install 'reslab[openvino]'") from None
    return open_openvino(path)
