"""CIFAR-10 with several labels per picture: attributes that follow from the class, learnt one by one, scored twice.

    python reproduce/multilabel.py DATA [--epochs 5] [--each 0] [--out FOLDER]

DATA is a folder with train/ and test/ (one folder per class). The table that is written into FOLDER points to its files; its
labels are the attributes of each picture's class as listed below, so they are known exactly and add no knowledge beyond the
class. Trains resnet20, scores the test pictures, and prints each label's average precision and their mean beside
scikit-learn's on the same logits.
"""

import argparse
import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

from sklearn.metrics import average_precision_score

from reslab.model.run import read_config, read_journal
from reslab.run.evaluate import evaluate
from reslab.run.train import train
from reslab.train.recipes import recipe

ATTRIBUTES = {
    "airplane": ("vehicle", "flies"),
    "automobile": ("vehicle", "road"),
    "bird": ("animal", "flies"),
    "cat": ("animal", "four legs", "pet"),
    "deer": ("animal", "four legs", "hoofed"),
    "dog": ("animal", "four legs", "pet"),
    "frog": ("animal", "four legs", "water"),
    "horse": ("animal", "four legs", "hoofed"),
    "ship": ("vehicle", "water"),
    "truck": ("vehicle", "road"),
}


def table(data: Path, out: Path, each: int) -> Path:
    """Every picture (or the first `each` of each class) with the attributes of its class."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "attributes.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for split in ("train", "test"):
            for name, attributes in ATTRIBUTES.items():
                pictures = sorted((data / split / name).iterdir())
                for picture in pictures[: each or None]:
                    writer.writerow([picture.resolve(), ";".join(attributes), split])
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--each", type=int, default=0, help="pictures of each class and split; 0 takes all")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce/multilabel"))
    options = parser.parse_args()
    written = table(options.data, options.out, options.each)
    config = replace(recipe("standard"), data=str(written), model="resnet20", epochs=options.epochs)
    run = train(config, options.out / "run", {"model", "epochs"})
    found = evaluate(run.folder, written, "test")
    theirs = average_precision_score(found.labels, found.logits, average=None)
    for row, oracle in zip(found.score.per_label, theirs, strict=True):
        print(json.dumps({**asdict(row), "scikit_learn": float(oracle)}))
    document = found.document()
    seconds = sum(event["seconds"] for event in read_journal(run.folder) if event["event"] == "epoch")
    kept = ("n", "mean_ap", "frequency_baseline", "exact_match", "hamming_loss", "macro_f1", "nll")
    print(
        json.dumps({
            **{name: document[name] for name in kept},
            "scikit_learn": float(average_precision_score(found.labels, found.logits)),
            "seconds": round(seconds, 1),
            "machine": read_config(run.folder)["machine"],
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
