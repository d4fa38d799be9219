"""What one verb needs from several rooms: check, then train, then score, then report. Composition only."""

import io
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.check.gate import Verdict, examine
from reslab.data.catalog import SPLITS, Catalog, Split
from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.data.splits import assigned
from reslab.engine.choose import find_model, open_engine
from reslab.engine.face import Assumed, Mirrored
from reslab.errors import ResLabError
from reslab.evaluate.judge import Judgement, judge
from reslab.folds import cross_validated
from reslab.modelfile import Task, read_json, write_atomically, write_json
from reslab.predict import Prediction, load_model
from reslab.prepare import OPENED, checked, divided, planned, prepare, refill, same_data, settled, silent
from reslab.report.page import write_report
from reslab.runfolder import (
    CONFIG_NAME,
    JUDGED,
    OUT_OF_FOLD,
    REPORT_NAME,
    RUNS,
    evaluation_name,
    fold_folder,
    predictions_name,
    read_config,
    read_journal,
    read_rows,
)
from reslab.train import finder
from reslab.train.config import Origin, Plan, TrainConfig
from reslab.train.document import plan_document, plan_from
from reslab.train.finder import RangeTest
from reslab.train.fit import fit, write_evaluation
from reslab.train.inputs import Stores, open_stores
from reslab.train.journal import Listener
from reslab.train.plan import resolve
from reslab.train.ranks import ALONE, Ranks, join
from reslab.train.recipes import recipe
from reslab.train.sheet import sheet

SEEN_LIMIT = 0.01
"""Share of evaluated pictures that the model may have been trained on before a score stops being one."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training."""

    folder: Path
    evaluation: Judgement | None
    """On the validation split, or out of fold; None where nothing validated."""

    @property
    def model(self) -> Path:
        return find_model(self.folder)


def train(
    config: TrainConfig,
    out: str | Path | None = None,
    user: Collection[str] = (),
    on_event: Listener | None = None,
    begun: float | None = None,
) -> Run:
    """Check the training and validation pictures, train, calibrate, judge, and write the report.

    With `config.folds` that is a cross-validation (`folds.cross_validated`).

    Args:
        out: the run folder; `runs/<date>-<model>-<data>` by default.
        user: names of the fields of `config` that a person chose, for the record.
        on_event: told everything that happens, as plain dictionaries.
        begun: when the person's time began to run, by `time.monotonic`; now by default.

    Raises:
        ResLabError: bad input, a diverged run, or a full disk; one sentence and a hint.
    """
    begun = time.monotonic() if begun is None else begun
    ranks = join()
    show = on_event if on_event and ranks.first else silent
    whole = divided(config)
    prepared = prepare(whole, config, None if out is None else Path(out), user, show) if ranks.first else None
    folder, plan, left_out = ranks.share(prepared and prepared[:3])
    whole = whole.without(left_out)
    stores = prepared[3] if prepared else open_stores(plan, whole.only(OPENED))
    return _finished(folder, plan, whole, stores, show, ranks=ranks, spent=time.monotonic() - begun)


def resume(folder: Path, epochs: int | None = None, on_event: Listener | None = None) -> Run:
    """Continue a run where its last saved state left it.

    With `epochs`, the run is made longer or shorter: from the present step on, the learning rate follows the schedule
    of a run of that length.

    Raises:
        ResLabError: there is no run, its data have changed, or its state is damaged.
    """
    plan = plan_from(read_config(folder))
    if epochs is not None and plan.config.folds:
        raise ResLabError(
            "the runs of a cross-validation are of one length, so none of them can be made longer or shorter",
            f"train anew: --folds {plan.config.folds} --epochs {epochs}",
        )
    if epochs is not None:
        origin = Origin("user", "given to resume")
        config = replace(plan.config, epochs=epochs, minutes=0.0, course=())
        plan = replace(plan, config=config, origins={**plan.origins, "epochs": origin})
    ranks = join()
    show = on_event if on_event and ranks.first else silent
    whole, expected = same_data(plan.config, folder)
    catalog = whole.only(OPENED)
    stores = open_stores(plan, catalog)
    if ranks.first:
        refill(stores, catalog, expected, show)
    if epochs is not None and ranks.first:
        write_json(folder / CONFIG_NAME, plan_document(plan))
    show(planned(plan, None, folder, stores))
    return _finished(folder, plan, whole, stores, show, resume=True, ranks=ranks)


