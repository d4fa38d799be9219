"""Before the first step: the data are read and split, every choice is made, pictures are checked, and the folder begins."""

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reslab.check.data import Keep, Verdict, examine
from reslab.data.catalog import Catalog, Picture, Split
from reslab.data.reader import load_decoded, map_in_order
from reslab.data.sources import read_data
from reslab.data.splits import FINER, LONELY, lonely_groups
from reslab.errors import ResLabError
from reslab.model.run import CONFIG_NAME, LOCK_NAME, RUNS, SPLIT_NAME, SplitRow, fold_folder, read_config
from reslab.model.run_data import as_corrected, data_location, describe_difference, recorded_split
from reslab.pixels.fingerprint import fingerprint
from reslab.run.examine import read_and_split
from reslab.system.events import Event, Listener
from reslab.system.fetch import fetch
from reslab.system.machine import default_workers
from reslab.train.config import Plan, TrainConfig
from reslab.train.hub import PREFIX, describe
from reslab.train.inputs import Stores, open_stores
from reslab.train.job import Job
from reslab.train.plan.resolve import cautions, fixed_choices, hints, resolve, with_statistics
from reslab.train.start import IMAGENET_WORD, open_start
from reslab.train.step.process_group import ProcessGroup

OPENED: tuple[Split, ...] = ("train", "val")
"""The splits whose pictures training looks at. It lists the others' names, and opens none of them."""

_AHEAD = 64  # pictures decoded before they are asked for


def prepare(
    config: TrainConfig, out: Path | None, user: Collection[str], listener: Listener, begun: float, group: ProcessGroup
) -> Job:
    """Everything that comes before the first step of a run. The first process decides; the others take it over.

    Args:
        out: the run folder; a new one under `runs` by default.
        user: names of the fields of `config` that a person chose.
        begun: when the person's time began to run, by `time.monotonic`.
    """
    whole = read_and_split(config)
    if not group.first:
        return _join(whole, listener, group)
    catalog = whole.only(OPENED)
    plan = resolve_plan(config, catalog, user, listener, _left(config, begun))
    from reslab.train.session import begin  # PyTorch, once nothing is left to refuse

    folder = out or fresh_folder(f"{plan.config.model}-{whole.name}")
    reserve(folder)
    with removed_unless_begun(folder):
        plan, left_out, stores = check_pictures(plan, catalog, config, user, listener)
        plan, seconds = measure(plan, stores, listener, _left(config, begun))
        job = Job(folder, plan, whole.without(left_out), stores, listener, group)
        begin(job)
    listener(plan_event(job, seconds))
    from reslab.train.plan.affordable import describe_tenth

    for text in describe_tenth(plan, config, catalog, user, seconds) + hints(plan, catalog):
        listener({"event": "hint", "text": text})
    group.share((folder, plan, left_out))
    return job


def _join(whole: Catalog, listener: Listener, group: ProcessGroup) -> Job:
    """The run that the first process has prepared."""
    prepared: tuple[Path, Plan, list[str]] = group.share(None)
    folder, plan, left_out = prepared
    whole = whole.without(left_out)
    return Job(folder, plan, whole, open_stores(plan, whole), listener, group)


def _left(config: TrainConfig, begun: float) -> float:
    """Seconds that are left of the time that was given; 0 if none was."""
    return max(1.0, config.minutes * 60 - (time.monotonic() - begun)) if config.minutes else 0.0


def resolve_plan(
    config: TrainConfig, catalog: Catalog, user: Collection[str], listener: Listener, seconds: float = 0.0
) -> Plan:
    """Every choice made and the starting weights fetched, before a picture is decoded or anything is written.

    Args:
        catalog: the training and validation pictures.
        seconds: what is left of the time that was given; 0 if none was.
    """
    _refuse_lonely_classes(catalog, config)
    if config.weights.startswith(PREFIX):  # they decide which network it is
        fetch(describe(config.weights).remote, _fetching(config.weights, listener))
    plan = resolve(config, catalog, user)
    if plan.config.weights == IMAGENET_WORD:
        open_start(plan.config.weights, plan.config.model, _fetching(plan.config.model, listener))
    from reslab.train.plan.affordable import with_affordable  # PyTorch, once nothing is left to refuse

    plan, warnings = with_affordable(plan, config, catalog, user, seconds)
    for text in warnings + cautions(plan):
        listener({"event": "warning", "text": text})
    return plan


def _fetching(name: str, listener: Listener) -> Callable[[int, int], None]:
    """Report the progress of a download."""
    return lambda here, total: listener({"event": "fetching", "name": name, "bytes": here, "total": total})


def check_pictures(
    plan: Plan, catalog: Catalog, config: TrainConfig, user: Collection[str], listener: Listener
) -> tuple[Plan, list[str], Stores]:
    """Decode and check every picture: the plan for those that can be read, the names of the others, and the decoded ones.

    Args:
        plan: `config`, resolved for `catalog`.

    Raises:
        ResLabError: there is a problem with which training cannot start.
    """
    stores = open_stores(plan, catalog)
    listener({"event": "check", "total": len(catalog.pictures)})
    keep = Keep(stores.preparation(), stores.take)
    verdict = examine(catalog, keep, on_progress=lambda n: listener({"event": "checking", "images": n}))
    listener({"event": "checked", "verdict": verdict})
    _refuse_blocking(verdict, config.skip_bad)
    left_out = verdict.unreadable()
    if left_out:
        catalog = catalog.without(set(left_out))
        plan = resolve(config, catalog, user, fixed_choices(plan))
        stores = open_stores(plan, catalog)
        pictures = "picture" if len(left_out) == 1 else "pictures"
        listener({"event": "warning", "text": f"{len(left_out)} unreadable {pictures} left out"})
    return plan, left_out, stores


