"""How often the 95 % interval of the calibration error holds the true error, beside the plain percentile interval.

    python reproduce/ece_interval.py [--draws 200]

Confidences are uniform between 0.5 and 1, an answer is right with its confidence minus a gap; within the bins the gap is the same
everywhere, so the gap is the true calibration error.
"""

import argparse

import numpy as np

from reslab.metrics.calibration import BINS, calibration_error_interval
from reslab.metrics.intervals import percentiles, resamples


def percentile_interval(confidence: np.ndarray, correct: np.ndarray) -> tuple[float, float]:
    n, which = len(confidence), np.ceil(confidence * BINS).astype(int) - 1
    gaps = confidence - correct
    drawn = [np.abs(np.bincount(which, weights * gaps, BINS)).sum() / n for weights in resamples(n)]
    found = percentiles(np.array(drawn))
    return found.low, found.high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    for n in (50, 500, 2000):
        for gap in (0.0, 0.02, 0.06, 0.1):
            dice, ours, plain = np.random.default_rng(0), 0, 0
            for _ in range(draws):
                confidence = dice.uniform(0.5, 1, n)
                correct = dice.random(n) < confidence - gap
                found = calibration_error_interval(confidence, correct)
                low, high = percentile_interval(confidence, correct)
                ours, plain = ours + (found.low <= gap <= found.high), plain + (low <= gap <= high)
            print(f"n = {n:5,}, error {gap:.2f}: {ours / draws:6.1%}, percentiles {plain / draws:6.1%}", flush=True)


if __name__ == "__main__":
    main()
