"""Scores equal scikit-learn's; intervals and calibration equal closed forms."""

import numpy as np
import pytest
from sklearn import metrics as sk

from reslab.metrics.calibration import (
    cross_fitted,
    expected_calibration_error,
    fit_temperature,
    log_softmax,
    negative_log_likelihood,
    reliability,
    softmax,
)
from reslab.metrics.intervals import proportion
from reslab.metrics.scores import confusion, score

EXACT = 1e-12  # the same sums in float64


def case(seed):
    """Random answers, with classes that never occur and, every third time, ties."""
    dice = np.random.default_rng(seed)
    classes = int(dice.integers(2, 12))
    n = int(dice.integers(1, 200))
    logits = dice.normal(0, 2, (n, classes))
    if seed % 3 == 0:
        logits = np.round(logits)
    labels = dice.integers(0, max(2, classes - seed % 2), n)
    return logits, labels, tuple(f"c{k}" for k in range(classes))


@pytest.mark.filterwarnings("ignore:.*class.* not in y_true.*", "ignore:A single label was found")
@pytest.mark.parametrize("seed", range(50))
def test_against_scikit_learn(seed):
    logits, labels, classes = case(seed)
    answers, every = logits.argmax(1), np.arange(len(classes))
    got = score(logits, labels, classes)
    assert got.top1.value == pytest.approx(sk.accuracy_score(labels, answers), abs=EXACT)
    assert got.balanced_accuracy == pytest.approx(
        sk.recall_score(labels, answers, labels=np.unique(labels), average="macro", zero_division=0), abs=EXACT
    )
    assert np.array_equal(got.confusion, sk.confusion_matrix(labels, answers, labels=every))
    precision, recall, f1, n = sk.precision_recall_fscore_support(labels, answers, labels=every, zero_division=0)
    mine = np.array([[row.precision, row.recall, row.f1, row.n] for row in got.per_class])
    assert np.allclose(mine, np.stack([precision, recall, f1, n], 1), atol=EXACT, rtol=0)
    assert got.nll == pytest.approx(sk.log_loss(labels, softmax(logits), labels=every), abs=1e-9)
    assert got.majority_baseline == pytest.approx(np.bincount(labels).max() / len(labels), abs=EXACT)
    if len(classes) > 5 and seed % 3:  # with ties scikit-learn ranks the later class first
        assert got.top5.value == pytest.approx(sk.top_k_accuracy_score(labels, logits, k=5, labels=every), abs=EXACT)


def test_top_5_is_hidden_up_to_five_classes():
    logits = np.eye(5)
    assert score(logits, np.arange(5), tuple("abcde")).top5 is None
    assert score(np.eye(6), np.arange(6), tuple("abcdef")).top5.value == 1


def test_confusion_rows_are_true_classes():
    assert confusion(np.array([0, 0, 1]), np.array([1, 0, 1]), 2).tolist() == [[1, 1], [0, 1]]


def test_wilson_known_values():
    """Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    known = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, n), (low, high) in known.items():
        got = proportion(hits, n)
        assert (round(got.low, 4), round(got.high, 4)) == (low, high)
    assert proportion(0, 0).high == 1 and proportion(5, 5).high == 1.0


def test_the_interval_covers_what_it_claims():
    dice = np.random.default_rng(0)
    truth = dice.uniform(0.05, 0.99, 2000)
    n = dice.integers(20, 400, 2000)
    got = [proportion(int(dice.binomial(m, p)), int(m)) for m, p in zip(n, truth, strict=True)]
    coverage = np.mean([g.low <= p <= g.high for g, p in zip(got, truth, strict=True)])
    assert 0.93 <= coverage <= 0.97


def test_ece_against_a_loop():
    dice = np.random.default_rng(1)
    probabilities = softmax(dice.normal(0, 2, (500, 4)))
    labels = dice.integers(0, 4, 500)
    total = 0.0
    for k in range(15):
        rows = [i for i in range(500) if k / 15 < probabilities[i].max() <= (k + 1) / 15]
        if rows:
            confidence = np.mean([probabilities[i].max() for i in rows])
            accuracy = np.mean([probabilities[i].argmax() == labels[i] for i in rows])
            total += len(rows) / 500 * abs(confidence - accuracy)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(total, abs=EXACT)
    assert sum(b.n for b in reliability(probabilities, labels)) == 500


def test_bins_are_open_on_the_left():
    table = reliability(np.array([[0.6, 0.4], [1.0, 0.0]]), np.array([0, 0]))  # 0.6 is the edge of bins 8 and 9
    assert [b.n for b in table] == [0] * 8 + [1] + [0] * 5 + [1]


def calibrated_case(temperature, n=20_000):
    dice = np.random.default_rng(2)
    logits = dice.normal(0, 2, (n, 5))
    labels = (softmax(logits).cumsum(1) < dice.random((n, 1))).sum(1)
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_again(temperature):
    logits, labels = calibrated_case(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


def test_the_temperature_is_where_the_documented_loss_is_least():
    logits, labels = calibrated_case(2.0, n=40)
    doubt = 1 / 41

    def loss(t):
        table = log_softmax(logits / t)
        return -((1 - doubt) * table[np.arange(40), labels] + doubt * table.mean(1)).mean()

    best = fit_temperature(logits, labels)
    assert loss(best) < min(loss(best * 1.01), loss(best / 1.01))


def test_a_perfect_split_does_not_promise_certainty():
    logits = np.eye(3)[np.arange(30) % 3] * 2.0
    labels = np.arange(30) % 3
    sure = softmax(logits / fit_temperature(logits, labels)).max(1)
    assert sure.max() < 0.99  # one imaginary doubt among thirty


def test_cross_fitting_never_uses_a_picture_to_judge_itself():
    logits, labels = calibrated_case(3.0, n=100)
    got = cross_fitted(logits, labels)
    for k in range(5):
        rest = np.arange(100) % 5 != k
        expected = logits[~rest] / fit_temperature(logits[rest], labels[rest])
        assert np.allclose(got[~rest], expected)
    assert np.array_equal(got.argmax(1), logits.argmax(1))


def test_huge_logits_stay_finite():
    logits = np.array([[1e7, 0.0], [-1e7, 1e7]])
    assert np.isfinite(log_softmax(logits)).all() and negative_log_likelihood(
        logits, np.array([1, 1])
    ) == pytest.approx(5e6)
