"""Workers on a Ray cluster: a task for each missing part, which Ray places, and starts again where its machine fails."""

import itertools
import socket
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from reslab.bulk.work import ABOUT, Done, Job, Worker
from reslab.data.archives.places import place_of
from reslab.errors import ResLabError
from reslab.system.cluster import change_folder

_WAITING = 1000
"""Tasks that Ray knows of at a time."""


def work_on(ray: Any, job: Job, numbers: Sequence[int]) -> Iterator[Done]:
    """Answer these parts, given by their numbers.

    Args:
        ray: connected (`system.cluster`).

    Raises:
        ResLabError: OUT cannot be written; a task failed again and again.
    """
    task, here = ray.remote(num_cpus=1)(_answer), str(Path.cwd())
    more = iter(numbers)
    waiting = [task.remote(job, here, number) for number in itertools.islice(more, _WAITING)]
    while waiting:
        ready, waiting = ray.wait(waiting)
        waiting += [task.remote(job, here, number) for number in itertools.islice(more, len(ready))]
        try:
            told = ray.get(ready[0])
        except ray.exceptions.RayError as error:
            raise ResLabError(f"a Ray task failed: {str(error).strip().splitlines()[-1]}") from None
        if isinstance(told, ResLabError):
            raise told
        yield told


def _answer(job: Job, folder: str, number: int) -> Done | ResLabError:
    """The task: what has become of a part, or why nothing can be done here.

    Args:
        folder: the one in which the command was given.
    """
    try:
        change_folder(folder)
        return next(_worker(job).work(lambda wanted: wanted == number), Done(str(number)))
    except ResLabError as error:
        return error


@lru_cache(maxsize=1)
def _worker(job: Job) -> Worker:
    """The worker of this process, whose model is opened once."""
    if ABOUT not in place_of(job.out).sizes():
        where = f"{job.out} of the node {socket.gethostname()} is not the folder in which this work was begun"
        raise ResLabError(where, "choose one on storage that all nodes share, or a URL")
    return Worker(job)
