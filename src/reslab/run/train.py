"""What one verb needs from several rooms: check, then train, then score, then report. Composition only.

PyTorch is imported where the first step needs it, when everything that can be refused without it has been.
"""

import re
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from reslab.data.sources import absolute, path_of
from reslab.engine.open import find_model
from reslab.errors import ResLabError, Unreachable
from reslab.evaluate.evaluation import Evaluation
from reslab.model.run import CONFIG_NAME, read_config
from reslab.run.prepare import OPENED, plan_event, prepare, reload_and_verify, same_data
from reslab.system.events import Listener, ignore
from reslab.system.files import write_json
from reslab.train.config import Origin, TrainConfig
from reslab.train.inputs import open_stores
from reslab.train.job import Job
from reslab.train.plan.document import plan_document, plan_from
from reslab.train.step.process_group import SINGLE, is_restart, job_id, join
from reslab.words.phrases import say


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training."""

    folder: Path
    evaluation: Evaluation | None
    """On the validation split, or out of fold; None where nothing validated."""

    @property
    def model(self) -> Path:
        return find_model(self.folder)


def train(
    config: TrainConfig,
    out: str | Path | None = None,
    user: Collection[str] = (),
    on_event: Listener | None = None,
    begun: float | None = None,
) -> Run:
    """Check the training and validation pictures, train, calibrate, judge, and write the report.

    With `config.folds` that is a cross-validation (`cross_validation.cross_validate`).

    Args:
        out: the run folder; `runs/<date>-<model>-<data>` by default.
        user: names of the fields of `config` that a person chose, for the record.
        on_event: is given everything that happens, as plain dictionaries.
        begun: when the person's time began to run, by `time.monotonic`; now by default.

    Raises:
        ResLabError: bad input, a diverged run, or a full disk; one sentence and a hint.
    """
    if not isinstance(config, TrainConfig):
        example = "reslab.fit(dataclasses.replace(reslab.recipe('standard'), data='pictures'))"
        raise ResLabError(
            f"a run is made from a TrainConfig, not from {type(config).__name__}: {config!r:.80}", example
        )
    begun = time.monotonic() if begun is None else begun
    group = join()
    listener = on_event if on_event and group.first else ignore
    job = prepare(config, None if out is None else Path(out), user, listener, begun, group)
    return _finish(replace(job, spent=time.monotonic() - begun))


def resume(
    folder: str | Path, epochs: int | None = None, on_event: Listener | None = None, data: str | Path | None = None
) -> Run:
    """Continue a run where its last saved state left it.

    With `epochs`, the run is made longer or shorter: from the present step on, the learning rate follows the schedule
    of a run of that length.

    Args:
        data: where the pictures lie now, if they have moved; they must be the same ones.

    Raises:
        ResLabError: there is no run, its data or its config have changed, or its state is damaged.
    """
    folder = path_of(folder, "the run folder")
    document = read_config(folder)
    plan = plan_from(document, folder)
    if epochs is not None and plan.config.folds:
        raise ResLabError(
            "the runs of a cross-validation are of one length, so none of them can be made longer or shorter",
            f"train anew: --folds {plan.config.folds} --epochs {epochs}",
        )
    if epochs is not None:
        origin = Origin("user", say("reason.epochs.resume"))
        config = replace(plan.config, epochs=epochs, minutes=0.0, course=())
        plan = replace(plan, config=config, origins={**plan.origins, "epochs": origin})
    if data is not None:
        plan = replace(plan, data_path=absolute(str(data)))
    group = join()
    listener = on_event if on_event and group.first else ignore
    whole, expected = same_data(plan.config, folder, data)
    job = Job(folder, plan, whole, open_stores(plan, whole), listener, group, resume=True)
    if group.first:
        reload_and_verify(job.stores, whole.only(OPENED), expected, listener)
    if (epochs is not None or data is not None) and group.first:
        write_json(folder / CONFIG_NAME, plan_document(plan))
    listener(plan_event(job, None))
    from reslab.system import device  # the machine as PyTorch sees it

    if (there := _without_threads(document["machine"])) != (here := _without_threads(device.describe())):
        text = f"this run began on {there}, and this is {here}: the last digits may differ"
        listener({"event": "warning", "text": text})
    return _finish(job)


def begun_by_torchrun(folder: Path) -> bool:
    """Whether the folder holds a run that this `torchrun` has begun, which all its processes are to go on with.

    It has, if it starts them again, or if the run was begun in a job of the same name.
    """
    if (group := join()) is SINGLE:
        return False
    again = is_restart(group)
    if not group.first:
        return group.share(None)
    begun = (folder / CONFIG_NAME).is_file()
    return group.share(begun and (again or (bool(job_id()) and read_config(folder).get("job") == job_id())))


def _without_threads(machine: str) -> str:
    """The description without the number of threads, which a run keeps on any machine."""
    return re.sub(r", \d+ threads", "", machine)


def _finish(job: Job) -> Run:
    """Bring a begun run to its end, with its report."""
    from reslab.report.page import write_report
    from reslab.run.cross_validation import cross_validate
    from reslab.train.session import fit

    try:
        evaluation = cross_validate(job) if job.plan.config.cross_validates else fit(job)
        if job.group.first:
            write_report(job.folder)
    except Unreachable as error:
        raise Unreachable(error.message, f"{error.hint} Once there is: reslab resume {job.folder}") from None
    return Run(job.folder, evaluation)