def _finished(
    folder: Path,
    plan: Plan,
    whole: Catalog,
    stores: Stores,
    show: Listener,
    resume: bool = False,
    ranks: Ranks = ALONE,
    spent: float = 0.0,
) -> Run:
    """A begun run brought to its end, with its report."""
    if plan.config.cross_validates:
        evaluation = cross_validated(folder, plan, whole, stores, show, resume, ranks)
    else:
        evaluation = fit(folder, plan, stores, show, resume, ranks, spent)
    if ranks.first:
        write_report(folder)
    return Run(folder, evaluation)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration made."""

    model: Path
    report: Path
    evaluation: Judgement
    """On the test split."""
    prediction: Prediction


def demo(out: Path | None = None, epochs: int | None = None, on_event: Listener | None = None) -> Demo:
    """The main job on the built-in digits: train, score on the test split, predict a picture file, report."""
    config = replace(recipe("standard"), data="digits", epochs=epochs or 0)
    run = train(config, out, {"epochs"} if epochs else (), on_event)
    evaluation = evaluate(run.folder, "digits")
    example = read_data("digits").split("test")[0]
    file = io.BytesIO()
    Image.fromarray(load(example)).save(file, "PNG")
    path = run.folder / f"digit-{example.label}.png"
    write_atomically(path, file.getvalue())
    prediction = load_model(run.folder).predict(path)[0]
    return Demo(run.model, run.folder / REPORT_NAME, evaluation, prediction)


@dataclass(frozen=True, slots=True)
class Judging:
    """How a model is judged."""

    allow_seen: bool = False
    """Score even if the model was trained on more than 1 % of the pictures."""
    mirror: bool = False
    """Answer with the mean of each picture and its mirror image; the run's folder keeps the plain answers."""
    workers: int | None = None
    """Threads that read pictures."""
    assumed: Assumed = Assumed()
    """What somebody else's checkpoint does not say."""


_PLAIN = Judging()


def evaluate(
    model: str | Path,
    data: str | Path,
    split: Split | None = None,
    division: Mapping[str, Any] | None = None,
    how: Judging = _PLAIN,
    on_progress: Callable[[int], None] | None = None,
) -> Judgement:
    """Judge a model on one split of a data set: `test` if there is one, else `val`, unless told otherwise.

    Args:
        division: how the data are found and divided (`data_dir`, `val`, `split_seed`, `group_by`, `skip_bad`); what it
            leaves out is as it was when the model was trained.

    Raises:
        ResLabError: the split is empty, its classes are not the model's, a picture is unreadable or bears several labels
            where the model gives one, or more than 1 % of the pictures trained the model (unless `how.allow_seen`).
    """
    given = dict(division or {})
    path = find_model(model)
    whole = read_data(data, given.get("data_dir"))
    engine = open_engine(path, replace(how.assumed, data_classes=whole.classes))
    _refuse_several(whole, engine.header.task)
    trained = {k: v for k, v in engine.header.training.items() if k in ("val", "split_seed", "group_by")}
    config = TrainConfig(**{**trained, **given})
    catalog = assigned(whole, config.val, config.split_seed, config.group_by)
    chosen: Split = split or ("test" if catalog.split("test") else "val")
    judged = Mirrored(engine) if how.mirror else engine
    evaluation = judge(judged, catalog.split(chosen), chosen, config.skip_bad, how.workers, on_progress)
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
    run = path.parent
    if (run / CONFIG_NAME).is_file() and _is_data_of(run, data) and chosen != "val" and not how.mirror:
        write_evaluation(run, evaluation)
        write_report(run)
    return evaluation


