"""What an ensemble of the folds gains over its members, on the test pictures, which no training and no temperature has seen.

    python reproduce/ensemble.py DATA [--out runs/ensemble] [--folds 5] [flags of `reslab train`]

For CIFAR-10, a folder with train/ and test/: `--recipe cifar10_10min --epochs 3 --precision bfloat16`. An interrupted
training goes on where it stood. Prints a line of JSON per model: accuracy, NLL and ECE without and with its temperature, and
two figures of rejection (the accuracy of the surest nine tenths; AUROC of the confidence for right against wrong). Then
the differences between the ensemble and its members, paired over pictures, and what both cost. The temperature that suits
the test pictures best, and the mean of probabilities in place of that of logits, are for comparison: nothing uses them.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from trials import train_or_resume

from reslab.engine.base import Engine, batch_size
from reslab.engine.open import open_engine
from reslab.evaluate.evaluation import Evaluation, evaluate_engine
from reslab.metrics.calibration import fit_temperature, logits_calibration_error, negative_log_likelihood, softmax
from reslab.metrics.paired import compare_paired
from reslab.model.run import MODEL_NAME, OUT_OF_FOLD, evaluation_name, fold_folder, read_config
from reslab.run.examine import read_and_split
from reslab.system.files import read_json, write_json
from reslab.train.plan.document import config_like

RESAMPLES = 500
SUREST = 0.9
ROUNDS = 30


def figures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    sure, right = softmax(logits).max(1), logits.argmax(1) == labels
    surest = np.argsort(-sure, kind="stable")[: round(SUREST * len(sure))]
    found = {
        "accuracy": right.mean(), "nll": negative_log_likelihood(logits, labels),
        "ece": logits_calibration_error(logits, labels), "accuracy_of_surest_90": right[surest].mean(),
    }  # fmt: skip
    if 0 < right.sum() < len(right):
        found["auroc_right_wrong"] = roc_auc_score(right, sure)
    return {name: round(float(value), 5) for name, value in found.items()}


def row(name: str, logits: np.ndarray, labels: np.ndarray, temperature: float) -> dict[str, Any]:
    best = fit_temperature(logits, labels)
    return {
        "model": name, "n": len(labels), "temperature": round(temperature, 4),
        "without": figures(logits, labels), "with": figures(logits / temperature, labels),
        "best_temperature": round(best, 4), "with_best": figures(logits / best, labels),
    }  # fmt: skip


def gain(measure_of: Callable, ensemble: np.ndarray, members: Sequence[np.ndarray], labels: np.ndarray) -> dict:
    """Of the ensemble over the mean of its members, with a bootstrap interval over the pictures."""

    def difference(rows: np.ndarray) -> float:
        alone = np.mean([measure_of(one[rows], labels[rows]) for one in members])
        return float(measure_of(ensemble[rows], labels[rows]) - alone)

    n, dice = len(labels), np.random.default_rng(0)
    draws = [difference(dice.integers(0, n, n)) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "difference": round(difference(np.arange(n)), 5),
        "low": round(float(low), 5),
        "high": round(float(high), 5),
    }


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((logits.argmax(1) == labels).mean())


def cost(one: Path, together: Path) -> dict[str, list[float]]:
    """Of a member and of the ensemble: milliseconds per picture, alone and in blocks; megabytes of the file."""
    engines = [open_engine(path) for path in (one, together)]
    side = engines[0].header.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size(side), side, side, 3)).astype(np.uint8)
    sizes = [round((path / MODEL_NAME).stat().st_size / 1e6, 2) for path in (one, together)]
    return {"ms_alone": fastest(engines, pixels[:1]), "ms_in_blocks": fastest(engines, pixels), "megabytes": sizes}


def fastest(engines: Sequence[Engine], pixels: np.ndarray) -> list[float]:
    """Milliseconds per picture: the fastest of many rounds in turn, since other programs may be running."""
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(ROUNDS):
        for engine, mine in zip(engines, times, strict=True):
            begin = time.perf_counter()
            engine.logits(pixels)
            mine.append(1e3 * (time.perf_counter() - begin) / len(pixels))
    return [round(min(mine), 4) for mine in times]


def limits(evaluation: Evaluation) -> dict[str, Any]:
    """What its thresholds and prediction sets do to the pictures."""
    document = evaluation.document()
    rejection = {name: value for name, value in document["rejection"].items() if name != "curve"}
    return {"rejection": rejection, "prediction_sets": document["prediction_sets"]}


def judged(path: Path, pictures: tuple) -> Evaluation:
    return evaluate_engine(open_engine(path), pictures, "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, default=Path("runs/ensemble"))
    parser.add_argument("--folds", type=int, default=5)
    options, flags = parser.parse_known_args()
    train_or_resume(options.out, options.data, "--folds", str(options.folds), "--keep-folds", *flags)

    pictures = read_and_split(config_like(options.out)).split("test")
    together = judged(options.out, pictures)
    members = [judged(fold_folder(options.out, k + 1), pictures) for k in range(options.folds)]
    labels, own = together.labels, together.temperature
    rows = [row(f"fold {k + 1}", m.logits, labels, m.temperature) for k, m in enumerate(members)]
    rows.append(row("ensemble", together.logits, labels, own))
    probabilities = np.mean([softmax(m.logits) for m in members], axis=0)
    rows.append(row("mean of probabilities", np.log(probabilities), labels, own))
    for one in rows:
        print(json.dumps(one), flush=True)

    scaled = [m.logits / m.temperature for m in members]
    ours = together.logits / own
    measures = {"accuracy": accuracy, "nll": negative_log_likelihood, "ece": logits_calibration_error}
    found = {
        "ensemble minus the mean of its members, each with its temperature": {
            name: gain(one, ours, scaled, labels) for name, one in measures.items()
        },
        "without temperatures": {
            name: gain(one, together.logits, [m.logits for m in members], labels) for name, one in measures.items()
        },
        "against each fold": [
            asdict(compare_paired(together.logits.argmax(1) == labels, m.logits.argmax(1) == labels)) for m in members
        ],
        "out of fold": read_json(options.out / evaluation_name(OUT_OF_FOLD))["top1"],
        "limits of the ensemble and of each fold": [limits(one) for one in (together, *members)],
        "cost of a member and of the ensemble": cost(fold_folder(options.out, 1), options.out),
        "machine": read_config(options.out)["machine"],
    }
    print(json.dumps(found))
    write_json(options.out / "ensemble.json", {"schema": 1, "models": rows, **found})


if __name__ == "__main__":
    main()
