"""`--parquet` and `--parts`: any number of pictures, a Parquet file per shard, by workers here, of SLURM or of Ray."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from reslab.bulk.job import Job
from reslab.bulk.local import Share, work_here
from reslab.bulk.on_ray import work_on
from reslab.bulk.slurm import batch_script
from reslab.bulk.work import Done, Worker
from reslab.cli import show
from reslab.cli.app import WORDS
from reslab.cli.bulk_options import BulkOptions, WorkerOptions
from reslab.cli.foreign import ForeignOptions
from reslab.cli.options import outside_data
from reslab.data.archives.places import is_url
from reslab.data.sources import path_of
from reslab.engine.open import EngineName
from reslab.errors import ResLabError
from reslab.evaluate.predict import SetOptions
from reslab.system.cluster import cluster
from reslab.system.events import ignore

_SHARE = re.compile(r"(\d{1,9})/(\d{1,9})")
_NAMED = 5  # broken parts that are named
_DOING = {"predict": "predicting", "embed": "embedding", "check": "checking"}


def job_of(
    verb: Literal["predict", "embed"],
    model: Path,
    data: str,
    options: BulkOptions,
    foreign: ForeignOptions,
    workers: int | None,
    engine: EngineName,
    sets: SetOptions | None = None,
) -> Job:
    """What is asked for, without what cannot be sent to another process."""
    assumed = replace(foreign.assumed(), on_message=ignore)
    return Job(str(model), data, options.parquet or "", verb, workers, engine, sets, assumed)


def answer_in_bulk(job: Job, options: BulkOptions, json: bool) -> None:
    """Do what is missing in OUT, and say what was done.

    Raises:
        ResLabError: something is missing in the end; no picture could be read.
    """
    _do_missing(job, options.where, json, "--parquet", "answered")


def look_in_bulk(job: Job, where: WorkerOptions, json: bool) -> Worker | None:
    """Look at what has not been looked at; whoever knows all of it, if this command is to judge it.

    Raises:
        ResLabError: something is missing in the end; no picture could be read.
    """
    worker = _do_missing(job, where, json and where.share is not None, "--parts", "looked at")
    if worker is None or where.share is None:
        return worker
    show.people.print("the same command without --share judges them", soft_wrap=True)
    return None


def _do_missing(job: Job, where: WorkerOptions, json: bool, flag: str, done: str) -> Worker | None:
    """The worker, unless only a script was asked for."""
    share, engine = _share(where.share), where.engine_on
    if engine not in ("local", "slurm", "ray") and not engine.startswith("ray://"):
        raise ResLabError(f"--engine-on {engine} is unknown", "known: local, slurm, ray, ray://HOST:PORT")
    if engine.startswith("ray") and where.processes:
        raise ResLabError("--processes is not for Ray, which gives each free core a task", "leave it out")
    if not is_url(job.out):
        outside_data(path_of(job.out, flag), job.data, flag)
    if engine == "slurm":
        parts = Worker(job, show.people.print).parts.count
        sys.stdout.write(batch_script(WORDS.get(), parts, where.processes))
        return None
    with _begun(job, where, share) as (worker, dones):
        total, missing = worker.parts.count, len(worker.missing())
        answered, failed, broken = _followed(dones, worker.parts.pictures, _DOING[job.verb])
    for part, reason in list(broken.items())[:_NAMED]:
        show.people.print(f"{part}: {reason}", soft_wrap=True)
    if json:
        show.print_json({
            "schema": 1, "out": job.out, "parts": total, "missing_before": missing, "answered": answered, "failed": failed,
            "broken": broken,
        })  # fmt: skip
    else:
        if missing < total:
            show.people.print(f"{total - missing:,} of {total:,} parts are in {job.out} already", soft_wrap=True)
        show.people.print(f"{answered:,} {done}" + (f", {failed:,} of them could not be read" if failed else ""))
    if broken:
        raise ResLabError(f"{len(broken):,} of {total:,} parts could not be read", "each line above says why")
    if answered and answered == failed and job.verb != "check":
        raise ResLabError("none of the inputs could be read", "the column error says why")
    return worker


@contextmanager
def _begun(job: Job, where: WorkerOptions, share: Share) -> Iterator[tuple[Worker, Iterator[Done]]]:
    """A worker of this process, and what becomes of the parts, wherever they are answered."""
    if where.engine_on == "local":
        worker = Worker(job, show.people.print)
        yield worker, work_here(worker, job, where.processes or 1, share)
        return
    with cluster("auto" if where.engine_on == "ray" else where.engine_on) as ray:
        worker = Worker(job, show.people.print)
        yield worker, work_on(ray, job, worker.missing(share))


def _followed(dones: Iterator[Done], pictures: int, doing: str) -> tuple[int, int, dict[str, str]]:
    """Rows, rows without an answer, and parts that could not be read."""
    answered = failed = 0
    broken: dict[str, str] = {}
    with show.bar(doing, pictures) as progress:
        for done in dones:
            answered, failed = answered + done.rows, failed + done.failed
            broken |= {done.part: done.error} if done.error else {}
            progress.move(done.rows)
    return answered, failed, broken


def _share(written: str | None) -> Share:
    if written is None:
        return Share()
    found = _SHARE.fullmatch(written)
    number, of = map(int, found.groups()) if found else (0, 0)
    if number >= of:
        raise ResLabError(f"--share {written} is not K/N with K from 0 to N - 1", "--share 0/4 is the first of four")
    return Share(number, of)
