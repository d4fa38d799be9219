"""Options of the verbs that write a Parquet file per shard; what they do is in `cli.bulk`, loaded when it is asked for."""

from dataclasses import dataclass

from cyclopts import Parameter

from reslab.errors import ResLabError


@Parameter(name="*")
@dataclass(frozen=True)
class WorkerOptions:
    """Who does the work."""

    processes: int | None = None
    "Worker processes of one thread each; tasks of the SLURM array."
    engine_on: str = "local"
    "local; slurm: print a batch script; ray or ray://HOST:PORT: a Ray cluster."
    share: str | None = None
    "K/N: only every N-th shard, from the K-th on, counted from 0; for arrays of jobs."

    def refuse_without(self, out: str | None, flag: str) -> None:
        """Refuse what means nothing without the flag that says where the files go."""
        if out is None and (self.processes or self.share or self.engine_on != "local"):
            raise ResLabError(f"--processes, --engine-on and --share need {flag}", f"add {flag} OUT")


WORKER_OPTIONS = WorkerOptions()


@Parameter(name="*")
@dataclass(frozen=True)
class BulkOptions:
    """Any number of pictures, answered by any number of workers."""

    parquet: str | None = None
    "Write a Parquet file per shard of DATA into this folder or URL. What is missing is what is left to do."
    where: WorkerOptions = WORKER_OPTIONS


@Parameter(name="*")
@dataclass(frozen=True)
class PartsOptions:
    """Any number of pictures, looked at by any number of workers."""

    parts: str | None = None
    "With --near or --deep, of shards: keep what is seen of each as a file in this folder or URL, and judge from the files."
    where: WorkerOptions = WORKER_OPTIONS


BULK_OPTIONS, PARTS_OPTIONS = BulkOptions(), PartsOptions()
