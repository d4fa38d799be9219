"""One trial of a search: what it tries, and a run folder that fills until it is finished or stopped early."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reslab.bulk.claims import Claims
from reslab.errors import ResLabError
from reslab.model.run import CONFIG_NAME
from reslab.search.evidence import objective
from reslab.search.log import load_optuna
from reslab.search.space import Parameter, default_values, sample_values, with_values
from reslab.system.events import Event
from reslab.train.config import Origin, Plan
from reslab.train.job import Job
from reslab.words.phrases import say

TRIALS_NAME = "trials"
KNOWN = "search"
"""Where the study keeps what was decided before the first trial."""

WAIT = 2.0
"""Seconds until a process that has nothing to do looks again what the others do."""

_ALL = "search"
"""The claim of whoever decides or records something."""
_RANDOM = 4  # trials before TPE learns from them, the default among them


@dataclass(frozen=True, slots=True)
class SearchState:
    """A search before its next trial."""

    job: Job
    """Every trial's, but for the folder and what is searched; its folder is the search's."""
    study: Any
    """Optuna's."""
    space: tuple[Parameter, ...]
    begun: float
    """When the person's time began, less what earlier commands have spent."""
    claims: Claims
    """Which of the processes that share the folder is at what."""

    @property
    def known(self) -> dict[str, Any]:
        """What was decided before the first trial: asked, plan, dials (the space), full_epochs, seconds (a guess)."""
        return self.study.user_attrs[KNOWN]

    def trial_folder(self, number: int) -> Path:
        return self.job.folder / TRIALS_NAME / f"{number:03d}"

    def elapsed(self) -> float:
        return time.monotonic() - self.begun


@contextmanager
def exclusive(claims: Claims) -> Iterator[None]:
    """What is done inside is done by one process at a time; the others wait."""
    while True:
        with claims.claimed(_ALL) as mine:
            if mine:
                yield
                return
        time.sleep(WAIT)


def running(state: SearchState) -> list[Any]:
    """The trials that some process is at, or was when it died."""
    return [t for t in state.study.get_trials(deepcopy=False) if t.state == load_optuna().trial.TrialState.RUNNING]


def take_trial(state: SearchState, seconds: float, held: ExitStack) -> Any:
    """A trial that nobody is at any more, or a new one if it fits; None where it does not. To be asked for `exclusive`.

    What a trial tries is drawn from the seed, its number and the trials before it.

    Args:
        held: the trial is this process's until this is closed.

    Raises:
        ResLabError: the default, with which all are compared, has diverged.
    """
    optuna = load_optuna()
    states = optuna.trial.TrialState
    _refuse_diverged_default(state)
    for cut in running(state):
        if held.enter_context(state.claims.claimed(_name(cut.number))):
            return _with_sampler(state, optuna.trial.Trial(state.study, cut._trial_id))
    trials = [t for t in state.study.get_trials(deepcopy=False) if t.state != states.WAITING]
    epochs = state.job.plan.config.epochs
    whole = [t for t in trials if t.state == states.COMPLETE and len(t.user_attrs["curve"]) == epochs]
    cost = max((t.user_attrs["seconds"] for t in whole), default=state.known["seconds"])
    if trials and state.elapsed() + cost > seconds:
        return None
    trial = state.study.ask()
    held.enter_context(state.claims.claimed(_name(trial.number)))
    return _with_sampler(state, trial)


def release_finished(state: SearchState) -> None:
    """Remove what processes that died have left of claims to trials that are finished."""
    open_trials = {trial.number for trial in running(state)}
    numbers = range(len(state.study.get_trials(deepcopy=False)))
    state.claims.sweep({_name(number) for number in numbers if number not in open_trials})


def _name(number: int) -> str:
    return f"trial-{number:03d}"


def _with_sampler(state: SearchState, trial: Any) -> Any:
    """The trial, whose values will be drawn from its own seed."""
    seed = int(np.random.SeedSequence((state.job.plan.config.seed, trial.number)).generate_state(1)[0])
    state.study.sampler = load_optuna().samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM)
    return trial


def _refuse_diverged_default(state: SearchState) -> None:
    first = state.study.get_trials(deepcopy=False)[0]
    if why := first.user_attrs.get("diverged"):
        if not running(state):
            trials = state.job.folder / TRIALS_NAME
            shutil.rmtree(trials, ignore_errors=True)  # there is nothing to compare with: the search has not begun
        raise ResLabError(f"the default itself diverges: {why}", "start from another rate: --lr")


