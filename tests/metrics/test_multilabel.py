"""Several labels per picture: scikit-learn and scipy as oracles, closed forms, and what nothing defines."""

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.optimize import minimize_scalar
from scipy.special import expit

from reslab.metrics.calibration import cross_fit
from reslab.metrics.multilabel import (
    UNDECIDED,
    average_precisions,
    best_thresholds,
    compared_labels,
    fit_labels_temperature,
    labels_likelihood,
    mean_average_precision,
    resample,
    score_labels,
    sigmoid,
)

EXACT = 1e-12
CLASSES = ("cat", "dog", "outdoor", "person")


def answered(n=200, seed=0, skill=1.5, digits=None):
    """Logits that know something, with many ties where they are rounded, and the truth; each label has its own share."""
    dice = np.random.default_rng(seed)
    marks = dice.random((n, len(CLASSES))) < np.array([0.5, 0.2, 0.05, 0.8])
    logits = dice.normal(0, 1, marks.shape) + skill * (2.0 * marks - 1)
    return logits if digits is None else logits.round(digits), marks


# ------------------------------------------------------------------ average precision


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_scikit_learns(seed, digits):
    logits, marks = answered(seed=seed, digits=digits)
    expected = [sk.average_precision_score(marks[:, k], logits[:, k]) for k in range(len(CLASSES))]
    assert average_precisions(logits, marks) == pytest.approx(expected, abs=EXACT)
    assert mean_average_precision(logits, marks) == pytest.approx(sk.average_precision_score(marks, logits), abs=EXACT)


def test_closed_forms():
    marks = np.array([[1, 0, 1, 0, 0, 1]], bool).T
    ranked = np.arange(6, 0, -1.0)[:, None]
    assert average_precisions(ranked, marks)[0] == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3, abs=EXACT)
    assert average_precisions(marks * 2.0, marks)[0] == 1.0
    assert average_precisions(np.zeros((6, 1)), marks)[0] == pytest.approx(3 / 6, abs=EXACT)  # all alike: the share


def test_a_label_that_nobody_bears_is_left_out_of_the_mean():
    logits, marks = answered()
    marks[:, 1] = False
    found = average_precisions(logits, marks)
    assert np.isnan(found[1]) and np.isfinite(np.delete(found, 1)).all()
    assert mean_average_precision(logits, marks) == pytest.approx(np.delete(found, 1).mean(), abs=EXACT)
    assert mean_average_precision(logits, np.zeros_like(marks)) == 0.0


def test_the_interval_is_that_of_resampled_pictures():
    logits, marks = answered(n=60, digits=1)
    dice = np.random.default_rng(0)
    rows = [dice.integers(60, size=60) for _ in range(20)]
    plain = [mean_average_precision(logits[chosen], marks[chosen]) for chosen in rows]
    found = resample(logits, marks)
    assert len(found) == 1000 and np.array_equal(found, resample(logits, marks))
    assert found[:20] == pytest.approx(plain, abs=EXACT)
    score = score_labels(logits, logits > 0, marks, np.full(4, 0.5), CLASSES).mean_ap
    assert (score.low, score.high) == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=EXACT)
    assert score.low < score.value < score.high


# ------------------------------------------------------------------ probabilities


def test_sigmoid_is_scipys_and_safe():
    logits = np.linspace(-800, 800, 41)[:, None]
    assert sigmoid(logits) == pytest.approx(expit(logits), rel=1e-13)
    assert sigmoid(logits.astype(np.float32)).dtype == np.float64


def test_the_likelihood_is_the_sum_over_labels():
    logits, marks = answered()
    expected = sum(sk.log_loss(marks[:, k], sigmoid(logits)[:, k]) for k in range(len(CLASSES)))
    assert labels_likelihood(logits, marks) == pytest.approx(expected, rel=1e-12)
    assert labels_likelihood(np.full((3, 2), 1e4), np.ones((3, 2), bool)) == 0.0


def test_the_temperature_is_the_best_one():
    logits, marks = answered(n=4000)
    logits *= 6  # twice as sure as it may be
    found = fit_labels_temperature(logits, marks)
    theirs = minimize_scalar(lambda t: labels_likelihood(logits / t, marks), bounds=(0.1, 20), method="bounded").x
    assert found == pytest.approx(theirs, rel=2e-3)  # one imaginary answer in 16,000
    assert found == pytest.approx(2, abs=0.1) and labels_likelihood(logits / found, marks) < labels_likelihood(
        logits, marks
    )


def test_each_fold_is_judged_by_the_others():
    logits, marks = answered(n=50)
    scaled = cross_fit(logits, marks, fit_labels_temperature)
    for k in range(5):
        rest = np.arange(50) % 5 != k
        expected = logits[~rest] / fit_labels_temperature(logits[rest], marks[rest])
        assert np.array_equal(scaled[~rest], expected)


