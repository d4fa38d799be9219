"""Prediction sets: equal to MAPIE's, and as often right as promised."""

import numpy as np
import pytest

from reslab.errors import ResLabError
from reslab.metrics.conformal import (
    COVERAGES,
    conformal_quantile,
    coverage_band,
    fit_conformal,
    lac_scores,
    needed,
    prediction_sets,
    raps_scores,
    score_sets,
)

K = 6


def drawn(n, seed=0):
    """Probabilities of a fair forecaster: labels are drawn from them."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=2.5, size=(n, K))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return p, (p.cumsum(1) > draw.random((n, 1))).argmax(1)


class Fixed:
    """A classifier whose probabilities are its input, as scikit-learn wants one."""

    classes_ = np.arange(K)

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X.argmax(1)

    def predict_proba(self, X):
        return X


@pytest.mark.parametrize("coverage", COVERAGES)
def test_least_ambiguous_sets_are_those_of_mapie(coverage):
    classification = pytest.importorskip("mapie.classification")
    p, labels = drawn(500)
    new, _ = drawn(300, seed=1)
    theirs = classification.SplitConformalClassifier(
        Fixed(), confidence_level=coverage, conformity_score="lac", prefit=True
    )
    theirs.conformalize(p, labels)
    expected = theirs.predict_set(new)[1][:, :, 0]
    assert np.array_equal(prediction_sets(new, fit_conformal(p, labels), coverage), expected)


@pytest.mark.filterwarnings("ignore:WARNING. your conformalization dataset")
def test_sets_per_class_are_those_of_mapie():
    """Its Mondrian classifier, which has one threshold for each group of pictures: here those of a class."""
    classification = pytest.importorskip("mapie.classification")
    p, labels = drawn(600)
    new, _ = drawn(200, seed=1)
    expected = np.zeros((200, K), bool)
    for k in range(K):
        theirs = classification.SplitConformalClassifier(
            Fixed(), confidence_level=0.9, conformity_score="lac", prefit=True
        )
        theirs.conformalize(p[labels == k], labels[labels == k])
        expected[:, k] = theirs.predict_set(new)[1][:, k, 0]
    assert np.array_equal(prediction_sets(new, fit_conformal(p, labels), 0.9, "class"), expected)


def test_adaptive_scores_are_sums_of_what_is_likelier():
    p, _ = drawn(50)
    for row, scores in zip(p, raps_scores(p), strict=True):
        for k in range(K):
            likelier = row[row > row[k]]
            assert scores[k] == pytest.approx(likelier.sum() + 0.01 * len(likelier))
        assert scores.min() == 0


@pytest.mark.parametrize("method", ["lac", "raps", "class"])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_the_promise_is_kept_on_average_over_calibrations(method, coverage):
    new, truth = drawn(4000, seed=99)
    measured = []
    for seed in range(30):
        inside = prediction_sets(new, fit_conformal(*drawn(1200, seed)), coverage, method)
        measured.append(inside[np.arange(len(truth)), truth].mean())
    assert coverage - 0.006 <= np.mean(measured) <= coverage + 0.02


def test_the_band_is_that_of_simulated_uniform_scores():
    draw, n, m, coverage = np.random.default_rng(0), 80, 200, 0.9
    quantiles = np.array([conformal_quantile(draw.random(n), coverage) for _ in range(4000)])
    shares = draw.binomial(m, quantiles) / m
    low, high = coverage_band(n, m, coverage)
    assert ((shares >= low) & (shares <= high)).mean() == pytest.approx(0.95, abs=0.02)


def test_the_rank_of_the_quantile():
    scores = np.arange(1.0, 10.0)
    assert conformal_quantile(scores, 0.9) == 9.0  # ceil(10 * 0.9) = 9
    assert conformal_quantile(scores, 0.8) == 8.0
    assert (
        conformal_quantile(scores[:8], 0.9) is None and needed(0.9) == 9 and needed(0.95) == 19 and needed(0.99) == 99
    )


def test_too_few_pictures_give_every_label():
    p, labels = drawn(8)
    assert prediction_sets(p, fit_conformal(p, labels), 0.9).all()


def test_a_class_without_pictures_has_no_promise():
    p, labels = drawn(200)
    found = fit_conformal(p, np.where(labels == 3, 2, labels))
    with pytest.raises(
        ResLabError, match=r"of 6 classes had too few validation pictures .* one had 0, and 9 are needed"
    ):
        prediction_sets(p, found, 0.9, "class")
    assert {one.method for one in score_sets(p, labels, found)} == {"lac", "raps"}


@pytest.mark.parametrize(
    ("coverage", "message"), [(0.0, "between 0 and 1"), (1.0, "between"), (0.93, "0.9, 0.95, 0.99, not")]
)
def test_other_coverages_are_refused(coverage, message):
    p, labels = drawn(50)
    with pytest.raises(ResLabError, match=message):
        prediction_sets(p, fit_conformal(p, labels), coverage)


def test_scores_of_sets_are_counted():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]])
    assert np.allclose(lac_scores(p), 1 - p)
    assert np.allclose(raps_scores(p), [[0, 0.91], [0, 0.61], [0, 0.51]])
    found = fit_conformal(*drawn(300))
    score = next(one for one in score_sets(*drawn(1000, 5), found) if (one.method, one.coverage) == ("lac", 0.9))
    inside = prediction_sets(drawn(1000, 5)[0], found, 0.9)
    assert score.size == inside.sum() / 1000 and score.empty == (~inside.any(1)).sum()
