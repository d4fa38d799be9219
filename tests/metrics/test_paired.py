"""The comparison of two models: scipy's binomial test, a plain bootstrap, and its promises under the null."""

import numpy as np
import pytest
from scipy.stats import binomtest

from reslab.metrics.paired import compare_paired, mcnemar


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (3, 9), (9, 3), (50, 50), (200, 260), (7, 0)])
def test_mcnemar_is_the_exact_binomial_test(a, b):
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)


def answers(only_a, only_b, both, neither):
    a = np.repeat([True, False, True, False], [only_a, only_b, both, neither])
    b = np.repeat([False, True, True, False], [only_a, only_b, both, neither])
    return a, b


def test_the_interval_is_that_of_resampled_pictures():
    a, b = answers(40, 20, 300, 40)
    found = compare_paired(a, b)
    dice = np.random.default_rng(1)
    rows = dice.integers(0, len(a), (4000, len(a)))
    plain = np.quantile(a[rows].mean(1) - b[rows].mean(1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(plain, abs=0.004)
    assert found.difference == pytest.approx(0.05) == found.a - found.b and found.n == 400
    assert (found.only_a, found.only_b, found.verdict) == (40, 20, "a is better")
    turned = compare_paired(b, a)
    assert turned.difference == -found.difference and turned.verdict == "b is better"


def test_verdicts():
    assert compare_paired(*answers(0, 0, 20, 10)).verdict == "too few pictures to tell"
    assert compare_paired(*answers(4, 2, 30, 4)).verdict == "too few pictures to tell"
    assert compare_paired(*answers(100, 105, 4000, 795)).verdict == "no difference shown"
    assert compare_paired(*answers(0, 0, 5000, 0)).verdict == "no difference shown"
    assert compare_paired(*answers(150, 105, 4000, 745)).verdict == "a is better"


def test_equal_models_are_seldom_told_apart():
    """Neither is better: the verdict says otherwise in at most one of twenty cases (the exact test is conservative)."""
    dice = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        a, b = dice.random((2, 150)) < 0.8
        wrong += "better" in compare_paired(a, b).verdict
    assert wrong / 400 <= 0.05
