"""A search within a time: trials of one length on one split, the default first; bad ones are stopped early.

Optuna proposes (TPE: Bergstra et al. 2011) and prunes (median rule); its journal holds what happened. A trial is a run folder
that resumes exactly, and what it tries is decided by the seed and by the trials before it: a search that was stopped
continues as if it had never been stopped. Any number of processes that share the folder take part in one search; each trial is
one process's, and what a process leaves unfinished when it dies is taken up by another.
"""

import json
import shutil
import time
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from reslab.bulk.claims import Claims
from reslab.data.archives.places import place_of
from reslab.data.catalog import Catalog
from reslab.errors import ResLabError
from reslab.model.run import LOCK_NAME, MODEL_NAME, SPLIT_NAME
from reslab.report.page import write_report
from reslab.run.examine import read_and_split
from reslab.run.prepare import (
    OPENED,
    check_pictures,
    fresh_folder,
    measure,
    reload_and_verify,
    removed_unless_begun,
    reserve,
    resolve_plan,
    same_data,
)
from reslab.search.evidence import NOTE, compare_on_validation, read_score, write_evidence
from reslab.search.log import LOG_NAME, load_optuna, open_study
from reslab.search.space import default_values, parameter_from, search_space
from reslab.search.trial import (
    KNOWN,
    TRIALS_NAME,
    WAIT,
    SearchState,
    begin_default,
    exclusive,
    release_finished,
    row_of,
    run_trial,
    running,
    take_trial,
    wall_seconds,
)
from reslab.system.events import Listener, ignore
from reslab.tasks.table import task_named
from reslab.tasks.task import require
from reslab.train.config import Origin, TrainConfig
from reslab.train.inputs import open_stores
from reslab.train.job import Job
from reslab.train.plan.document import plan_document, plan_from
from reslab.train.plan.resolve import resolve
from reslab.words.phrases import say

BEST_NAME = "best"

_HANDFUL = 8  # trials that should fit, none of them stopped early
_LEAST_TRIALS, _LEAST_EPOCHS = 3, 3
_FREE = ("data", "data_dir", "workers", "save_seconds")  # fields of the config that decide no result


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a person asked for."""

    config: TrainConfig
    minutes: float
    user: Collection[str]
    """Names of the fields of `config` that the person chose."""
    begun: float
    """When the person's time began, by `time.monotonic`."""

    def asked(self) -> dict[str, Any]:
        """What must be equal for a search to be continued, as JSON has it."""
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
    """Search the settings of a config for `minutes`, or go on with the search that `out` holds. Test pictures stay shut.

    Processes that are given the same `out`, here or on machines that share it, take part in the same search.

    Args:
        out: where everything is written; `runs/<date>-search-<data>` by default.
        user: names of the fields of `config` that a person chose: they stay as they are.
        begun: when the person's time began to run, by `time.monotonic`; now by default.

    Returns:
        `search.json`: the search space, every trial, the paired comparison of the leader with the default on the validation
        pictures, and the winner: the leader if it is shown to be better, else the default.

    Raises:
        ResLabError: bad input, Optuna is missing, too little time, or `out` holds another search.
    """
    begun = time.monotonic() if begun is None else begun
    listener = on_event or ignore
    if not minutes > 0:
        raise ResLabError(f"--minutes {minutes:g} leaves no time", "give the time that the whole search may take")
    request = SearchRequest(replace(config, minutes=0.0, course=()), minutes, user, begun)
    whole = read_and_split(replace(config, folds=0, fold=0))
    require(task_named(whole.task), "search", "a search", "give a table with one label per picture")
    if config.folds:
        raise ResLabError("a search compares single trainings by their accuracy, without --folds", "leave it out")
    if not whole.split("val"):
        raise ResLabError(
            "a search needs validation pictures to choose by", "leave --val as it is, or add a folder val/"
        )
    load_optuna()
    folder = out or fresh_folder(f"search-{whole.name}")
    reserve(folder)
    with removed_unless_begun(folder):
        claims = Claims(place_of(folder))
        with exclusive(claims):
            goes_on = (folder / TRIALS_NAME / "000" / SPLIT_NAME).is_file()
            state = None if goes_on else _begin(folder, whole, request, listener, claims)
        return _search(state or _resume(folder, whole, request, listener, claims), minutes)


