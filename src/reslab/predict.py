"""Answers for single pictures: files, folders, globs, bytes or arrays, one row per input, whatever happens to it."""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reslab.data.catalog import SEPARATOR, Picture
from reslab.data.folder import picture_files
from reslab.data.reader import load
from reslab.engine.choose import EngineName, open_engine
from reslab.engine.face import Assumed, Engine, answers, probabilities
from reslab.errors import BadPicture, NoAnswer
from reslab.modelfile import Header
from reslab.pixels.decode import printable

TOP = 5

Input = str | os.PathLike | bytes | np.ndarray


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer, or the reason why there is none."""

    path: str
    label: str | None
    """Where a picture may bear several labels, all that are answered, as in `cat;outdoor`; empty where none is."""
    probability: float | None
    """Calibrated; None where there may be several labels, each with its own."""
    top: tuple[tuple[str, float], ...]
    """The five likeliest labels, best first."""
    accepted: bool | None = None
    """Whether the answer passes the model's reject threshold; None until it has one."""
    prediction_set: tuple[str, ...] | None = None
    error: str | None = None
    labels: tuple[tuple[str, float], ...] | None = None
    """The labels whose probability reaches their threshold, with it; None where a picture has exactly one label."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model: `reslab.load("model.safetensors").predict(["a.jpg"])`."""

    engine: Engine

    @property
    def header(self) -> Header:
        return self.engine.header

    def predict(self, inputs: Input | Iterable[Input], workers: int | None = None) -> list[Prediction]:
        """Answer for pictures given as paths, folders, globs, file contents or uint8 `[height, width, 3]` arrays."""
        alone = isinstance(inputs, str | os.PathLike | bytes | np.ndarray)
        return list(self.stream([inputs] if alone else inputs, workers))

    def stream(self, inputs: Iterable[Input], workers: int | None = None) -> Iterator[Prediction]:
        """The same, one by one, in constant memory."""
        return self.answer(expand(inputs), workers)

    def answer(self, pictures: Iterable[Picture], workers: int | None = None) -> Iterator[Prediction]:
        """The same for what `expand` gives."""
        names: deque[str] = deque()

        def listed() -> Iterator[Picture]:
            for picture in pictures:
                names.append(picture.key)
                yield picture

        for block, logits in answers(self.engine, listed(), workers, _read):
            rows = probabilities(self.engine, logits)
            for index, scores, row in zip(block.indices, logits, rows, strict=True):
                name = names.popleft()
                error = block.errors.get(int(index))
                yield self.row(name, scores, row) if error is None else failed(name, error)

    def row(self, name: str, logits: np.ndarray, row: np.ndarray) -> Prediction:
        """The answer for one picture from its logits and probabilities, each `[classes]`.

        Ranked by logits: probabilities may be equal where they saturate.
        """
        if not np.isfinite(logits).all():
            return failed(name, NoAnswer(name))
        order = np.argsort(-logits, kind="stable")[:TOP]
        top = tuple((self.header.classes[i], float(row[i])) for i in order)
        if self.header.task == "single":
            return Prediction(name, top[0][0], top[0][1], top)
        found = zip(self.header.classes, row, self.header.thresholds, strict=True)
        labels = tuple((label, float(p)) for label, p, threshold in found if p >= threshold)
        return Prediction(name, SEPARATOR.join(label for label, _ in labels), None, top, labels=labels)


def load_model(model: str | Path, assumed: Assumed | None = None, engine: EngineName = "auto") -> Model:
    """Open a model file, a run folder, `latest`, a packaged model, or somebody else's checkpoint with what it assumes."""
    return Model(open_engine(model, assumed, engine))


def expand(inputs: Iterable[Input]) -> Iterator[Picture]:
    """Every input as a picture to read; a folder or a pattern becomes all pictures in it, an empty one itself."""
    for number, item in enumerate(inputs):
        if isinstance(item, bytes):
            yield Picture(f"<bytes {number}>", item, "")
        elif isinstance(item, np.ndarray):
            yield Picture(f"<array {number}>", item, "")
        else:
            for path in _paths(os.fspath(item)):
                yield Picture(printable(path), path, "")


def _paths(written: str) -> Iterator[Path]:
    """The files that a path stands for; the path itself where it stands for none, so that its row can say why."""
    found = _listed(written)
    yield next(found, Path(written))
    yield from found


def _listed(written: str) -> Iterator[Path]:
    path = Path(written)
    if path.is_dir():
        yield from picture_files(path)
    elif path.exists() or not glob.has_magic(written):
        yield path
    else:
        for match in sorted(glob.glob(written, recursive=True)):  # noqa: PTH207  patterns may be absolute
            if not ("**" in written and Path(match).is_dir()):  # ** has looked into its folders itself
                yield from _paths(match)


def _read(picture: Picture) -> np.ndarray:
    """Decode one input, or say why it cannot be a picture."""
    source = picture.source
    if isinstance(source, Path) and source.is_dir():
        raise BadPicture(picture.key, "the folder holds no picture")
    if isinstance(source, np.ndarray):
        is_picture = source.dtype == np.uint8 and source.ndim == 3 and source.shape[2] == 3 and source.size
        if not is_picture:
            given = f"{source.dtype} {list(source.shape)}"
            raise BadPicture(picture.key, f"an array must be uint8 [height, width, 3], not {given}")
    return load(picture)


def failed(name: str, error: BadPicture) -> Prediction:
    """The row of a picture that cannot be read."""
    return Prediction(name, None, None, (), error=error.reason)
