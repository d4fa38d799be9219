"""Workers as plain processes of this machine, each with one thread: one that is killed takes none of the others with it."""

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from reslab.bulk.work import Done, Job, Worker
from reslab.errors import ResLabError


@dataclass(frozen=True, slots=True)
class Share:
    """Every `of`-th part from part `number` on; `0/1` is all of them."""

    number: int = 0
    of: int = 1

    def __call__(self, part: int) -> bool:
        return part % self.of == self.number


def work_here(worker: Worker, job: Job, processes: int = 1, share: Share = Share()) -> Iterator[Done]:
    """Answer what is missing of a share: in this process, or in several that this one only watches.

    Args:
        worker: of the same job, in this process.

    Raises:
        ResLabError: something is still missing in the end, and why.
    """
    if processes == 1:
        yield from worker.work(share)
        return
    problems: list[ResLabError] = []
    yield from _watched(replace(job, workers=job.workers or 0), processes, share, problems)
    if problems and worker.missing(share):
        raise problems[0]


def _watched(job: Job, processes: int, share: Share, problems: list[ResLabError]) -> Iterator[Done]:
    """What the processes report, while any of them lives."""
    context = multiprocessing.get_context("spawn")
    children: dict[Any, SpawnProcess] = {}
    try:
        with _one_thread():
            for _ in range(processes):
                receiver, sender = context.Pipe(duplex=False)
                child = context.Process(target=_work, args=(job, share, sender), daemon=True)
                child.start()
                sender.close()
                children[receiver] = child
        running = dict(children)
        while running:
            for ready in wait(list(running)):
                try:
                    told = ready.recv()  # pyrefly: ignore[missing-attribute]
                except EOFError:
                    running.pop(ready).join()  # or the others would take it for alive, and wait for its claim
                    continue
                if isinstance(told, Done):
                    yield told
                else:
                    problems.append(told)
        for child in children.values():
            if child.exitcode:
                problems.append(ResLabError("a worker process was killed", "the same command does what is missing"))
    finally:
        for child in children.values():
            child.terminate()
            child.join()


def _work(job: Job, share: Share, results: Connection) -> None:
    """A worker process."""
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):  # whoever began it is gone, or stops everything
        try:
            for done in Worker(job).work(share):
                results.send(done)
        except ResLabError as error:
            results.send(error)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started meanwhile compute with one thread each, as far as their libraries ask OpenMP."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        os.environ.update({} if before is None else {"OMP_NUM_THREADS": before})