def _search(state: SearchState, minutes: float) -> dict[str, Any]:
    """Trial after trial, as long as another one fits."""
    known = {name: state.known[name] for name in ("dials", "full_epochs", "seconds")}
    job = state.job
    plan = {"folder": str(job.folder), "epochs": job.plan.config.epochs, "minutes": minutes}
    job.listener({"event": "search", **plan, **known, "train": len(job.stores.train), "val": len(job.stores.val)})
    waiting = False
    while (ran := _one_trial(state, minutes)) or running(state):  # the decision is made over all trials
        if ran:
            continue
        if not waiting:
            job.listener({"event": "hint", "text": "no time for another trial: waiting for those of other processes"})
        waiting = True
        time.sleep(WAIT)
    with exclusive(state.claims):
        document = _record(state, minutes)
        release_finished(state)
    assert document is not None, "the default is the first trial, and it has not diverged"
    return document


def _one_trial(state: SearchState, minutes: float) -> bool:
    """Run a trial to its end and record what is known; False where no other one fits."""
    with ExitStack() as held:
        with exclusive(state.claims):
            trial = take_trial(state, minutes * 60, held)
        if trial is None:
            return False
        run_trial(state, trial)
        with exclusive(state.claims):
            document = _record(state, minutes)
    row = row_of(state.study.get_trials(deepcopy=False)[trial.number])
    best = document is not None and document["leader"]["trial"] == trial.number
    state.job.listener({"event": "trial end", **row, "best": best, "elapsed": state.elapsed()})
    return True


def _begin(folder: Path, whole: Catalog, request: SearchRequest, listener: Listener, claims: Claims) -> SearchState:
    """A new search: the data checked, the default planned, the length of a trial chosen."""
    config, user, catalog = request.config, request.user, whole.only(OPENED)
    left = max(1.0, request.minutes * 60 - (time.monotonic() - request.begun))
    plan = resolve_plan(config, catalog, user, listener, left / _HANDFUL)
    why = plan.origins["finetune"]
    mode = plan.config.finetune
    if mode == "head":  # the other modes train, and give the trials their length
        config = replace(config, finetune="gradual")
        plan = resolve(config, catalog, user)
    search_space(plan, mode, whole.mirrored, user)  # refuses before the long work
    plan, left_out, stores = check_pictures(plan, catalog, config, user, listener)
    plan, seconds = measure(plan, stores, listener)
    full, per_epoch = plan.config.epochs, seconds / plan.config.epochs
    epochs = _length(request, full, per_epoch)
    origins = plan.origins | {"finetune": why}
    if epochs < full:
        origins["epochs"] = Origin("search", say("reason.epochs.search", epochs=full, minutes=request.minutes))
    plan = replace(plan, config=replace(plan.config, epochs=epochs), origins=origins)
    space = search_space(plan, mode, whole.mirrored, user)
    (folder / LOG_NAME).unlink(missing_ok=True)  # of a search that began no trial
    study = open_study(folder, epochs)
    known = {
        "asked": request.asked(),
        "plan": plan_document(plan),
        "dials": [parameter.document() for parameter in space],
    }
    study.set_user_attr(KNOWN, known | {"full_epochs": full, "seconds": round(per_epoch * epochs, 1)})
    study.enqueue_trial(default_values(space))
    job = Job(folder, plan, whole.without(left_out), stores, listener)
    state = SearchState(job, study, space, request.begun, claims)
    begin_default(state)
    return state


