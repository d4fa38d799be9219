"""Workers on a Ray cluster: a task for each missing part, which Ray places, and starts again where its machine fails."""

import importlib.metadata
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from reslab.bulk.work import Done, Job, Worker
from reslab.errors import ResLabError

_WAITING = 1000
"""Tasks that Ray knows of at a time."""


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """The package ray, connected for the duration of the block to a cluster whose ResLab is of this version.

    Args:
        address: `ray://HOST:PORT` of its client server; `ray` for the cluster that this machine is part of.

    Raises:
        ResLabError: the package is missing, no cluster answers, or it has another version of ResLab, or none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before it is imported: it would report to its maker
    try:
        import ray  # pyrefly: ignore[missing-import]
    except ImportError:
        raise ResLabError("--engine-on ray needs the package ray", "pip install 'reslab[ray]'") from None
    try:
        ray.init("auto" if address == "ray" else address, log_to_driver=False, logging_level="error")
    except Exception as error:  # of Ray, of gRPC, of the system: they have no common class
        lines = (str(error).strip() or type(error).__name__).splitlines()
        said = " ".join(dict.fromkeys((lines[0], lines[-1].strip())))  # between them is a traceback of the server's
        raise ResLabError(f"no Ray cluster answers at {address}: {said}", "ray start --head begins one") from None
    try:
        _refuse_other_version(ray)
        yield ray
    finally:
        ray.shutdown()


def _refuse_other_version(ray: Any) -> None:
    def version() -> str:  # within a function, so that Ray sends its code: a module need not be there
        import importlib.metadata

        try:
            return importlib.metadata.version("reslab")
        except importlib.metadata.PackageNotFoundError:
            return ""

    theirs, ours = ray.get(ray.remote(version).remote()), importlib.metadata.version("reslab")
    if theirs != ours:
        what = f"ResLab {theirs}" if theirs else "no ResLab"
        raise ResLabError(
            f"the Ray cluster has {what}, this is ResLab {ours}", f"pip install reslab=={ours} on all nodes"
        )


def work_on(ray: Any, job: Job, numbers: Sequence[int]) -> Iterator[Done]:
    """Answer these parts, given by their numbers.

    Raises:
        ResLabError: OUT cannot be written; a task failed again and again.
    """
    task = ray.remote(num_cpus=1)(_answer)
    more = iter(numbers)
    waiting = [task.remote(job, number) for number in itertools.islice(more, _WAITING)]
    while waiting:
        ready, waiting = ray.wait(waiting)
        waiting += [task.remote(job, number) for number in itertools.islice(more, len(ready))]
        try:
            told = ray.get(ready[0])
        except ray.exceptions.RayError as error:
            raise ResLabError(f"a Ray task failed: {str(error).strip().splitlines()[-1]}") from None
        if isinstance(told, ResLabError):
            raise told
        yield told


def _answer(job: Job, number: int) -> Done | ResLabError:
    """The task: what has become of a part, or why nothing can be done here."""
    try:
        return next(_worker(job).work(lambda wanted: wanted == number), Done(str(number)))
    except ResLabError as error:
        return error


@lru_cache(maxsize=1)
def _worker(job: Job) -> Worker:
    """The worker of this process, whose model is opened once."""
    return Worker(job)
