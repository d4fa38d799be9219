"""One trial of a search: what it tries, and a run folder that fills until it is finished or stopped early."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reslab.data.catalog import Catalog
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import Evaluation
from reslab.model.run import CONFIG_NAME
from reslab.search.evidence import standing
from reslab.search.log import load_optuna
from reslab.search.space import Dial, defaults, drawn, turned
from reslab.train.config import Origin, Plan
from reslab.train.inputs import Stores
from reslab.train.journal import Event, Listener
from reslab.words.phrases import say

TRIALS_NAME = "trials"
KNOWN = "search"
"""Where the study keeps what was decided before the first trial."""

_RANDOM = 4  # trials before TPE learns from them, the default among them


@dataclass(frozen=True, slots=True)
class Hunt:
    """A search before its next trial."""

    folder: Path
    study: Any
    """Optuna's."""
    plan: Plan
    """Every trial's, but for the dials; its length is theirs."""
    dials: tuple[Dial, ...]
    whole: Catalog
    """All pictures that can be read, splits assigned."""
    stores: Stores
    begun: float
    """When the person's time began, less what earlier commands have spent."""

    @property
    def known(self) -> dict[str, Any]:
        """What was decided before the first trial: asked, plan, dials, full_epochs, seconds (guessed, of a trial)."""
        return self.study.user_attrs[KNOWN]

    def trial_folder(self, number: int) -> Path:
        return self.folder / TRIALS_NAME / f"{number:03d}"

    def elapsed(self) -> float:
        return time.monotonic() - self.begun


def following(hunt: Hunt, seconds: float) -> Any:
    """The trial that was cut short, or a new one if it fits; None where it does not.

    What a trial tries is drawn from the seed, its number and the trials before it.
    """
    optuna = load_optuna()
    states = optuna.trial.TrialState
    trials = [t for t in hunt.study.get_trials(deepcopy=False) if t.state != states.WAITING]
    cut = [trial for trial in trials if trial.state == states.RUNNING]
    number = cut[0].number if cut else len(trials)
    seed = int(np.random.SeedSequence((hunt.plan.config.seed, number)).generate_state(1)[0])
    hunt.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM)
    if cut:
        return optuna.trial.Trial(hunt.study, cut[0]._trial_id)
    whole = [t for t in trials if t.state == states.COMPLETE and len(t.user_attrs["curve"]) == hunt.plan.config.epochs]
    cost = max((t.user_attrs["seconds"] for t in whole), default=hunt.known["seconds"])
    return None if number and hunt.elapsed() + cost > seconds else hunt.study.ask()


def attempt(hunt: Hunt, trial: Any, show: Listener) -> None:
    """One trial, from wherever it stands to its end; the study is told."""
    from reslab.train.loop import Diverged, Interrupted
    from reslab.train.session import begin, fit

    optuna = load_optuna()
    values, plan = _turned(hunt, trial)
    folder, n = hunt.trial_folder(trial.number), len(hunt.stores.val)
    curve: list[list[float]] = trial.user_attrs.get("curve", [])
    reported = hunt.study.get_trials(deepcopy=False)[trial.number].intermediate_values.keys()
    spent, begun = trial.user_attrs.get("seconds", 0.0), time.monotonic()
    trial.set_user_attr("dials", values)
    show({"event": "trial", "trial": trial.number, "dials": values, "epochs": plan.config.epochs})

    def heard(event: Event) -> None:
        show(event | {"elapsed": hunt.elapsed()})
        if event["event"] != "epoch":
            return
        epoch = event["epoch"]
        curve[epoch - 1 :] = [[event["val_accuracy"], event["val_nll"]]]
        if epoch not in reported:
            trial.report(standing(event["val_accuracy"], event["val_nll"], n), epoch)
        trial.set_user_attr("curve", curve)
        trial.set_user_attr("seconds", round(spent + time.monotonic() - begun, 2))
        if epoch < plan.config.epochs and trial.should_prune():
            raise optuna.TrialPruned

    goes_on = (folder / CONFIG_NAME).is_file()
    if not goes_on:
        begin(folder, plan, hunt.whole, hunt.stores)
    try:
        evaluation = fit(folder, plan, hunt.stores, heard, resume=goes_on)
    except optuna.TrialPruned:
        hunt.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except Diverged as error:
        if trial.number == 0:
            shutil.rmtree(hunt.folder / TRIALS_NAME)  # there is nothing to compare with: the search has not begun
            raise ResLabError(
                f"the default itself diverges: {error.message}", "start from another rate: --lr"
            ) from None
        trial.set_user_attr("diverged", True)
        hunt.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except Interrupted as stop:
        raise Interrupted(stop.message, f"go on with the same command and --out {hunt.folder}") from None
    else:
        assert isinstance(evaluation, Evaluation)
        score = evaluation.score
        trial.set_user_attr("score", [score.top1.value, score.nll])
        trial.set_user_attr("seconds", round(spent + time.monotonic() - begun, 2))
        hunt.study.tell(trial, standing(score.top1.value, score.nll, score.n))


def _turned(hunt: Hunt, trial: Any) -> tuple[dict[str, Any], Plan]:
    """Where the dials stand in a trial, and its plan."""
    values = drawn(hunt.dials, trial)
    if trial.number:
        return values, turned(
            hunt.plan, values, hunt.whole.mirrored, Origin("search", say("reason.trial", number=trial.number))
        )
    values = defaults(hunt.dials)
    own = {name: value for name, value in values.items() if value == "head"}
    return values, turned(hunt.plan, own, hunt.whole.mirrored, hunt.plan.origins["finetune"])


def row_of(trial: Any) -> dict[str, Any]:
    """A trial of Optuna's as a row of ours."""
    told = trial.user_attrs
    curve = told.get("curve", [])
    accuracy, nll = told.get("score") or (curve[-1] if curve else (None, None))
    state = "diverged" if "diverged" in told else trial.state.name.lower()
    return {
        "trial": trial.number, "state": state, "dials": told.get("dials", {}), "val_accuracy": accuracy, "val_nll": nll,
        "epochs": len(curve), "seconds": told.get("seconds", 0.0), "curve": curve,
    }  # fmt: skip
