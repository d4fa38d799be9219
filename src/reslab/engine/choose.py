"""MODEL, as a person writes it, becomes an engine: a file, a run folder, or `latest`."""

from pathlib import Path
from typing import Any

from reslab.errors import ResLabError
from reslab.runfolder import MODEL_NAME, RUNS


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
    if not path.is_file():
        raise ResLabError(f"there is no model {model}", "MODEL is a .safetensors file, a run folder, or latest")
    return path


def open_engine(model: str | Path) -> Any:
    """The engine for a model, chosen by what the file is."""
    path = find_model(model)
    try:  # PyTorch is needed for this kind of file only
        from reslab.engine.torch import open_torch
    except ImportError:
        raise ResLabError(f"{path} needs PyTorch", "pip install 'reslab[train]'") from None
    return open_torch(path)
