"""A run that goes on: what must be true of the folder that it is found in, and what is said about it."""

from collections.abc import Sequence
from pathlib import Path

from reslab.errors import ResLabError
from reslab.model.file import read_model
from reslab.model.run import MODEL_NAME, STATE_NAME, read_journal
from reslab.system.events import Event
from reslab.train.job import Job
from reslab.train.step.process_group import job_id


def begin_again(job: Job) -> None:
    """A run without a saved state begins again, unless it must have had one."""
    out = job.folder
    epochs = sum(event["event"] == "epoch" for event in read_journal(out))
    calibrated = (out / MODEL_NAME).is_file() and read_model(out / MODEL_NAME).header.calibration.n > 0
    if epochs > 1 or calibrated:
        raise ResLabError(
            f"{out / STATE_NAME} is missing, so the run cannot go on",
            f"{out / MODEL_NAME} is as good as it was; or train anew: reslab train DATA --like {out}",
        )
    text = "the run was stopped before its first saved state: it begins again at step 0"
    job.listener({"event": "warning", "text": text})


def refuse_different_states(steps: Sequence[int], folder: Path) -> None:
    """Every process must have read the same state.

    Args:
        steps: of the state that each has read.
    """
    if len(set(steps)) > 1:
        raise ResLabError(
            f"the processes found different states in {folder}: of the steps {', '.join(map(str, sorted(set(steps))))}",
            "all hosts must see the same --out: a shared file system that shows new files at once",
        )


def restart_event(job: Job, step: int, before: int) -> Event | None:
    """What is recorded of a run that `torchrun` goes on with, or that goes on with another number of processes.

    Args:
        before: how many processes there were; 0 where that is unknown.
    """
    if not job.resume or not (job_id() or before not in (0, job.group.world)):
        return None
    return {"event": "restart", "step": step, "processes": job.group.world, "before": before}
