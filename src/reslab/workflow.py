"""What one verb needs from several rooms: check, then train, then score, then report. Composition only."""

import csv
import io
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.check.gate import Verdict, examine
from reslab.data.catalog import SPLITS, Catalog, Picture, Split
from reslab.data.reader import default_workers, load, ordered
from reslab.data.sources import read_data
from reslab.data.splits import assigned
from reslab.engine.choose import find_model, open_engine
from reslab.engine.face import Assumed, Mirrored
from reslab.errors import ResLabError
from reslab.evaluate.judge import Evaluation, judge
from reslab.modelfile import read_json, write_atomically, write_json
from reslab.pixels.fingerprint import fingerprint
from reslab.predict import Prediction, load_model
from reslab.report.page import write_report
from reslab.runfolder import CONFIG_NAME, REPORT_NAME, RUNS, SPLIT_NAME, evaluation_name, read_config, read_journal
from reslab.train.config import Origin, Plan, TrainConfig
from reslab.train.fit import begin, fit, plan_document, plan_from, write_evaluation
from reslab.train.inputs import Stores, open_stores
from reslab.train.journal import Event, Listener
from reslab.train.plan import cautions, resolve, with_speed, with_statistics
from reslab.train.ranks import join
from reslab.train.recipes import recipe
from reslab.train.sheet import sheet
from reslab.train.start import IMAGENET_WORD, open_start

_OPENED: tuple[Split, ...] = ("train", "val")
"""The splits whose pictures training looks at. It lists the others' names, and opens none of them."""

_AHEAD = 64  # pictures decoded before they are asked for

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
    show = on_event if on_event and ranks.first else _silent
    whole = assigned(read_data(config.data, config.data_dir), config.val, config.split_seed, config.group_by)
    catalog = whole.only(_OPENED)
    _refuse_lonely_classes(catalog, config)
    prepared = _prepare(whole, config, None if out is None else Path(out), user, show) if ranks.first else None
    folder, plan, left_out = ranks.share(prepared and prepared[:3])
    stores = prepared[3] if prepared else open_stores(plan, catalog.without(left_out))
    evaluation = fit(folder, plan, stores, show, ranks=ranks, spent=time.monotonic() - begun)
    if ranks.first:
        write_report(folder)
    return Run(folder, evaluation)


def _prepare(
    whole: Catalog, config: TrainConfig, out: Path | None, user: Collection[str], show: Listener
) -> tuple[Path, Plan, list[str], Stores]:
    """Check and plan a run and begin its folder: the folder, the plan, the pictures left out, and the decoded ones."""
    catalog = whole.only(_OPENED)
    plan = resolve(config, catalog, user)
    if plan.config.weights == IMAGENET_WORD:  # before anything is written
        open_start(plan.config.weights, plan.config.model, _fetching(plan.config.model, show))
    for text in cautions(plan):
        show({"event": "warning", "text": text})
    folder = out or _fresh_folder(plan, catalog)
    _reserve(folder)
    try:
        stores = open_stores(plan, catalog)
        show({"event": "check", "total": len(catalog.pictures)})
        verdict = examine(catalog, stores.keep, on_progress=lambda n: show({"event": "checking", "images": n}))
        show({"event": "checked", "verdict": verdict})
        catalog, plan, stores = _past_the_gate(verdict, catalog, config, plan, stores, user)
        left_out = verdict.unreadable()
        if left_out:
            pictures = "picture" if len(left_out) == 1 else "pictures"
            show({"event": "warning", "text": f"{len(left_out)} unreadable {pictures} left out"})
        plan = with_statistics(plan, stores.train)
        plan, seconds = with_speed(plan, len(stores.val))
        begin(folder, plan, whole.without(left_out), stores)
    except BaseException:
        _give_back(folder)
        raise
    show(_planned(plan, seconds, folder, stores))
    return folder, plan, left_out, stores


def _fetching(name: str, show: Listener) -> Callable[[int, int], None]:
    """Tells how a download goes on."""
    return lambda here, total: show({"event": "fetching", "name": name, "bytes": here, "total": total})


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
    show = on_event if on_event and ranks.first else _silent
    catalog, expected = _same_data(plan.config, folder)
    stores = open_stores(plan, catalog)
    if ranks.first:
        _refill(stores, catalog, expected, show)
    if epochs is not None and ranks.first:
        write_json(folder / CONFIG_NAME, plan_document(plan))
    show(_planned(plan, None, folder, stores))
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


