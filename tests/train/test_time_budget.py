"""A run that keeps its time, on a clock of our own."""

import itertools

import pytest

from reslab.train.schedule import Timeline
from reslab.train.step.time_budget import TimeBudget


class Machine:
    """A clock that steps move, at a speed that drifts by a third within a minute."""

    def __init__(self, per_step, drift=0.0, validation=0.0):
        self.now, self.per_step, self.drift, self.validation = 1000.0, per_step, drift, validation

    def clock(self):
        return self.now

    def step(self):
        phase = (self.now % 60) / 60
        self.now += self.per_step * (1 + self.drift * (2 * phase - 1))


def run(machine, seconds, planned, epoch_steps=100, spent=0.0, after=1.0, guess=0.0):
    """Train until the timeline ends; gives the time of everything and the timelines that were followed."""
    begin = machine.now
    budget = TimeBudget(seconds, spent, after, guess, clock=machine.clock)
    timeline, step, timelines = Timeline.straight(planned), 0, []
    while step < timeline.total:
        machine.step()
        step += 1
        timeline = budget.replan(step, timeline, epoch_steps)
        if not timelines or timelines[-1] != timeline:
            timelines.append(timeline)
        if step % epoch_steps == 0 or step == timeline.total:
            with budget.pause(validating=True):
                machine.now += machine.validation
    machine.now += after
    return spent + machine.now - begin, step, timelines


@pytest.mark.parametrize("minutes", [1, 3, 10, 60])
@pytest.mark.parametrize("guess", [0.2, 0.7, 1.0, 1.5, 5.0])
@pytest.mark.parametrize("drift", [0.0, 0.33])
@pytest.mark.parametrize("validation", [0.0, 2.0])
def test_whatever_was_guessed_the_time_is_kept(minutes, guess, drift, validation):
    """Plans that are five times too long or too short, and a machine that drifts by a third within a minute."""
    seconds, per_step = 60.0 * minutes, 0.31
    planned = max(1, int(seconds / per_step * guess))
    took, _, _ = run(Machine(per_step, drift, validation), seconds, planned, spent=3.0)
    assert 0.90 * seconds <= took <= 1.02 * seconds


@pytest.mark.parametrize("planned", [5, 40, 1000])
def test_steps_of_several_seconds_end_with_the_time(planned):
    took, step, _ = run(Machine(2.5, validation=3.0), 90.0, planned, epoch_steps=10)
    assert 0.85 * 90 <= took <= 1.02 * 90 and step > 20


def test_when_the_time_is_up_the_step_in_hand_is_the_last():
    took, step, _ = run(Machine(50.0), 60.0, 10)
    assert step == 2 and took < 110


def test_a_validation_is_reserved_before_one_was_timed():
    """Less than one epoch fits: the only validation is the last one, and comes twice (once for the calibration)."""
    took, *_ = run(Machine(0.3, validation=4.0), 60.0, 500, epoch_steps=1000, guess=13.0)
    assert 0.90 * 60 <= took <= 1.02 * 60
    took, *_ = run(Machine(0.3, validation=4.0), 60.0, 500, epoch_steps=1000)
    assert took > 1.02 * 60


def test_a_good_plan_is_left_alone():
    _, step, timelines = run(Machine(0.3), 600.0, int(0.97 * 600 / 0.3) - 3)
    assert len(timelines) == 1 and step == timelines[0].total


def test_without_a_time_nothing_changes():
    _, step, timelines = run(Machine(0.3), 0.0, 50)
    assert step == 50 and len(timelines) == 1


def test_time_spent_before_counts():
    _, whole, _ = run(Machine(0.3), 300.0, 1000)
    _, part, _ = run(Machine(0.3), 300.0, 1000, spent=200.0)
    assert whole - part == pytest.approx(200 / 0.3, rel=0.01)


def test_a_course_bends_and_never_jumps():
    """After each change of length the share done goes on from where it stood, and ends at the end."""
    timeline = Timeline.straight(100)
    for step, total in ((10, 50), (20, 400), (21, 60), (40, 41)):
        before = [timeline.done(s) for s in range(step)]
        timeline = timeline.replanned(step, total)
        assert [timeline.done(s) for s in range(step)] == pytest.approx(before, abs=1e-12)
        shares = [timeline.done(s) for s in range(timeline.total)]
        assert (
            timeline.total == total
            and all(b > a for a, b in itertools.pairwise(shares))
            and 0 < shares[0] <= shares[-1] < 1
        )
    assert Timeline.straight(9).replanned(0, 4) == Timeline.straight(4)
    line = Timeline.straight(100).replanned(50, 60)
    assert line.done(54) == pytest.approx(50 / 101 + (1 - 50 / 101) * 5 / 11)
