"""A search within a time: trials of one length on one split, the default first; bad ones are stopped early.

Optuna proposes (TPE: Bergstra et al. 2011) and prunes (median rule); its journal holds what happened. A trial is a run folder
that resumes exactly, and what it tries is decided by the seed and by the trials before it: a search that was stopped
goes on as if it never had been.
"""

import json
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from reslab.data.catalog import Catalog
from reslab.data.sources import read_data
from reslab.data.splits import assigned
from reslab.errors import ResLabError
from reslab.model.run import LOCK_NAME, MODEL_NAME, SPLIT_NAME
from reslab.report.page import write_report
from reslab.run.prepare import OPENED, checked, fresh_folder, give_back, refill, reserve, same_data, settled, silent
from reslab.search.evidence import NOTE, compared_on_validation, scored, write_evidence
from reslab.search.log import LOG_NAME, load_optuna, open_study
from reslab.search.space import defaults, dial_from, dials_of
from reslab.search.trial import KNOWN, TRIALS_NAME, Hunt, attempt, following, row_of
from reslab.train.config import Origin, TrainConfig
from reslab.train.inputs import open_stores
from reslab.train.journal import Listener
from reslab.train.plan.document import plan_document, plan_from
from reslab.train.plan.resolve import resolve
from reslab.words.phrases import say

BEST_NAME = "best"

_HANDFUL = 8  # trials that should fit, none of them stopped early
_LEAST_TRIALS, _LEAST_EPOCHS = 3, 3
_FREE = ("data", "data_dir", "workers", "save_seconds")  # fields of the config that decide no result


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for."""

    config: TrainConfig
    minutes: float
    user: Collection[str]
    """Names of the fields of `config` that the person chose."""
    begun: float
    """When the person's time began, by `time.monotonic`."""

    def asked(self) -> dict[str, Any]:
        """What must be the same where a search goes on, as JSON knows it."""
        values = {name: value for name, value in asdict(self.config).items() if name not in _FREE}
        return json.loads(json.dumps(values | {"fixed": sorted(self.user)}))


def search(
    config: TrainConfig,
    minutes: float,
    out: Path | None = None,
    user: Collection[str] = (),
    on_event: Listener | None = None,
    begun: float | None = None,
) -> dict[str, Any]:
    """Search the dials of a config for `minutes`, or go on with the search that `out` holds. Test pictures stay shut.

    Args:
        out: where everything is written; `runs/<date>-search-<data>` by default.
        user: names of the fields of `config` that a person chose: they stay as they are.
        begun: when the person's time began to run, by `time.monotonic`; now by default.

    Returns:
        `search.json`: the dials, every trial, the paired comparison of the leader with the default on the validation
        pictures, and the winner: the leader if it is shown to be better, else the default.

    Raises:
        ResLabError: bad input, Optuna is missing, too little time, or `out` holds another search.
    """
    begun = time.monotonic() if begun is None else begun
    show = on_event or silent
    if not minutes > 0:
        raise ResLabError(f"--minutes {minutes:g} leaves no time", "give the time that the whole search may take")
    wish = Wish(replace(config, minutes=0.0, course=()), minutes, user, begun)
    whole = assigned(read_data(config.data, config.data_dir), config.val, config.split_seed, config.group_by)
    if whole.multi or config.folds:
        what = "--folds" if config.folds else "several labels per picture"
        raise ResLabError(f"a search compares single trainings by their accuracy, without {what}", "leave it out")
    if not whole.split("val"):
        raise ResLabError(
            "a search needs validation pictures to choose by", "leave --val as it is, or add a folder val/"
        )
    load_optuna()
    from reslab.train.session import alone

    folder = out or fresh_folder(f"search-{whole.name}")
    reserve(folder)
    with alone(folder):
        try:
            goes_on = (folder / TRIALS_NAME / "000" / SPLIT_NAME).is_file()
            hunt = (_continued if goes_on else _begun)(folder, whole, wish, show)
        except BaseException:
            if [path.name for path in folder.iterdir()] == [LOCK_NAME]:
                with suppress(OSError):  # Windows keeps a file that is open
                    (folder / LOCK_NAME).unlink()
            give_back(folder)
            raise
        return _search(hunt, minutes, show)


def _search(hunt: Hunt, minutes: float, show: Listener) -> dict[str, Any]:
    """Trial after trial, as long as another one fits."""
    known = {name: hunt.known[name] for name in ("dials", "full_epochs", "seconds")}
    plan = {"folder": str(hunt.folder), "epochs": hunt.plan.config.epochs, "minutes": minutes}
    show({"event": "search", **plan, **known, "train": len(hunt.stores.train), "val": len(hunt.stores.val)})
    while (trial := following(hunt, minutes * 60)) is not None:
        attempt(hunt, trial, show)
        document = _recorded(hunt, minutes)
        best = document["leader"]["trial"] == trial.number
        show({"event": "trial end", **document["trials"][trial.number], "best": best, "elapsed": hunt.elapsed()})
    return _recorded(hunt, minutes)


