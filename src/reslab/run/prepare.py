"""Before the first step: the data are checked and divided, every choice is made, and the run's folder begins."""

import itertools
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reslab.check.data import Verdict, examine
from reslab.data.catalog import Catalog, Picture, Split
from reslab.data.reader import load, ordered
from reslab.data.sources import read_data
from reslab.data.splits import FINER, LONELY, lonely_groups
from reslab.errors import ResLabError
from reslab.model.run import CONFIG_NAME, RUNS, SPLIT_NAME, SplitRow, fold_folder, read_config
from reslab.model.run_data import data_location, describe_difference, recorded_split
from reslab.pixels.fingerprint import fingerprint
from reslab.system.fetch import fetch
from reslab.system.machine import default_workers
from reslab.train.config import Plan, TrainConfig
from reslab.train.hub import PREFIX, describe
from reslab.train.inputs import Stores, open_stores
from reslab.train.journal import Event, Listener
from reslab.train.plan.resolve import cautions, decided, hints, resolve, with_statistics
from reslab.train.start import IMAGENET_WORD, open_start

OPENED: tuple[Split, ...] = ("train", "val")
"""The splits whose pictures training looks at. It lists the others' names, and opens none of them."""

_AHEAD = 64  # pictures decoded before they are asked for


def prepare(
    whole: Catalog, config: TrainConfig, out: Path | None, user: Collection[str], show: Listener, seconds: float
) -> tuple[Path, Plan, list[str], Stores]:
    """Check and plan a run and begin its folder: the folder, the plan, the pictures left out, and the decoded ones.

    Args:
        seconds: what is left of the time that was given; 0 if none was.
    """
    begun = time.monotonic()
    plan = settled(whole, config, user, show, seconds)
    from reslab.train.plan.speed import with_speed
    from reslab.train.range_test import with_found_rate  # PyTorch, once nothing is left to refuse
    from reslab.train.session import begin

    folder = out or fresh_folder(f"{plan.config.model}-{whole.name}")
    reserve(folder)
    try:
        plan, left_out, stores = checked(whole, config, plan, user, show)
        plan = with_found_rate(plan, stores, show)
        plan, estimate = with_speed(plan, len(stores.val), max(1.0, seconds - (time.monotonic() - begun)))
        if plan.config.cross_validates:  # K times all but a K-th of the pictures, then once all of them
            estimate *= plan.config.folds
        begin(folder, plan, whole.without(left_out), stores)
    except BaseException:
        give_back(folder)
        raise
    show(planned(plan, estimate, folder, stores))
    for text in hints(plan, whole.only(OPENED)):
        show({"event": "hint", "text": text})
    return folder, plan, left_out, stores


def settled(whole: Catalog, config: TrainConfig, user: Collection[str], show: Listener, seconds: float = 0.0) -> Plan:
    """Every choice made and the starting weights at hand, before a picture is decoded or anything is written."""
    catalog = whole.only(OPENED)
    _refuse_lonely_classes(catalog, config)
    if config.weights.startswith(PREFIX):
        fetch(describe(config.weights).remote, _fetching(config.weights, show))
    plan = resolve(config, catalog, user)
    if plan.config.weights == IMAGENET_WORD:
        open_start(plan.config.weights, plan.config.model, _fetching(plan.config.model, show))
    from reslab.train.plan.affordable import with_affordable  # PyTorch, once nothing is left to refuse

    plan, warnings = with_affordable(plan, config, catalog, user, seconds)
    for text in warnings + cautions(plan):
        show({"event": "warning", "text": text})
    return plan


def checked(
    whole: Catalog, config: TrainConfig, plan: Plan, user: Collection[str], show: Listener
) -> tuple[Plan, list[str], Stores]:
    """Past the data gate: the plan for the pictures that can be read, those that cannot, and the decoded ones."""
    catalog = whole.only(OPENED)
    stores = open_stores(plan, catalog)
    show({"event": "check", "total": len(catalog.pictures)})
    verdict = examine(catalog, stores.keep, on_progress=lambda n: show({"event": "checking", "images": n}))
    show({"event": "checked", "verdict": verdict})
    plan, stores = _past_the_gate(verdict, catalog, config, plan, stores, user)
    left_out = verdict.unreadable()
    if left_out:
        pictures = "picture" if len(left_out) == 1 else "pictures"
        show({"event": "warning", "text": f"{len(left_out)} unreadable {pictures} left out"})
    return with_statistics(plan, stores.train), left_out, stores


def _fetching(name: str, show: Listener) -> Callable[[int, int], None]:
    """Tells how a download goes on."""
    return lambda here, total: show({"event": "fetching", "name": name, "bytes": here, "total": total})


def _past_the_gate(
    verdict: Verdict, catalog: Catalog, config: TrainConfig, plan: Plan, stores: Stores, user: Collection[str]
) -> tuple[Plan, Stores]:
    """Stop at what cannot be trained on; leave unreadable pictures out if the person said so."""
    bad = verdict.unreadable()
    blocking = [p for p in verdict.problems if p.blocks_training and not (p.kind == "unreadable" and config.skip_bad)]
    if blocking:
        first, rest = blocking[0], len(blocking) - 1
        more = f" (and {rest} more)" if rest else ""
        raise ResLabError(f"{first.kind}: {first.path}: {first.detail}{more}", _HINTS[first.kind])
    if not bad:
        return plan, stores
    catalog = catalog.without(set(bad))
    plan = resolve(config, catalog, user, decided(plan))
    return plan, open_stores(plan, catalog)


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


def give_back(folder: Path) -> None:
    """Remove a reserved folder in which no run has begun."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def same_data(config: TrainConfig, folder: Path, data: str | Path | None = None) -> tuple[Catalog, dict[str, str]]:
    """The pictures of a run as its `split.csv` has them, and the fingerprints of those that training looks at.

    Refused where pictures were added, removed or labelled anew; whether one was edited shows when it is decoded.

    Args:
        data: where the pictures lie now; by default where they lay when the run began.
    """
    data = data or data_location(read_config(folder))
    catalog, table = read_data(data, config.data_dir), recorded_split(folder)
    if table is None:
        raise ResLabError(
            f"{folder} holds no {SPLIT_NAME}", "without it nobody knows which picture was where: train anew"
        )
    if changed := describe_difference(table, catalog, config.skip_bad):
        raise ResLabError(
            f"{data} is not what this run began with: {changed}", "put the data back as they were, or train anew"
        )
    here = {p.key: p for p in catalog.pictures}
    pictures = tuple(_as_recorded(here[row.path], row) for row in table)
    return replace(catalog, pictures=pictures), {row.path: row.fingerprint for row in table if row.split in OPENED}


def _as_recorded(picture: Picture, row: SplitRow) -> Picture:
    return replace(picture, split=row.split, group=row.group or None, fold=row.fold or None)


def refill(stores: Stores, catalog: Catalog, expected: Mapping[str, str], show: Listener) -> None:
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


def planned(plan: Plan, seconds: float | None, folder: Path, stores: Stores) -> Event:
    event: Event = {"event": "plan", "plan": plan, "seconds": seconds, "folder": str(folder)}
    return event | {"train": len(stores.train), "val": len(stores.val)}


def silent(event: Event) -> None:
    """Nobody listens."""


_HINTS = {
    "unreadable": "mend or remove it, or leave such pictures out with --skip-bad",
    "unknown class": "give it training pictures, or rename or remove its folder or label",
    "empty class": "put pictures into it, or remove its folder or column",
    "one class": "make one folder per class, e.g. data/cats and data/dogs",
}
