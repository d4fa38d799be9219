"""Train a CIFAR-10 recipe on all 50,000 training pictures with seeds 0, 1, 2 and score each once on the 10,000 test pictures.

    python reproduce/cifar10.py DATA RECIPE [--seeds 0 1 2] [--out FOLDER]

DATA is a folder with train/ and test/ (one folder per class). An interrupted training goes on where it stood. Prints
each seed's score with and without the mirror image, seconds of training, and the mean over the seeds.
"""

import argparse
import json
import statistics
from pathlib import Path

from trials import reslab, train_or_resume

from reslab.model.run import read_config, read_journal


def trained(data: str, recipe: str, seed: int, out: Path) -> Path:
    run = out / f"{recipe}-{seed}"
    return train_or_resume(run, data, "--recipe", recipe, "--val", "none", "--seed", str(seed))


def scored(run: Path, data: str) -> dict:
    plain = json.loads(reslab("eval", str(run), data, "--split", "test", "--json"))
    mirrored = json.loads(reslab("eval", str(run), data, "--split", "test", "--mirror", "--json"))
    epochs = [event for event in read_journal(run) if event["event"] == "epoch"]
    return {
        "run": run.name, "n": plain["n"], "test": plain["top1"], "test_mirrored": mirrored["top1"],
        "seconds": round(sum(e["seconds"] for e in epochs), 1), "epochs": len(epochs), "steps": epochs[-1]["step"],
        "precision": read_config(run)["config"]["precision"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"))
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        rows.append(scored(trained(options.data, options.recipe, seed, options.out), options.data))
        print(json.dumps(rows[-1]), flush=True)
    means = {key: round(statistics.mean(row[key]["value"] for row in rows), 5) for key in ("test", "test_mirrored")}
    spread = {k: round(statistics.stdev(r[k]["value"] for r in rows), 5) if len(rows) > 1 else None for k in means}
    machine = read_config(options.out / rows[0]["run"])["machine"]
    print(json.dumps({"recipe": options.recipe, "mean": means, "std": spread, "machine": machine}))


if __name__ == "__main__":
    main()
