"""Thresholds keep the promised share, and their cost is counted."""

import numpy as np
import pytest

from reslab.metrics.rejection import (
    RELIABLE,
    STORED,
    Rejection,
    area_under_risk_coverage,
    fit_rejection,
    risk_coverage,
    score_rejection,
)


@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 50, 1000, 5077])
@pytest.mark.parametrize("with_outlier", [True, False])
def test_the_thresholds_keep_95_percent_and_no_more_than_they_must(n, with_outlier):
    draw = np.random.default_rng(n)
    confidence, correct = draw.random(n), draw.random(n) < 0.9
    outlier = draw.normal(size=n) if with_outlier else None
    found = fit_rejection(confidence, outlier, correct)
    score = score_rejection(found, confidence, outlier, correct)
    rejected = n - round(score.accepted.value * n)
    assert rejected <= 0.05 * n + 1e-9 and rejected > 0.05 * n - 3  # one more of each kind would be too many
    assert found.n == n and found.reliable is score.reliable is (n >= RELIABLE)
    if with_outlier and n >= 1000:  # both doubts take the same share
        assert abs(score.may_be_wrong - score.not_from_here) <= 1


def test_equal_confidences_are_all_accepted():
    found = fit_rejection(np.ones(100), np.zeros(100), np.ones(100, bool))
    assert score_rejection(found, np.ones(100), np.zeros(100), np.ones(100, bool)).accepted.value == 1


def test_what_is_stored_is_a_fair_sample():
    draw = np.random.default_rng(0)
    confidence = draw.random(5000)
    found = fit_rejection(confidence, -confidence, confidence > 0.3)
    assert len(found.confidence) == len(found.outlier) == len(found.correct) == STORED
    assert np.mean(found.correct) == pytest.approx(0.7, abs=0.05)
    assert np.allclose(found.confidence, -np.array(found.outlier))
    assert np.quantile(found.confidence, 0.05) == pytest.approx(np.quantile(confidence, 0.05), abs=0.02)


def test_no_features_no_second_doubt():
    found = fit_rejection(np.linspace(0, 1, 100), None, np.ones(100, bool))
    assert found.max_outlier is None and found.not_from_here(np.zeros(3)) is None
    assert Rejection(9, 0.5, 1.0).not_from_here(None) is None
    assert found.may_be_wrong(np.array([0.0, 1.0])).tolist() == [True, False]


def test_risk_and_coverage_by_hand():
    """Answers in the order of their confidence: right, wrong, right, right."""
    confidence, correct = np.array([0.6, 0.9, 0.8, 0.1]), np.array([True, True, False, True])
    coverage, risk = risk_coverage(confidence, correct)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0] and np.allclose(risk, [0, 1 / 2, 1 / 3, 1 / 4])
    assert area_under_risk_coverage(confidence, correct) == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 4)
    score = score_rejection(Rejection(4, 0.5, None), confidence, None, correct)
    assert score.accepted.value == 0.75 and score.accuracy.value == pytest.approx(2 / 3) and score.may_be_wrong == 1
    assert score.curve[-1] == (1.0, 0.25) and score.not_from_here is None and not score.reliable


def test_nothing_accepted_has_no_accuracy():
    score = score_rejection(Rejection(60, 2.0, None), np.array([0.5]), None, np.array([True]))
    assert score.accuracy is None and score.accepted.value == 0
