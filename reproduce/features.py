"""Nearest pictures in figures: agreement between engines, leave-one-out 5-nearest-neighbour accuracy, time.

    python reproduce/features.py CIFAR10 [ANTS_BEES]

The packaged network is asked about every tenth training picture of CIFAR-10. It was trained on them, so their figure is not
a score; no unseen picture is spent on it. Ants and bees are new to it.
"""

import argparse
import time

import numpy as np

from reslab.engine.open import open_engine
from reslab.evaluate.features import embed_pictures, make_table
from reslab.metrics.neighbours import nearest_rows
from reslab.model.run import packaged_file
from reslab.run.features import read_pictures

K, KNOWN, ASKED, LENGTH = 5, 50_000, 1_000, 512


def table_of(engine, data, split, step):
    """The features of every `step`-th picture of a split."""
    found = read_pictures(data)
    chosen = found.pictures(split)[::step]
    begun = time.perf_counter()
    made = make_table(engine, chosen, found.data, None, embed_pictures(engine, chosen))
    print(f"{engine.name}: {len(chosen):,} pictures of {data} in {time.perf_counter() - begun:.1f} s")
    return made


def vote(table):
    """Leave-one-out accuracy of the majority of the nearest K; of equally frequent labels the nearest."""
    labels, near = np.array(table.labels), nearest_rows(table.features, table.features, K, leave_out_self=True).rows
    right = 0
    for row, label in zip(near, labels, strict=True):
        names = labels[row].tolist()
        right += max(names, key=lambda name: (names.count(name), -names.index(name))) == label
    return right / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar10")
    parser.add_argument("ants_bees", nargs="?")
    given = parser.parse_args()
    engines = [open_engine(packaged_file("cifar10_resnet20", suffix)) for suffix in (".safetensors", ".onnx")]
    ours, theirs = (table_of(engine, given.cifar10, "train", 10) for engine in engines)
    print(f"largest difference of a feature: {np.abs(ours.features - theirs.features).max():.2e}, ", end="")
    print(f"of features up to {ours.features.max():.1f}")
    lists = [nearest_rows(one.features, one.features, K, leave_out_self=True).rows for one in (ours, theirs)]
    same = (lists[0] == lists[1]).all(1)
    sets = np.array([set(a) == set(b) for a, b in zip(*lists, strict=True)])
    print(f"the same {K} neighbours: {sets.mean():.2%}, in the same order: {same.mean():.2%} of {len(same):,}")
    print(f"leave-one-out {K}-NN, pictures that it was trained on: {vote(ours):.2%} of {len(ours.keys):,}")
    if given.ants_bees:
        other = table_of(engines[1], given.ants_bees, None, 1)
        print(f"leave-one-out {K}-NN, ants and bees: {vote(other):.2%} of {len(other.keys):,}")
    draw = np.random.default_rng(0)
    known, asked = (draw.gamma(0.3, size=(n, LENGTH)).astype(np.float32) for n in (KNOWN, ASKED))
    begun, cpu = time.perf_counter(), time.process_time()
    nearest_rows(asked, known, K)
    print(f"{ASKED:,} queries of {KNOWN:,} x {LENGTH}: {time.perf_counter() - begun:.1f} s, ", end="")
    print(f"{time.process_time() - cpu:.1f} s of one core")


if __name__ == "__main__":
    main()
