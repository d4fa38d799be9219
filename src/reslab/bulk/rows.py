"""What the file of a part holds, verb by verb."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any, BinaryIO, Protocol

from reslab.bulk.job import Job
from reslab.bulk.parts import Part
from reslab.bulk.table import write_rows
from reslab.check.looks import Look, look_at_parts
from reslab.data.archives.open import is_archive, is_sharded
from reslab.engine.base import CheckpointAssumptions
from reslab.errors import ResLabError
from reslab.evaluate.feature_file import write_parquet
from reslab.evaluate.features import embed_pictures, part_table, require_features
from reslab.evaluate.predict import Model, Prediction, load_model
from reslab.model.file import header_digest
from reslab.pixels.decode import printable


class Rows(Protocol):
    """Makes the file of a part."""

    about: dict[str, Any]
    """All that decides the rows, besides DATA and the version."""

    def write(self, file: BinaryIO, part: Part, about: dict[str, Any]) -> tuple[int, int]:
        """Write the rows of a part: of how many pictures, and of how many of them there is no answer.

        Args:
            about: what the file is to say of itself.

        Raises:
            ResLabError: the part cannot be read.
        """
        ...


def rows_of(job: Job, on_message: Callable[[str], None]) -> Rows:
    """What makes the files of a job.

    Args:
        on_message: told what is guessed about a checkpoint of another library.

    Raises:
        ResLabError: the model cannot be opened, or gives no features; DATA are no shards, where they must be.
    """
    if job.verb == "check":
        _require_shards(job.data)
        return _Looks(job)
    assumed = replace(job.assumed or CheckpointAssumptions(), on_message=on_message)
    opened = load_model(job.model, assumed, job.engine, job.sets)
    if job.verb == "predict":
        return _Predictions(job, opened)
    require_features(opened.engine)
    _require_shards(job.data)
    return _Features(job, opened)


class _Predictions:
    """Those of `predict`."""

    def __init__(self, job: Job, opened: Model) -> None:
        self._opened, self._workers, self.about = opened, job.workers, _about(opened)

    def write(self, file: BinaryIO, part: Part, about: dict[str, Any]) -> tuple[int, int]:
        failed = 0

        def counted() -> Iterator[Prediction]:
            nonlocal failed
            for row in self._opened.answer(part.inputs(), self._workers):
                failed += row.error is not None
                yield row

        return write_rows(file, counted(), Prediction, about), failed


class _Features:
    """Those of `embed`; a picture without an answer has no row."""

    def __init__(self, job: Job, opened: Model) -> None:
        self._engine, self._workers, self.about = opened.engine, job.workers, _about(opened)

    def write(self, file: BinaryIO, part: Part, about: dict[str, Any]) -> tuple[int, int]:
        pictures = list(part.pictures())
        found = embed_pictures(self._engine, pictures, workers=self._workers)
        write_parquet(file, part_table(self._engine, pictures, about["data"], None, found), about)
        return len(pictures), len(found.errors)


class _Looks:
    """What `check --near` keeps of each picture."""

    def __init__(self, job: Job) -> None:
        self._deep, self._workers, self.about = job.deep, job.workers, {"deep": job.deep}

    def write(self, file: BinaryIO, part: Part, about: dict[str, Any]) -> tuple[int, int]:
        failed = 0

        def counted() -> Iterator[Look]:
            nonlocal failed
            for look in look_at_parts(part.pictures(), self._deep, self._workers):
                failed += not look.name
                yield look

        return write_rows(file, counted(), Look, about), failed


def _about(opened: Model) -> dict[str, Any]:
    engine = opened.engine
    return {
        "model": engine.sha256, "header": header_digest(opened.header), "engine": engine.name, "sets": asdict(opened.sets),
    }  # fmt: skip


def _require_shards(data: str) -> None:
    if not (is_archive(data) and is_sharded(data)):
        raise ResLabError(f"{printable(data)} are no shards", "reslab shard DATA SHARDS")
