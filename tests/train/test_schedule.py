"""What holds for every schedule, whatever its kind, length and warm-up."""

import itertools

import pytest

from reslab.train.schedule import ScheduleConfig, Timeline, rate

LENGTHS = (1, 2, 3, 7, 100, 1001)
WARMUPS = (0.0, 0.05, 0.3, 0.5, 0.99)


@pytest.mark.parametrize("kind", ["constant", "step", "cosine", "onecycle"])
@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_up_to_the_peak_then_down_to_the_floor_and_never_zero(kind, floor):
    for total, warmup in itertools.product(LENGTHS, WARMUPS):
        config = ScheduleConfig(kind, warmup, floor=floor)
        rates = [rate(config, 0.5, Timeline.straight(total).done(step)) for step in range(total)]
        assert all(0 < r <= 0.5 for r in rates)
        top = rates.index(max(rates))
        assert abs(top - (warmup * (total + 1) - 1)) <= 1  # the warm-up may end between two steps
        assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
        if kind in ("cosine", "onecycle"):
            assert rates[-1] > floor * 0.5


@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
def test_a_whole_warm_up_ends_at_the_very_peak(kind):
    for total in (9, 99, 999):
        timeline = Timeline.straight(total)
        assert rate(ScheduleConfig(kind, 0.3), 0.5, timeline.done(round(0.3 * (total + 1)) - 1)) == pytest.approx(
            0.5, rel=1e-12
        )
