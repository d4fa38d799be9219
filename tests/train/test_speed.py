"""Precision and memory layout of a run: timed where they are open, kept where a person chose."""

from dataclasses import replace

import pytest

from reslab.data.sources import read_data
from reslab.system import device
from reslab.train.config import TrainConfig
from reslab.train.plan import speed
from reslab.train.plan.resolve import resolve


@pytest.fixture
def planned(monkeypatch):
    """A plan on a processor of which only a timing tells whether bfloat16 is faster, with given seconds of a step."""

    def make(seconds, epochs=500, **chosen):
        monkeypatch.setattr(device, "precision", lambda: ("bfloat16", device.GUESSED))
        asked = []

        def timed(shape, config, *_):
            asked.append((config.precision, config.layout))
            return seconds[asked[-1]]

        monkeypatch.setattr(speed, "seconds_per_step", timed)
        catalog = read_data("digits")
        catalog = replace(catalog, pictures=tuple(replace(p, split="train") for p in catalog.pictures))
        config = TrainConfig(data="digits", model="resnet20", batch_size=64, epochs=epochs, **chosen)
        plan, _ = speed.with_speed(resolve(config, catalog, tuple(chosen)), 0)
        return plan, asked

    return make


LAST, FIRST, SHORT = ("float32", "channels-last"), ("float32", "channels-first"), ("bfloat16", "channels-last")


def test_bfloat16_is_taken_where_it_is_clearly_faster(planned):
    plan, _ = planned({LAST: 1.4, FIRST: 1.6, SHORT: 1.0})
    assert (plan.config.precision, plan.config.layout) == SHORT
    assert plan.origins["precision"].origin == "measured" and "64 images/s in bfloat16" in str(
        plan.origins["precision"].reason
    )


def test_a_small_lead_changes_nothing(planned):
    plan, _ = planned({LAST: 1.4, FIRST: 1.2, SHORT: 1.0})
    assert (plan.config.precision, plan.config.layout) == FIRST
    assert plan.origins["layout"].origin == "measured"


def test_what_a_person_chose_is_not_timed_against_anything(planned):
    plan, asked = planned({LAST: 1.4, FIRST: 1.2, SHORT: 1.0}, precision="float32")
    assert plan.config.precision == "float32" and set(asked) == {LAST, FIRST}
    plan, asked = planned({LAST: 1.4, FIRST: 1.2, SHORT: 1.0}, layout="channels-last")
    assert (plan.config.layout, set(asked)) == ("channels-last", {LAST, SHORT})


def test_a_short_run_stays_in_float32_and_times_no_other_precision(planned):
    plan, asked = planned({LAST: 1.4, FIRST: 1.2, SHORT: 0.1}, epochs=2)
    assert plan.config.precision == "float32" and SHORT not in asked
    assert str(plan.origins["precision"].reason) == "the run is short"
