"""Before the first step: the data are checked and divided, every choice is made, and the run's folder begins."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reslab.check.gate import Verdict, examine
from reslab.data.catalog import Catalog, Picture, Split
from reslab.data.reader import default_workers, load, ordered
from reslab.data.sources import read_data
from reslab.data.splits import assigned, folded
from reslab.errors import ResLabError
from reslab.modelfile import write_atomically
from reslab.pixels.fingerprint import fingerprint
from reslab.runfolder import CONFIG_NAME, RUNS, SPLIT_NAME, fold_folder, read_rows
from reslab.train.affordable import decided, with_affordable
from reslab.train.config import Plan, TrainConfig
from reslab.train.finder import with_found_rate
from reslab.train.fit import begin
from reslab.train.inputs import Stores, open_stores
from reslab.train.journal import Event, Listener
from reslab.train.plan import cautions, hints, resolve, with_statistics
from reslab.train.speed import with_speed
from reslab.train.start import IMAGENET_WORD, open_start

OPENED: tuple[Split, ...] = ("train", "val")
"""The splits whose pictures training looks at. It lists the others' names, and opens none of them."""

_AHEAD = 64  # pictures decoded before they are asked for


def divided(config: TrainConfig) -> Catalog:
    """The data that a config names, every picture in a split; in a cross-validation also in a fold."""
    catalog = assigned(read_data(config.data, config.data_dir), config.val, config.split_seed, config.group_by)
    return folded(catalog, config.folds, config.fold, config.split_seed) if config.folds else catalog


def prepare(
    whole: Catalog, config: TrainConfig, out: Path | None, user: Collection[str], show: Listener, seconds: float
) -> tuple[Path, Plan, list[str], Stores]:
    """Check and plan a run and begin its folder: the folder, the plan, the pictures left out, and the decoded ones.

    Args:
        seconds: what is left of the time that was given; 0 if none was.
    """
    begun = time.monotonic()
    plan = settled(whole, config, user, show, seconds)
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
    plan = resolve(config, catalog, user)
    if plan.config.weights == IMAGENET_WORD:
        open_start(plan.config.weights, plan.config.model, _fetching(plan.config.model, show))
    plan, said = with_affordable(plan, config, catalog, user, seconds)
    for text in said + cautions(plan):
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
        lonely = min(catalog.counts().items(), key=lambda item: (item[1], item[0]), default=("", 0))
        raise ResLabError(
            f"nothing is left to validate on: class {lonely[0]!r} has {lonely[1]} picture(s)",
            "add pictures, or train on all of them with --val none",
        )


def fresh_folder(name: str) -> Path:
    """A folder under `runs` that does not exist yet: the date and a name."""
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    folder, number = RUNS / stem, 2
    while folder.exists():
        folder, number = RUNS / f"{stem}-{number}", number + 1
    return folder


def reserve(folder: Path) -> None:
    """Make the run folder and see that it can be written, before any long work."""
    if any((place / CONFIG_NAME).exists() for place in (folder, fold_folder(folder, 1))):
        raise ResLabError(f"{folder} already holds a run", f"choose another --out, or: reslab resume {folder}")
    probe = folder / ".probe"
    write_atomically(probe, b"")
    probe.unlink()


def give_back(folder: Path) -> None:
    """Remove a reserved folder in which no run has begun."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def same_data(config: TrainConfig, folder: Path) -> tuple[Catalog, dict[str, str]]:
    """The pictures of a run as its `split.csv` has them, and the fingerprints of those that training looks at.

    Refused where pictures were added or removed; whether one was edited shows when it is decoded.
    """
    catalog = read_data(config.data, config.data_dir)
    table = read_rows(folder / SPLIT_NAME)
    if table is None:
        raise ResLabError(
            f"{folder} holds no {SPLIT_NAME}", "without it nobody knows which picture was where: train anew"
        )
    everything = {row["path"]: row for row in table}
    here = {p.key: p for p in catalog.pictures}
    rows = {key: row for key, row in everything.items() if row["split"] in OPENED}
    for change, keys in (
        ("are gone from", rows.keys() - here.keys()),
        ("were added to", here.keys() - everything.keys()),
    ):
        if keys and not (config.skip_bad and change == "were added to"):
            raise ResLabError(
                f"{len(keys)} picture(s) {change} {config.data} since this run began, e.g. {min(keys)}",
                "put the folder back as it was, or train anew",
            )
    pictures = tuple(_as_recorded(here[key], row) for key, row in everything.items() if key in here)
    return replace(catalog, pictures=pictures), {key: row["fingerprint"] for key, row in rows.items()}


def _as_recorded(picture: Picture, row: Mapping[str, str]) -> Picture:
    split: Split = row["split"]  # type: ignore[assignment]
    fold = int(row.get("fold") or 0) or None  # runs of earlier versions have no such column
    return replace(picture, label=row["label"], split=split, group=row["group"] or None, fold=fold)


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
