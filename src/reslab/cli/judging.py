"""`eval`, `predict`, `report`."""

import csv
import dataclasses
import io
import itertools
import json as json_format
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab import workflow
from reslab.cli import show
from reslab.cli.options import DATA_OPTIONS, FOREIGN_OPTIONS, DataOptions, ForeignOptions
from reslab.errors import ResLabError
from reslab.modelfile import write_atomically
from reslab.predict import Prediction, load_model
from reslab.report.page import write_report


@Parameter(name="*")
@dataclass(frozen=True)
class EvalOptions:
    """How a model is judged."""

    allow_seen: Annotated[bool, Parameter(negative="")] = False
    "Score even if the model was trained on more than 1 % of these pictures."
    mirror: Annotated[bool, Parameter(negative="")] = False
    "Answer with the mean of each picture and its mirror image; predict does not."
    workers: int | None = None
    "Threads that read pictures."


_EVAL_OPTIONS = EvalOptions()


def evaluate(
    model: str,
    data: str,
    /,
    *,
    split: Literal["train", "val", "test"] | None = None,
    source: DataOptions = DATA_OPTIONS,
    how: EvalOptions = _EVAL_OPTIONS,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
    csv: Path | None = None,
) -> None:
    """Score a model on labelled pictures: every number with its n and interval, the baseline beside it.

    Args:
        model: A model file, a run folder, latest, a packaged model, or somebody else's checkpoint.
        data: A folder, a CSV/TSV, or a name.
        split: Which part; test if there is one, else val.
        json: Print JSON.
        csv: Also write one row per picture.
    """
    foreign.refuse_for(workflow.find_model(model))
    judging = workflow.Judging(how.allow_seen, how.mirror, how.workers, foreign.assumed())
    with show.bar("scoring") as progress:
        evaluation = workflow.evaluate(model, data, split, source.given(), judging, progress.move)
    if csv:
        write_atomically(csv, evaluation.table().encode())
    document = evaluation.document() | {"mirrored": how.mirror}
    if json:
        show.print_json(document)
    else:
        _say(document, data)


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
    foreign.refuse_for(workflow.find_model(model))
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


def report(run: str = "latest") -> None:
    """Write a run as one self-contained HTML page.

    Args:
        run: A run folder, or latest.
    """
    folder = workflow.find_model(run).parent if run == "latest" else Path(run)
    show.say(str(write_report(folder)))


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
        probability = "" if row.probability is None else f"{row.probability:.6f}"
        self._writer.writerow([row.path, row.label or "", probability, row.error or ""])

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
        others = ", ".join(f"{label} {probability:.3f}" for label, probability in itertools.islice(row.top, 1, 3))
        text = f"{row.path}: {row.label} {row.probability:.3f}" + (f"   ({others})" if others else "")
        show.say(text)


def _say(document: dict[str, Any], data: str) -> None:
    say = show.say
    note = "; this split also chose the model" if document["split"] == "val" else ""
    note += "; each answer is the mean over a picture and its mirror image" if document["mirrored"] else ""
    say(f"{document['split']} split of {data}: {show.interval(document['top1'], document['n'])}{note}")
    if document["top5"]:
        say(f"top-5 {show.percent(document['top5']['value'])}", end=", ")
    say(f"balanced {show.percent(document['balanced_accuracy'])}", end=", ")
    say(f"always answering one class {show.percent(document['majority_baseline'])}")
    fit = document["calibration"]
    say(
        f"NLL {fit['nll_before']:.4f} -> {fit['nll_after']:.4f}, ECE {fit['ece_before']:.4f} -> {fit['ece_after']:.4f} "
        f"with temperature {fit['temperature']:.3f}"
    )
    if document["seen_in_training"]:
        unseen = document["top1_unseen"]
        rest = f"; without them {show.percent(unseen['value'])}" if unseen else ""
        say(f"the model was trained on {document['seen_in_training']} of these pictures{rest}")
    if document["unreadable"]:
        say(f"{len(document['unreadable'])} unreadable picture(s) left out")
    made = show.table("class", "n", "precision", "recall", "F1", right=(1, 2, 3, 4))
    for row in document["per_class"]:
        made.add_row(
            row["label"], f"{row['n']:,}", f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}"
        )
    say(made)
    for row in document["worst_confusions"][:5]:
        say(f"{row['n']} x {row['true']} answered as {row['answered']}, e.g. {row['examples'][0]}")
