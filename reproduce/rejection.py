"""Six scores for "not from here", on CIFAR-10 networks that know six classes or ten: AUROC and FPR@95 beside max-softmax.

    python reproduce/rejection.py DATA RUN... --photos FOLDER [--cache FOLDER] [--json FILE]             (choosing)
    python reproduce/rejection.py DATA RUN... --photos FOLDER [--cache FOLDER] [--json FILE] --test      (the table)

DATA is CIFAR-10 as a folder with train/ and test/; each RUN was trained on all of it or on six of its classes, with --val 0.1:

    reslab train SIX --recipe cifar10_10min --epochs 3 --precision bfloat16 --label-smoothing 0 --seed 0 --val 0.1

where SIX holds airplane, automobile, bird, cat, deer and dog, the first six by name. A score is chosen without the test
pictures and without the far ones: by the validation pictures of the known classes against those of the four other classes
(`near`), and by how well it finds the network's own mistakes. With --test, known and near pictures are those of test/, and
the far sets are photographs, digits, noise, blanks and pages of text, at the network's size. No score has a number that was
tuned on any of them: k = 50, gamma = 0.1 and the number of principal directions are those of the papers.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from reslab.data.catalog import Picture
from reslab.data.digits import read_digits
from reslab.data.sources import read_data
from reslab.data.splits import SplitConfig
from reslab.engine.base import join_outputs, stream_outputs
from reslab.engine.open import open_engine
from reslab.metrics import outlier
from reslab.metrics.calibration import fit_temperature, softmax
from reslab.metrics.rejection import auroc, false_positive_rate, fit_rejection

TRAIN = 10_000
DRAWN = 1_000
WORDS = ["layer", "residual", "picture", "error", "training", "rate", "class", "weight", "the", "of", "a", "in", "to"]


def noise() -> Iterator[np.ndarray]:
    """Half uniform noise of single pixels, half of squares of 4 by 4."""
    draw = np.random.default_rng(1)
    for number in range(DRAWN):
        side = 32 if number % 2 else 8
        yield draw.integers(0, 256, (side, side, 3), dtype=np.uint8).repeat(32 // side, 0).repeat(32 // side, 1)


def blanks() -> Iterator[np.ndarray]:
    draw = np.random.default_rng(2)
    for _ in range(DRAWN):
        yield np.full((32, 32, 3), draw.integers(0, 256, 3), np.uint8)


def pages() -> Iterator[np.ndarray]:
    """Dark text on light paper, 256 px wide, a few words to a line."""
    draw = np.random.default_rng(3)
    for _ in range(DRAWN):
        page = Image.new("RGB", (256, 256), tuple(int(v) for v in draw.integers(215, 256, 3)))
        for line in range(0, 256, int(draw.integers(11, 20))):
            text = " ".join(WORDS[i] for i in draw.integers(0, len(WORDS), 7))
            ImageDraw.Draw(page).text((int(draw.integers(0, 12)), line), text, fill=tuple(draw.integers(0, 90, 3)))
        yield np.asarray(page)


def pictures_of(data: str, classes: tuple[str, ...], photos: str, test: bool) -> dict[str, list[Picture]]:
    """Name of a set -> its pictures; `train`, `val` and `known` are those of the network's classes."""
    catalog = SplitConfig(val=0.1).apply(read_data(data))

    def split(name: Any, known: bool) -> list[Picture]:
        return [p for p in catalog.split(name) if (p.label in classes) == known]

    train = split("train", known=True)
    sets = {"train": train[:: max(1, len(train) // TRAIN)], "val": split("val", known=True)}
    sets |= {"known": split("test", known=True)} if test else {}
    sets["near"] = split("test" if test else "val", known=False)
    if test:
        sets["photographs"] = list(read_data(photos).pictures)
        sets["digits"] = list(read_digits().pictures)
        for drawn in (noise, blanks, pages):
            sets[drawn.__name__] = [Picture(f"{drawn.__name__} {i}", pixels, "") for i, pixels in enumerate(drawn())]
    return {name: pictures for name, pictures in sets.items() if pictures}


def outputs_of(run: Path, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Logits, features and labels of every set, each kept in --cache."""
    engine = open_engine(run)
    classes, (weight, bias) = engine.header.classes, engine.head
    found = {"weight": weight, "bias": bias}
    for name, pictures in pictures_of(options.data, classes, options.photos, options.test).items():
        kept = options.cache / run.name / f"{name}{'-test' * (options.test and name == 'near')}.npz"
        if not kept.is_file():
            given = join_outputs([outputs for _, outputs in stream_outputs(engine, pictures, embed=True)])
            labels = np.array([classes.index(p.label) if p.label in classes else -1 for p in pictures])
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, logits=given.logits, features=given.features, labels=labels)
        found |= {f"{name}.{part}": values for part, values in np.load(kept).items()}
    return found


def scores_of(found: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Score -> set -> outlier scores; higher is stranger."""
    weight, bias, known = found["weight"], found["bias"], found["train.features"]
    gaps, mean = outlier.class_gaps(weight), known.mean(0)
    space = outlier.fit_residual_space(known, found["train.logits"], weight, bias)
    scores: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for name in [key[: -len(".logits")] for key in found if key.endswith(".logits") and key != "train.logits"]:
        logits, features = found[f"{name}.logits"], found[f"{name}.features"]
        scores["max softmax"][name] = outlier.max_softmax(logits)
        scores["energy"][name] = outlier.energy(logits)
        scores["GEN"][name] = outlier.generalized_entropy(logits)
        scores["fDBD"][name] = outlier.boundary_distance(logits, features, gaps, mean)
        scores["k-NN"][name] = outlier.neighbour_distance(features, known)
        scores["ViM"][name] = outlier.virtual_logit(features, logits, space)
    return scores


def judge(found: dict[str, np.ndarray], known: str) -> dict[str, Any]:
    """Everything about one run: each score on each unknown set, on the network's own mistakes, and what the rule keeps."""
    scores, rows = scores_of(found), {}
    right = {name: found[f"{name}.logits"].argmax(1) == found[f"{name}.labels"] for name in ("val", known)}
    for score, sets in scores.items():
        for name in sets.keys() - {"val", "known"}:
            rows[f"{name}/{score}"] = (auroc(sets[known], sets[name]), false_positive_rate(sets[known], sets[name]))
        mistakes, answered = sets[known][~right[known]], sets[known][right[known]]
        rows[f"own mistakes/{score}"] = (auroc(answered, mistakes), false_positive_rate(answered, mistakes))
    temperature = fit_temperature(found["val.logits"], found["val.labels"])
    confidence = {name: softmax(found[f"{name}.logits"] / temperature).max(1) for name in scores["fDBD"]}
    rule = fit_rejection(confidence["val"], scores["fDBD"]["val"], right["val"])
    kept = {}
    for name in confidence:
        wrong, strange = rule.may_be_wrong(confidence[name]), rule.not_from_here(scores["fDBD"][name])
        kept[name] = {"accepted": float((~wrong & ~strange).mean()), "not from here": float(strange.mean())}
    accuracy = {name: float(right[name].mean()) for name in right}
    return {"rows": rows, "rule": kept, "accuracy": accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/rejection"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in options.runs:
        judged = judge(outputs_of(run, options), "known" if options.test else "val")
        groups[run.name.rpartition("-s")[0]].append(judged)
    document = {}
    for group, judged in groups.items():
        print(f"\n{group}: {len(judged)} seeds; accuracy {[one['accuracy'] for one in judged]}")
        document[group] = {"runs": judged}
        for row in sorted(judged[0]["rows"]):
            values = np.array([one["rows"][row] for one in judged]) * 100
            mean, std = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else np.zeros(2)
            print(f"{row:28s} AUROC {mean[0]:6.2f} ({std[0]:.2f})   FPR@95 {mean[1]:6.2f} ({std[1]:.2f})")
        for name in judged[0]["rule"]:
            said = [
                f"{what} {np.mean([one['rule'][name][what] for one in judged]):.4f}" for what in judged[0]["rule"][name]
            ]
            print(f"{name:28s} {', '.join(said)}")
    if options.json:
        options.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
