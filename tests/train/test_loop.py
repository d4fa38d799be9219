"""The step by itself: what stops it, and what it must not depend on."""

import subprocess
import sys
from dataclasses import replace
from statistics import fmean

import pytest
import torch

from reslab.data.augment import parse
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.errors import ResLabError
from reslab.system import device
from reslab.tasks.task import Validation
from reslab.train.inputs import open_stores
from reslab.train.loop import Hooks, _end_epoch, update
from reslab.train.plan.resolve import resolve
from reslab.train.plan.speed import with_speed
from reslab.train.recipes import recipe
from reslab.train.session import fresh_training, loader_of
from reslab.train.step.process_group import SINGLE
from reslab.train.step.time_budget import TimeBudget


@pytest.fixture(scope="module")
def made():
    config = replace(recipe("standard"), data="digits", model="resnet20", batch_size=32, epochs=2, precision="float32")
    catalog = assign_splits(read_data("digits")).only(("train", "val"))
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


def test_what_a_step_skips_is_decided_by_seed_and_step(made):
    """Not by the state of the global generator, which a resumed run has lost."""
    plan, loader = made
    plan = replace(plan, network={**plan.network, "drop_path": 0.5}, config=replace(plan.config, drop_path=0.5))

    def losses(seed=0):
        training = fresh_training(plan)
        torch.manual_seed(torch.seed())
        other = replace(plan, config=replace(plan.config, seed=seed))
        return [update(training, loader.batch(0, step), other, 0.01) for step in range(3)]

    first = losses()
    assert first == losses() and first != losses(seed=1)
    assert first[0] != update(fresh_training(made[0]), loader.batch(0, 0), made[0], 0.01)


def kept_epochs(made, *validations):
    """Which epochs are kept where these are the validations, one after the other."""
    plan, _ = made
    training, answers, kept = fresh_training(plan), iter(validations), []
    for epoch in range(len(validations)):
        training.progress.pictures = 1
        hooks = Hooks(
            emit=lambda event: None, progress=lambda event: None, save=lambda: None,
            validate=lambda weights: next(answers), keep_best=lambda epoch=epoch: kept.append(epoch),
            should_stop=lambda: False, resume_hint="", group=SINGLE, budget=TimeBudget(0, 0, 0, 0),
        )  # fmt: skip
        _end_epoch(training, plan, hooks, epoch, 0.1, 1.0)
    return kept


def test_accuracy_chooses_the_epoch_then_the_loss(made):
    scores = [(0.5, 1.0), (0.4, 0.5), (0.5, 0.9), (0.5, 0.95), (0.6, 3.0)]
    assert kept_epochs(made, *(Validation(*score) for score in scores)) == [0, 2, 4]


def test_of_several_labels_it_is_average_precision(made):
    scores = [
        (0.9, 1.0, "mean_ap", 0.5),
        (0.1, 2.0, "mean_ap", 0.6),
        (1.0, 0.1, "mean_ap", 0.55),
        (0.1, 1.9, "mean_ap", 0.6),
    ]
    assert kept_epochs(made, *(Validation(*score) for score in scores)) == [0, 1, 3]


# ------------------------------------------------------------------ accumulation and precision


def frozen(plan, dtype=torch.float32):
    """A fresh network whose norms use their statistics, so that a picture's gradient does not depend on its company."""
    training = fresh_training(plan)
    training.ema = None
    training.network.to(dtype)
    for module in training.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train = lambda mode=True, module=module: module
            module.training = False
    return training


