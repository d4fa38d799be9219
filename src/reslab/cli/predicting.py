"""`predict`: the verb that a finished model needs, without torch where the model is an exported one."""

import csv
import dataclasses
import io
import itertools
import json as json_format
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.data.catalog import SEPARATOR
from reslab.engine.choose import find_model
from reslab.errors import ResLabError
from reslab.modelfile import write_atomically
from reslab.predict import Prediction, load_model


def predict(
    model: str,
    /,
    *paths: str,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
    csv: Path | None = None,
    workers: int | None = None,
) -> None:
    """Answer for pictures: one row per input, unreadable ones included with the reason.

    Args:
        model: A model file, a run folder, latest, a packaged model, or somebody else's checkpoint.
        paths: Files, folders (all pictures in them) and patterns such as photos/*.jpg.
        json: Print JSON Lines.
        csv: Also write the rows as CSV.
        workers: Threads that read pictures.
    """
    if not paths:
        raise ResLabError("predict needs at least one picture, folder or pattern", "reslab predict MODEL photos/")
    foreign.refuse_for(find_model(model))
    rows = load_model(model, foreign.assumed()).stream(paths, workers)
    answered = failed = 0
    with show.bar("predicting") as progress, _Table(csv) as table:
        for row in rows:
            table.add(row)
            _print_row(row, json)
            progress.move(1)
            answered, failed = answered + 1, failed + (row.error is not None)
    if not json:
        show.people.print(f"{answered:,} answered" + (f", {failed:,} of them could not be read" if failed else ""))
    if answered == failed:
        raise ResLabError("none of the inputs could be read", "each row above says why")


class _Table:
    """A CSV that is whole or absent."""

    _COLUMNS = ("path", "label", "probability", "error")

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")

    def __enter__(self) -> "_Table":
        self._writer.writerow(self._COLUMNS)
        return self

    def add(self, row: Prediction) -> None:
        each = [p for _, p in row.labels or ()] if row.probability is None else [row.probability]
        self._writer.writerow([row.path, row.label or "", SEPARATOR.join(f"{p:.6f}" for p in each), row.error or ""])

    def __exit__(self, *failure: object) -> None:
        if self._path and failure[0] is None:
            write_atomically(self._path, self._text.getvalue().encode())


def _print_row(row: Prediction, json: bool) -> None:
    if json:
        document = {"schema": 1, **dataclasses.asdict(row)}
        sys.stdout.write(json_format.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    elif row.error is not None:
        show.say(f"{row.path}: cannot answer: {row.error}")
    else:
        answers = row.top[:1] if row.labels is None else row.labels
        others = _listed(itertools.islice((one for one in row.top if one not in answers), 2))
        show.say(f"{row.path}: {_listed(answers) or 'none'}" + (f"   ({others})" if others else ""))


def _listed(labels: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{label} {probability:.3f}" for label, probability in labels)