def _resume(folder: Path, whole: Catalog, request: SearchRequest, listener: Listener, claims: Claims) -> SearchState:
    """The search that a folder holds, as its last command left it."""
    study = open_study(folder)
    known, asked = study.user_attrs[KNOWN], request.asked()
    for name, value in known["asked"].items():
        if asked.get(name) != value:
            change = f"{name} was {value} and is {asked.get(name)}"
            raise ResLabError(f"{folder} holds another search: {change}", "choose another --out")
    plan = plan_from(known["plan"], folder)
    recorded, expected = same_data(request.config, folder / TRIALS_NAME / "000")
    catalog = recorded.only(OPENED)
    stores = open_stores(plan, catalog)
    reload_and_verify(stores, catalog, expected, listener)
    left_out = {picture.key for picture in whole.only(OPENED).pictures} - expected.keys()
    space = tuple(parameter_from(document) for document in known["dials"])
    spent = wall_seconds(study.get_trials(deepcopy=False))
    study = open_study(folder, plan.config.epochs)
    job = Job(folder, plan, whole.without(left_out), stores, listener)
    return SearchState(job, study, space, request.begun - spent, claims)


def _length(request: SearchRequest, full: int, per_epoch: float) -> int:
    """Epochs of every trial: the config's, or fewer, so that a handful of trials fit.

    Raises:
        ResLabError: not even the default and two others fit.
    """
    spent = time.monotonic() - request.begun
    left = request.minutes * 60 - spent
    epochs = full if "epochs" in request.user else min(full, max(_LEAST_EPOCHS, int(left / _HANDFUL / per_epoch)))
    needed = _LEAST_TRIALS * epochs * per_epoch
    if needed > left:
        raise ResLabError(
            f"--minutes {request.minutes:g} is too short: a trial of {epochs} epochs takes about {epochs * per_epoch:.0f} s "
            f"here, and a search needs {_LEAST_TRIALS} of them",
            f"give --minutes {ceil((needed + spent) / 6) / 10:g} or more, or a smaller --model or --size",
        )
    return epochs


def _record(state: SearchState, minutes: float) -> dict[str, Any] | None:
    """Write what is known so far, keep the winner as a run of its own, and let go of the losers' folders.

    Returns:
        `search.json`; None before the default has ended, with which all others are compared.
    """
    from reslab.system import device

    job, trials = state.job, state.study.get_trials(deepcopy=False)
    if trials[0].state != load_optuna().trial.TrialState.COMPLETE:
        return None
    at_work = [trial.number for trial in running(state)]
    rows = {trial.number: row_of(trial) for trial in trials if trial.number not in at_work}
    best = state.study.best_trial.number
    default, leader = state.trial_folder(0), state.trial_folder(best)
    kept = [default, leader, *(state.trial_folder(number) for number in at_work)]
    for folder in (job.folder / TRIALS_NAME).iterdir():
        if folder not in kept:
            shutil.rmtree(folder)
    comparison = compare_on_validation(leader, default, rivals=len(rows) - 1)
    won = best if comparison["shown"] else 0
    _keep(state.trial_folder(won), job.folder / BEST_NAME)
    document = {
        "schema": 1,
        "data": job.catalog.name,
        "pictures": {"train": len(job.stores.train), "val": len(job.stores.val)},
        "minutes": minutes,
        "seconds": round(sum(row["seconds"] for row in rows.values()), 1),
        "seed": job.plan.config.seed,
        "epochs": job.plan.config.epochs,
        "full_epochs": state.known["full_epochs"],
        "dials": state.known["dials"],
        "trials": list(rows.values()),
        "default": rows[0] | {"folder": str(default), "val": read_score(default)},
        "leader": rows[best] | {"folder": str(leader), "val": read_score(leader)},
        "comparison": comparison,
        "winner": rows[won] | {"folder": str(job.folder / BEST_NAME), "val": read_score(state.trial_folder(won))},
        "note": NOTE,
        "machine": device.describe(),
    }
    write_evidence(job.folder, document)
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
