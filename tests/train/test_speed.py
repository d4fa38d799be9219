"""Precision, memory layout and convolution of a run: timed where they are open, kept where a person chose."""

from dataclasses import replace

import pytest

from reslab.data.sources import read_data
from reslab.system import device
from reslab.train.config import TrainConfig
from reslab.train.plan import speed
from reslab.train.plan.document import decision_digest, plan_document, plan_from
from reslab.train.plan.resolve import resolve


@pytest.fixture
def planned(monkeypatch):
    """A plan on a processor of which only a timing tells whether bfloat16 is faster, with given seconds of a step."""

    def make(seconds, epochs=500, **chosen):
        monkeypatch.setattr(device, "precision", lambda: ("bfloat16", device.GUESSED))
        asked = []

        def timed(shape, config, *_):
            plain = config.convolution == "pytorch" and (config.precision, config.layout) in seconds
            asked.append((config.precision, config.layout) + (() if plain else (config.convolution,)))
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


LONG = 5000
"""Epochs of a run in which convolutions are timed."""


@pytest.fixture
def compiled(monkeypatch):
    monkeypatch.setattr(speed.winograd, "available", lambda: True)


def timed(planned, *seconds, **chosen):
    """A long run, with the seconds of PyTorch's, products and Winograd in float32, then of the first two in bfloat16."""
    names = [(*LAST, "pytorch"), (*LAST, "matmul"), (*LAST, "winograd"), (*SHORT, "pytorch"), (*SHORT, "matmul")]
    return planned({FIRST: 3.0} | dict(zip(names, seconds, strict=True)), LONG, **chosen)


def test_a_convolution_is_taken_where_it_is_clearly_faster(planned, compiled):
    plan, _ = timed(planned, 2.0, 1.5, 1.0, 2.0, 1.9)
    assert (plan.config.precision, plan.config.layout, plan.config.convolution) == (*LAST, "winograd")
    assert plan.origins["convolution"].origin == plan.origins["layout"].origin == "measured"
    assert str(plan.origins["convolution"].reason) == "images/s: matmul 43, pytorch 32, winograd 64"
    plan, _ = timed(planned, 2.0, 1.95, 1.9, 2.0, 1.9)
    assert (plan.config.convolution, plan.origins["convolution"].origin) == ("pytorch", "measured")


def test_precision_and_convolution_are_timed_together(planned, compiled):
    plan, _ = timed(planned, 2.0, 1.5, 1.2, 1.2, 0.8)
    assert (plan.config.precision, plan.config.convolution) == ("bfloat16", "matmul")
    plan, _ = timed(planned, 2.0, 1.5, 1.0, 1.2, 0.8)
    assert (plan.config.precision, plan.config.convolution) == ("float32", "winograd")


def test_a_convolution_that_a_person_chose_or_a_short_run_is_not_timed(planned, compiled):
    plan, asked = timed(planned, 2.0, 1.5, 1.0, 2.0, 2.0, convolution="matmul", layout="channels-last")
    assert plan.config.convolution == "matmul" and {name for *_, name in asked} == {"matmul"}
    plan, asked = planned({LAST: 1.4, FIRST: 1.2, SHORT: 1.0})
    assert (plan.config.convolution, plan.origins["convolution"].origin) == ("pytorch", "default")


def test_a_run_folder_without_the_field_continues_with_pytorchs(planned):
    plan, _ = planned({LAST: 1.4, FIRST: 1.2, SHORT: 1.0})
    document = plan_document(plan)
    assert document["config"].pop("convolution") == "pytorch"
    del document["origins"]["convolution"]
    old = plan_from(document)
    assert old.config == plan.config and decision_digest(old) == decision_digest(plan)
    other = replace(plan, config=replace(plan.config, convolution="matmul"))
    assert decision_digest(other) != decision_digest(plan)
