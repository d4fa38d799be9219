"""Play back an epoch's order for many processes: memory, balance, and how many shards a process reads from.

    python reproduce/order.py [--pictures 100000000] [--processes 4096] [--batch 32] [--shard 10000] [--ranks 3]

No picture is read. An epoch is divided into steps of `--processes` times `--batch` pictures, as the loader does it. The whole
order is checked picture by picture; of some processes the parts of every step are taken, in a process of its own each, whose
peak memory is that of Python, numpy and the order.
"""

import argparse
import json
import multiprocessing
import resource
import time

import numpy as np

from reslab.data.draws import steps_per_epoch
from reslab.data.order import WINDOW, visiting_order

SEED, EPOCH, CLASSES, PER_BATCH = 0, 0, 1000, 1024


def step_of(step: int, steps: int, pictures: int) -> tuple[int, int]:
    return step * pictures // steps, (step + 1) * pictures // steps


def play(rank: int, options: argparse.Namespace) -> dict:
    """One process's epoch."""
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.process_time()
    order = visiting_order(SEED, EPOCH, options.pictures)
    made = time.process_time() - begin
    steps = steps_per_epoch(options.pictures, options.processes * options.batch)
    sizes, shards = [], []
    for step in range(steps):
        start, stop = step_of(step, steps, options.pictures)
        own = slice(*(start + r * (stop - start) // options.processes for r in (rank, rank + 1)))
        part = order[own]
        sizes.append(len(part))
        shards.append(len(np.unique(part // options.shard)))
    return {
        "rank": rank,
        "steps": steps,
        "smallest": min(sizes),
        "largest": max(sizes),
        "shards_per_step": float(np.mean(shards)),
        "most_shards_per_step": max(shards),
        "first_s": round(made, 2),
        "cpu_s": round(time.process_time() - begin, 1),
        "mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "mb_of_numpy": round(base),
    }


def check(pictures: int) -> dict:
    """Whether each picture is visited once, and how evenly batches hold the classes of pictures that lie sorted by class."""
    order = visiting_order(SEED, EPOCH, pictures)
    seen, spread = np.zeros(pictures, bool), []
    for start in range(0, pictures, WINDOW):
        part = order[start : min(start + WINDOW, pictures)]
        assert not seen[part].any()
        seen[part] = True
        if len(part) == WINDOW:
            classes = (part * CLASSES // pictures).reshape(-1, PER_BATCH)
            flat = classes + CLASSES * np.arange(len(classes))[:, None]
            spread.append(np.bincount(flat.ravel(), minlength=CLASSES * len(classes)).var())
    expected = PER_BATCH / CLASSES * (1 - 1 / CLASSES)  # of a multinomial draw
    return {
        "each_once": bool(seen.all()),
        "class_count_variance_over_random": round(float(np.mean(spread)) / expected, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000_000)
    parser.add_argument("--processes", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--shard", type=int, default=10_000, help="pictures in a shard")
    parser.add_argument("--ranks", type=int, default=3, help="how many processes to play")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    for rank in np.linspace(0, options.processes - 1, options.ranks).astype(int).tolist():
        with spawn.Pool(1) as pool:
            print(json.dumps(pool.apply(play, (rank, options))), flush=True)
    if options.pictures > WINDOW:
        print(json.dumps(check(options.pictures)), flush=True)


if __name__ == "__main__":
    main()
