"""Pictures per CPU second of `predict --parquet` beside `predict` without a file, on the same shards, in interleaved rounds.

    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/bulk.py MODEL DATA [PICTURES] [ROUNDS]

Evenly chosen pictures of DATA are packed into shards of 1,000 or so, in a temporary folder. Both compute in one thread; opening
the model is counted for neither. The smaller the network and the pictures, the more a row costs beside its answer. A last line
tells the peak of memory after a quarter of the shards, and after all of them.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

from reslab.bulk.local import Share
from reslab.bulk.work import Job, Worker
from reslab.data.archives.write import write_shards
from reslab.data.sources import read_data
from reslab.evaluate.predict import expand, load_model
from reslab.system.machine import peak_memory
from reslab.system.sampling import evenly_spaced


def alone(model: str, shards: Path) -> float:
    """CPU seconds of the answers by themselves."""
    opened = load_model(model)
    begun = time.process_time()
    for _ in opened.answer(expand(str(shards)), workers=0):
        pass
    return time.process_time() - begun


def in_bulk(model: str, shards: Path, out: Path) -> float:
    """CPU seconds of the answers as Parquet files."""
    worker = Worker(Job(model, str(shards), str(out), workers=0))
    begun = time.process_time()
    assert not any(done.error for done in worker.work())
    return time.process_time() - begun


def main(model: str, data: str, count: int = 4000, rounds: int = 5) -> None:
    """Print a line for each round, the median ratio, and memory."""
    given = read_data(data)
    chosen = tuple(given.pictures[i] for i in evenly_spaced(len(given.pictures), count))
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder) / "shards"
        index = write_shards(dataclasses.replace(given, pictures=chosen), shards, max_bytes=4_000_000)
        print(f"{len(chosen):,} pictures in {len(index.shards)} shards")
        worker = Worker(Job(model, str(shards), f"{folder}/memory", workers=0))
        list(worker.work(Share(0, 4)))
        quarter = peak_memory()
        list(worker.work())
        print(
            f"peak memory: {quarter / 1e6:,.0f} MB after a quarter, {peak_memory() / 1e6:,.0f} MB after all", flush=True
        )
        ratios = []
        for number in range(rounds):
            one, other = alone(model, shards), in_bulk(model, shards, Path(folder) / str(number))
            ratios.append(one / other)
            print(
                f"predict {len(chosen) / one:,.0f}, --parquet {len(chosen) / other:,.0f} pictures per CPU second: "
                f"{one / other:.3f}",
                flush=True,
            )
        print(f"median {statistics.median(ratios):.3f}, lowest {min(ratios):.3f}, n = {rounds} rounds")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
