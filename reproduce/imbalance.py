"""Classes of unequal size: a cut of CIFAR-10 that falls from 500 pictures of one class to 25 of another, four ways.

    python reproduce/imbalance.py DATA [--seeds 5] [--epochs 25] [--out runs/imbalance]

DATA is a folder with train/ and test/. Each seed draws its own pictures and its own order of the classes; the whole test
split (equal classes) judges once, so its accuracy is the balanced accuracy.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from trials import Trial, difference, link, summary, trial

from reslab.data.sources import read_data
from reslab.train.config import BALANCES

MOST, RATIO = 500, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("runs/imbalance"))
    options = parser.parse_args()
    catalog = read_data(options.data)
    classes = sorted(catalog.classes)
    found: dict[str, list[Trial]] = {balance: [] for balance in BALANCES}
    for seed in range(options.seeds):
        data, dice = options.out / f"data-{seed}", np.random.default_rng(seed)
        link(catalog.split("test"), data / "test")
        for place, label in enumerate(dice.permutation(classes)):
            mine = [p for p in catalog.split("train") if p.label == label]
            count = round(MOST * RATIO ** (-place / (len(classes) - 1)))
            link([mine[i] for i in dice.permutation(len(mine))[:count]], data / "train")
        for balance in BALANCES:
            run = options.out / f"{balance}-{seed}"
            fields = {"model": "resnet20", "weights": "none", "size": 32, "epochs": options.epochs, "balance": balance}
            found[balance].append(trial(data, run, seed, **fields))
    for balance, trials in found.items():
        row = {"balance": balance, **summary(trials)}
        if balance != "none":
            row["better than none by"] = difference(trials, found["none"])
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