def wall_seconds(trials: Sequence[Any]) -> float:
    """Seconds in which at least one of these trials ran."""
    spans = []
    for trial in trials:
        lasted = trial.user_attrs.get("seconds", 0.0)
        if trial.datetime_complete:
            spans.append((trial.datetime_complete.timestamp() - lasted, trial.datetime_complete.timestamp()))
        elif trial.datetime_start:
            spans.append((trial.datetime_start.timestamp(), trial.datetime_start.timestamp() + lasted))
    total, reached = 0.0, 0.0
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, reached))
        reached = max(reached, ended)
    return total


def begin_default(state: SearchState) -> None:
    """Make the first trial's folder: by its split others see that the search has begun."""
    from reslab.train.session import begin

    begin(replace(state.job, folder=state.trial_folder(0), plan=_default_plan(state)))


def run_trial(state: SearchState, trial: Any) -> None:
    """Run one trial from wherever it stands to its end, and report it to the study."""
    from reslab.train.loop import Diverged, Interrupted
    from reslab.train.session import begin, fit

    optuna = load_optuna()
    values, plan = _values_and_plan(state, trial)
    folder, n, listener = state.trial_folder(trial.number), len(state.job.stores.val), state.job.listener
    curve: list[list[float]] = trial.user_attrs.get("curve", [])
    known = "dials" in trial.user_attrs  # another process, or command, has been at it
    reported = state.study.get_trials(deepcopy=False)[trial.number].intermediate_values.keys()
    spent, begun = trial.user_attrs.get("seconds", 0.0), time.monotonic()
    trial.set_user_attr("dials", values)
    listener({"event": "trial", "trial": trial.number, "dials": values, "epochs": plan.config.epochs})

    def listen(event: Event) -> None:
        listener(event | {"elapsed": state.elapsed()})
        if event["event"] != "epoch":
            return
        epoch = event["epoch"]
        curve[epoch - 1 :] = [[event["val_accuracy"], event["val_nll"]]]
        if epoch not in reported:
            trial.report(objective(event["val_accuracy"], event["val_nll"], n), epoch)
        trial.set_user_attr("curve", curve)
        trial.set_user_attr("seconds", round(spent + time.monotonic() - begun, 2))
        if epoch < plan.config.epochs and trial.should_prune():
            raise optuna.TrialPruned

    job = replace(state.job, folder=folder, plan=plan, listener=listen, resume=known)
    if not (folder / CONFIG_NAME).is_file():
        begin(job)
    try:
        evaluation = fit(job)
    except optuna.TrialPruned:
        state.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except Diverged as error:
        trial.set_user_attr("diverged", error.message)
        state.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except Interrupted as stop:
        raise Interrupted(stop.message, f"go on with the same command and --out {state.job.folder}") from None
    else:
        assert evaluation is not None
        score = evaluation.score
        trial.set_user_attr("score", [score.top1.value, score.nll])
        trial.set_user_attr("seconds", round(spent + time.monotonic() - begun, 2))
        state.study.tell(trial, objective(score.top1.value, score.nll, score.n))


def _values_and_plan(state: SearchState, trial: Any) -> tuple[dict[str, Any], Plan]:
    """What a trial tries, and its plan."""
    if not trial.number:
        return default_values(state.space), _default_plan(state)
    values = sample_values(state.space, trial)
    origin = Origin("search", say("reason.trial", number=trial.number))
    return values, with_values(state.job.plan, values, state.job.catalog.mirrored, origin)


def _default_plan(state: SearchState) -> Plan:
    plan = state.job.plan
    own = {name: value for name, value in default_values(state.space).items() if value == "head"}
    return with_values(plan, own, state.job.catalog.mirrored, plan.origins["finetune"])


def row_of(trial: Any) -> dict[str, Any]:
    """A trial of Optuna's as a row of ours."""
    attributes = trial.user_attrs
    curve = attributes.get("curve", [])
    accuracy, nll = attributes.get("score") or (curve[-1] if curve else (None, None))
    state = "diverged" if "diverged" in attributes else trial.state.name.lower()
    return {
        "trial": trial.number, "state": state, "dials": attributes.get("dials", {}), "val_accuracy": accuracy, "val_nll": nll,
        "epochs": len(curve), "seconds": attributes.get("seconds", 0.0), "curve": curve,
    }  # fmt: skip
