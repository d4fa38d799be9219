"""Optuna's study in a folder: what was tried and how it went, line by line, written by any number of processes."""

import os
from math import ceil
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError

LOG_NAME = "search.log"

_UNPRUNED = 3  # finished trials before one is stopped early


class _JournalLock:
    """The lock of the journal, Optuna's own; before a line is written, the half line of a process that died is cut off."""

    def __init__(self, path: Path) -> None:
        optuna = load_optuna()
        kind = optuna.storages.journal.JournalFileOpenLock  # a file that is created once: also where locks do not reach
        self._path, self._lock = path, kind(str(path))

    def acquire(self) -> bool:
        self._lock.acquire()
        if self._path.is_file():
            with self._path.open("r+b") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                if file.read() not in (b"", b"\n"):
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._lock.release()


def open_study(folder: Path, epochs: int = 1) -> Any:
    """Optuna's study in a folder, as far as it got."""
    optuna = load_optuna()
    path = folder / LOG_NAME
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_JournalLock(path))
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
