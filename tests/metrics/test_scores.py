"""Scores equal scikit-learn's; intervals and calibration equal closed forms."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from reslab.metrics.calibration import (
    _derivatives,
    calibrate,
    calibration_error_interval,
    cross_fit,
    expected_calibration_error,
    fit_temperature,
    log_softmax,
    negative_log_likelihood,
    reliability,
    softmax,
)
from reslab.metrics.intervals import proportion, spread
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
    assert got.nll == pytest.approx(sk.log_loss(labels, softmax(logits), labels=every), abs=EXACT)
    assert got.majority_baseline == pytest.approx(np.bincount(labels).max() / len(labels), abs=EXACT)
    assert (got.top5 is None) == (len(classes) <= 5)
    if got.top5:  # on ties scikit-learn ranks the later class first, so it is asked with the classes turned round
        turned = sk.top_k_accuracy_score(len(classes) - 1 - labels, logits[:, ::-1], k=5, labels=every)
        assert got.top5.value == pytest.approx(turned, abs=EXACT)


def test_top_5_is_hidden_up_to_five_classes():
    logits = np.eye(5)
    assert score(logits, np.arange(5), tuple("abcde")).top5 is None
    assert score(np.eye(6), np.arange(6), tuple("abcdef")).top5.value == 1


def test_confusion_rows_are_true_classes():
    assert confusion(np.array([0, 0, 1]), np.array([1, 0, 1]), 2).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64])
def test_labels_of_any_width_are_counted(kind):
    """30 * 40 + 5 does not fit into eight bits."""
    assert confusion(np.array([30, 3], kind), np.array([5, 3], kind), 40)[30, 5] == 1
    with pytest.raises(ValueError, match="invalid entry"):
        confusion(np.array([40], kind), np.array([0], kind), 40)


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
    assert proportion(0, 0).high == 1


def test_wilson_is_the_root_of_its_equation():
    """Both ends p solve (share - p)^2 = z^2 p (1 - p) / n; no hit gives exactly 0 below, no miss exactly 1 above."""
    z = 1.959963984540054
    for n in (1, 2, 7, 9, 33, 1000, 50_000):
        for hits in {0, 1, n // 3, n - 1, n}:
            got = proportion(hits, n)
            assert 0 <= got.low <= got.value <= got.high <= 1 and got.value == hits / n
            assert (got.low == 0) == (hits == 0) and (got.high == 1) == (hits == n)
            for p in (got.low, got.high):
                assert (hits / n - p) ** 2 == pytest.approx(z * z * p * (1 - p) / n, abs=EXACT)


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


@pytest.mark.parametrize("bins", range(1, 41))
def test_an_edge_belongs_to_the_bin_below_it(bins):
    edges = np.array([[k / bins, 0.0] for k in range(1, bins + 1)])
    table = reliability(edges, np.zeros(bins, int), bins)
    assert [b.n for b in table] == [1] * bins
    assert [b.high for b in table] == edges[:, 0].tolist() and all(b.low < b.confidence <= b.high for b in table)


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


def documented_loss(logits, labels, inverse):
    """Likelihood with one imaginary picture, of every class alike, shared out over the real ones."""
    doubt = 1 / (len(labels) + 1)
    table = log_softmax(logits * inverse)
    return -((1 - doubt) * table[np.arange(len(labels)), labels] + doubt * table.mean(1)).mean()


def test_the_temperature_is_where_the_documented_loss_is_least():
    logits, labels = calibrated_case(2.0, n=40)
    best = 1 / fit_temperature(logits, labels)
    here = documented_loss(logits, labels, best)
    assert here < min(documented_loss(logits, labels, best * f) for f in (0.999, 1.001))


@pytest.mark.parametrize("inverse", [0.1, 0.5, 1.0, 3.0])
def test_the_derivatives_against_finite_differences(inverse):
    logits, labels = calibrated_case(2.0, n=40)
    step = 1e-4  # errors of the order of its square, and of rounding over it
    below, here, above = (documented_loss(logits, labels, inverse + k * step) for k in (-1, 0, 1))
    slope, bend = _derivatives(logits, labels, inverse)
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-7)
    assert bend == pytest.approx((above - 2 * here + below) / step**2, rel=1e-4, abs=1e-6)


def by_halving(logits, labels):
    low, high = 1 / 20, 20.0
    for _ in range(100):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _derivatives(logits, labels, middle)[0] > 0 else (middle, high)
    return 1 / middle


@pytest.mark.parametrize("seed", range(60))
def test_newton_finds_what_halving_finds(seed):
    """Also where every answer is right or wrong, and where the logits saturate: then T ends at its limits."""
    dice = np.random.default_rng(seed)
    n, classes = int(dice.integers(1, 60)), int(dice.integers(2, 8))
    logits = dice.normal(size=(n, classes)) * 10 ** dice.uniform(-3, 5)
    labels = (logits.argmax(1), logits.argmin(1), dice.integers(0, classes, n))[seed % 3]
    assert fit_temperature(logits, labels) == pytest.approx(by_halving(logits, labels), rel=1e-9)


def test_a_temperature_that_helps_on_held_out_folds_is_applied():
    logits, labels = calibrated_case(3.0)
    temperature, scaled = calibrate(logits, labels)
    assert temperature == fit_temperature(logits, labels)
    assert np.array_equal(scaled, cross_fit(logits, labels))


@pytest.mark.parametrize("seed", range(8))
def test_a_temperature_that_makes_held_out_folds_worse_is_not_applied(seed):
    """Thirty pictures of a calibrated network: what a temperature fits there is noise, for better or worse."""
    logits, labels = (part[30 * seed : 30 * seed + 30] for part in calibrated_case(1.0))
    temperature, scaled = calibrate(logits, labels)
    crossed = cross_fit(logits, labels)
    worse = sk.log_loss(labels, softmax(crossed)) > sk.log_loss(labels, softmax(logits))
    worse |= expected_calibration_error(softmax(crossed), labels) > expected_calibration_error(softmax(logits), labels)
    assert (temperature == 1) == worse
    assert np.array_equal(scaled, logits.astype(np.float64) if worse else crossed)


def test_both_outcomes_occur_on_few_pictures():
    logits, labels = calibrated_case(1.0)
    found = [calibrate(logits[k : k + 30], labels[k : k + 30])[0] for k in range(0, 240, 30)]
    assert any(t == 1 for t in found) and any(t != 1 for t in found)


def test_logits_that_say_nothing_keep_their_temperature():
    assert fit_temperature(np.full((6, 3), 0.1), np.arange(6) % 3) == 1.0


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 9.0])
def test_a_perfect_split_does_not_promise_certainty(sharpness):
    """Thirty right answers and one imaginary picture of every class alike: p = 30/31 + 1/31/3, whatever the logits."""
    labels = np.arange(30) % 3
    logits = np.eye(3)[labels] * sharpness
    sure = softmax(logits / fit_temperature(logits, labels)).max(1)
    assert sure == pytest.approx(30 / 31 + 1 / 93)


def test_cross_fitting_never_uses_a_picture_to_judge_itself():
    logits, labels = calibrated_case(3.0, n=100)
    got = cross_fit(logits, labels)
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


@pytest.mark.parametrize("shares", [(0.9, 0.8), (0.7, 0.75, 0.72, 0.71, 0.69), (0.5, 0.5, 0.5)])
def test_the_mean_of_several_shares_is_scipys(shares):
    found = spread(shares)
    assert found.values == shares and found.mean == pytest.approx(np.mean(shares), abs=EXACT)
    assert found.std == pytest.approx(np.std(shares, ddof=1), abs=EXACT)
    if found.std:
        theirs = stats.ttest_1samp(shares, 0).confidence_interval(0.95)
        assert found.low == pytest.approx(max(0, theirs.low), abs=1e-9)
        assert found.high == pytest.approx(min(1, theirs.high), abs=1e-9)
    else:
        assert found.low == found.high == found.mean


def test_a_share_stays_a_share():
    found = spread((0.9, 0.8))
    assert found.low == pytest.approx(0.85 - 12.706204736 * 0.05, abs=1e-9) and found.high == 1.0


def test_the_interval_of_the_calibration_error_is_a_bootstrap_over_pictures():
    """The same resamples, one at a time, each scored as a data set of its own."""
    logits, labels, _ = case(7)
    probabilities = softmax(logits)
    right, sure = probabilities.argmax(1) == labels, probabilities.max(1)
    found = calibration_error_interval(sure, right)
    dice, errors, n = np.random.default_rng(0), [], len(labels)
    for _ in range(1_000):
        drawn = dice.integers(n, size=n)
        errors.append(expected_calibration_error(probabilities[drawn], labels[drawn]))
    ece = expected_calibration_error(probabilities, labels)
    assert found.high == pytest.approx(max(ece, 2 * ece - np.quantile(errors, 0.025)), abs=EXACT)
    assert 0 <= found.low <= ece <= found.high
    assert found == calibration_error_interval(sure, right)


@pytest.mark.parametrize("gap", (0.0, 0.1))
def test_the_interval_of_the_calibration_error_holds_the_true_one(gap):
    """In most of 50 draws of 500 pictures; the error of a calibrated model is 0, though its estimate never is."""
    held = 0
    for seed in range(50):
        dice = np.random.default_rng(seed)
        sure = dice.uniform(0.55, 1, 500)
        found = calibration_error_interval(sure, dice.random(500) < sure - gap)
        held += found.low <= gap <= found.high
    assert held >= 43  # 90 % or more are expected, 96 % and 90 % of 200 were measured


def test_one_sure_and_right_picture_has_no_calibration_error():
    found = calibration_error_interval(np.ones(1), np.ones(1, bool))
    assert (found.low, found.high) == (0, 0)
