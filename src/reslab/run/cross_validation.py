"""Cross-validation: every picture is answered once by a network that has not seen it; the model is trained on all of them.

No fold chooses anything by the pictures that evaluate it: it trains the whole length and its last weights count, as they do
in the run on everything, which has no pictures left to choose by. So the pooled score is not too
good. It is that of networks trained on all but one K-th of the pictures; the one that is kept has seen a little more.

With `keep_folds` there is no run on everything: the model is the ensemble of the folds' networks, each picture having trained
all of them but one. The pooled score is then that of its members, one by one; no picture is left to score the ensemble by.
"""

import dataclasses

from reslab.errors import ResLabError
from reslab.evaluate.evaluation import Evaluation, pool_folds
from reslab.model.file import read_model, write_model
from reslab.model.run import MODEL_NAME, OUT_OF_FOLD, fold_folder
from reslab.nn.ensemble import combine
from reslab.system.events import Event
from reslab.train.job import Job
from reslab.train.loop import Interrupted
from reslab.train.session import begin, calibrate_and_save, fit, header_of, lock_folder


def cross_validate(job: Job) -> Evaluation:
    """Train the folds in `fold-1`, …, then on everything in the run's folder; calibrate and score that by the folds' answers.

    With `keep_folds`, the model in the run's folder is the ensemble of the folds instead.

    Args:
        job: the begun run on all pictures, dealt into folds (`data.splits.folded`).

    Returns:
        The out-of-fold evaluation, which is also kept in the run's folder.
    """
    folds = job.plan.config.folds
    if missing := set(range(1, folds + 1)) - {p.fold for p in job.catalog.pictures}:
        raise ResLabError(f"fold {min(missing)} has no picture that can be read", f"use fewer folds than {folds}")
    judged: list[Evaluation | None] = []
    for number in range(1, folds + 1):
        fold = job.fold(number)
        if fold.group.first and not fold.resume:
            begin(fold)
        job.listener(_fold_event(fold))
        try:
            judged.append(fit(fold))
        except Interrupted as stop:
            hint = f"go on with: reslab resume {job.folder}"
            raise Interrupted(f"fold {number} of {folds}: {stop.message}", hint) from None
    if not job.plan.config.keep_folds:
        job.listener(_fold_event(job))
        fit(job)
    answers = pool_folds([one for one in judged if one is not None], OUT_OF_FOLD)
    return job.group.share(_save(job, answers) if job.group.first else None)


def _save(job: Job, answers: Evaluation) -> Evaluation:
    """Calibrate and score the model that was trained on everything, or the ensemble, by the answers of the folds."""
    path = job.folder / MODEL_NAME
    with lock_folder(job.folder):
        if job.plan.config.keep_folds:
            _write_ensemble(job)
        return calibrate_and_save(path, read_model(path), answers, chose_the_model=False)


def _write_ensemble(job: Job) -> None:
    """The networks of all folds as one model file, not calibrated yet."""
    members = [read_model(fold_folder(job.folder, k + 1) / MODEL_NAME) for k in range(job.plan.config.folds)]
    inputs = [{name: member.header.network[name] for name in ("mean", "std")} for member in members]
    header = header_of(job.plan)
    header = dataclasses.replace(
        header,
        network=header.network | {"members": inputs},
        training=header.training | {"keep_folds": True},
        feature_mean=tuple(value for member in members for value in member.header.feature_mean),
    )
    seen = job.stores.train.fingerprints()
    write_model(job.folder / MODEL_NAME, combine([member.tensors for member in members]), header, seen)


def _fold_event(job: Job) -> Event:
    """Announces each of the runs."""
    config = job.plan.config
    event: Event = {"event": "fold", "fold": config.fold, "folds": config.folds, "folder": str(job.folder)}
    return event | {"train": len(job.stores.train), "val": len(job.stores.val), "steps": job.plan.total_steps}
