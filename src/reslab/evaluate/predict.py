"""Answers for single pictures: files, folders, globs, bytes or arrays, one row per input, whatever happens to it."""

import glob
import io
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.data.archives.open import is_archive, stream_archive
from reslab.data.catalog import Picture
from reslab.data.folder import picture_files
from reslab.engine.base import CheckpointAssumptions, Engine, Outputs, probabilities, stream_outputs
from reslab.engine.open import EngineName, open_engine
from reslab.errors import BadPicture, NoAnswer, ResLabError
from reslab.evaluate.outliers import OutlierScorer
from reslab.metrics.conformal import Method, check_coverage, prediction_sets
from reslab.model.file import Header
from reslab.pixels.decode import printable
from reslab.pixels.encode import encode_picture
from reslab.tasks.table import task_named
from reslab.tasks.task import require

TOP = 5

Input = Any
"""A path, folder, archive, URL or pattern (str or PathLike); or one picture: the content of a file (bytes), a file opened in
binary mode, a uint8 array `[height, width, 3]`, a uint8 tensor `[3, height, width]`, or a picture of Pillow's."""

_ONE = (str, bytes, bytearray, memoryview, os.PathLike, np.ndarray, Image.Image)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer, or the reason why there is none."""

    path: str
    label: str | None
    """Where a picture may have several labels, all that are answered, as in `cat;outdoor`; empty where none is."""
    probability: float | None
    """Calibrated; None where there may be several labels, each with its own."""
    top: tuple[tuple[str, float], ...]
    """The five likeliest labels, best first."""
    accepted: bool | None = None
    """Neither of the two doubts below; None where the model has no thresholds."""
    prediction_set: tuple[str, ...] | None = None
    """Labels of which one is right with the promised probability, likeliest first; empty where none is likely enough."""
    error: str | None = None
    labels: tuple[tuple[str, float], ...] | None = None
    """The labels whose probability reaches their threshold, with it; None where a picture has exactly one label."""
    may_be_wrong: bool | None = None
    """The probability is below the model's threshold."""
    not_from_here: bool | None = None
    """The picture is unlike those of the training: its outlier score is above the model's threshold."""
    outlier_score: float | None = None

    @property
    def doubt(self) -> str:
        """What the model doubts about its answer; empty where nothing, or where it has no thresholds."""
        return "not from here" if self.not_from_here else "may be wrong" if self.may_be_wrong else ""

    @property
    def answered(self) -> tuple[tuple[str, float], ...]:
        """The labels that are answered, each with its probability: one, several or none."""
        return self.top[:1] if self.labels is None else self.labels


@dataclass(frozen=True, slots=True)
class SetOptions:
    """Which prediction sets are answered."""

    coverage: float = 0.95
    """Probability that a set contains the true label: 0.9, 0.95 or 0.99."""
    method: Method = "lac"


