"""Cross-validation: every picture is judged once, by a network that has not seen it; what ships is trained on all of them.

No fold chooses anything by the pictures that judge it: it trains the whole length and its last weights count, as they do
in the run on everything, which has no pictures left to choose by. So the pooled score flatters nobody. It is that of
networks trained on all but one K-th of the pictures, and the one that ships has seen a little more.
"""

from dataclasses import replace
from pathlib import Path

from reslab.data.catalog import Catalog
from reslab.data.draws import steps_per_epoch
from reslab.data.store import Store
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import Evaluation, Judgement, pooled
from reslab.model.run import CONFIG_NAME, OUT_OF_FOLD, fold_folder
from reslab.train.config import Origin, Plan
from reslab.train.inputs import Stores, preprocess_of
from reslab.train.journal import Event, Listener
from reslab.train.loop import Interrupted
from reslab.train.plan.resolve import with_statistics
from reslab.train.session import begin, fit, settle
from reslab.train.step.process_group import ALONE, Ranks
from reslab.words.phrases import say


def cross_validated(
    out: Path, plan: Plan, whole: Catalog, stores: Stores, show: Listener, resume: bool = False, ranks: Ranks = ALONE
) -> Judgement:
    """Train the folds in `out/fold-1`, …, then on everything in `out`; calibrate and score that by the folds' answers.

    Args:
        out: the begun run of `plan`, on all pictures.
        whole: the pictures as they were dealt (`data.splits.folded`).
        stores: the pictures of `plan`; the folds share what it has decoded.
        resume: go on from where each of the runs stands.

    Returns:
        The out-of-fold evaluation, which is also kept in `out`.
    """
    folds = plan.config.folds
    if missing := set(range(1, folds + 1)) - {p.fold for p in whole.pictures}:
        raise ResLabError(f"fold {min(missing)} has no picture that can be read", f"use fewer folds than {folds}")
    judged: list[Judgement | None] = []
    for number in range(1, folds + 1):
        place, catalog = fold_folder(out, number), whole.with_fold(number)
        mine = Stores(stores.train.part(catalog.split("train")), Store(catalog.split("val"), preprocess_of(plan)))
        own, goes_on = ranks.share(_begun(place, number, plan, catalog, mine, resume) if ranks.first else None)
        show(_about(place, own, mine))
        try:
            judged.append(fit(place, own, mine, show, goes_on, ranks))
        except Interrupted as stop:
            hint = f"go on with: reslab resume {out}"
            raise Interrupted(f"fold {number} of {folds}: {stop.message}", hint) from None
    show(_about(out, plan, stores))
    fit(out, plan, stores, show, resume, ranks)
    answers = pooled([one for one in judged if isinstance(one, Evaluation)], OUT_OF_FOLD)
    return ranks.share(settle(out, answers, chose_the_model=False) if ranks.first else None)


def _begun(place: Path, fold: int, whole: Plan, catalog: Catalog, stores: Stores, resume: bool) -> tuple[Plan, bool]:
    """The plan of a fold, its folder begun, and whether it goes on from an earlier start."""
    goes_on = resume and (place / CONFIG_NAME).is_file()
    plan = _plan_of(fold, whole, stores)
    if not goes_on:
        begin(place, plan, catalog, stores)
    return plan, goes_on


def _plan_of(fold: int, whole: Plan, stores: Stores) -> Plan:
    """The choices of the whole; what is measured on pictures is measured on those that train."""
    config = replace(whole.config, fold=fold)
    origins = {**whole.origins, "fold": Origin("user", say("reason.fold", folds=config.folds))}
    steps = steps_per_epoch(len(stores.train), config.batch_size)
    return with_statistics(replace(whole, config=config, origins=origins, steps_per_epoch=steps), stores.train)


def _about(folder: Path, plan: Plan, stores: Stores) -> Event:
    """What is told before each of the runs."""
    event: Event = {"event": "fold", "fold": plan.config.fold, "folds": plan.config.folds, "folder": str(folder)}
    return event | {"train": len(stores.train), "val": len(stores.val), "steps": plan.total_steps}