# ------------------------------------------------------------------ thresholds


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_has_a_greater_f1(seed, digits):
    logits, marks = answered(n=15, seed=seed, skill=0.7, digits=digits)
    marks[0] = True
    p = sigmoid(logits)
    for k, threshold in enumerate(best_thresholds(p, marks)):
        precision, recall, _ = sk.precision_recall_curve(marks[:, k], p[:, k])
        greatest = (2 * precision * recall / np.maximum(precision + recall, 1e-300)).max()
        assert sk.f1_score(marks[:, k], p[:, k] >= threshold) == pytest.approx(greatest, abs=EXACT)


def test_nor_has_any_cut_of_many_small_sets():
    dice = np.random.default_rng(0)
    for _ in range(500):
        p, hits = dice.random((9, 1)).round(1), dice.random((9, 1)) < 0.4
        hits[0] = True
        cuts = p >= np.unique(p)
        f1 = 2 * (cuts & hits).sum(0) / (cuts.sum(0) + hits.sum())
        mine = p >= best_thresholds(p, hits)
        assert 2 * (mine & hits).sum() / (mine.sum() + hits.sum()) == f1.max()
        assert mine.sum() == cuts.sum(0)[f1 == f1.max()].min()  # of equally good ones that which claims least


def column(*values):
    return np.array(values)[:, None]


def test_where_a_threshold_lies():
    assert best_thresholds(column(0.9, 0.8, 0.3, 0.1), column(True, True, False, False))[0] == pytest.approx(0.55)
    assert best_thresholds(column(0.9, 0.4), column(True, True))[0] == pytest.approx(0.2)  # nothing lies lower
    assert best_thresholds(column(0.9, 0.8), column(False, False))[0] == UNDECIDED == 0.5
    tied = best_thresholds(column(0.9, 0.8, 0.7, 0.6), column(True, False, False, True))[0]
    assert tied == pytest.approx(0.85)  # an F1 of 2/3 twice: the higher one claims less
    close = np.nextafter(0.7, 1)
    assert best_thresholds(column(close, 0.7), column(True, False))[0] == close


# ------------------------------------------------------------------ the whole score


def test_the_score_is_scikit_learns():
    logits, marks = answered(n=150, skill=0.6)
    thresholds = np.array([0.3, 0.5, 0.7, 0.5])
    answers = sigmoid(logits) >= thresholds
    got = score_labels(logits, answers, marks, thresholds, CLASSES)
    assert got.n == 150 and got.classes == CLASSES
    assert got.mean_ap.value == pytest.approx(sk.average_precision_score(marks, logits), abs=EXACT)
    assert got.exact_match.value == pytest.approx(sk.accuracy_score(marks, answers), abs=EXACT)
    assert got.hamming_loss == pytest.approx(sk.hamming_loss(marks, answers), abs=EXACT)
    assert got.macro_f1 == pytest.approx(sk.f1_score(marks, answers, average="macro"), abs=EXACT)
    assert got.frequency_baseline == pytest.approx(marks.mean(), abs=EXACT)
    precision, recall, f1, n = sk.precision_recall_fscore_support(marks, answers)
    rows = got.per_label
    assert [row.label for row in rows] == list(CLASSES) and [row.threshold for row in rows] == list(thresholds)
    assert [row.n for row in rows] == list(n) and [row.baseline for row in rows] == pytest.approx(marks.mean(0))
    assert [row.precision for row in rows] == pytest.approx(precision, abs=EXACT)
    assert [row.recall for row in rows] == pytest.approx(recall, abs=EXACT)
    assert [row.f1 for row in rows] == pytest.approx(f1, abs=EXACT)


def test_what_nothing_defines():
    nothing = np.zeros((5, 2), bool)
    got = score_labels(np.zeros((5, 2)), nothing, nothing, np.full(2, 0.5), ("a", "b"))
    assert (got.mean_ap.value, got.frequency_baseline, got.macro_f1, got.hamming_loss) == (0, 0, 0, 0)
    assert got.exact_match.value == 1 and all(row.average_precision is None for row in got.per_label)


# ------------------------------------------------------------------ two models


def test_two_models_are_compared_on_the_same_samples():
    logits, marks = answered(n=300)
    worse = logits + np.random.default_rng(5).normal(0, 3, logits.shape)
    found, turned = compared_labels(logits, worse, marks), compared_labels(worse, logits, marks)
    assert found.verdict == "a is better" and turned.verdict == "b is better"
    assert found.difference == found.a - found.b == -turned.difference and 0 < found.low < found.difference < found.high
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=EXACT)
    same = compared_labels(logits, logits * 2, marks)
    assert (same.difference, same.low, same.high, same.verdict) == (0, 0, 0, "no difference shown")
    assert compared_labels(logits[:20], logits[:20], marks[:20]).verdict == "too few pictures to tell"
