"""`eval`, `compare`, `report`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.corruptions import print_corruptions
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.options import DATA_OPTIONS, DataOptions
from reslab.cli.rows import spreadsheet
from reslab.cli.scores import SCORES
from reslab.engine.open import EngineName, find_model
from reslab.evaluate.corruptions import Form
from reslab.evaluate.evaluation import compare as compare_evaluations
from reslab.evaluate.evaluation import shared_rows
from reslab.metrics.paired import Comparison, compare_paired
from reslab.model.run import OUT_OF_FOLD
from reslab.report.page import write_report
from reslab.run.evaluate import EvaluationOptions, evaluate_corrupted, out_of_fold
from reslab.run.evaluate import evaluate as evaluate_model
from reslab.system.files import write_atomically


@Parameter(name="*")
@dataclass(frozen=True)
class EvalOptions:
    """How a model is scored."""

    allow_seen: Annotated[bool, Parameter(negative="")] = False
    "Score even if the model was trained on more than 1 % of these pictures."
    mirror: Annotated[bool, Parameter(negative="")] = False
    "Answer with the mean of each picture and its mirror image; predict does not."
    workers: int | None = None
    "Threads that read pictures."
    engine: EngineName = "auto"
    "auto, fastest, torch, onnxruntime or openvino: which library computes, where the file leaves a choice."


@Parameter(name="*")
@dataclass(frozen=True)
class CorruptionOptions(EvalOptions):
    """How a model is scored, corrupted pictures included."""

    corruptions: Annotated[
        tuple[Literal["short", "full"], ...] | None, Parameter(consume_multiple=(0, 1), negative="")
    ] = None
    "Also score corrupted pictures (noise, blur, weather, ...): short is 500 pictures at 3 severities, full all at 5."

    @property
    def form(self) -> Form | None:
        """The form of the corruptions; None where there are none."""
        return next(iter(self.corruptions), "short") if self.corruptions is not None else None


_EVAL_OPTIONS, _CORRUPTION_OPTIONS = EvalOptions(), CorruptionOptions()


def evaluate(
    model: str,
    data: str,
    /,
    *,
    split: Literal["train", "val", "test"] | None = None,
    source: DataOptions = DATA_OPTIONS,
    how: CorruptionOptions = _CORRUPTION_OPTIONS,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
    csv: Path | None = None,
) -> None:
    """Score a model on labelled pictures: every number with its n and interval, the baseline beside it.

    Args:
        model: A model file, a run folder, latest, a packaged model, or another library's checkpoint.
        data: A folder, a CSV/TSV, shards, Parquet, a zip, or a name.
        split: Which part; test if there is one, else val.
        json: Print JSON.
        csv: Also write one row per picture.
    """
    foreign.refuse_for(find_model(model))
    judging = EvaluationOptions(how.allow_seen, how.mirror, how.workers, foreign.assumed(), how.engine)
    corrupted = None
    with show.bar("scoring") as progress:
        if how.form is None:
            evaluation = evaluate_model(model, data, split, source.split(), judging, progress.move)
        else:
            evaluation, corrupted = evaluate_corrupted(
                model, data, split, source.split(), judging, how.form, progress.move,
                lambda total: progress.begin("scoring corrupted pictures", total),
            )  # fmt: skip
    if csv:
        write_atomically(csv, spreadsheet(evaluation.table()).encode())
    document = evaluation.document() | {"mirrored": how.mirror}
    if corrupted:
        document["corruptions"] = corrupted.document()
    if json:
        show.print_json(document)
    else:
        _say(document, data)
        if corrupted:
            print_corruptions(document["corruptions"])


def compare(
    model_a: str,
    model_b: str,
    data: str,
    /,
    *,
    split: Literal["train", "val", "test", "out-of-fold"] | None = None,
    source: DataOptions = DATA_OPTIONS,
    how: EvalOptions = _EVAL_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Is the difference real? Two models on the same pictures: paired interval and McNemar's test.

    Where pictures may have several labels, mean average precision is compared, by its interval alone.

    Args:
        model_a: A model file, a run folder, latest, a packaged model, or another library's checkpoint.
        model_b: Another.
        data: A folder, a CSV/TSV, shards, Parquet, a zip, or a name.
        split: Which part; test if there is one, else val; out-of-fold takes what two runs with --folds keep.
        json: Print JSON.
    """
    judging = EvaluationOptions(how.allow_seen, how.mirror, how.workers, FOREIGN_OPTIONS.assumed(), how.engine)
    with show.bar("scoring") as progress:
        if split == OUT_OF_FOLD:
            scored, task, found = split, "single", _compare_out_of_fold(model_a, model_b, data)
        else:
            first, second = (
                evaluate_model(model, data, split, source.split(), judging, progress.move)
                for model in (model_a, model_b)
            )
            scored, task, found = first.split, first.task.name, compare_evaluations(first, second)
    document = {"schema": 1, "split": scored, "models": [model_a, model_b], **dataclasses.asdict(found)}
    if json:
        show.print_json(document)
        return
    show.say(f"{scored} split of {data}, n = {found.n:,}")
    SCORES[task].difference(document)


def _compare_out_of_fold(model_a: str, model_b: str, data: str) -> Comparison:
    """The answers that two cross-validations keep, which are of one label per picture."""
    a, b = (out_of_fold(model, data) for model in (model_a, model_b))
    here, there = shared_rows(tuple(a), tuple(b))
    return compare_paired(np.array(list(a.values()))[here], np.array(list(b.values()))[there])


def report(run: str = "latest") -> None:
    """Write a run as one self-contained HTML page.

    Args:
        run: A run folder, or latest.
    """
    folder = find_model(run).parent if run == "latest" else Path(run)
    show.say(str(write_report(folder)))


def _say(document: dict[str, Any], data: str) -> None:
    note = "; this split also chose the model" if document["split"] == "val" else ""
    note += "; each answer is the mean over a picture and its mirror image" if document["mirrored"] else ""
    SCORES[document["task"]].evaluation(document, f"{document['split']} split of {data}", note)
