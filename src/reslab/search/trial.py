"""One trial of a search: what it tries, and a run folder that fills until it is finished or stopped early."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

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

    @property
    def known(self) -> dict[str, Any]:
        """What was decided before the first trial: asked, plan, dials (the space), full_epochs, seconds (a guess)."""
        return self.study.user_attrs[KNOWN]

    def trial_folder(self, number: int) -> Path:
        return self.job.folder / TRIALS_NAME / f"{number:03d}"

    def elapsed(self) -> float:
        return time.monotonic() - self.begun


def next_trial(state: SearchState, seconds: float) -> Any:
    """The trial that was cut short, or a new one if it fits; None where it does not.

    What a trial tries is drawn from the seed, its number and the trials before it.
    """
    optuna = load_optuna()
    states = optuna.trial.TrialState
    epochs = state.job.plan.config.epochs
    trials = [t for t in state.study.get_trials(deepcopy=False) if t.state != states.WAITING]
    cut = [trial for trial in trials if trial.state == states.RUNNING]
    number = cut[0].number if cut else len(trials)
    seed = int(np.random.SeedSequence((state.job.plan.config.seed, number)).generate_state(1)[0])
    state.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM)
    if cut:
        return optuna.trial.Trial(state.study, cut[0]._trial_id)
    whole = [t for t in trials if t.state == states.COMPLETE and len(t.user_attrs["curve"]) == epochs]
    cost = max((t.user_attrs["seconds"] for t in whole), default=state.known["seconds"])
    return None if number and state.elapsed() + cost > seconds else state.study.ask()


def run_trial(state: SearchState, trial: Any) -> None:
    """Run one trial from wherever it stands to its end, and report it to the study."""
    from reslab.train.loop import Diverged, Interrupted
    from reslab.train.session import begin, fit

    optuna = load_optuna()
    values, plan = _values_and_plan(state, trial)
    folder, n, listener = state.trial_folder(trial.number), len(state.job.stores.val), state.job.listener
    curve: list[list[float]] = trial.user_attrs.get("curve", [])
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

    goes_on = (folder / CONFIG_NAME).is_file()
    job = replace(state.job, folder=folder, plan=plan, listener=listen, resume=goes_on)
    if not goes_on:
        begin(job)
    try:
        evaluation = fit(job)
    except optuna.TrialPruned:
        state.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except Diverged as error:
        if trial.number == 0:
            shutil.rmtree(state.job.folder / TRIALS_NAME)  # there is nothing to compare with: the search has not begun
            raise ResLabError(
                f"the default itself diverges: {error.message}", "start from another rate: --lr"
            ) from None
        trial.set_user_attr("diverged", True)
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
    plan, mirrored = state.job.plan, state.job.catalog.mirrored
    values = sample_values(state.space, trial)
    if trial.number:
        return values, with_values(plan, values, mirrored, Origin("search", say("reason.trial", number=trial.number)))
    values = default_values(state.space)
    own = {name: value for name, value in values.items() if value == "head"}
    return values, with_values(plan, own, mirrored, plan.origins["finetune"])


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
