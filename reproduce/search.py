"""Is what a search finds better than the default? On pictures that no trial has seen, and with seeds that none has used.

    python reproduce/search.py DATA --minutes 30 [--each 500] [--seeds 1 2 3] [--epochs N] [--out FOLDER] [-- --model resnet20]

DATA is a name such as digits, or a folder with train/ and test/, of which `--each` pictures per class may be cut to train on.
First `reslab search`, which validates on a part of the training pictures. If the default stays, that is the answer, and the
test pictures stay shut. Else the default and the winner are trained afresh with every seed, as long as the trials were or for
`--epochs`, and each is scored once on the test pictures. Words after -- go to the search. Whatever was interrupted goes on.

Prints per seed both scores and McNemar's test, then the mean difference: its interval by a bootstrap over test pictures, and
a sign-flip test of the same differences (each picture's, averaged over the seeds).
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
from trials import reslab

from reslab.data.sources import read_data
from reslab.metrics.paired import compare_paired
from reslab.model.run import read_config

DRAWS = 10_000


def cut(data: str, each: int, out: Path) -> str:
    """A table of `each` training pictures per class, evenly chosen, and of all test pictures."""
    catalog = read_data(data)
    rows = [(picture, "test") for picture in catalog.split("test")]
    for label in catalog.classes:
        mine = [picture for picture in catalog.split("train") if picture.label == label]
        chosen = np.unique(np.linspace(0, len(mine) - 1, min(each, len(mine))).astype(int))
        rows += [(mine[i], "train") for i in chosen]
    path = out / f"{Path(data).name}-{each}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        writer.writerows((Path(picture.source).resolve(), picture.label, split) for picture, split in rows)
    return str(path)


def trained(data: str, like: Path, seed: int, epochs: int, run: Path) -> Path:
    if (run / "config.json").is_file():
        reslab("resume", str(run))
    else:
        reslab("train", data, "--like", str(like), "--seed", str(seed), "--epochs", str(epochs), "--out", str(run))
    return run


def right(run: Path, data: str) -> dict[str, bool]:
    """Which test pictures a run answers correctly; asked once, then remembered."""
    table = run / "test.csv"
    if not table.is_file():
        reslab("eval", str(run), data, "--split", "test", "--csv", str(table))
    with table.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row["correct"] == "1" for row in csv.DictReader(file)}


def judged(data: str, out: Path, seeds: list[int], epochs: int) -> dict:
    per_seed, differences = [], []
    for seed in seeds:
        answers = {}
        for name, like in (("winner", out / "search" / "best"), ("default", out / "search" / "trials" / "000")):
            answers[name] = right(trained(data, like, seed, epochs, out / f"{name}-{seed}"), data)
        keys = sorted(answers["default"])
        winner, default = (np.array([answers[name][key] for key in keys]) for name in ("winner", "default"))
        found = compare_paired(winner, default)
        per_seed.append({"seed": seed, "winner": found.a, "default": found.b, "p_value": found.p_value})
        print(json.dumps(per_seed[-1]), flush=True)
        differences.append(winner.astype(float) - default)
    each = np.mean(differences, axis=0)  # of every picture, over the seeds
    dice = np.random.default_rng(0)
    means = np.array([each[dice.integers(0, len(each), len(each))].mean() for _ in range(DRAWS)])
    flips = np.array([(each * dice.choice([-1.0, 1.0], len(each))).mean() for _ in range(DRAWS)])
    low, high = np.quantile(means, [0.025, 0.975])
    p = (1 + (np.abs(flips) >= abs(each.mean()) - 1e-12).sum()) / (1 + DRAWS)
    return {
        "n": len(each), "seeds": seeds, "epochs": epochs, "difference": round(float(each.mean()), 5),
        "low": round(float(low), 5), "high": round(float(high), 5), "p_value": round(float(p), 5), "per_seed": per_seed,
    }  # fmt: skip


def main() -> None:
    words = sys.argv[1:]
    own, rest = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--each", type=int, help="training pictures per class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="of the final trainings; by default as many as a trial's")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce-search"))
    options = parser.parse_args(own)
    data = cut(options.data, options.each, options.out) if options.each else options.data
    search = options.out / "search"
    found = json.loads(reslab("search", data, "--minutes", str(options.minutes), "--out", str(search), "--json", *rest))
    told = {name: found[name] for name in ("pictures", "epochs", "full_epochs", "comparison")}
    told |= {"trials": len(found["trials"]), "default": found["default"]["dials"], "winner": found["winner"]["dials"]}
    print(json.dumps(told), flush=True)
    if not found["comparison"]["shown"]:
        print("the default stays: the validation pictures do not show that anything else is better")
        return
    verdict = judged(data, options.out, options.seeds, options.epochs or found["epochs"])
    print(json.dumps(verdict | {"machine": read_config(search / "best")["machine"]}))


if __name__ == "__main__":
    main()