class Model:
    """A loaded model: `reslab.load("model.safetensors").predict(["a.jpg"])`."""

    def __init__(self, engine: Engine, sets: SetOptions | None = None) -> None:
        """With `sets`, a model that cannot answer such sets is refused.

        Raises:
            ResLabError: its file holds no quantiles for them.
        """
        self.engine, self.sets = engine, sets or SetOptions()
        self._scorer = OutlierScorer(engine)
        if sets:
            self._refuse(sets)

    @property
    def header(self) -> Header:
        return self.engine.header

    def predict(self, inputs: Input | Iterable[Input], workers: int | None = None) -> list[Prediction]:
        """Answer for one input or several (`Input`): a row for each, with the reason where there is no answer."""
        return list(self.stream(inputs, workers))

    def stream(self, inputs: Input | Iterable[Input], workers: int | None = None) -> Iterator[Prediction]:
        """The same, one by one, in constant memory."""
        return self.answer(expand(inputs), workers)

    def answer(self, pictures: Iterable[Picture], workers: int | None = None) -> Iterator[Prediction]:
        """The same for what `expand` gives."""
        names: deque[str] = deque()

        def listed() -> Iterator[Picture]:
            for picture in pictures:
                names.append(picture.key)
                yield picture

        for block, outputs in stream_outputs(self.engine, listed(), workers, embed=self.needs_features):
            for index, row in zip(
                block.indices, self.rows([names.popleft() for _ in block.indices], outputs), strict=True
            ):
                error = block.errors.get(int(index))
                yield row if error is None else failed(row.path, error)

    @property
    def needs_features(self) -> bool:
        """Whether `rows` judges features too."""
        return self._scorer.needs_features

    def rows(self, names: Sequence[str], outputs: Outputs) -> Iterator[Prediction]:
        """The answers for some pictures."""
        rows, outliers = probabilities(self.engine, outputs.logits), self._scorer.scores(outputs)
        sets = self._sets(rows)
        for i, name in enumerate(names):
            answer = self._row(name, outputs.logits[i], rows[i])
            yield answer if answer.error else self._doubted(answer, sets[i], None if outliers is None else outliers[i])

    def _doubted(self, answer: Prediction, labels: tuple[str, ...] | None, outlier: float | None) -> Prediction:
        """The answer with what the model thinks of it."""
        rejection = self.header.calibration.rejection
        if rejection is None or answer.probability is None:
            return replace(answer, prediction_set=labels)
        wrong = answer.probability < rejection.min_confidence
        strange = None if outlier is None or rejection.max_outlier is None else bool(outlier > rejection.max_outlier)
        return replace(
            answer, accepted=not (wrong or strange), prediction_set=labels, may_be_wrong=wrong, not_from_here=strange,
            outlier_score=None if outlier is None else float(outlier),
        )  # fmt: skip

    def _sets(self, rows: np.ndarray) -> list[tuple[str, ...] | None]:
        found, classes = self.header.calibration.conformal, self.header.classes
        if found is None:
            return [None] * len(rows)
        inside = prediction_sets(rows, found, self.sets.coverage, self.sets.method)
        orders = np.argsort(-rows, axis=1, kind="stable")
        return [tuple(classes[k] for k in order if row[k]) for order, row in zip(orders, inside, strict=True)]

    def _refuse(self, sets: SetOptions) -> None:
        require(task_named(self.header.task), "prediction sets", "a prediction set")
        check_coverage(sets.coverage)
        if self.header.calibration.conformal is None:
            raise ResLabError(
                "this model file holds no quantiles for prediction sets: nothing was set aside to fit them, or an older "
                "version wrote it",
                "train it with validation pictures, or with --folds",
            )
        self._sets(np.full((1, len(self.header.classes)), 1 / len(self.header.classes)))

    def _row(self, name: str, logits: np.ndarray, row: np.ndarray) -> Prediction:
        """The answer for one picture from its logits and probabilities, each `[classes]`.

        Ranked by logits: probabilities may be equal where they saturate.
        """
        if not np.isfinite(logits).all():
            return failed(name, NoAnswer(name))
        order = np.argsort(-logits, kind="stable")[:TOP]
        top = tuple((self.header.classes[i], float(row[i])) for i in order)
        answer = task_named(self.header.task).decide(logits, row, self.header.classes, self.header.thresholds)
        return Prediction(name, answer.label, answer.probability, top, labels=answer.labels)


def load_model(
    model: str | Path,
    assumed: CheckpointAssumptions | None = None,
    engine: EngineName = "auto",
    sets: SetOptions | None = None,
) -> Model:
    """Open a model file, a run folder, `latest`, a packaged model, or a checkpoint of another library (see `assumed`).

    Args:
        sets: which prediction sets it answers; by default those of 95 %, where the file holds them.
    """
    return Model(open_engine(model, assumed, engine), sets)


def expand(inputs: Input | Iterable[Input]) -> Iterator[Picture]:
    """Every input as a picture to read; a folder or a pattern becomes all pictures in it, an empty one itself.

    Nothing is raised here: what cannot be found or is no picture says so when it is read.
    """
    for number, item in enumerate([inputs] if _is_one(inputs) else inputs):
        if isinstance(item, str | os.PathLike) and is_archive(item):
            yield from _inside(os.fsdecode(item))
        elif isinstance(item, str | os.PathLike):
            for found in _found(os.fsdecode(item)):
                name = found.name if isinstance(found, BadPicture) else printable(found)
                yield Picture(name, found, "")
        else:
            yield _given(item, number)


def _inside(written: str) -> Iterator[Picture]:
    """The pictures of an archive, without what it says about them; or why there are none."""
    try:
        yield from as_inputs(written, stream_archive(written))
    except ResLabError as error:
        yield Picture(printable(written), BadPicture(printable(written), error.message), "")


