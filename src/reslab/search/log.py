"""Optuna's study in a folder: what was tried and how it went, line by line."""

from math import ceil
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError
from reslab.system.files import write_atomically

LOG_NAME = "search.log"

_UNPRUNED = 3  # finished trials before one is stopped early


def open_study(folder: Path, epochs: int = 1) -> Any:
    """Optuna's study in a folder, as far as it got."""
    from filelock import FileLock

    optuna = load_optuna()
    path = folder / LOG_NAME
    if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):  # a crash in the middle of a line
        write_atomically(path, content[: content.rfind(b"\n") + 1])
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=FileLock(f"{path}.lock"))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED, n_warmup_steps=ceil(epochs / 2))
    try:
        storage = optuna.storages.JournalStorage(backend)
        return optuna.create_study(storage=storage, study_name="search", load_if_exists=True, pruner=pruner)
    except (ValueError, KeyError):  # a line that is no JSON, or none of Optuna's
        raise ResLabError(f"{path} is damaged", "choose another --out") from None


def load_optuna() -> Any:
    """Optuna, which is optional, with its own messages turned off: events say what happens."""
    try:
        import optuna
    except ImportError:
        raise ResLabError("a search needs Optuna", "pip install 'reslab[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
