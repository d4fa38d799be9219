"""Measure the constants from which docs/en/scale.md computes bytes, hours and money.

    OMP_NUM_THREADS=1 taskset -c 1 python reproduce/scale.py [DATA] [--network resnet18] [--size 224] [--rounds 3]

DATA is a folder of photographs, such as ants_bees. Processor time of one thread, the median of the rounds; the network has
random weights, since its numbers cost the same.
"""

import argparse
import dataclasses
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from reslab.bench.network import fresh
from reslab.bulk.work import Job, Worker
from reslab.data.archives.shards import read_shards
from reslab.data.archives.write import write_shards
from reslab.data.reader import content, load_decoded
from reslab.data.sources import read_data
from reslab.engine.onnx import open_exported
from reslab.export.graph import write_onnx
from reslab.nn.config import member_configs
from reslab.nn.count import parameters
from reslab.system import device
from reslab.train.config import TrainConfig
from reslab.train.plan.speed import seconds_per_step

LISTED, BATCH = 100_000, 32


def cost(work: Callable[[], object], rounds: int) -> float:
    """Processor seconds."""

    def once() -> float:
        begin = time.process_time()
        work()
        return time.process_time() - begin

    return statistics.median(once() for _ in range(rounds))


def resident() -> int:
    gc.collect()
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])


def listing(catalog, folder: Path, rounds: int) -> dict[str, float]:
    """What reading the tables of many shards costs per picture: the photographs' first rows again and again."""
    first = catalog.pictures[0]
    many = tuple(dataclasses.replace(first, key=f"{number:09}.jpg") for number in range(LISTED))
    write_shards(dataclasses.replace(catalog, pictures=many), folder)
    tables = sum(path.stat().st_size for path in folder.glob("*-*.json"))
    before = resident()
    kept = read_shards(folder)
    held = resident() - before
    del kept
    seconds = cost(lambda: read_shards(folder), rounds)
    return {"table_bytes": tables / LISTED, "catalog_bytes": held / LISTED, "list_seconds": seconds / LISTED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="../shared/data/ants_bees.zip")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    catalog, engine = read_data(options.data), fresh(options.network)
    pictures = catalog.pictures
    member = member_configs(engine.header.network)[0]
    preprocess = dataclasses.replace(engine.header.preprocess, size=options.size)
    found: dict[str, float] = {"photo_bytes": float(np.mean([len(content(p)) for p in pictures]))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found["shard_seconds"] = cost(
            lambda: write_shards(catalog, Path(tempfile.mkdtemp(dir=folder))), options.rounds
        ) / len(pictures)
        found |= listing(catalog, folder / "many", options.rounds)
        found["decode_seconds"] = cost(lambda: [preprocess(load_decoded(p)) for p in pictures], options.rounds) / len(
            pictures
        )
        write_onnx(folder / "model.onnx", engine.network, engine.header, engine.seen)
        graph = open_exported(folder / "model.onnx")
        graph.keep_to_one_core()
        batch = np.zeros((BATCH, options.size, options.size, 3), np.uint8)
        graph.logits(batch)
        found["forward_seconds"] = cost(lambda: graph.logits(batch), options.rounds) / BATCH
        worker = Worker(Job("cifar10_resnet20", options.data, str(folder / "answers"), workers=0))
        assert not any(done.error for done in worker.work())
        found["answer_bytes"] = sum(path.stat().st_size for path in folder.glob("answers/*.parquet")) / len(pictures)
    kind, _ = device.precision()
    config = TrainConfig(batch_size=BATCH, size=options.size, precision=kind, accumulate=1, layout="channels-last")
    found["train_seconds"] = seconds_per_step(dataclasses.asdict(member), config) / BATCH
    found["gradient_bytes"] = 4 * parameters(member)
    print(f"{device.describe()}; {options.network} at {options.size} px, {kind}; {len(pictures)} photographs")
    for key, value in found.items():
        print(f"{key} = {value:.3g}")


if __name__ == "__main__":
    main()