def _past_the_gate(
    verdict: Verdict, catalog: Catalog, config: TrainConfig, plan: Plan, stores: Stores, user: Collection[str]
) -> tuple[Catalog, Plan, Stores]:
    """Stop at what cannot be trained on; leave unreadable pictures out if the person said so."""
    bad = verdict.unreadable()
    blocking = [p for p in verdict.problems if p.blocks_training and not (p.kind == "unreadable" and config.skip_bad)]
    if blocking:
        first, rest = blocking[0], len(blocking) - 1
        more = f" (and {rest} more)" if rest else ""
        raise ResLabError(f"{first.kind}: {first.path}: {first.detail}{more}", _HINTS[first.kind])
    if not bad:
        return catalog, plan, stores
    catalog = catalog.without(set(bad))
    plan = resolve(config, catalog, user)
    return catalog, plan, open_stores(plan, catalog)


def _refuse_lonely_classes(catalog: Catalog, config: TrainConfig) -> None:
    """With a validation split, a class needs two pictures: one to learn from and one to be judged by."""
    if catalog.declares_splits and config.val and not catalog.split("val"):
        lonely = min(catalog.counts().items(), key=lambda item: (item[1], item[0]), default=("", 0))
        raise ResLabError(
            f"nothing is left to validate on: class {lonely[0]!r} has {lonely[1]} picture(s)",
            "add pictures, or train on all of them with --val none",
        )


def _fresh_folder(plan: Plan, catalog: Catalog) -> Path:
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{plan.config.model}-{catalog.name}"
    folder, number = RUNS / stem, 2
    while folder.exists():
        folder, number = RUNS / f"{stem}-{number}", number + 1
    return folder


def _reserve(folder: Path) -> None:
    """Make the run folder and see that it can be written, before any long work."""
    if (folder / CONFIG_NAME).exists():
        raise ResLabError(f"{folder} already holds a run", f"choose another --out, or: reslab resume {folder}")
    probe = folder / ".probe"
    write_atomically(probe, b"")
    probe.unlink()


def _give_back(folder: Path) -> None:
    """Remove a reserved folder in which no run has begun."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _same_data(config: TrainConfig, folder: Path) -> tuple[Catalog, dict[str, str]]:
    """The pictures of a run as its `split.csv` has them, and their fingerprints.

    Refused where pictures were added or removed; whether one was edited shows when it is decoded.
    """
    catalog = read_data(config.data, config.data_dir)
    with (folder / SPLIT_NAME).open(encoding="utf-8", newline="") as file:
        everything: dict[str, dict[str, Any]] = {row["path"]: row for row in csv.DictReader(file)}
    here = {p.key: p for p in catalog.pictures}
    rows = {key: row for key, row in everything.items() if row["split"] in _OPENED}
    for change, keys in (
        ("are gone from", rows.keys() - here.keys()),
        ("were added to", here.keys() - everything.keys()),
    ):
        if keys and not (config.skip_bad and change == "were added to"):
            raise ResLabError(
                f"{len(keys)} picture(s) {change} {config.data} since this run began, e.g. {min(keys)}",
                "put the folder back as it was, or train anew",
            )
    pictures = tuple(replace(here[key], split=row["split"], label=row["label"]) for key, row in rows.items())
    return replace(catalog, pictures=pictures), {key: row["fingerprint"] for key, row in rows.items()}


def _refill(stores: Stores, catalog: Catalog, expected: Mapping[str, str], show: Listener) -> None:
    """Decode a run's pictures once more, and refuse those that are no longer what they were."""

    def look(picture: Picture) -> str:
        pixels = load(picture)
        stores.keep(picture, pixels)
        return fingerprint(pixels).hex()

    show({"event": "check", "total": len(catalog.pictures)})
    for picture, found in zip(
        catalog.pictures, ordered(look, catalog.pictures, default_workers(), _AHEAD), strict=True
    ):
        if found != expected[picture.key]:
            raise ResLabError(f"{picture.key} was edited since this run began", "put it back as it was, or train anew")
        show({"event": "checking", "images": 1})


def _is_data_of(run: Path, data: str | Path) -> bool:
    """Whether `data` is what the run was trained on, so that its score belongs into the run's folder."""
    own = read_config(run)["config"]["data"]
    return str(data) == own or (Path(data).exists() and Path(own).exists() and Path(data).samefile(own))


def _planned(plan: Plan, seconds: float | None, folder: Path, stores: Stores) -> Event:
    event: Event = {"event": "plan", "plan": plan, "seconds": seconds, "folder": str(folder)}
    return event | {"train": len(stores.train), "val": len(stores.val)}


def _silent(event: Event) -> None:
    """Nobody listens."""


_HINTS = {
    "unreadable": "mend or remove it, or leave such pictures out with --skip-bad",
    "unknown class": "give it training pictures, or rename or remove its folder",
    "empty class": "put pictures into it, or remove the folder",
    "one class": "make one folder per class, e.g. data/cats and data/dogs",
}
