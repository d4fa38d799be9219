"""At what share of the usual rate should trained weights learn, and which layers? Validation pictures answer; test stays shut.

    python reproduce/rates.py DATA [--seeds 2] [--out runs/rates]

DATA is CIFAR-10 as a folder with train/ and test/. Near the start: a network that knows six of its classes learns the other
four from 25 and 100 pictures of each, 150 more of each validate. Far from it: the packaged CIFAR-10 network learns
handwritten digits of 8 pixels from 428 of them, the rest of what is no test validates. Prints a line per set and way.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from few_shot import KNOWN, pretrained
from trials import link, summary, trial

from reslab.data.catalog import Catalog
from reslab.data.sources import read_data
from reslab.train.recipes import recipe

MODES, SHARES = ("gradual", "all"), (0.1, 0.3, 1.0)
VALIDATE = 150  # pictures of each class


def near(catalog: Catalog, shots: int, seed: int, out: Path) -> Path:
    """So many training pictures of each of the other four classes, and others to validate."""
    data, dice = out / f"data-{shots}-{seed}", np.random.default_rng([seed, shots])
    for label in sorted(set(catalog.classes) - set(KNOWN)):
        mine = [p for p in catalog.split("train") if p.label == label]
        order = dice.permutation(len(mine))
        link([mine[i] for i in order[:shots]], data / "train")
        link([mine[i] for i in order[shots : shots + VALIDATE]], data / "val")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/rates"))
    options = parser.parse_args()
    catalog, usual = read_data(options.data), recipe("standard").optim
    start = str(pretrained(catalog, options.out))
    for name, batch in (("digits", 16), (25, 8), (100, 16)):
        ways = [("scratch", 1.0)] if name == "digits" else []
        for mode, share in [*ways, *((mode, share) for mode in MODES for share in SHARES)]:
            fields = {
                "batch_size": batch,
                "optim": replace(usual, lr=usual.lr * batch / 128 * share),
                "lr_per_128": False,
            }
            if name == "digits":
                fields |= {"size": 8, "val": 0.7, "weights": "cifar10_resnet20"}
            else:
                fields |= {"size": 32, "weights": start}
            fields |= {"weights": "none", "model": "resnet20"} if mode == "scratch" else {"finetune": mode}
            found = []
            for seed in range(options.seeds):
                data = Path("digits") if name == "digits" else near(catalog, int(name), seed, options.out)
                run = options.out / f"{name}-{mode}-{share:g}-{seed}"
                found.append(trial(data, run, seed, "val", split_seed=seed, **fields))
            print(json.dumps({"set": name, "way": mode, "share": share, **summary(found)}), flush=True)


if __name__ == "__main__":
    main()
