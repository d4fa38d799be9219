"""Fine-tune a CIFAR-10 network on 244 photographs of ants and bees, every way there is, against starting from nothing.

    python reproduce/finetuning.py DATA [--seeds 5] [--size 64] [--epochs N] [--out runs/finetuning]

DATA is the ants_bees folder with train/ and val/. Its val/ pictures are the test here: they choose nothing; a tenth of
train/ validates. What starts is `cifar10_resnet20`, which has only ever seen 32-pixel pictures: this shows that the
plumbing works and what each mode costs, not what ImageNet's weights would give (see ants_bees_imagenet.py). One epoch from
scratch takes about as long as the head alone, so that these two are compared in equal time.
"""

import argparse
import json
from pathlib import Path

from trials import Trial, difference, link, summary, trial

from reslab.data.sources import read_data

START, BRIEF = "cifar10_resnet20", "scratch, as long as head"
WAYS: dict[str, dict[str, object]] = {
    "scratch": {"weights": "none", "model": "resnet20"},
    BRIEF: {"weights": "none", "model": "resnet20", "epochs": 1},
    "head": {"weights": START, "finetune": "head"},
    "last": {"weights": START, "finetune": "last"},
    "all": {"weights": START, "finetune": "all"},
    "gradual": {"weights": START, "finetune": "gradual"},
    "auto": {"weights": START},
    "all, pulled 0.01": {"weights": START, "finetune": "all", "start_decay": 0.01},
    "all, pulled 0.1": {"weights": START, "finetune": "all", "start_decay": 0.1},
    "all, no average": {"weights": START, "finetune": "all", "ema": 0.0},
    "all, patience 5": {"weights": START, "finetune": "all", "patience": 5},
}


def divided(data: Path, target: Path) -> Path:
    """The same pictures with val/ as test/, as links."""
    for picture in (catalog := read_data(data)).pictures:
        link([picture], target / ("test" if picture.split == "val" else "train"))
    assert catalog.split("val")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=0, help="by default what the recipe takes, 40")
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--out", type=Path, default=Path("runs/finetuning"))
    options = parser.parse_args()
    data = divided(options.data, options.out / "data")
    length = {"epochs": options.epochs} if options.epochs else {}
    found: dict[str, list[Trial]] = {way: [] for way in options.ways}
    for seed in range(options.seeds):  # seed by seed, so that a busy machine is busy for everybody
        for way in options.ways:
            run = options.out / f"{way.replace(', ', '-').replace(' ', '-')}-{seed}"
            found[way].append(trial(data, run, seed, size=options.size, **{**length, **WAYS[way]}))
    for way, trials in found.items():
        row = {"way": way, **summary(trials)}
        if "scratch" in found and way != "scratch":
            row["better than scratch by"] = difference(trials, found["scratch"])
        if BRIEF in found and way == "head":
            row["better than scratch in the same time by"] = difference(trials, found[BRIEF])
        if "all" in found and way.startswith("all,"):
            row["better than all by"] = difference(trials, found["all"])
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