def as_inputs(written: str, pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Pictures of an archive as `expand` gives them: named by the archive and their key, without labels."""
    for picture in pictures:
        yield Picture(f"{printable(written).rstrip('/')}/{picture.key}", picture.source, "", box=picture.box)


def _is_one(inputs: Any) -> bool:
    """Whether this is one input; what can be iterated, an array of names included, is several."""
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "UO":
        return False
    return isinstance(inputs, _ONE) or _is_open_file(inputs) or _is_tensor(inputs) or not hasattr(inputs, "__iter__")


def _given(item: Any, number: int) -> Picture:
    """A picture that is no path."""
    name = f"<{type(item).__name__} {number}>"
    try:
        if isinstance(item, bytes | bytearray | memoryview):
            return Picture(f"<bytes {number}>", bytes(item), "")
        if _is_open_file(item):
            return Picture(name, _content(item, name), "")
        if isinstance(item, Image.Image):
            return Picture(name, _as_png(item), "")
        if isinstance(item, np.ndarray) or _is_tensor(item):
            name = f"<array {number}>" if isinstance(item, np.ndarray) else name
            return Picture(name, _pixels(item, name), "")
    except BadPicture as error:
        return Picture(name, error, "")
    except Exception as error:  # a closed file, a picture whose file is damaged, a tensor that needs its gradient
        return Picture(name, BadPicture(name, f"it cannot be read: {error}"), "")
    return Picture(name, BadPicture(name, f"neither a path nor a picture, but {type(item).__name__}: {item!r:.40}"), "")


def _content(file: Any, name: str) -> bytes:
    content = b"" if isinstance(file, io.TextIOBase) else file.read()
    if isinstance(file, io.TextIOBase) or not isinstance(content, bytes):
        raise BadPicture(name, 'the file is opened as text; open it with "rb"')
    return content


def _as_png(image: Image.Image) -> bytes:
    """A picture of Pillow's without loss, so that the one decoder decides what is seen."""
    kept = {"exif": image.info["exif"]} if "exif" in image.info else {}
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX", "La", "RGBa", "PA"):
        image = image.convert("RGBA" if image.mode in ("La", "RGBa", "PA") else "RGB")
    if image.mode in ("F", "I"):
        return encode_picture(image, "TIFF")
    return encode_picture(image, compress_level=1, **kept)


def _pixels(item: Any, name: str) -> np.ndarray:
    """uint8 `[height, width, 3]`."""
    given = item if isinstance(item, np.ndarray) else item.detach().cpu().numpy()
    planes = given is not item and given.ndim == 3 and given.shape[0] == 3  # as PyTorch has them
    pixels = given.transpose(1, 2, 0) if planes else given
    if not (pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size):
        form = (
            "an array must be uint8 [height, width, 3]"
            if given is item
            else "a tensor must be uint8 [3, height, width]"
        )
        several = "; of several pictures, give a list" if given.ndim == 4 else ""
        raise BadPicture(name, f"{form}, not {given.dtype} {list(given.shape)}{several}")
    return pixels


def _is_open_file(item: Any) -> bool:
    return hasattr(item, "read") and not isinstance(item, os.PathLike)


def _is_tensor(item: Any) -> bool:
    return hasattr(item, "detach") and hasattr(item, "numpy")


def _found(written: str) -> Iterator[Path | BadPicture]:
    """What a path stands for: files, or why there are none."""
    try:
        if not written:
            raise BadPicture("", "the path is empty")
        yield from _listed(written)
    except BadPicture as error:
        yield error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"it is no path: {error}"
        yield BadPicture(printable(written), reason[0].lower() + reason[1:])


def _listed(written: str) -> Iterator[Path | BadPicture]:
    path = Path(written)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        path = path if path.is_symlink() else Path(os.path.expanduser(written))  # noqa: PTH111  ~ may be a file's name
        mode = path.stat().st_mode if path != Path(written) and path.exists() else None
    if mode is None and glob.has_magic(written):
        matches = sorted(glob.glob(written, recursive=True))  # noqa: PTH207  patterns may be absolute
        files = [m for m in matches if not ("**" in written and os.path.isdir(m))]  # noqa: PTH112  ** has looked into them
        for match in files:
            yield from _found(match)
        if files:
            return
    if mode is None or stat.S_ISREG(mode):
        yield path  # of what is missing, the decoder says what it is
    elif stat.S_ISDIR(mode):
        first = None
        for first in picture_files(path):
            yield first
        if first is None:
            yield BadPicture(printable(path), "the folder holds no picture")
    else:
        yield BadPicture(printable(path), "it is a pipe, a socket or a device, not a file")


def failed(name: str, error: BadPicture) -> Prediction:
    """The row of a picture that cannot be read."""
    return Prediction(name, None, None, (), error=error.reason)
