"""Few pictures per class: learn six classes of CIFAR-10, then the other four from 5, 25 and 100 pictures of each.

    python reproduce/few_shot.py DATA [--seeds 5] [--out runs/few_shot] [--figure docs/few_shot] [--json FILE]

DATA is a folder with train/ and test/. Each seed draws its own pictures; the 4,000 test pictures of the four classes
judge each training once. With five pictures of a class none can be spared, so nothing validates: every training keeps its
last weights. `--figure` writes NAME.svg and NAME.zh.svg.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from few_shot_figure import draw
from trials import Trial, difference, link, summary, trial

from reslab.data.catalog import Catalog
from reslab.data.sources import read_data
from reslab.system.files import write_json

KNOWN = ("airplane", "automobile", "bird", "cat", "deer", "dog")
SHOTS = (5, 25, 100)
WAYS = ("scratch", "head", "gradual", "all")


def pretrained(catalog: Catalog, out: Path) -> Path:
    """A network that knows six classes."""
    data = out / "known"
    link([p for p in catalog.split("train") if p.label in KNOWN], data / "train")
    link([p for p in catalog.split("test") if p.label in KNOWN], data / "test")
    judged = trial(data, out / "start", 0, model="resnet20", weights="none", size=32, epochs=10)
    print(json.dumps({"way": "start, six classes", **summary([judged])}), flush=True)
    return out / "start"


def drawn(catalog: Catalog, shots: int, seed: int, out: Path) -> Path:
    """The other four classes: so many pictures of each to train on, and their whole test split."""
    data, dice = out / f"data-{shots}-{seed}", np.random.default_rng([seed, shots])
    link([p for p in catalog.split("test") if p.label not in KNOWN], data / "test")
    for label in sorted(set(catalog.classes) - set(KNOWN)):
        mine = [p for p in catalog.split("train") if p.label == label]
        link([mine[i] for i in dice.permutation(len(mine))[:shots]], data / "train")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/few_shot"))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", type=Path, help="by default few_shot.json below OUT")
    options = parser.parse_args()
    catalog = read_data(options.data)
    start = pretrained(catalog, options.out)
    rows = []
    for shots in SHOTS:
        found: dict[str, list[Trial]] = {way: [] for way in WAYS}
        for seed in range(options.seeds):
            data = drawn(catalog, shots, seed, options.out)
            for way in WAYS:
                fields = {"weights": "none", "model": "resnet20"}
                if way != "scratch":
                    fields = {"weights": str(start), "finetune": way}
                run = options.out / f"{way}-{shots}-{seed}"
                found[way].append(trial(data, run, seed, size=32, val=0.0, **fields))
        for way, trials in found.items():
            row = {"shots": shots, "way": way, **summary(trials)}
            row["accuracies"] = [round(float(t.hits.mean()), 4) for t in trials]
            if way != "scratch":
                row["better than scratch by"] = difference(trials, found["scratch"])
            rows.append(row)
            print(json.dumps(row), flush=True)
    document = {"schema": 1, "command": f"python {' '.join(sys.argv)}", "n": 4000, "chance": 0.25, "rows": rows}
    write_json(options.json or options.out / "few_shot.json", document)
    if options.figure:
        options.figure.with_suffix(".svg").write_text(draw(document, "en"), encoding="utf-8")
        options.figure.with_suffix(".zh.svg").write_text(draw(document, "zh"), encoding="utf-8")


if __name__ == "__main__":
    main()
