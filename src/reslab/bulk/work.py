"""Answers for any number of pictures: one Parquet file per part of DATA, written by any number of workers that share OUT alone.

    OUT/_reslab.json            what answers: model, options, version, data; of another one OUT is refused
    OUT/train-000000.parquet    the rows of one part, whole or absent
    OUT/.train-000001.claim     who is at work on the next one (`bulk.claims`)

What is missing is what is left to do. A part's name is given to a file once its rows are all in it, so a picture has one row
however often the work was broken off, and by however many it was done.
"""

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from reslab.bulk.claims import Claims
from reslab.bulk.job import Job
from reslab.bulk.parts import Part, parts_of
from reslab.bulk.rows import rows_of
from reslab.bulk.table import ANEW, read_rows
from reslab.check.looks import Look
from reslab.data.archives.parquet import need_pyarrow
from reslab.data.archives.places import Place, place_of
from reslab.data.catalog import Picture
from reslab.errors import ResLabError
from reslab.pixels.decode import printable
from reslab.system.events import ignore
from reslab.system.files import SCHEMA
from reslab.system.values import build, parse

ABOUT = "_reslab.json"
"""Its name begins as other programs expect of what is no part of a table."""

WAIT = 2.0
"""Seconds until a worker that has nothing to do looks again whether others have given up."""

_BEGUN_BY = {
    "reslab": "another version of ResLab", "kind": "another verb", "model": "another model", "engine": "another engine",
    "header": "other options for the model", "sets": "other prediction sets", "data": "another DATA",
    "pictures": "other pictures", "schema": "another version of ResLab", "deep": "another --deep",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """What has become of a part."""

    part: str
    rows: int = 0
    failed: int = 0
    """Rows without an answer."""
    error: str | None = None
    """Why the part as a whole cannot be answered."""


def everything(number: int) -> bool:
    """Every part is wanted."""
    return True


class Worker:
    """One worker, alone or beside others."""

    def __init__(self, job: Job, on_message: Callable[[str], None] = ignore) -> None:
        """Open the model, list the parts, and begin OUT if it is new.

        Args:
            on_message: told what is guessed about a checkpoint of another library.

        Raises:
            ResLabError: the model or the data cannot be opened, or give no features; OUT was begun by something else, or
                holds other files.
        """
        need_pyarrow()
        self._rows = rows_of(job, on_message)
        self.parts, self.place = parts_of(job.data), place_of(job.out)
        self._about = _about(job, self._rows.about, self.parts.digest)
        begin(self.place, self._about)

    def missing(self, wanted: Callable[[int], bool] = everything) -> list[int]:
        """The numbers of the parts that have no file yet."""
        there = self.place.sizes()
        return [number for number, part in enumerate(self.parts) if wanted(number) and _file(part) not in there]

    def work(self, wanted: Callable[[int], bool] = everything) -> Iterator[Done]:
        """Answer what is missing, until nothing is: what others have claimed is waited for, or taken over from the dead.

        Args:
            wanted: whether the part of this number is this worker's to do.

        Raises:
            ResLabError: OUT cannot be written, as where the disk is full.
        """
        claims, broken = Claims(self.place), set()
        while True:
            there, left, gained = self.place.sizes(), False, False
            for number, part in enumerate(self.parts):
                if not wanted(number) or part.name in broken or _file(part) in there:
                    continue
                left = True
                with claims.claimed(part.name) as mine:
                    there = self.place.sizes() if mine else there
                    done = self._answer(part) if mine and _file(part) not in there else None
                if done:
                    gained = True
                    broken |= {part.name} if done.error else set()
                    yield done
            if not left:
                claims.sweep({name.removesuffix(".parquet") for name in there})
                return
            if not gained:
                time.sleep(WAIT)

    def _answer(self, part: Part) -> Done:
        """Answer one part and write its file."""
        broken: ResLabError | None = None
        try:
            with self.place.writing(_file(part)) as file:
                try:
                    rows, failed = self._rows.write(file, part, self._about | {"part": part.name})
                except ResLabError as error:  # the part's, not that of the disk
                    broken = error
                    raise
        except ResLabError:
            if broken is None:
                raise
            return Done(part.name, error=broken.message)
        return Done(part.name, rows, failed)

    def looks(self) -> Iterator[tuple[Picture, Look]]:
        """Of a check whose files are all there: every picture, and what was seen of it.

        Raises:
            ResLabError: a file is damaged, or one of something else.
        """
        for part in self.parts:
            about, where = self._about | {"part": part.name}, self.place.named(_file(part))
            rows = read_rows(self.place.read(_file(part)), Look, about, where)
            try:
                yield from zip(part.pictures(), rows, strict=True)
            except ValueError:
                raise ResLabError(f"{where} has not one row for each picture", ANEW) from None


def _file(part: Part) -> str:
    return f"{part.name}.parquet"


def _about(job: Job, rows: dict[str, Any], pictures: str) -> dict[str, Any]:
    """All that decides the rows."""
    return {
        "schema": SCHEMA, "kind": f"reslab {job.verb}", "reslab": importlib.metadata.version("reslab"), **rows,
        "data": printable(job.data).rstrip("/"), "pictures": pictures,
    }  # fmt: skip


def begin(place: Place, about: dict[str, Any]) -> None:
    """Say in OUT what answers, or see that what is said there is the same.

    Raises:
        ResLabError: it is not; or OUT is no new or empty folder and holds no answers.
    """
    if ABOUT not in (found := place.sizes()):
        if strange := sorted(name for name in found if not name.startswith(".")):
            raise ResLabError(f"{place.where} is not empty: it holds {strange[0]}", "choose a new folder")
        if place.create(ABOUT, (json.dumps(about, ensure_ascii=False, indent=1) + "\n").encode()):
            return
    where = place.named(ABOUT)
    there = build(dict[str, Any], parse(place.read(ABOUT), where), where)
    for name, value in about.items():
        if there.get(name) != value:
            was, now = (_short(each) for each in (there.get(name), value))
            raise ResLabError(
                f"{place.where} was begun with {_BEGUN_BY[name]}: {was}, here it is {now}",
                "give the same model, data and options, or another folder",
            )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}…" if len(text) == hashlib.sha256().digest_size * 2 else text
