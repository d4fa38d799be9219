"""A model on a data set, as a person names both: the right split, nothing that it was trained on, the score kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reslab.data.catalog import SPLIT_WORDS, SPLITS, Picture, Split
from reslab.data.sources import read_data
from reslab.data.splits import SplitConfig
from reslab.engine.base import CheckpointAssumptions, Engine, MirrorAveraged
from reslab.engine.open import EngineName, find_model, open_engine
from reslab.errors import ResLabError, nearest
from reslab.evaluate.corruptions import CorruptionScore, Form, evaluate_corruptions, total_pictures, write_corruptions
from reslab.evaluate.evaluation import Evaluation, evaluate_engine, write_evaluation
from reslab.model.run import CONFIG_NAME, OUT_OF_FOLD, predictions_name, read_config, read_rows
from reslab.model.run_data import data_location, is_data_of
from reslab.report.page import write_report
from reslab.tasks.table import task_named
from reslab.tasks.task import check_labels, require

SEEN_LIMIT = 0.01
"""Share of evaluated pictures that the model may have been trained on before a score stops being one."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How a model is judged."""

    allow_seen: bool = False
    """Score even if the model was trained on more than 1 % of the pictures."""
    mirror: bool = False
    """Answer with the mean of each picture and its mirror image; the run's folder keeps the plain answers."""
    workers: int | None = None
    """Threads that read pictures."""
    assumed: CheckpointAssumptions = CheckpointAssumptions()
    """What a foreign checkpoint does not say."""
    engine: EngineName = "auto"
    """Which library computes, where the file leaves a choice."""


_PLAIN, _AS_TRAINED = EvaluationOptions(), SplitConfig()


def evaluate(
    model: str | Path,
    data: str | Path,
    split: Split | None = None,
    division: SplitConfig | Mapping[str, Any] = _AS_TRAINED,
    how: EvaluationOptions = _PLAIN,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluate a model on one split of a data set: by default `test` if there is one, else `val`.

    Args:
        division: how the data are found and split; what it leaves open is as it was when the model was trained. A mapping
            names `data_dir`, `val`, `split_seed`, `group_by`, `skip_bad`.

    Raises:
        ResLabError: the split is empty, its classes are not the model's, a picture is unreadable or has several labels
            where the model gives one, or more than 1 % of the pictures trained the model (unless `how.allow_seen`).
    """
    return _score(_open(model, data, split, division, how), how, on_progress)


def evaluate_corrupted(
    model: str | Path,
    data: str | Path,
    split: Split | None = None,
    division: SplitConfig | Mapping[str, Any] = _AS_TRAINED,
    how: EvaluationOptions = _PLAIN,
    form: Form = "short",
    on_progress: Callable[[int], None] | None = None,
    on_corrupting: Callable[[int], None] | None = None,
) -> tuple[Evaluation, CorruptionScore]:
    """`evaluate`, and then the same model on corrupted pictures; the run's folder keeps both.

    Args:
        form: see `evaluate.corruptions.evaluate_corruptions`.
        on_corrupting: told the number of corrupted pictures before the first of them.

    Raises:
        ResLabError: as `evaluate`; there is no such form; a picture may have several labels.
    """
    total_pictures(form, 0)
    opened = _open(model, data, split, division, how)
    require(task_named(opened.engine.header.task), "corruptions", "--corruptions")
    evaluation = _score(opened, how, on_progress)
    if on_corrupting:
        on_corrupting(total_pictures(form, len(evaluation.keys)))
    corrupted = evaluate_corruptions(opened.engine, opened.pictures, evaluation, form, how.workers, on_progress)
    if opened.run and opened.split == "test":
        write_corruptions(opened.run, corrupted)
        write_report(opened.run)
    return evaluation, corrupted


@dataclass(frozen=True, slots=True)
class _Opened:
    """A model, and the pictures that it is judged on."""

    engine: Engine
    pictures: Sequence[Picture]
    split: Split
    skip_bad: bool
    run: Path | None
    """The run folder that keeps the score, if one does."""


def _open(
    model: str | Path,
    data: str | Path,
    split: Split | None,
    division: SplitConfig | Mapping[str, Any],
    how: EvaluationOptions,
) -> _Opened:
    if split is not None and split not in SPLITS:
        raise ResLabError(f"there is no split {split!r}", nearest(SPLIT_WORDS.get(str(split), str(split)), SPLITS))
    if isinstance(division, Mapping):
        division = SplitConfig.recorded(division)
    path = find_model(model)
    whole = read_data(data, division.data_dir)
    engine = open_engine(path, replace(how.assumed, data_classes=whole.classes), how.engine)
    check_labels(task_named(engine.header.task), task_named(whole.task), whole.root)
    catalog = division.or_else(SplitConfig.recorded(engine.header.training)).apply(whole)
    chosen: Split = split or ("test" if catalog.split("test") else "val")
    run = path.parent if (path.parent / CONFIG_NAME).is_file() and chosen != "val" and not how.mirror else None
    if run and not is_data_of(run, whole):
        how.assumed.on_message(f"these are not the pictures that {run} was trained on: nothing is written into it")
        run = None
    judged = MirrorAveraged(engine) if how.mirror else engine
    return _Opened(judged, catalog.split(chosen), chosen, bool(division.skip_bad), run)


def _score(opened: _Opened, how: EvaluationOptions, on_progress: Callable[[int], None] | None) -> Evaluation:
    """The evaluation, kept by its run; refused where the model was trained on the pictures."""
    engine = opened.engine
    evaluation = evaluate_engine(engine, opened.pictures, opened.split, opened.skip_bad, how.workers, on_progress)
    share = float(evaluation.seen.mean())
    if share > SEEN_LIMIT and not how.allow_seen:
        seen, n = int(evaluation.seen.sum()), len(evaluation.seen)
        least = "at least " if "seen_kept" in engine.header.training else ""
        raise ResLabError(
            f"the model was trained on {least}{seen} of these {n} pictures ({share:.1%}), so their score would flatter it",
            "its honest score is the out-of-fold one: reslab runs, reslab report"
            if OUT_OF_FOLD in engine.header.scores
            else "choose another split or other data, or say --allow-seen",
        )
    if opened.run:
        write_evaluation(opened.run, evaluation)
        write_report(opened.run)
    return evaluation


def out_of_fold(model: str | Path, data: str | Path) -> dict[str, bool]:
    """Which pictures of `data` a cross-validated run got right, each answered by the network that had not seen it.

    Raises:
        ResLabError: the run keeps no such answers, or was trained on other data.
    """
    run = find_model(model).parent
    rows = read_rows(run / predictions_name(OUT_OF_FOLD), ("path", "correct"))
    if not rows:
        raise ResLabError(f"{model} keeps no out-of-fold answers", "train it with --folds, or choose another --split")
    if not is_data_of(run, read_data(data)):
        own = data_location(read_config(run))
        raise ResLabError(
            f"the out-of-fold answers of {model} are about {own}, not about {data}", f"give {own} as DATA"
        )
    return {row["path"]: row["correct"] == "1" for row in rows}
