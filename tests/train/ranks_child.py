"""What each process of test_ranks does: compare its part of the work with the whole, done alone."""

import sys
from dataclasses import replace

import numpy as np
import torch

from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.nn.layers import to_images
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.margins import no_margins
from reslab.train.plan.resolve import resolve
from reslab.train.recipes import recipe
from reslab.train.session import fresh_training, header_of, loader_of
from reslab.train.step.process_group import SINGLE, join
from reslab.train.validation import Validator

SIZES = (1, 2, 5, 33, 100)
GRADIENT = {torch.float64: 1e-10, torch.float32: 1e-5}  # relative: the same terms in another order


def plan_and_catalog(augment="strong"):
    config = replace(
        recipe("standard"), data="digits", model="resnet20", batch_size=33, epochs=2, augment=augment, ema=0.0,
        precision="float32",
    )  # fmt: skip
    catalog = assign_splits(read_data("digits")).only(("train", "val"))
    return resolve(config, catalog), catalog


def same_scores(group):
    """Validation by two processes equals validation by one, to the last digit."""
    plan, catalog = plan_and_catalog()
    weights = fresh_training(plan).network.state_dict()
    for size in SIZES:
        part = replace(catalog, pictures=catalog.split("train")[:10] + catalog.split("val")[:size])
        store = open_stores(plan, part).val
        one, several = (Validator(plan, header_of(plan), store, each) for each in (SINGLE, group))
        assert several(weights) == one(weights), size


def same_gradients(group):
    """The summed gradient equals that of one process on the whole batch, norm statistics frozen."""
    plan, catalog = plan_and_catalog()
    store = open_stores(plan, catalog).train
    for kind, tolerance in GRADIENT.items():
        gradients = [_gradients(plan, store, who, kind) for who in (group, SINGLE)]
        for ours, alone in zip(*gradients, strict=True):
            assert torch.linalg.norm(ours - alone) <= tolerance * torch.linalg.norm(alone), kind


def _gradients(plan, store, who, kind):
    training = fresh_training(plan)
    training.network.to(kind)
    for module in training.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train = lambda mode=True, module=module: module  # stays in evaluation
            module.training = False
    update(training, loader_of(plan, store, who).batch(0, 3), plan, 0.0, who)
    return [p.grad.clone() for p in training.network.parameters()]


def parts_make_the_whole(group):
    """The processes' pictures, put together, are the batch that one process makes, partners included."""
    plan, catalog = plan_and_catalog()
    store = open_stores(plan, catalog).train
    for step in (0, 7):
        mine, whole = loader_of(plan, store, group).batch(0, step), loader_of(plan, store).batch(0, step)
        for name in ("pixels", "targets", "partners"):
            together = np.concatenate(group.gather(getattr(mine, name).numpy()))
            assert np.array_equal(together, getattr(whole, name).numpy()), name
        assert mine.total == whole.total == len(whole.pixels)


def same_weights_everywhere(group):
    """After some steps with norms in training, all processes hold the same bits."""
    plan, catalog = plan_and_catalog()
    store = open_stores(plan, catalog).train
    training, loader = fresh_training(plan), loader_of(plan, store, group)
    training.margins = no_margins(plan, store)
    for step in range(4):
        update(training, loader.batch(0, step), plan, 0.05, group)
    totals = group.gather(training.margins.total)  # any of them may write the state
    assert np.array_equal(totals[0], totals[1]) and training.margins.seen.sum() > 0
    everybody = group.gather({k: v.numpy() for k, v in training.network.state_dict().items()})
    assert all(np.array_equal(everybody[0][name], other[name]) for other in everybody for name in other)
    assert to_images(loader.batch(0, 0).pixels).shape[0] < loader.batch(0, 0).total


if __name__ == "__main__":
    who = join()
    assert who.world == 2
    for proof in (same_scores, same_gradients, parts_make_the_whole, same_weights_everywhere):
        proof(who)
    if who.first:
        print("all the same", file=sys.stderr)
