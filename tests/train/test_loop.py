"""The step by itself: what stops it, and what it must not depend on."""

from dataclasses import replace

import pytest
import torch

from reslab.data.sources import read_data
from reslab.data.splits import assigned
from reslab.errors import ResLabError
from reslab.train.fit import fresh_training, loader_of
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.plan import resolve
from reslab.train.recipes import recipe


@pytest.fixture(scope="module")
def made():
    config = replace(recipe("standard"), data="digits", model="resnet20", batch_size=32, epochs=2)
    catalog = assigned(read_data("digits")).only(("train", "val"))
    plan = resolve(config, catalog)
    return plan, loader_of(plan, open_stores(plan, catalog).train)


def test_a_loss_that_is_no_number_stops_before_the_weights_change(made):
    plan, loader = made
    training = fresh_training(plan)
    torch.nn.init.constant_(training.network.head.bias, float("nan"))
    before = training.network.head.weight.clone()
    with pytest.raises(
        ResLabError, match="the loss became nan at step 1 of .* with a learning rate of 0.5; no epoch"
    ) as caught:
        update(training, loader.batch(0, 0), plan, 0.5)
    assert "--lr" in caught.value.hint and torch.equal(before, training.network.head.weight)


def test_the_gradient_is_clipped_before_the_step(made):
    plan, loader = made
    config = replace(plan.config, optim=replace(plan.config.optim, momentum=0.0, weight_decay=0.0, clip_norm=1e-3))
    tight = replace(plan, config=config)
    training = fresh_training(tight)
    before = [p.detach().clone() for p in training.network.parameters()]
    update(training, loader.batch(0, 0), tight, 1.0)
    moved = sum(
        float(((p.detach() - b) ** 2).sum()) for p, b in zip(training.network.parameters(), before, strict=True)
    )
    assert moved**0.5 == pytest.approx(1e-3, rel=0.01)


def test_the_tally_counts_every_picture(made):
    plan, loader = made
    training = fresh_training(plan)
    losses = [update(training, loader.batch(0, step), plan, 0.01) for step in range(3)]
    sizes = [len(loader.indices(0, step)) for step in range(3)]
    progress = training.progress
    assert progress.step == 3 and progress.pictures == sum(sizes)
    assert progress.loss_sum == pytest.approx(sum(a * n for a, n in zip(losses, sizes, strict=True)))
