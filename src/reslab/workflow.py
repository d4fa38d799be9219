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
from reslab.data.catalog import SPLITS, Split
from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.data.splits import assigned
from reslab.engine.choose import find_model, open_engine
from reslab.engine.face import Assumed, Mirrored
from reslab.errors import ResLabError
from reslab.evaluate.judge import Evaluation, judge
from reslab.modelfile import read_json, write_atomically, write_json
from reslab.predict import Prediction, load_model
from reslab.prepare import OPENED, checked, planned, prepare, refill, same_data, settled, silent
from reslab.report.page import write_report
from reslab.runfolder import CONFIG_NAME, REPORT_NAME, RUNS, evaluation_name, read_config, read_journal
from reslab.train import finder
from reslab.train.config import Origin, Plan, TrainConfig
from reslab.train.document import plan_document, plan_from
from reslab.train.finder import RangeTest
from reslab.train.fit import fit, write_evaluation
from reslab.train.inputs import open_stores
from reslab.train.journal import Listener
from reslab.train.plan import resolve
from reslab.train.ranks import join
from reslab.train.recipes import recipe
from reslab.train.sheet import sheet

SEEN_LIMIT = 0.01
"""Share of evaluated pictures that the model may have been trained on before a score stops being one."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training."""

    folder: Path
    evaluation: Evaluation | None
    """On the validation split; None where nothing validated."""

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
    whole = assigned(read_data(config.data, config.data_dir), config.val, config.split_seed, config.group_by)
    catalog = whole.only(OPENED)
    prepared = prepare(whole, config, None if out is None else Path(out), user, show) if ranks.first else None
    folder, plan, left_out = ranks.share(prepared and prepared[:3])
    stores = prepared[3] if prepared else open_stores(plan, catalog.without(left_out))
    evaluation = fit(folder, plan, stores, show, ranks=ranks, spent=time.monotonic() - begun)
    if ranks.first:
        write_report(folder)
    return Run(folder, evaluation)


def resume(folder: Path, epochs: int | None = None, on_event: Listener | None = None) -> Run:
    """Continue a run where its last saved state left it.

    With `epochs`, the run is made longer or shorter: from the present step on, the learning rate follows the schedule
    of a run of that length.

    Raises:
        ResLabError: there is no run, its data have changed, or its state is damaged.
    """
    plan = plan_from(read_config(folder))
    if epochs is not None:
        origin = Origin("user", "given to resume")
        config = replace(plan.config, epochs=epochs, minutes=0.0, course=())
        plan = replace(plan, config=config, origins={**plan.origins, "epochs": origin})
    ranks = join()
    show = on_event if on_event and ranks.first else silent
    catalog, expected = same_data(plan.config, folder)
    stores = open_stores(plan, catalog)
    if ranks.first:
        refill(stores, catalog, expected, show)
    if epochs is not None and ranks.first:
        write_json(folder / CONFIG_NAME, plan_document(plan))
    show(planned(plan, None, folder, stores))
    evaluation = fit(folder, plan, stores, show, resume=True, ranks=ranks)
    if ranks.first:
        write_report(folder)
    return Run(folder, evaluation)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration made."""

    model: Path
    report: Path
    evaluation: Evaluation
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
) -> Evaluation:
    """Judge a model on one split of a data set: `test` if there is one, else `val`, unless told otherwise.

    Args:
        division: how the data are found and divided (`data_dir`, `val`, `split_seed`, `group_by`, `skip_bad`); what it
            leaves out is as it was when the model was trained.

    Raises:
        ResLabError: the split is empty, its classes are not the model's, a picture is unreadable, or more than 1 % of
            the pictures trained the model (unless `how.allow_seen`).
    """
    given = dict(division or {})
    path = find_model(model)
    whole = read_data(data, given.get("data_dir"))
    engine = open_engine(path, replace(how.assumed, data_classes=whole.classes))
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
            "choose another split or other data, or say --allow-seen",
        )
    run = path.parent
    if (run / CONFIG_NAME).is_file() and _is_data_of(run, data) and chosen != "val" and not how.mirror:
        write_evaluation(run, evaluation)
        write_report(run)
    return evaluation


def find_rate(
    config: TrainConfig, user: Collection[str] = (), on_event: Listener | None = None
) -> tuple[Plan, RangeTest]:
    """A learning rate for a training, and the curve behind it: check and plan as `train` does, and write nothing.

    Raises:
        ResLabError: bad input, or no rate makes the loss fall.
    """
    show = on_event or silent
    whole = assigned(read_data(config.data, config.data_dir), config.val, config.split_seed, config.group_by)
    plan, _, stores = checked(whole, config, settled(whole, config, user, show), user, show)
    return plan, finder.find_rate(plan, stores, show)


def examine_data(
    config: TrainConfig, on_progress: Callable[[int], None] | None = None, splits: Collection[Split] = SPLITS
) -> Verdict:
    """The data gate over every split of a data set."""
    catalog = assigned(read_data(config.data, config.data_dir), config.val, config.split_seed, config.group_by)
    return examine(catalog.only(splits), on_progress=on_progress)


def contact_sheet(config: TrainConfig, columns: int = 8, rows: int = 6) -> np.ndarray:
    """What the network sees: training pictures as they are prepared (left) and augmented, as one RGB picture."""
    catalog = assigned(read_data(config.data, config.data_dir), config.val, config.split_seed, config.group_by)
    catalog = catalog.only(("train",))
    plan = resolve(replace(config, skip_bad=True), catalog)
    return sheet(plan, open_stores(plan, catalog).train, columns, rows)


def list_runs(root: Path = RUNS) -> list[dict[str, Any]]:
    """What was trained under `root`, oldest first: one row per run."""
    return [_row(folder) for folder in sorted(root.glob("*/")) if (folder / CONFIG_NAME).is_file()]


def _row(folder: Path) -> dict[str, Any]:
    document = read_config(folder)
    epochs = [event for event in read_journal(folder) if event["event"] == "epoch"]
    scored = next((p for split in ("test", "val") if (p := folder / evaluation_name(split)).is_file()), None)
    score = read_json(scored) if scored else None
    return {
        "run": str(folder),
        "model": document["config"]["model"],
        "data": document["config"]["data"],
        "epochs": f"{len(epochs)}/{document['config']['epochs']}",
        "split": score and score["split"],
        "n": score and score["n"],
        "top1": score and score["top1"],
        "seconds": round(sum(event["seconds"] for event in epochs), 1),
    }


def _is_data_of(run: Path, data: str | Path) -> bool:
    """Whether `data` is what the run was trained on, so that its score belongs into the run's folder."""
    own = read_config(run)["config"]["data"]
    return str(data) == own or (Path(data).exists() and Path(own).exists() and Path(data).samefile(own))
