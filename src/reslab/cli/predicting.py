"""`predict`: the verb that a finished model needs, without torch where the model is an exported one."""

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.bulk_options import BULK_OPTIONS, BulkOptions
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.rows import rows_in
from reslab.cli.sets import DEFAULT_SETS, SetChoice
from reslab.engine.open import EngineName, find_model
from reslab.errors import ResLabError
from reslab.evaluate.predict import TOP, Prediction, expand, load_model
from reslab.tasks.table import task_named
from reslab.tasks.task import require

if TYPE_CHECKING:
    from reslab.run.review import LeastCertain


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
    sets: SetChoice = DEFAULT_SETS,
    bulk: BulkOptions = BULK_OPTIONS,
) -> None:
    """Answer for pictures: one row per input, unreadable ones included with the reason.

    Args:
        model: A model file, a run folder, latest, a packaged model, or another library's checkpoint.
        paths: Files, folders, archives (all pictures in them) and patterns such as photos/*.jpg.
        json: Print JSON Lines; with --parquet a summary.
        workers: Threads that read pictures, and of an exported model answer for them.
        engine: auto, fastest, torch, onnxruntime or openvino: which library computes, where the file leaves a choice.
    """
    if not paths:
        raise ResLabError("predict needs at least one picture, folder or pattern", "reslab predict MODEL photos/")
    foreign.refuse_for(find_model(model))
    bulk.where.refuse_without(bulk.parquet, "--parquet")
    if bulk.parquet is not None:
        if files != _FILE_OPTIONS or len(paths) > 1:
            raise ResLabError(
                "--parquet takes one DATA, and neither --csv, --fresh nor --review",
                "reslab predict MODEL DATA --parquet OUT",
            )
        from reslab.cli.bulk import answer_in_bulk, job_of  # not at the top: for those who ask for it

        job = job_of("predict", find_model(model), paths[0], bulk, foreign, workers, engine, sets.options())
        answer_in_bulk(job, bulk, json)
        return
    opened, pictures = load_model(model, foreign.assumed(), engine, sets.options()), expand(paths)
    uncertain = _least_certain(opened.header.task) if files.review else None
    answered = failed = 0
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
            if uncertain:
                uncertain.add(row)
            _print_row(row, json)
            progress.move(1)
            answered, failed = answered + 1, failed + (row.error is not None)
    if uncertain and files.review:
        uncertain.write(files.review, model, opened.header.classes, opened.engine.sha256)
    if not json:
        show.people.print(f"{answered:,} answered" + (f", {failed:,} of them could not be read" if failed else ""))
    if answered == failed:
        raise ResLabError("none of the inputs could be read", "each row above says why")


def _least_certain(task: str) -> "LeastCertain":
    require(task_named(task), "review", "--review")
    from reslab.run.review import LeastCertain  # the page's libraries are for those who ask for it

    return LeastCertain()


def _doubts(row: Prediction) -> str:
    """What the model thinks of its answer, for people."""
    said = f"   {row.doubt}" if row.doubt else ""
    if row.prediction_set is not None and row.prediction_set != (row.label,):
        more = [f"{len(row.prediction_set) - TOP:,} more"] if len(row.prediction_set) > TOP else []
        said += f"   {{{', '.join([*row.prediction_set[:TOP], *more])}}}"
    return said


def _print_row(row: Prediction, json: bool) -> None:
    if json:
        show.print_json_line(dataclasses.asdict(row))
    elif row.error is not None:
        show.say(f"{row.path}: cannot answer: {row.error}")
    else:
        others = _listed(itertools.islice((one for one in row.top if one not in row.answered), 2))
        said = f"{row.path}: {_listed(row.answered) or 'none'}" + (f"   ({others})" if others else "")
        show.say(said + _doubts(row))


def _listed(labels: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{label} {probability:.3f}" for label, probability in labels)
