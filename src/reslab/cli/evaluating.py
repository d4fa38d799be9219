"""`eval`, `compare`, `report`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.labels import say_difference, say_labels
from reslab.cli.options import DATA_OPTIONS, DataOptions
from reslab.cli.rows import spreadsheet
from reslab.engine.open import EngineName, find_model
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import Evaluation, Judgement
from reslab.metrics.multilabel import LabelsComparison, compared_labels
from reslab.metrics.paired import Comparison, compared
from reslab.model.run import OUT_OF_FOLD
from reslab.report.page import write_report
from reslab.run.evaluate import Judging, out_of_fold
from reslab.run.evaluate import evaluate as evaluate_model
from reslab.system.files import write_atomically


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
    engine: EngineName = "auto"
    "auto, torch, onnxruntime or openvino: which library computes, where the file leaves a choice."


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
    foreign.refuse_for(find_model(model))
    judging = Judging(how.allow_seen, how.mirror, how.workers, foreign.assumed(), how.engine)
    with show.bar("scoring") as progress:
        evaluation = evaluate_model(model, data, split, source.split(), judging, progress.move)
    if csv:
        write_atomically(csv, spreadsheet(evaluation.table()).encode())
    document = evaluation.document() | {"mirrored": how.mirror}
    if json:
        show.print_json(document)
    else:
        _say(document, data)


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

    Where pictures may bear several labels, mean average precision is compared, by its interval alone.

    Args:
        model_a: A model file, a run folder, latest, a packaged model, or somebody else's checkpoint.
        model_b: Another.
        data: A folder, a CSV/TSV, or a name.
        split: Which part; test if there is one, else val; out-of-fold takes what two runs with --folds keep.
        json: Print JSON.
    """
    judging = Judging(how.allow_seen, how.mirror, how.workers, FOREIGN_OPTIONS.assumed(), how.engine)
    with show.bar("scoring") as progress:
        if split == OUT_OF_FOLD:
            judged, right = split, [out_of_fold(model, data) for model in (model_a, model_b)]
            found: Comparison | LabelsComparison = compared(*_shared(*right))
        else:
            first, second = (
                evaluate_model(model, data, split, source.split(), judging, progress.move)
                for model in (model_a, model_b)
            )
            judged, found = first.split, _compared(first, second)
    document = {"schema": 1, "split": judged, "models": [model_a, model_b], **dataclasses.asdict(found)}
    if json:
        show.print_json(document)
        return
    show.say(f"{judged} split of {data}, n = {found.n:,}")
    if isinstance(found, LabelsComparison):
        say_difference(document)
        return
    show.say(f"a  {show.percent(found.a)}  {model_a}")
    show.say(f"b  {show.percent(found.b)}  {model_b}")
    interval = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
    show.say(f"a - b  {100 * found.difference:+.2f} points, 95 % interval {interval}; p = {found.p_value:.3g}")
    show.say(f"only a is right on {found.only_a:,} pictures, only b on {found.only_b:,}: {found.verdict}")


def _shared(first: dict[str, bool], second: dict[str, bool]) -> tuple[np.ndarray, np.ndarray]:
    """For the pictures that both answered: whether each was right, bool `[n]` twice."""
    keys = [key for key in first if key in second]
    if not keys:
        raise ResLabError("the two have no picture in common", "give runs or models that answered for the same data")
    return np.array([first[key] for key in keys]), np.array([second[key] for key in keys])


def _compared(first: Judgement, second: Judgement) -> Comparison | LabelsComparison:
    """On the pictures that both answered."""
    if isinstance(first, Evaluation) and isinstance(second, Evaluation):
        return compared(*_shared(first.right(), second.right()))
    if first.classes != second.classes or first.labels.ndim != second.labels.ndim:
        raise ResLabError(
            "the two models do not answer with the same labels, so their mean average precisions are of different things",
            "compare models that were trained on the same labels",
        )
    place = {key: row for row, key in enumerate(second.keys)}
    mine = np.array([row for row, key in enumerate(first.keys) if key in place], np.int64)
    theirs = np.array([place[key] for key in first.keys if key in place], np.int64)
    return compared_labels(first.logits[mine], second.logits[theirs], first.labels[mine])


def report(run: str = "latest") -> None:
    """Write a run as one self-contained HTML page.

    Args:
        run: A run folder, or latest.
    """
    folder = find_model(run).parent if run == "latest" else Path(run)
    show.say(str(write_report(folder)))


def _say(document: dict[str, Any], data: str) -> None:
    say = show.say
    note = "; this split also chose the model" if document["split"] == "val" else ""
    note += "; each answer is the mean over a picture and its mirror image" if document["mirrored"] else ""
    heading = f"{document['split']} split of {data}"
    if document["task"] == "multi":
        say_labels(document, heading, note)
        return
    say(f"{heading}: {show.interval(document['top1'], document['n'])}{note}")
    if document["top5"]:
        say(f"top-5 {show.percent(document['top5']['value'])}", end=", ")
    say(f"balanced {show.percent(document['balanced_accuracy'])}", end=", ")
    say(f"always answering one class {show.percent(document['majority_baseline'])}")
    fit = document["calibration"]
    say(
        f"NLL {fit['nll_before']:.4f} -> {fit['nll_after']:.4f}, ECE {fit['ece_before']:.4f} -> {fit['ece_after']:.4f}; "
        f"{show.temperature(fit)}"
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
