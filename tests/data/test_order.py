"""The order of an epoch: the plain permutation where that is small, and in windows the same for any number of processes."""

import numpy as np
import pytest
from scipy import stats

from reslab.data.draws import permutation
from reslab.data.order import WINDOW, WindowedOrder, visiting_order

P_LEAST = 1e-3  # the draws are fixed: this holds always or never
SIZES = (4096 + 1, 2 * 4096, 3 * 4096 + 63, 3 * 4096 + 64, 10_007)


def windowed(count, seed=0, epoch=0):
    return WindowedOrder(seed, epoch, count, window=4096, block=64)


def test_few_pictures_are_permuted_as_a_whole():
    assert np.array_equal(visiting_order(3, 5, 1000), permutation(3, 5, 1000))
    assert isinstance(visiting_order(3, 5, WINDOW + 1), WindowedOrder)


@pytest.mark.parametrize("count", SIZES)
def test_each_picture_is_visited_once(count):
    order = windowed(count)
    assert len(order) == count
    assert np.array_equal(np.sort(order[:]), np.arange(count))
    assert not np.array_equal(order[:], windowed(count, epoch=1)[:])
    assert not np.array_equal(order[:], windowed(count, seed=1)[:])


@pytest.mark.parametrize("first, then", [(1, 4), (7, 3), (48, 5)])
def test_another_number_of_processes_goes_on_where_the_epoch_stood(first, then):
    """Each process makes an order of its own and reads its own part of each step."""
    count, steps, stop = 10_007, 40, 17
    orders, seen = [windowed(count) for _ in range(max(first, then))], []
    for step in range(steps):
        begin, end = step * count // steps, (step + 1) * count // steps
        world = first if step < stop else then
        for rank in range(world):
            own = slice(begin + rank * (end - begin) // world, begin + (rank + 1) * (end - begin) // world)
            seen.append(orders[rank][own])
    assert np.array_equal(np.concatenate(seen), windowed(count)[:])


def test_neighbours_are_spread_and_every_place_is_as_likely():
    count = 8 * 4096
    order = windowed(count)[:]
    assert (np.diff(order) == 1).sum() < 40, "about eight by chance"
    places = np.array(
        [np.argsort(windowed(count, epoch=epoch)[:])[[0, 1, count // 2, count - 1]] for epoch in range(300)]
    )
    for picture in places.T:
        assert stats.kstest(picture / count, "uniform").pvalue > P_LEAST
    # Pictures sorted by class: the classes of a window are those of the whole, as far as 64 blocks can show them.
    classes = windowed(count)[:4096] * 10 // count
    assert stats.chisquare(np.bincount(classes, minlength=10) / 64).pvalue > P_LEAST
