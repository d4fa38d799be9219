"""Do prediction sets keep their promise? Random halves of the test answers, each calibrated on one and measured on the other.

    python reproduce/coverage.py MODEL DATA [--splits 20]

Quantiles and temperature are fitted on one half alone; nothing else is. Prints, for each kind of set and coverage: the mean
measured coverage, in how many splits it lies in the 95 % band of a finite sample (`metrics.conformal.coverage_band`; one split
in twenty may miss it; of `raps` and `class` the lower end counts alone), the mean size of the sets and the share of empty ones.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from reslab.metrics.calibration import fit_temperature, softmax
from reslab.metrics.conformal import COVERAGES, coverage_band, fit_conformal, prediction_sets
from reslab.run.evaluate import evaluate

METHODS = ("lac", "raps", "class")


def measured(
    logits: np.ndarray, labels: np.ndarray, splits: int
) -> Iterator[tuple[str, float, float, bool, float, float]]:
    """(method, coverage, measured coverage, whether in the band, mean size, share of empty sets) of each split."""
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(labels))
        fitted, held = order[: len(order) // 2], order[len(order) // 2 :]
        temperature = fit_temperature(logits[fitted], labels[fitted])
        found = fit_conformal(softmax(logits[fitted] / temperature), labels[fitted])
        probabilities = softmax(logits[held] / temperature)
        for coverage in COVERAGES:
            low, high = coverage_band(len(fitted), len(held), coverage)
            for method in METHODS:
                inside = prediction_sets(probabilities, found, coverage, method)
                share, sizes = inside[np.arange(len(held)), labels[held]].mean(), inside.sum(1)
                kept = low <= share and (share <= high or method != "lac")
                yield method, coverage, float(share), bool(kept), float(sizes.mean()), float((sizes == 0).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    found = evaluate(options.model, options.data, "test")
    rows: dict[tuple[str, float], list[tuple[float, bool, float, float]]] = defaultdict(list)
    for method, coverage, *row in measured(found.logits, found.labels, options.splits):
        rows[method, coverage].append(tuple(row))
    print(
        f"{options.model}: {found.score.top1.value:.2%} of {len(found.labels):,}; halves of {len(found.labels) // 2:,}"
    )
    for (method, coverage), each in sorted(rows.items()):
        share, kept, size, empty = np.array(each, float).T
        spread = f"{share.min():.4f} to {share.max():.4f}"
        print(
            f"{method:5s} {coverage:.2f}: {share.mean():.4f} ({spread}), in the band {int(kept.sum())} of {len(each)}; "
            f"size {size.mean():.3f}, empty {empty.mean():.2%}"
        )


if __name__ == "__main__":
    main()
