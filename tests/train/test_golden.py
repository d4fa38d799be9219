"""A curve of twenty steps that a change of the code must not change; and two runs that agree to the last bit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.plan.resolve import resolve
from reslab.train.recipes import recipe
from reslab.train.session import fresh_training, loader_of

GOLDEN = Path(__file__).with_name("golden_losses.json")
RELATIVE = 1e-6  # float64 on another machine: other kernels, same sums
STEPS = 20
RECIPES = ("standard", "article", "paper")


def losses(name, dtype=torch.float64):
    """The first losses of a recipe on digits with resnet20, in one thread's order of sums."""
    config = replace(recipe(name), data="digits", model="resnet20", batch_size=32, epochs=2, precision="float32")
    catalog = assign_splits(read_data("digits")).only(("train", "val"))
    plan = resolve(config, catalog)
    training, loader = fresh_training(plan), loader_of(plan, open_stores(plan, catalog).train)
    training.network.to(dtype)
    if training.ema:
        training.ema.tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in training.ema.tensors.items()}
    return [update(training, loader.batch(0, step), plan, config.optim.lr) for step in range(STEPS)]


@pytest.mark.parametrize("name", RECIPES)
def test_the_curve_is_the_published_one(name):
    assert losses(name) == pytest.approx(json.loads(GOLDEN.read_text())[name], rel=RELATIVE)


def test_two_runs_agree_to_the_last_bit():
    assert losses("standard", torch.float32) == losses("standard", torch.float32)


if __name__ == "__main__":  # python -m tests.train.test_golden, after a change that is meant to change numbers
    GOLDEN.write_text(json.dumps({name: losses(name) for name in RECIPES}, indent=1) + "\n")
