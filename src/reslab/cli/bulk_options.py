"""Options of the verbs that write a Parquet file per shard; what they do is in `cli.bulk`, loaded when it is asked for."""

from dataclasses import dataclass

from cyclopts import Parameter

from reslab.errors import ResLabError


@Parameter(name="*")
@dataclass(frozen=True)
class BulkOptions:
    """Any number of pictures, answered by any number of workers."""

    parquet: str | None = None
    "Write a Parquet file per shard of DATA into this folder or URL. What is missing is what is left to do."
    processes: int | None = None
    "Worker processes of one thread each; tasks of the SLURM array."
    engine_on: str = "local"
    "local; slurm: print a batch script; ray or ray://HOST:PORT: a Ray cluster."
    share: str | None = None
    "K/N: only every N-th shard, from the K-th on, counted from 0; for arrays of jobs."

    def refuse_alone(self) -> None:
        """Refuse what means nothing without --parquet."""
        if self.parquet is None and (self.processes or self.share or self.engine_on != "local"):
            raise ResLabError("--processes, --engine-on and --share need --parquet", "add --parquet OUT")


BULK_OPTIONS = BulkOptions()
