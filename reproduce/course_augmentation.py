"""What augmentation buys with few photographs (lesson 11): nothing, one change at a time, and the named sets.

    python reproduce/course_augmentation.py DATA [--seeds 0 1 2] [--train 5000] [--epochs 20]
        [--out lessons/results/augmentation.json]

DATA is CIFAR-10 as a folder with train/ and test/. Every setting trains resnet20 by SGD on a one-cycle rate on the same 5,000
pictures of a seed; the weights of the last epoch answer all test pictures. Gains are over no augmentation. A training that is
there already (--work) is taken as it is.
"""

import argparse
from pathlib import Path

import numpy as np
from course_training import Choices, measured, read, row, write

from reslab.data.augment import SETS

CHANGES = {
    "none": (),
    "crop": ("crop",),
    "hflip": ("hflip",),
    "rotate": ("rotate",),
    "color": ("color",),
    "vflip": ("vflip",),
    "light": SETS["light"],
    "standard": SETS["standard"],
    "strong": SETS["strong"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", type=int, default=5_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--keep", type=int, default=None, help="pictures of each split to read at most, to try the script"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/reproduce/course"))
    parser.add_argument("--out", type=Path, default=Path("lessons/results/augmentation.json"))
    options = parser.parse_args()
    pool, test = read(options.data, options.keep)
    stacks: dict[str, list[np.ndarray]] = {name: [] for name in CHANGES}
    for seed in options.seeds:
        for name, changes in CHANGES.items():
            choices = Choices(0.2, "onecycle", 5e-4, True, 0.0, "sgd", 5.0, changes)
            found = measured(pool, test, choices, seed, options.train, options.epochs, options.work)
            stacks[name].append(found["last"])
    none = np.stack(stacks["none"])
    rows = [row(name, np.stack(stack), None if name == "none" else none) for name, stack in stacks.items()]
    facts = {"train": options.train, "epochs": options.epochs, "test": len(test.pixels), "seeds": options.seeds}
    write(options.out, rows, facts)


if __name__ == "__main__":
    main()
