"""The margins of the training pictures: by the formula, over parts and blends, and through a saved state."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reslab.data.augment import Mix
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.errors import ResLabError
from reslab.model.file import read_tensors, write_tensors
from reslab.model.run import MARGINS_NAME, read_rows
from reslab.nn.layers import to_images
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.margins import count_probe, no_margins, write_margins
from reslab.train.plan.resolve import resolve
from reslab.train.probe import Probe
from reslab.train.recipes import recipe
from reslab.train.session import fresh_training, loader_of
from reslab.train.state import StateFolder
from reslab.train.step.margin import Margins, margins_of
from tests.train.test_state import training as tiny


@pytest.fixture(scope="module")
def made():
    config = replace(recipe("standard"), data="digits", model="resnet20", batch_size=32, epochs=2, precision="float32")
    catalog = assign_splits(read_data("digits")).only(("train", "val"))
    plan = resolve(config, catalog)
    store = open_stores(plan, catalog).train
    return plan, loader_of(plan, store), store


def began(made):
    plan, _, store = made
    training = fresh_training(plan)
    training.margins = no_margins(plan, store)
    return training


def test_equation_1():
    logits = torch.tensor([[3.0, 1.0, -2.0], [0.5, 2.0, 1.5], [0.0, 0.0, 4.0]])
    found = margins_of(logits, torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [0, 0, 1.0]]))
    assert found.tolist() == [[2.0, -0.5, 4.0], [1.0, 1.0, 0.0]]


def test_a_mean_is_over_the_times_that_a_picture_was_seen():
    margins = Margins.none(4)
    margins.add(np.array([2, 0, 2]), np.array([[1.0, -3.0, 2.0], [5, 6, 7]]))  # a sampler may repeat a picture
    margins.add(np.array([2, 3]), np.array([[3.0, 0.5], [8, 9]]))
    assert margins.mean() == pytest.approx([-3, np.nan, 2, 0.5], nan_ok=True)
    assert margins.seen.tolist() == [1, 0, 3, 1] and margins.rival.tolist() == [6, 0, 8, 9]


def test_a_step_counts_its_pictures_however_it_is_divided(made):
    """They are those of the logits before the step."""
    plan, loader, store = made
    batch, whole, parts = loader.batch(0, 0), began(made), began(made)
    for module in (*whole.network.modules(), *parts.network.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):  # stays in evaluation, so that parts do not matter
            module.training, module.train = False, lambda mode=True, module=module: module
    expected = whole.network(to_images(batch.pixels)).detach()
    update(whole, batch, plan, 0.01)
    update(parts, batch, replace(plan, config=replace(plan.config, accumulate=3)), 0.01)
    own = torch.from_numpy(np.array([int(store.pictures[i].label) for i in batch.indices]))
    others = expected.scatter(1, own[:, None], -torch.inf).max(1).values
    ours = (expected.gather(1, own[:, None])[:, 0] - others).numpy()
    for training in (whole, parts):
        assert training.margins.total[batch.indices] == pytest.approx(ours, abs=1e-4)
        assert training.margins.seen.sum() == len(batch.indices) == training.margins.seen[batch.indices].sum()


@pytest.mark.parametrize(("share", "counted"), [(0.7, True), (0.5, False), (0.3, False)])
def test_a_blended_picture_counts_where_its_own_label_outweighs(made, share, counted):
    plan, loader, _ = made
    plain, training = loader.batch(0, 1), began(made)
    mix = Mix(np.roll(np.arange(len(plain.pixels)), 1), share, None)
    targets = mix.targets(plain.targets)
    blended = replace(plain, mix=mix, partners=plain.pixels.roll(1, 0), targets=targets)
    update(training, blended, plan, 0.01)
    assert training.margins.seen.sum() == (len(plain.indices) if counted else 0)


def test_the_state_keeps_them_and_an_earlier_one_has_none(tmp_path):
    saved = tiny(3)
    saved.margins = Margins(np.array([1.5, -2.25]), np.array([2, 3], np.int32), np.array([0, 1], np.int32))
    StateFolder(tmp_path).save(saved)

    def loaded(count):
        after = tiny()
        after.margins = Margins.none(count)
        StateFolder(tmp_path).load(after)
        return after.margins

    back = loaded(2)
    for name in ("total", "seen", "rival"):
        ours, theirs = getattr(back, name), getattr(saved.margins, name)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    with pytest.raises(ResLabError, match="belongs to another run"):
        loaded(3)
    file = next(tmp_path.iterdir())
    arrays, content = read_tensors(file)
    earlier = {name: array for name, array in arrays.items() if not name.startswith("margins.")}
    write_tensors(file, earlier, {k: v for k, v in content.items() if k != "sha256"})
    assert loaded(2) is None


def test_a_computed_head_gives_its_margins_once(made):
    """Of a picture and its mirror image the mean."""
    plan, _, store = made
    labels = torch.from_numpy(np.array([int(p.label) for p in store.pictures]))
    logits = np.random.default_rng(0).normal(0, 1, (2 * len(store), 10))
    nothing = np.zeros(1, np.float32)
    margins = no_margins(plan, store)
    count_probe(margins, Probe(nothing, nothing, 1.0, logits, 0.0, 0, len(logits)), plan, store)
    both = [margins_of(torch.from_numpy(part), F.one_hot(labels, 10))[0].numpy() for part in np.split(logits, 2)]
    assert margins.mean() == pytest.approx((both[0] + both[1]) / 2) and (margins.seen == 2).all()


def test_the_table_has_every_picture_that_was_seen(made, tmp_path):
    plan, _, store = made
    margins = no_margins(plan, store)
    margins.add(np.array([4]), np.array([[-1.25], [7]]))
    write_margins(tmp_path, margins, plan, store)
    row = read_rows(tmp_path / MARGINS_NAME, ())
    picture = store.pictures[4]
    assert row == [{"path": picture.key, "label": picture.label, "margin": "-1.250000", "seen": "1", "rival": "7"}]