@pytest.mark.parametrize("augment", ["light", "crop,mixup", "crop,cutmix"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(made, augment, dtype, tolerance):
    plan, loader = made
    mixed = replace(loader.augment, changes=parse(augment))
    gradients, losses = [], []
    for parts in (1, 2, 5, 1000):
        divided = replace(
            plan, config=replace(plan.config, accumulate=parts, optim=replace(plan.config.optim, clip_norm=0.0))
        )
        training = frozen(divided, dtype)
        whole = type(loader)(loader.store, loader.labels.tolist(), loader.num_classes, mixed, 32)
        losses.append(update(training, whole.batch(0, 3), divided, 0.0))
        gradients.append(torch.cat([p.grad.flatten() for p in training.network.parameters()]))
    for other, loss in zip(gradients[1:], losses[1:], strict=True):
        assert torch.linalg.norm(other - gradients[0]) <= tolerance * torch.linalg.norm(gradients[0])
        assert loss == pytest.approx(losses[0], rel=tolerance)


def test_parts_are_even_and_never_of_one_picture(made):
    _, loader = made
    batch = loader.batch(0, 0)
    for count in (1, 2, 3, 7, 16, 100):
        parts = list(batch.parts(count))
        sizes = [len(part.pixels) for part in parts]
        assert sum(sizes) == len(batch.pixels) and min(sizes) >= 2 and max(sizes) - min(sizes) <= 1
        assert torch.equal(torch.cat([p.pixels for p in parts]), batch.pixels)
        assert {part.total for part in parts} == {batch.total}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_goes_the_same_way(made, precision):
    """The products are rounded, the weights are not: the first steps are those of float32 but for the rounding.

    Later ones part company, as any two trainings do that differ in a digit; they still learn alike on average.
    """
    plan, loader = made
    losses = {}
    for kind in ("float32", precision):
        mixed = replace(plan, config=replace(plan.config, precision=kind))
        training = fresh_training(mixed)
        losses[kind] = [update(training, loader.batch(0, step), mixed, 0.05) for step in range(10)]
        assert all(p.dtype == torch.float32 for p in training.network.parameters())
        assert training.scaler.is_enabled() == (kind == "float16")
    assert losses[precision] != losses["float32"]
    assert losses[precision][:3] == pytest.approx(losses["float32"][:3], rel=0.02)
    assert fmean(losses[precision]) == pytest.approx(fmean(losses["float32"]), rel=0.05)


def test_a_gradient_beyond_float16_skips_the_step_and_halves_the_scale(made):
    """Micikevicius et al. 2017, section 3.2: the scale is lowered until the gradients fit."""
    plan, loader = made
    mixed = replace(
        plan, config=replace(plan.config, precision="float16", optim=replace(plan.config.optim, clip_norm=0.0))
    )
    training = fresh_training(mixed)
    training.scaler.load_state_dict(training.scaler.state_dict() | {"scale": 2.0**40})
    before = training.network.head.weight.clone()
    update(training, loader.batch(0, 0), mixed, 0.05)
    assert torch.equal(before, training.network.head.weight) and training.scaler.get_scale() < 2.0**40


def test_pictures_grow_on_the_way(made):
    """Three quarters of the side until the share `grow` of the run is behind, then all of it."""
    plan, loader = made
    growing = replace(plan, config=replace(plan.config, grow=0.6))
    training, seen = fresh_training(growing), []
    training.network.stem.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[-1]))
    for done in (0.01, 0.59, 0.6, 0.99):
        update(training, loader.batch(0, 0), growing, 0.01, done=done)
    update(training, loader.batch(0, 0), plan, 0.01, done=0.01)
    assert seen == [6, 6, 8, 8, 8]


def test_pictures_that_no_memory_keeps_give_the_same_batches(made):
    plan, loader = made
    streaming = type(loader.store)(loader.store.pictures, loader.store.transform, limit=0)
    again = type(loader)(streaming, loader.labels.tolist(), loader.num_classes, loader.augment, 32)
    for step in (0, 3):
        assert torch.equal(loader.batch(1, step).pixels, again.batch(1, step).pixels)
    assert not streaming._memory.kept and loader.store._memory.kept


def test_the_layout_is_measured_where_it_is_open_and_changes_only_rounding(made):
    plan, loader = made
    assert plan.config.layout == "auto"
    measured, _ = with_speed(plan, 0)
    assert measured.config.layout in device.LAYOUTS and measured.origins["layout"].origin == "measured"
    assert with_speed(measured, 0)[0].config == measured.config, "what stands in the config is not measured again"
    short = replace(plan, config=replace(plan.config, precision="bfloat16"))
    assert with_speed(short, 0)[0].origins["layout"].origin == "default"
    gradients = []
    for layout in device.LAYOUTS:
        laid = replace(plan, config=replace(plan.config, layout=layout))
        training, seen = frozen(laid, torch.float64), []
        training.network.stem.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0].stride()))
        update(training, loader.batch(0, 0), laid, 0.0)
        assert (seen[0][1] == 1) == (layout == "channels-last")
        gradients.append(torch.cat([p.grad.flatten() for p in training.network.parameters()]))
    assert torch.linalg.norm(gradients[0] - gradients[1]) <= 1e-10 * torch.linalg.norm(gradients[0])


STEP = """
import sys
from dataclasses import replace
import numpy as np
import torch
from reslab.data.augment import SETS
from reslab.data.catalog import Catalog, Picture
from reslab.train.config import Plan
from reslab.train.session import fresh_training, loader_of
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.step.optim import OptimConfig
from reslab.train.plan.resolve import resolve
from reslab.train.recipes import recipe

noise = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
catalog = Catalog("noise", "noise", tuple(Picture(f"{i}", noise[i], "ab"[i % 2], "train") for i in range(8)))
for name in ("sgd", "adam", "adamw", "muon"):
    config = replace(recipe("standard"), model="resnet20", batch_size=8, epochs=1, precision="float32", accumulate=1,
        optim=OptimConfig(name), augment="strong,standard,randaugment,mixup", val=0.0, weights="none")
    plan = resolve(config, catalog, {"accumulate"})
    training = fresh_training(plan)
    update(training, loader_of(plan, open_stores(plan, catalog).train).batch(0, 0), plan, 0.1)
    assert not [m for m in sys.modules if m == "torch._dynamo" or m.startswith("torchvision")], name
"""


def test_a_step_loads_neither_torchs_compiler_nor_torchvision():
    """Each takes more than a second to import, and no update needs them."""
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
