"""Which labels are wrong: how many of those that are known to be wrong stand at the top of `reslab review`, and what it brings.

    python reproduce/label_errors.py flips DATA [--share 0.05] [--seeds 0] [--folds 3]
    python reproduce/label_errors.py human DATA --table TABLE [--seeds 0 1 2] [--folds 3]

`flips` draws the pictures of a share that get another label, uniformly, as corrections laid over DATA, trains one run for each
seed with these labels, and counts how many of them are among as many of the most doubtful ones: by the out-of-fold probability,
by the margin, and by both. `human` takes the labels of TABLE (path,clean,human) instead, once, with the first seed; then it
trains with every seed on these labels, without the most doubtful ones (as many as are wrong), and with the proposed labels in
their place, and scores each on the test split of DATA, whose labels are clean.

A run takes `--folds` + 1 trainings, of which the folds have a smaller part of the pictures: with 3 folds as long as three
trainings on everything, with 5 five; 0 trains once and ranks by the margin alone. What is finished is not done again, what was
interrupted goes on. Options that are not ours are handed to `reslab train`. Where cleanlab is installed, its rankings of the
same probabilities stand beside ours.
"""

import argparse
import csv
import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from trials import Trial, difference, summary

from reslab.metrics.intervals import proportion
from reslab.model.run import CONFIG_NAME, OUT_OF_FOLD, REPORT_NAME, predictions_name, read_config
from reslab.run.examine import read_and_split
from reslab.run.review import Suspect, review_run
from reslab.train.config import TrainConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("flips", "human"))
    parser.add_argument("data")
    parser.add_argument("--table", type=Path, help="path,clean,human")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--recipe", default="cifar10_10min")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--out", type=Path, default=Path("runs/label_errors"))
    options, more = parser.parse_known_args()
    clean = {p.key: p.label for p in read_and_split(TrainConfig(data=options.data)).pictures if p.split != "test"}
    if options.what == "flips":
        for seed in options.seeds:
            given = flipped(clean, options.share, seed)
            table = write_labels(options.out / f"flips-{seed}.csv", given, clean)
            ranked(options, more, options.out / f"flips-{seed}", table, seed, given, clean)
    else:
        with options.table.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        given = {row["path"]: row["human"] for row in rows if clean[row["path"]] == row["clean"]}
        assert given.keys() == clean.keys(), "TABLE is not about the training pictures of DATA"
        table = write_labels(options.out / "human.csv", given, clean)
        suspects = ranked(options, more, options.out / "human", table, options.seeds[0], given, clean)
        score_corrections(options, more, suspects, given, clean)


def flipped(clean: Mapping[str, str], share: float, seed: int) -> dict[str, str]:
    """The labels, a share of them replaced by another class, each with the same probability."""
    dice, keys, classes = np.random.default_rng(seed), list(clean), sorted(set(clean.values()))
    given = dict(clean)
    for i in dice.choice(len(keys), round(share * len(keys)), replace=False):
        given[keys[i]] = dice.choice([name for name in classes if name != clean[keys[i]]])
    return given