def out_of_fold(model: str | Path, data: str | Path) -> dict[str, bool]:
    """Which pictures of `data` a cross-validated run got right, each answered by the network that had not seen it.

    Raises:
        ResLabError: the run keeps no such answers, or was trained on other data.
    """
    run = find_model(model).parent
    rows = read_rows(run / predictions_name(OUT_OF_FOLD))
    if not rows:
        raise ResLabError(f"{model} keeps no out-of-fold answers", "train it with --folds, or choose another --split")
    if not _is_data_of(run, data):
        own = read_config(run)["config"]["data"]
        raise ResLabError(
            f"the out-of-fold answers of {model} are about {own}, not about {data}", f"give {own} as DATA"
        )
    return {row["path"]: row["correct"] == "1" for row in rows}


def find_rate(
    config: TrainConfig, user: Collection[str] = (), on_event: Listener | None = None
) -> tuple[Plan, RangeTest]:
    """A learning rate for a training, and the curve behind it: check and plan as `train` does, and write nothing.

    Raises:
        ResLabError: bad input, or no rate makes the loss fall.
    """
    show = on_event or silent
    whole = divided(config)
    plan, _, stores = checked(whole, config, settled(whole, config, user, show), user, show)
    return plan, finder.find_rate(plan, stores, show)


def examine_data(
    config: TrainConfig, on_progress: Callable[[int], None] | None = None, splits: Collection[Split] = SPLITS
) -> Verdict:
    """The data gate over every split of a data set."""
    return examine(divided(config).only(splits), on_progress=on_progress)


def contact_sheet(config: TrainConfig, columns: int = 8, rows: int = 6) -> np.ndarray:
    """What the network sees: training pictures as they are prepared (left) and augmented, as one RGB picture."""
    catalog = divided(config).only(("train",))
    plan = resolve(replace(config, skip_bad=True), catalog)
    return sheet(plan, open_stores(plan, catalog).train, columns, rows)


def list_runs(root: Path = RUNS) -> list[dict[str, Any]]:
    """What was trained under `root`, oldest first: one row per run."""
    return [_row(folder) for folder in sorted(root.glob("*/")) if (folder / CONFIG_NAME).is_file()]


def _row(folder: Path) -> dict[str, Any]:
    document = read_config(folder)
    epochs = [event for event in read_journal(folder) if event["event"] == "epoch"]
    folds = [fold_folder(folder, k + 1) for k in range(document["config"].get("folds", 0))]
    spent = epochs + [event for fold in folds for event in read_journal(fold) if event["event"] == "epoch"]
    scored = next((p for split in JUDGED if (p := folder / evaluation_name(split)).is_file()), None)
    score = read_json(scored) if scored else None
    return {
        "run": str(folder),
        "model": document["config"]["model"],
        "data": document["config"]["data"],
        "epochs": f"{sum(event['step'] > 0 for event in epochs)}/{document['config']['epochs']}",
        "split": score and score["split"],
        "n": score and score["n"],
        "top1": score and score.get("top1"),
        "mean_ap": score and score.get("mean_ap"),
        "seconds": round(sum(event["seconds"] for event in spent), 1),
    }


def _refuse_several(catalog: Catalog, task: Task) -> None:
    """A model that gives one label cannot answer for several; the other way round, one label is a case of several."""
    if catalog.multi and task == "single":
        raise ResLabError(
            f"the model gives each picture one label, and in {catalog.root} a picture bears any number of them",
            "judge it on a table with one label per picture, or train a model on this one",
        )


def _is_data_of(run: Path, data: str | Path) -> bool:
    """Whether `data` is what the run was trained on, so that its score belongs into the run's folder."""
    own = read_config(run)["config"]["data"]
    return str(data) == own or (Path(data).exists() and Path(own).exists() and Path(data).samefile(own))