def _begun(folder: Path, whole: Catalog, wish: Wish, show: Listener) -> Hunt:
    """A new search: the data checked, the default planned, the length of a trial chosen."""
    config, user = wish.config, wish.user
    left = max(1.0, wish.minutes * 60 - (time.monotonic() - wish.begun))
    plan = settled(whole, config, user, show, left / _HANDFUL)
    why = plan.origins["finetune"]
    mode = plan.config.finetune
    if mode == "head":  # the other modes train, and give the trials their length
        config = replace(config, finetune="gradual")
        plan = resolve(config, whole.only(OPENED), user)
    dials_of(plan, mode, whole.mirrored, user)  # refuses before the long work
    from reslab.train.plan.speed import with_speed
    from reslab.train.range_test import with_found_rate

    plan, left_out, stores = checked(whole, config, plan, user, show)
    plan = with_found_rate(plan, stores, show)
    plan, seconds = with_speed(plan, len(stores.val))
    full, per_epoch = plan.config.epochs, seconds / plan.config.epochs
    epochs = _length(wish, full, per_epoch)
    origins = plan.origins | {"finetune": why}
    if epochs < full:
        origins["epochs"] = Origin("search", say("reason.epochs.search", epochs=full, minutes=wish.minutes))
    plan = replace(plan, config=replace(plan.config, epochs=epochs), origins=origins)
    dials = dials_of(plan, mode, whole.mirrored, user)
    (folder / LOG_NAME).unlink(missing_ok=True)  # of a search that began no trial
    study = open_study(folder, epochs)
    known = {"asked": wish.asked(), "plan": plan_document(plan), "dials": [dial.document() for dial in dials]}
    study.set_user_attr(KNOWN, known | {"full_epochs": full, "seconds": round(per_epoch * epochs, 1)})
    study.enqueue_trial(defaults(dials))
    return Hunt(folder, study, plan, dials, whole.without(left_out), stores, wish.begun)


def _continued(folder: Path, whole: Catalog, wish: Wish, show: Listener) -> Hunt:
    """The search that a folder holds, as its last command left it."""
    study = open_study(folder)
    known, asked = study.user_attrs[KNOWN], wish.asked()
    for name, value in known["asked"].items():
        if asked.get(name) != value:
            change = f"{name} was {value} and is {asked.get(name)}"
            raise ResLabError(f"{folder} holds another search: {change}", "choose another --out")
    plan = plan_from(known["plan"], folder)
    recorded, expected = same_data(wish.config, folder / TRIALS_NAME / "000")
    catalog = recorded.only(OPENED)
    stores = open_stores(plan, catalog)
    refill(stores, catalog, expected, show)
    left_out = {picture.key for picture in whole.only(OPENED).pictures} - expected.keys()
    dials = tuple(dial_from(document) for document in known["dials"])
    spent = sum(trial.user_attrs.get("seconds", 0.0) for trial in study.get_trials(deepcopy=False))
    study = open_study(folder, plan.config.epochs)
    return Hunt(folder, study, plan, dials, whole.without(left_out), stores, wish.begun - spent)


def _length(wish: Wish, full: int, per_epoch: float) -> int:
    """Epochs of every trial: the config's, or fewer, so that a handful of trials fit.

    Raises:
        ResLabError: not even the default and two others fit.
    """
    spent = time.monotonic() - wish.begun
    left = wish.minutes * 60 - spent
    epochs = full if "epochs" in wish.user else min(full, max(_LEAST_EPOCHS, int(left / _HANDFUL / per_epoch)))
    needed = _LEAST_TRIALS * epochs * per_epoch
    if needed > left:
        raise ResLabError(
            f"--minutes {wish.minutes:g} is too short: a trial of {epochs} epochs takes about {epochs * per_epoch:.0f} s "
            f"here, and a search needs {_LEAST_TRIALS} of them",
            f"give --minutes {ceil((needed + spent) / 6) / 10:g} or more, or a smaller --model or --size",
        )
    return epochs


def _recorded(hunt: Hunt, minutes: float) -> dict[str, Any]:
    """Write what is known so far, keep the winner as a run of its own, and let go of the losers' folders."""
    from reslab.system import device

    rows = [row_of(trial) for trial in hunt.study.get_trials(deepcopy=False)]
    best = hunt.study.best_trial.number
    default, leader = hunt.trial_folder(0), hunt.trial_folder(best)
    for folder in (hunt.folder / TRIALS_NAME).iterdir():
        if folder not in (default, leader):
            shutil.rmtree(folder)
    comparison = compared_on_validation(leader, default, rivals=len(rows) - 1)
    won = best if comparison["shown"] else 0
    _keep(hunt.trial_folder(won), hunt.folder / BEST_NAME)
    document = {
        "schema": 1,
        "data": hunt.whole.name,
        "pictures": {"train": len(hunt.stores.train), "val": len(hunt.stores.val)},
        "minutes": minutes,
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "seed": hunt.plan.config.seed,
        "epochs": hunt.plan.config.epochs,
        "full_epochs": hunt.known["full_epochs"],
        "dials": hunt.known["dials"],
        "trials": rows,
        "default": rows[0] | {"folder": str(default), "val": scored(default)},
        "leader": rows[best] | {"folder": str(leader), "val": scored(leader)},
        "comparison": comparison,
        "winner": rows[won] | {"folder": str(hunt.folder / BEST_NAME), "val": scored(hunt.trial_folder(won))},
        "note": NOTE,
        "machine": device.describe(),
    }
    write_evidence(hunt.folder, document)
    return document


def _keep(run: Path, best: Path) -> None:
    """Make `best` a whole copy of the run, with a report, unless it is that already."""
    if (best / MODEL_NAME).is_file() and (best / MODEL_NAME).read_bytes() == (run / MODEL_NAME).read_bytes():
        return
    fresh = best.with_name(f".{best.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(run, fresh, ignore=shutil.ignore_patterns(LOCK_NAME))
    shutil.rmtree(best, ignore_errors=True)
    fresh.rename(best)
    write_report(best)