def write_labels(path: Path, labels: Mapping[str, str], clean: Mapping[str, str]) -> Path:
    """Those that differ from the data, as a table of corrections."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((k, v) for k, v in labels.items() if v != clean[k])])
    return path


def trained(options: argparse.Namespace, more: list[str], run: Path, table: Path, seed: int, folds: int) -> Path:
    """One `reslab train`, or what is left of it."""
    if (run / REPORT_NAME).is_file():
        return run
    words = ["resume", str(run)]
    if not any((place / CONFIG_NAME).is_file() for place in (run, run / "fold-1")):
        words = ["train", options.data, "--corrections", str(table), "--recipe", options.recipe, "--seed", str(seed)]
        words += ["--epochs", str(options.epochs), "--precision", options.precision, "--out", str(run), *more]
        words += ["--folds", str(folds)] if folds else ["--val", "none"]
    subprocess.run([sys.executable, "-m", "reslab", *words], check=True, stdout=sys.stderr)
    return run


def ranked(
    options: argparse.Namespace, more: list[str], run: Path, table: Path, seed: int, given: Mapping[str, str],
    clean: Mapping[str, str],
) -> tuple[Suspect, ...]:  # fmt: skip
    """Print how many wrong labels are among as many of the most doubtful ones, by every ranking; give the pictures in order."""
    review = review_run(trained(options, more, run, table, seed, options.folds))
    suspects = review.suspects
    wrong = {s.path for s in suspects if given[s.path] != clean[s.path]}
    rankings = {"margin": {s.path: s.margin for s in suspects if s.margin is not None}}
    if options.folds:
        rankings["out of fold"] = {s.path: s.probability for s in suspects if s.probability is not None}
        rankings["both"] = {s.path: s.score for s in suspects}
        rankings |= cleanlabs(run, read_config(run)["classes"])
    found = {}
    for name, values in rankings.items():
        lowest = sorted(values, key=values.__getitem__)[: len(wrong)]
        found[name] = dataclasses.asdict(proportion(sum(key in wrong for key in lowest), len(lowest)))
    proposals = [s.proposed == clean[s.path] for s in suspects[: len(wrong)] if s.path in wrong]
    row = {"run": run.name, "pictures": len(suspects), "wrong": len(wrong), "likely_wrong": review.likely_wrong}
    row |= {"lowest": found, "proposed right, of those found": round(float(np.mean(proposals)), 4)}
    print(json.dumps(row | {"machine": read_config(run)["machine"]}), flush=True)
    return suspects


def cleanlabs(run: Path, classes: list[str]) -> dict[str, dict[str, float]]:
    """cleanlab's rankings of the same out-of-fold probabilities; none where it is not installed."""
    try:
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return {}
    with (run / predictions_name(OUT_OF_FOLD)).open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    labels = np.array([classes.index(row["label"]) for row in rows])
    probabilities = np.array([[float(row[f"p({name})"]) for name in classes] for row in rows])
    keys, scores = [row["path"] for row in rows], {}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        values = get_label_quality_scores(labels, probabilities, method=method)
        scores[f"cleanlab {method}"] = dict(zip(keys, values.tolist(), strict=True))
    return scores


def score_corrections(
    options: argparse.Namespace, more: list[str], suspects: tuple[Suspect, ...], given: Mapping[str, str],
    clean: Mapping[str, str],
) -> None:  # fmt: skip
    """Accuracy on the clean test split: the labels as they are, without the most doubtful ones, and with the proposed ones."""
    count = sum(given[key] != clean[key] for key in given)
    lowest = suspects[:count]
    labels = {
        "as given": given,
        "dropped": {**given, **{s.path: "-" for s in lowest}},
        "corrected": {**given, **{s.path: s.proposed or "-" for s in lowest}},
    }
    trials: dict[str, list[Trial]] = {}
    for name, ours in labels.items():
        table = write_labels(options.out / f"{name.replace(' ', '-')}.csv", ours, clean)
        for seed in options.seeds:
            run = trained(options, more, table.with_name(f"{table.stem}-{seed}"), table, seed, 0)
            trials.setdefault(name, []).append(tested(run, options.data))
        row = {"labels": name, "pictures": sum(label != "-" for label in ours.values()), **summary(trials[name])}
        if name != "as given":
            row["better than as given by"] = difference(trials[name], trials["as given"])
        print(json.dumps(row), flush=True)


def tested(run: Path, data: str) -> Trial:
    """The answers of a run for the test split."""
    table = run / predictions_name("test")
    words = ["eval", str(run), data, "--split", "test", "--json"]
    if not table.is_file():
        subprocess.run([sys.executable, "-m", "reslab", *words], check=True, stdout=subprocess.DEVNULL)
    with table.open(encoding="utf-8-sig") as file:
        hits = np.array([row["correct"] == "1" for row in csv.DictReader(file)])
    score = json.loads((run / "evaluation-test.json").read_text(encoding="utf-8"))
    return Trial(hits, score["balanced_accuracy"], 0.0)


if __name__ == "__main__":
    main()
