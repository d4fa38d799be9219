"""Rankings of doubtful labels: as cleanlab computes them, and as the equations of the paper say."""

import numpy as np
import pytest

from reslab.metrics.label_errors import (
    agreed_shares,
    class_thresholds,
    confident_labels,
    normalized_margin,
    rank_shares,
    self_confidence,
)


@pytest.fixture(params=[0, 1, 2])
def answers(request):
    """400 answers for five classes of unequal size, a tenth of the labels wrong; class 4 has none in one of three."""
    rng = np.random.default_rng(request.param)
    true = rng.choice(5, 400, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    logits = rng.normal(0, 1, (400, 5)) + 2.5 * np.eye(5)[true]
    labels = np.where(rng.random(400) < 0.1, rng.integers(0, 5, 400), true)
    labels = np.where(labels == 4, 3, labels) if request.param == 2 else labels
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels


def test_the_scores_are_cleanlabs(answers):
    rank = pytest.importorskip("cleanlab.rank")
    probabilities, labels = answers
    for method, ours in (("self_confidence", self_confidence), ("normalized_margin", normalized_margin)):
        theirs = rank.get_label_quality_scores(labels, probabilities, method=method)
        mine = ours(probabilities, labels)
        assert np.allclose((mine + 1) / 2 if method == "normalized_margin" else mine, theirs)


def test_the_thresholds_and_the_wrong_labels_are_cleanlabs(answers):
    count = pytest.importorskip("cleanlab.count")
    probabilities, labels = answers
    theirs = count.get_confident_thresholds(labels, probabilities)
    ours = class_thresholds(probabilities, labels)
    here = np.isin(np.arange(5), labels)
    assert np.allclose(ours[here], theirs[here]) and np.isinf(ours[~here]).all()
    _, wrong = count.compute_confident_joint(
        labels, probabilities, calibrate=False, return_indices_of_off_diagonals=True
    )
    confident = confident_labels(probabilities, labels)
    assert np.flatnonzero((confident >= 0) & (confident != labels)).tolist() == sorted(wrong)


def test_equations_1_and_2_by_hand():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]])
    labels = np.array([0, 0, 1, 1])
    assert class_thresholds(probabilities, labels) == pytest.approx([0.7, 0.4, np.inf])
    assert confident_labels(probabilities, labels).tolist() == [0, 1, 1, 0]
    assert normalized_margin(probabilities, labels) == pytest.approx([0.8, 0.0, 0.5, -0.7])
    assert confident_labels(np.array([[0.4, 0.6], [0.6, 0.4]]), np.array([1, 0])).tolist() == [1, 0]
    assert confident_labels(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 0])).tolist() == [0, -1]


def test_shares_of_one_ranking_and_of_two():
    assert rank_shares(np.array([3.0, 1.0, 2.0, 1.0])).tolist() == [1.0, 0.25, 0.75, 0.5]
    rng = np.random.default_rng(0)
    first, second = rank_shares(rng.random(200)), rank_shares(rng.random(200))
    order = np.argsort(agreed_shares([first, second]))
    for k in (20, 60, 120):  # the intersection of the lowest k of both comes first
        both = set(np.flatnonzero((first <= k / 200) & (second <= k / 200)))
        assert set(order[: len(both)]) == both
    assert agreed_shares([np.array([0.5, np.nan]), np.array([np.nan, 0.1])]).tolist() == [0.5, 0.1]
