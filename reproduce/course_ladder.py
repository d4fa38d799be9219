"""The ladder of lesson 12 with photographs: from the article's training to the standard recipe, one difference at a time.

    python reproduce/course_ladder.py DATA [--seeds 0 1 2] [--train 10000] [--epochs 12] [--out lessons/results/ladder.json]

DATA is CIFAR-10 as a folder with train/ and test/. Every setting trains resnet20 with crop and mirror on the same 10,000
pictures of a seed; 1,000 others choose the epoch where one is chosen; all test pictures judge, and choose nothing. A training
that is there already (--work) is taken as it is.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from course_training import Choices, measured, read, row, write

LADDER = (
    ("article", {}, "last"),
    ("validation", {}, "best"),
    ("rate", {"lr": 1e-2}, "best"),
    ("schedule", {"schedule": "onecycle"}, "best"),
    ("decay", {"decay": 0.05}, "best"),
    ("init", {"he": True}, "best"),
    ("ema", {}, "average"),
    ("smoothing", {"smoothing": 0.1}, "average"),
    ("sgd", {"optimiser": "sgd", "lr": 0.2, "decay": 5e-4, "clip": 5.0}, "average"),
)
"""Name, what is changed from here on, and which weights of the training are judged."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--keep", type=int, default=None, help="pictures of each split to read at most, to try the script"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/reproduce/course"))
    parser.add_argument("--out", type=Path, default=Path("lessons/results/ladder.json"))
    options = parser.parse_args()
    pool, test = read(options.data, options.keep)
    stacks: dict[str, list[np.ndarray]] = {name: [] for name, *_ in LADDER}
    for seed in options.seeds:
        choices = Choices()
        for name, changes, which in LADDER:
            choices = dataclasses.replace(choices, **changes)
            found = measured(pool, test, choices, seed, options.train, options.epochs, options.work)
            stacks[name].append(found[which])
    rows, before = [], None
    for name, *_ in LADDER:
        now = np.stack(stacks[name])
        rows.append(row(name, now, before))
        before = now
    facts = {"train": options.train, "epochs": options.epochs, "test": len(test.pixels), "seeds": options.seeds}
    write(options.out, rows, facts)


if __name__ == "__main__":
    main()
