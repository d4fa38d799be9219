"""The range test: closed forms whose diverging rate is known, its curve against torch's own average, and its place in a run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from reslab.errors import ResLabError
from reslab.model.run import read_config
from reslab.report.folder import read_run
from reslab.report.remake import remake
from reslab.run.range_test import find_rate
from reslab.run.train import train
from reslab.train.config import OptimConfig, at_rate
from reslab.train.plan.document import followed
from reslab.train.range_test import HIGHEST, LOWEST, STEPS, range_test
from reslab.train.recipes import recipe
from reslab.train.schedule import ScheduleConfig
from tests.pictures import colour_folder

PER_STEP = (HIGHEST / LOWEST) ** (1 / (STEPS - 1))


def descent(curvature, floor=0.0, noise=0.0):
    """Gradient descent on `curvature / 2 x^2 + floor` from x = 1: it diverges above a rate of 2 / curvature."""
    x, dice = 1.0, np.random.default_rng(0)

    def step(rate):
        nonlocal x
        loss = curvature / 2 * x * x + floor
        x -= rate * (curvature * x + noise * dice.normal())
        return loss

    return step


@pytest.mark.parametrize("curvature", [0.7, 10.0, 1000.0, 2e4])
def test_a_quadratic_is_not_made_to_diverge(curvature):
    held = range_test(descent(curvature))
    assert 0.01 / curvature < held.suggestion < 2 / curvature
    assert held.rates[-1] < HIGHEST or 2 / curvature > HIGHEST / 20, "it stops where the loss runs away"


def test_with_noisy_gradients_the_least_loss_lies_below_the_diverging_rate():
    """The noise keeps x from zero, as batches do, so the loss rises as soon as it can; nothing is divided by ten."""
    curvature = 100.0
    found = range_test(descent(curvature, curvature, noise=curvature / 3), careful="")
    assert 0.05 * 2 / curvature < found.suggestion < 2 / curvature
    held = range_test(descent(curvature, curvature, noise=curvature / 3))
    assert held.suggestion == pytest.approx(found.suggestion / 10, rel=0.01)


def test_a_steeper_problem_gets_a_smaller_rate():
    first, second = (range_test(descent(c, floor=c)).suggestion for c in (10.0, 10.0 * PER_STEP**20))
    assert first / second == pytest.approx(PER_STEP**20, rel=0.02)


def test_least_squares_with_torchs_own_optimizer():
    """The curvature of the steepest direction is the greatest eigenvalue of X^T X / n."""
    dice = torch.Generator().manual_seed(0)
    x = torch.randn(200, 8, generator=dice, dtype=torch.float64) * torch.linspace(0.3, 3, 8)
    y = x @ torch.ones(8, dtype=torch.float64) + 0.1 * torch.randn(200, generator=dice, dtype=torch.float64)
    steepest = torch.linalg.eigvalsh(x.T @ x / len(x))[-1].item()
    weight = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)

    def step(rate):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = ((x @ weight - y) ** 2).mean() / 2
        loss.backward()
        optimizer.step()
        return loss.item()

    assert 0.02 / steepest < range_test(step).suggestion < 2 / steepest


def test_the_curve_is_exponential_and_its_average_corrected():
    found = range_test(descent(1.0, floor=1.0))
    assert found.rates[0] == LOWEST and np.allclose(np.diff(np.log(found.rates)), math.log(PER_STEP))
    weights = [0.8 ** (10 - k) for k in range(11)]  # the first eleven losses, the newest counting most
    assert found.averages[10] == pytest.approx(np.average(found.losses[:11], weights=weights))
    assert found.averages[0] == found.losses[0]


def test_the_test_ends_at_no_number_and_refuses_what_never_falls():
    losses = iter([*np.linspace(3, 1, 40), math.nan])
    assert len(range_test(lambda rate: next(losses)).rates) == 40
    rising = iter(range(1, 200))
    for step in (lambda rate: math.nan, lambda rate: float(next(rising))):
        with pytest.raises(ResLabError, match="the loss falls at no learning rate"):
            range_test(step)


# ------------------------------------------------------------------ of a real training


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", each=20)


def config(data, **fields):
    base = replace(recipe("standard"), data=str(data), model="resnet20", size=8, batch_size=8, epochs=1)
    return replace(base, precision="float32", layout="channels-last", **fields)


def state():
    return (torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads(), torch.get_default_dtype())


def test_it_repeats_exactly_and_leaves_nothing_behind(data):
    torch.manual_seed(5)
    before = state()
    (plan, first), (_, second) = (find_rate(config(data, drop_path=0.2)) for _ in range(2))
    assert first == second and all(map(np.array_equal, before, state()))
    assert find_rate(config(data, drop_path=0.2, seed=1))[1].losses != first.losses
    assert plan.config.optim.lr == 0.2 * 8 / 128, "the plan itself keeps the recipe's"
    assert 1e-4 < first.suggestion < 2


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, ""),
        ({"schedule": ScheduleConfig("step")}, "held"),
        ({"weights": "cifar10_resnet20", "size": 32, "finetune": "last"}, "trained"),
    ],
)
def test_the_schedule_decides_how_careful_it_is(data, fields, why):
    found = find_rate(config(data, **fields))[1]
    assert found.careful == why
    assert found.suggestion == pytest.approx(found.rates[found.best] / (10 if why else 1), rel=0.005)
    assert ("a tenth" in str(found.reason)) == ("十分之一" in found.reason.text("zh")) == bool(why)


def test_a_run_takes_the_rate_and_records_it(data, tmp_path):
    asked = config(data, find_lr=True)
    suggestion = find_rate(config(data))[1].suggestion
    run = train(asked, tmp_path / "run", {"find_lr"})
    document = read_config(run.folder)
    assert document["config"]["optim"]["lr"] == suggestion and document["config"]["find_lr"] is False
    origin = document["origins"]["optim.lr"]
    assert origin["origin"] == "measured" and "range test" in origin["reason"]
    again = train(replace(followed(run.folder), layout="channels-last"), tmp_path / "again")
    assert again.model.read_bytes() == run.model.read_bytes()


def test_muon_keeps_its_proportion(data, tmp_path):
    base = recipe("cifar10_94").optim
    run = train(config(data, find_lr=True, optim=base), tmp_path / "run", {"find_lr"})
    optim = read_config(run.folder)["config"]["optim"]
    assert optim["lr"] != base.lr and optim["rest_lr"] / optim["lr"] == pytest.approx(base.rest_lr / base.lr)
    made = remake(read_run(run.folder))
    assert made.command is None and any("rest_lr" in text for text in made.silent)
    assert at_rate(OptimConfig("adam", lr=1e-3), 0.01) == OptimConfig("adam", lr=0.01)


def test_a_head_that_is_computed_needs_no_rate(data, tmp_path):
    head = config(data, weights="cifar10_resnet20", size=32, finetune="head")
    with pytest.raises(ResLabError, match="uses no learning rate"):
        find_rate(head)
    run = train(replace(head, find_lr=True), tmp_path / "run")
    document = read_config(run.folder)
    assert document["origins"]["optim.lr"]["origin"] != "measured" and document["config"]["find_lr"] is False
