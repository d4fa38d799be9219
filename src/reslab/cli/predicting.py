"""`predict`: the verb that a finished model needs, without torch where the model is an exported one."""

import dataclasses
import itertools
import json as json_format
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.rows import rows_in
from reslab.engine.open import EngineName, find_model
from reslab.errors import ResLabError
from reslab.evaluate.predict import Prediction, expand, load_model
from reslab.report.review import render
from reslab.run.review import LeastCertain
from reslab.system.files import write_atomically
from reslab.tasks.table import task_named
from reslab.tasks.task import require


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class FileOptions:
    """What is written besides."""

    csv: Path | None = None
    "Also write the rows as CSV. Until the last one they are in CSV.part; after a kill, the same command continues."
    fresh: Annotated[bool, Parameter(negative="")] = False
    "Begin the CSV anew, whatever a killed command has left."
    review: Path | None = None
    "Also write a page on which to label the 200 least certain pictures; train takes the labels.csv that it downloads."


_FILE_OPTIONS = FileOptions()


def predict(
    model: str,
    /,
    *paths: str,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
    files: FileOptions = _FILE_OPTIONS,
    workers: int | None = None,
    engine: EngineName = "auto",
) -> None:
    """Answer for pictures: one row per input, unreadable ones included with the reason.

    Args:
        model: A model file, a run folder, latest, a packaged model, or another library's checkpoint.
        paths: Files, folders (all pictures in them) and patterns such as photos/*.jpg.
        json: Print JSON Lines.
        workers: Threads that read pictures, and of an exported model answer for them.
        engine: auto, torch, onnxruntime or openvino: which library computes, where the file leaves a choice.
    """
    if not paths:
        raise ResLabError("predict needs at least one picture, folder or pattern", "reslab predict MODEL photos/")
    foreign.refuse_for(find_model(model))
    opened, pictures = load_model(model, foreign.assumed(), engine), expand(paths)
    if files.review:
        require(task_named(opened.header.task), "review", "--review")
    answered, failed, uncertain = 0, 0, LeastCertain()
    with show.bar("predicting") as progress, rows_in(files.csv, opened.engine, files.fresh) as table:
        if table:
            table.pass_over(pictures)
            answered, failed = table.answered, table.failed
            if answered and files.review:
                raise ResLabError("--review needs every answer anew", "add --fresh, or finish the CSV without --review")
            progress.move(answered)
        for row in opened.answer(pictures, workers):
            if table:
                table.add(row)
            uncertain.add(row)
            _print_row(row, json)
            progress.move(1)
            answered, failed = answered + 1, failed + (row.error is not None)
    if files.review:
        page = render(uncertain.page(model, opened.header.classes, opened.engine.sha256))
        write_atomically(files.review, page.encode(errors="replace"))
    if not json:
        show.people.print(f"{answered:,} answered" + (f", {failed:,} of them could not be read" if failed else ""))
    if answered == failed:
        raise ResLabError("none of the inputs could be read", "each row above says why")


def _print_row(row: Prediction, json: bool) -> None:
    if json:
        document = {"schema": 1, **dataclasses.asdict(row)}
        sys.stdout.write(json_format.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    elif row.error is not None:
        show.say(f"{row.path}: cannot answer: {row.error}")
    else:
        others = _listed(itertools.islice((one for one in row.top if one not in row.answered), 2))
        show.say(f"{row.path}: {_listed(row.answered) or 'none'}" + (f"   ({others})" if others else ""))


def _listed(labels: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{label} {probability:.3f}" for label, probability in labels)