def _refuse_blocking(verdict: Verdict, skip_bad: bool) -> None:
    """Stop at what cannot be trained on; with `skip_bad`, unreadable pictures are left out instead."""
    blocking = [p for p in verdict.problems if p.blocks_training and not (p.kind == "unreadable" and skip_bad)]
    if blocking:
        first, rest = blocking[0], len(blocking) - 1
        more = f" (and {rest} more)" if rest else ""
        raise ResLabError(f"{first.kind}: {first.path}: {first.detail}{more}", _HINTS[first.kind])


def measure(plan: Plan, stores: Stores, listener: Listener, left: float = 0.0) -> tuple[Plan, float]:
    """The plan with what pictures and machine decide (statistics, rate, layout, length), and the seconds it will take.

    Args:
        left: seconds that are left of the plan's time; all of it by default.
    """
    from reslab.train.plan.speed import with_speed
    from reslab.train.range_test import with_found_rate

    plan = with_found_rate(with_statistics(plan, stores.train), stores, listener)
    plan, seconds = with_speed(plan, len(stores.val), left)
    return plan, seconds * plan.config.runs


def _refuse_lonely_classes(catalog: Catalog, config: TrainConfig) -> None:
    """With a validation split, a class needs two pictures: one to learn from and one to be judged by."""
    if catalog.declares_splits and config.val and not config.folds and not catalog.split("val"):
        for label, n in lonely_groups(catalog.pictures):
            reason = f"nothing is left to validate on: class {label!r}: {LONELY.format(n=n)}"
            raise ResLabError(reason, f"{FINER}, or train on all of them with --val none")
        lonely = min(catalog.counts().items(), key=lambda item: (item[1], item[0]), default=("", 0))
        raise ResLabError(
            f"nothing is left to validate on: class {lonely[0]!r} has {lonely[1]} picture(s)",
            "add pictures, or train on all of them with --val none",
        )


def fresh_folder(name: str) -> Path:
    """A new folder under `runs`: the date and a name. Who makes it has it; two runs of one second get two."""
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    for number in itertools.count(1):
        folder = RUNS / (stem if number == 1 else f"{stem}-{number}")
        try:
            RUNS.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise ResLabError(f"cannot write {folder}: {error.strerror or error}", "choose --out") from None
    raise AssertionError


def reserve(folder: Path) -> None:
    """Make the run folder and see that it can be written, before any long work."""
    if any((place / CONFIG_NAME).exists() for place in (folder, fold_folder(folder, 1))):
        raise ResLabError(f"{folder} already holds a run", f"choose another --out, or: reslab resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ResLabError(f"cannot write {folder}: {error.strerror or error}", "free space or choose --out") from None


@contextmanager
def removed_unless_begun(folder: Path) -> Iterator[None]:
    """Remove a reserved folder where what is done inside fails before a run has begun in it."""
    try:
        yield
    except BaseException:
        if folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK_NAME}:
            shutil.rmtree(folder, ignore_errors=True)  # Windows keeps a file that is open
        raise


def same_data(config: TrainConfig, folder: Path, data: str | Path | None = None) -> tuple[Catalog, dict[str, str]]:
    """The pictures of a run as its `split.csv` has them, and the fingerprints of those that training looks at.

    Refused where pictures were added, removed or labelled anew; whether one was edited shows when it is decoded.

    Args:
        data: where the pictures lie now; by default where they lay when the run began.
    """
    data = data or data_location(read_config(folder))
    catalog, table = as_corrected(folder, read_data(data, config.data_dir)), recorded_split(folder)
    if table is None:
        raise ResLabError(f"{folder} holds no {SPLIT_NAME}", "without it the splits are unknown: train anew")
    if changed := describe_difference(table, catalog, config.skip_bad):
        raise ResLabError(
            f"{data} is not what this run began with: {changed}", "put the data back as they were, or train anew"
        )
    here = {p.key: p for p in catalog.pictures}
    pictures = tuple(_as_recorded(here[row.path], row) for row in table)
    return replace(catalog, pictures=pictures), {row.path: row.fingerprint for row in table if row.split in OPENED}


def _as_recorded(picture: Picture, row: SplitRow) -> Picture:
    return replace(picture, split=row.split, group=row.group or None, fold=row.fold or None)


def reload_and_verify(stores: Stores, catalog: Catalog, expected: Mapping[str, str], listener: Listener) -> None:
    """Decode a run's pictures once more, and refuse those that are no longer what they were."""

    def look(picture: Picture) -> str:
        pixels = load_decoded(picture)
        digest = fingerprint(pixels)
        stores.keep(picture, pixels, digest)
        return digest.hex()

    listener({"event": "check", "total": len(catalog.pictures)})
    for picture, found in zip(
        catalog.pictures, map_in_order(look, catalog.pictures, default_workers(), _AHEAD), strict=True
    ):
        if found != expected[picture.key]:
            raise ResLabError(f"{picture.key} was edited since this run began", "put it back as it was, or train anew")
        listener({"event": "checking", "images": 1})


def plan_event(job: Job, seconds: float | None) -> Event:
    """Announces a run; `seconds` is what it will take, where that is known."""
    event: Event = {"event": "plan", "plan": job.plan, "seconds": seconds, "folder": str(job.folder)}
    return event | {"train": len(job.stores.train), "val": len(job.stores.val)}


_HINTS = {
    "unreadable": "repair or remove it, or leave such pictures out with --skip-bad",
    "unknown class": "give it training pictures, or rename or remove its folder or label",
    "empty class": "put pictures into it, or remove its folder or column",
    "one class": "make one folder per class, e.g. data/cats and data/dogs",
}
