"""The rows of `predict` as a CSV that is whole or absent; of a command that was killed, the same command continues them."""

import codecs
import csv
import io
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from reslab.cli import show
from reslab.data.catalog import SEPARATOR, Picture
from reslab.engine.base import Engine
from reslab.errors import ResLabError
from reslab.evaluate.predict import Prediction
from reslab.model.file import header_digest
from reslab.model.run import byte_order_mark
from reslab.system.files import lock, read_json, write_json

COLUMNS = ("path", "label", "probability", "accepted", "doubt", "prediction_set", "error")
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d*\.?\d*\Z)")
_FRESH = "or begin anew with --fresh"


@contextmanager
def rows_in(path: Path | None, engine: Engine, fresh: bool) -> Iterator["Rows | None"]:
    """The rows of a CSV, for as long as they are written; None without a path.

    Until the last row is there, they lie in `FILE.part`, and beside them `FILE.part.json` says what answers. Every row is
    handed to the system whole as soon as it is known, so a killed process loses none that it has reported.

    Args:
        fresh: do away with what a killed command has left.

    Raises:
        ResLabError: it cannot be written there; another process is writing it; its rows are another model's.
    """
    if path is None:
        yield None
        return
    part, description = (path.with_name(f"{path.name}{ending}") for ending in (".part", ".part.json"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = part.open("ab")
    except OSError as error:
        raise ResLabError(f"cannot write {part}: {error.strerror or error}", "choose another --csv") from None
    with opened as file:
        _claim(file, part)
        answering: dict[str, object] = {"schema": 1, "model": engine.sha256, "header": header_digest(engine.header)}
        _begin(file, part, description, answering, engine.header.classes, fresh)
        rows = Rows(file, part)
        try:
            yield rows
        except BaseException:
            if rows.answered:
                kept = f"{rows.answered:,} rows are kept in {part}; the same command continues from there"
                show.people.print(kept, soft_wrap=True)
            raise
        os.fsync(file.fileno())
    part.replace(path)
    description.unlink(missing_ok=True)


def _begin(
    file: BinaryIO, part: Path, description: Path, answering: dict[str, object], classes: tuple[str, ...], fresh: bool
) -> None:
    """A file without a row is begun anew; one with rows must tell of the same columns and model."""
    if part.stat().st_size and not description.is_file() and not fresh:
        raise ResLabError(
            f"{part} is there, and no {description.name} says which model began it", f"move it away, {_FRESH}"
        )
    found = list(itertools.islice(_records(part), 2))
    if fresh or len(found) < 2:
        file.truncate(0)
        write_json(description, answering)
        file.write(byte_order_mark(classes).encode())
        _append(file, COLUMNS)
    elif _cells(found[0].removeprefix(codecs.BOM_UTF8)) != [*COLUMNS]:
        raise ResLabError(f"{part} has other columns than the rows to come", f"move it away, {_FRESH}")
    elif read_json(description) != answering:
        raise ResLabError(f"{part} was begun with another model", f"give the model of its rows, {_FRESH}")


class Rows:
    """Rows that are written one by one."""

    def __init__(self, file: BinaryIO, part: Path) -> None:
        self._file, self._part = file, part
        self.answered = self.failed = 0

    def pass_over(self, pictures: Iterator[Picture]) -> None:
        """Take the pictures that have a row already off the front; a last row that was cut short does not count.

        Raises:
            ResLabError: the rows are about other pictures.
        """
        whole = 0
        for number, record in enumerate(_records(self._part)):
            whole += len(record)
            if number:  # the first names the columns
                path, *_, error = _cells(record)
                picture = next(pictures, None)
                if picture is None or as_text(picture.key) != path:
                    other = "the inputs end before" if picture is None else f"the input there is {picture.key}"
                    sentence = f"row {number:,} of {self._part} is about {path}, and {other}"
                    raise ResLabError(sentence, f"give the same inputs in the same order, {_FRESH}")
                self._count(error)
        self._file.truncate(whole)
        if self.answered:
            show.people.print(f"{self.answered:,} rows are in {self._part} already", soft_wrap=True)

    def add(self, row: Prediction) -> None:
        """Write one row."""
        probabilities = SEPARATOR.join(f"{p:.6f}" for _, p in row.answered)
        accepted = "" if row.accepted is None else str(int(row.accepted))
        labels = SEPARATOR.join(row.prediction_set or ())
        cells = (row.path, row.label or "", probabilities, accepted, row.doubt, labels, row.error or "")
        _append(self._file, tuple(map(as_text, cells)))
        self._count(row.error)

    def _count(self, error: str | None) -> None:
        self.answered, self.failed = self.answered + 1, self.failed + bool(error)


def as_text(cell: str) -> str:
    """A cell that a spreadsheet would take for a formula, kept text by an apostrophe (OWASP, CSV injection)."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def spreadsheet(table: str) -> str:
    """A whole CSV with such cells."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(
        map(as_text, row) for row in csv.reader(io.StringIO(table, newline=""))
    )
    return file.getvalue()


def _append(file: BinaryIO, cells: tuple[str, ...]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    file.write(text.getvalue().encode())
    file.flush()


def _records(part: Path) -> Iterator[bytes]:
    """Whole rows, line breaks within quotes included; a last one that was cut short is left out."""
    record = b""
    with part.open("rb") as file:
        for line in file:
            record += line
            if line.endswith(b"\n") and record.count(b'"') % 2 == 0:
                yield record
                record = b""


def _cells(record: bytes) -> list[str]:
    try:
        cells = next(csv.reader(io.StringIO(record.decode(), newline="")))
    except (ValueError, csv.Error, StopIteration):
        cells = []
    return cells if len(cells) == len(COLUMNS) else [""] * len(COLUMNS)


def _claim(file: BinaryIO, part: Path) -> None:
    """One process at a time; the system lets go of it with the process. Where it knows no such locks, nothing happens."""
    if not lock(file):
        raise ResLabError(f"another process is writing {part}", "wait for it, or choose another --csv")
