"""`predict --parquet`: answers for any number of pictures, a Parquet file per shard, by workers here, of SLURM or of Ray."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from reslab.bulk.local import Share, work_here
from reslab.bulk.on_ray import work_on
from reslab.bulk.slurm import batch_script
from reslab.bulk.work import Done, Job, Worker
from reslab.cli import show
from reslab.cli.app import WORDS
from reslab.cli.bulk_options import BulkOptions
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
    share, engine = _share(options.share), options.engine_on
    if engine not in ("local", "slurm", "ray") and not engine.startswith("ray://"):
        raise ResLabError(f"--engine-on {engine} is unknown", "known: local, slurm, ray, ray://HOST:PORT")
    if engine.startswith("ray") and options.processes:
        raise ResLabError("--processes is not for Ray, which gives each free core a task", "leave it out")
    if not is_url(job.out):
        outside_data(path_of(job.out, "--parquet"), job.data, "--parquet")
    if engine == "slurm":
        parts = Worker(job, show.people.print).parts.count
        sys.stdout.write(batch_script(WORDS.get(), parts, options.processes))
        return
    with _begun(job, options, share) as (worker, dones):
        total, missing = worker.parts.count, len(worker.missing())
        answered, failed, broken = _followed(dones, worker.parts.pictures)
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
        show.people.print(f"{answered:,} answered" + (f", {failed:,} of them could not be read" if failed else ""))
    if broken:
        raise ResLabError(f"{len(broken):,} of {total:,} parts could not be read", "each line above says why")
    if answered and answered == failed:
        raise ResLabError("none of the inputs could be read", "the column error says why")


@contextmanager
def _begun(job: Job, options: BulkOptions, share: Share) -> Iterator[tuple[Worker, Iterator[Done]]]:
    """A worker of this process, and what becomes of the parts, wherever they are answered."""
    if options.engine_on == "local":
        worker = Worker(job, show.people.print)
        yield worker, work_here(worker, job, options.processes or 1, share)
        return
    with cluster("auto" if options.engine_on == "ray" else options.engine_on) as ray:
        worker = Worker(job, show.people.print)
        yield worker, work_on(ray, job, worker.missing(share))


def _followed(dones: Iterator[Done], pictures: int) -> tuple[int, int, dict[str, str]]:
    """Rows, rows without an answer, and parts that could not be read."""
    answered = failed = 0
    broken: dict[str, str] = {}
    with show.bar("predicting", pictures) as progress:
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
