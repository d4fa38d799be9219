"""The generator is Random123's, its numbers are uniform, and a draw depends on nothing but its four coordinates."""

import numpy as np
import pytest
from scipy import stats

from reslab.data.draws import permutation, philox, uniforms

P_LEAST = 1e-3  # the draws are fixed, so this is no chance of failing now and then: it fails always or never

KNOWN = [  # Random123's kat_vectors, philox4x32, 10 rounds: counter, key, answer
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_random123_known_answers(counter, key, answer):
    assert philox(np.array(words(counter), np.uint64), tuple(words(key))).tolist() == words(answer)


def test_many_counters_at_once_are_each_alone():
    counters = np.array([words(counter) for counter, *_ in KNOWN], np.uint64)
    together = philox(counters, (1, 2))
    for row, counter in zip(together, counters, strict=True):
        assert np.array_equal(row, philox(counter, (1, 2)))


def test_the_numbers_are_uniform():
    numbers = uniforms(0, "test", 0, np.arange(20_000), 5)
    assert numbers.shape == (20_000, 5)
    assert numbers.min() >= 0 and numbers.max() < 1
    for column in numbers.T:
        assert stats.kstest(column, "uniform").pvalue > P_LEAST
    assert np.abs(np.corrcoef(numbers.T) - np.eye(5)).max() < 4 / 20_000**0.5


@pytest.mark.parametrize(
    "other", [(1, "crop", 0), (0, "hflip", 0), (0, "crop", 1), (2**40, "crop", 0), (-1, "crop", 0)]
)
def test_seed_stream_and_epoch_each_change_everything(other):
    here, there = uniforms(0, "crop", 0, np.arange(4_000), 1)[:, 0], uniforms(*other, np.arange(4_000), 1)[:, 0]
    assert (here != there).mean() > 0.999
    assert abs(np.corrcoef(here, there)[0, 1]) < 4 / 4_000**0.5


def test_a_draw_does_not_depend_on_who_else_is_asked_for():
    everybody = uniforms(7, "crop", 3, np.arange(1000), 6)
    some = np.array([999, 3, 500, 3])
    assert np.array_equal(uniforms(7, "crop", 3, some, 6), everybody[some])
    assert np.array_equal(uniforms(7, "crop", 3, some, 2), everybody[some, :2])


def test_permutation_visits_everybody_once_in_another_order_each_epoch():
    first, second = permutation(0, 0, 500), permutation(0, 1, 500)
    assert sorted(first) == sorted(second) == list(range(500))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, permutation(0, 0, 500))
    positions = np.array([np.argsort(permutation(0, epoch, 6)) for epoch in range(3000)])
    for picture in positions.T:  # every picture is equally often in every place
        assert stats.chisquare(np.bincount(picture, minlength=6)).pvalue > P_LEAST
