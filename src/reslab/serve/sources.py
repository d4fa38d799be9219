"""The models that a server is started with: their names, their files, and whether a file has changed since."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.engine.base import Engine
from reslab.engine.open import find_model
from reslab.errors import ResLabError
from reslab.model.run import MODEL_NAME

POLL_SECONDS = 1.0
"""How often files are looked at."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SUFFIXES = (".onnx", ".safetensors", ".xml")
_MOST = 64  # models of one server

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Source:
    """A model by name, and how to open its file."""

    name: str
    path: Path
    open: Callable[[], Engine]


class Watch:
    """Notices that model files have changed. It is created before they are first opened."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self._opened = {source.name: _stamp(source.path) for source in sources}
        self._latest = dict(self._opened)

    def changed(self, at_once: bool = False) -> list[Source]:
        """The models to open again: those whose file has changed and then stood still since the call before.

        Args:
            at_once: all of them, whatever their files look like.
        """
        found = []
        for source in self.sources:
            now = _stamp(source.path)
            still = now == self._latest[source.name]
            self._latest[source.name] = now
            if at_once or (still and now != self._opened[source.name]):
                self._opened[source.name] = now
                found.append(source)
        return found


def named_models(words: Sequence[str]) -> dict[str, Path]:
    """Name -> model file, in order.

    Args:
        words: each a MODEL, named after its file or run folder, NAME=MODEL, or a folder with several models in it.

    Raises:
        ResLabError: there is no such model, a name is not plain or occurs twice, or there are too many.
    """
    found: dict[str, Path] = {}
    for name, path in [pair for word in words for pair in _named(word)]:
        if not _NAME.fullmatch(name):
            raise ResLabError(
                f"{name!r} cannot be the name of a model", "letters, digits, '.', '_' and '-', up to 64: NAME=MODEL"
            )
        if name in found:
            raise ResLabError(f"two models are called {name}", "give names: one=MODEL two=MODEL")
        found[name] = path
    if len(found) > _MOST:
        raise ResLabError(f"{len(found)} models are too many for one server", f"it serves up to {_MOST}")
    return found


def _named(word: str) -> list[tuple[str, Path]]:
    name, equals, model = word.partition("=")
    if equals and not Path(word).exists():
        return [(name, find_model(model))]
    folder = Path(word)
    if folder.is_dir() and not (folder / MODEL_NAME).is_file():
        inside = [
            path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES or (path / MODEL_NAME).is_file()
        ]
        if inside:
            return [(_name_of(path), find_model(path)) for path in inside]
    return [(_name_of(folder if folder.is_dir() else find_model(word)), find_model(word))]


def _name_of(path: Path) -> str:
    """The name of a run folder, or of a file without its suffix, as far as it is plain."""
    name = path.resolve().name if path.is_dir() else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "model"


def _stamp(path: Path) -> Stamp:
    """What changes with a file's content: time, size and number of the file and of the weights beside it (OpenVINO)."""
    stamps = []
    for file in (path, path.with_suffix(".bin")):
        try:
            found = file.stat()
            stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        except OSError:
            stamps.append((0, 0, 0))
    return tuple(stamps)
