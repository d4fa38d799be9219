"""Batches decided by (seed, epoch, step) alone: whoever makes them, in whatever order, on whatever start method."""

import hashlib
import multiprocessing
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.data.augment import SETS, Augment
from reslab.data.catalog import Picture
from reslab.data.folder import read_folder
from reslab.data.loader import Loader, steps_per_epoch
from reslab.data.store import Store
from reslab.pixels.preprocess import Preprocess

STRONG = ("crop", "hflip", "rotate", "color", "trivialaugment", "erase", "mixup", "cutmix")


def loader(n=33, batch_size=8, changes=STRONG, seed=0, limit=None, classes=3, size=16):
    """Random pictures, some larger than the input, some of its size."""
    rng = np.random.default_rng(0)
    sides = [(16, 16) if i % 2 else (24, 30) for i in range(n)]
    pictures = [
        Picture(f"{i}", rng.integers(0, 256, (*s, 3)).astype(np.uint8), str(i % classes)) for i, s in enumerate(sides)
    ]
    store = Store(pictures, lambda picture: picture, limit)
    augment = Augment(changes, Preprocess(size), seed)
    return Loader(store, [i % classes for i in range(n)], classes, augment, batch_size)


def digest(batch):
    """Everything that a batch says, as one hash."""
    state = hashlib.sha256(batch.pixels.numpy().tobytes() + batch.targets.numpy().tobytes())
    if batch.mix:
        state.update(batch.mix.partner.tobytes() + repr((batch.mix.share, batch.mix.box)).encode())
    return state.hexdigest()


def epoch_digests(made, epoch=0, first=0, workers=0):
    return [digest(batch) for batch in made.batches(epoch, first, workers)]


# ------------------------------------------------------------------ every picture once


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 80), st.integers(0, 5))
def test_an_epoch_visits_everybody_once_in_even_batches(n, batch_size, epoch):
    pictures = [Picture(str(i), np.zeros((8, 8, 3), np.uint8), "x") for i in range(n)]
    made = Loader(Store(pictures, np.copy), [0] * n, 1, Augment((), Preprocess(8), 0), batch_size)
    parts = [made.indices(epoch, step) for step in range(made.steps)]
    assert sorted(np.concatenate(parts)) == list(range(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1 and max(sizes) <= max(batch_size, 3)
    if n > 1 and batch_size > 1:
        assert min(sizes) > 1  # batch norm cannot learn from one value
    assert made.steps == steps_per_epoch(n, batch_size)


@pytest.mark.parametrize(
    "n, batch_size", [(1, 1), (1, 8), (2, 1), (3, 2), (33, 32), (33, 8), (64, 32), (65, 32), (7, 100)]
)
def test_the_indices_of_an_epoch(n, batch_size):
    made = loader(n, batch_size)
    for epoch in range(3):
        parts = [made.indices(epoch, step) for step in range(made.steps)]
        assert sorted(np.concatenate(parts)) == list(range(n))
        sizes = [len(part) for part in parts]
        assert max(sizes) <= batch_size or (n, batch_size) == (3, 2)  # one of three rather than two and a lonely one


@pytest.mark.parametrize("n", [3, 5, 7, 33])
def test_no_picture_is_alone_in_its_batch(n):
    made = loader(n, 2)
    assert min(len(made.indices(0, step)) for step in range(made.steps)) >= 2


def test_epochs_come_in_different_orders():
    made = loader(200, 50)
    first, second = (np.concatenate([made.indices(e, s) for s in range(made.steps)]) for e in (0, 1))
    assert not np.array_equal(first, second)
    other = loader(200, 50, seed=1)
    assert not np.array_equal(first, np.concatenate([other.indices(0, s) for s in range(other.steps)]))


# ------------------------------------------------------------------ what a batch holds


def test_a_plain_batch_is_its_pictures_and_labels():
    made = loader(changes=())
    batch = made.batch(0, 1)
    indices = made.indices(0, 1)
    prepare = Preprocess(16)
    expected = np.stack([prepare(made.store[int(i)]) for i in indices])
    assert np.array_equal(batch.pixels.numpy(), expected) and batch.pixels.dtype == torch.uint8
    assert torch.equal(batch.targets.argmax(1), torch.tensor([i % 3 for i in indices]))
    assert torch.equal(batch.targets.sum(1), torch.ones(len(indices))) and batch.mix is None
    assert batch.targets.dtype == torch.float32


def test_blended_targets_are_those_of_the_mix():
    made = loader(changes=("cutmix",))
    plain = loader(changes=())
    batch, one_hot = made.batch(0, 0), plain.batch(0, 0).targets
    assert torch.equal(batch.targets, batch.mix.targets(one_hot))
    assert torch.equal(batch.pixels, plain.batch(0, 0).pixels)  # the blending of pixels is left to the device


# ------------------------------------------------------------------ decided by (seed, epoch, step)


@pytest.mark.parametrize("changes", [*SETS.values(), STRONG])
def test_any_number_of_workers_gives_the_same_batches(changes):
    expected = epoch_digests(loader(changes=changes), workers=0)
    assert len(expected) == 5
    for workers in (1, 2, 4):
        assert epoch_digests(loader(changes=changes), workers=workers) == expected


def test_any_order_of_access_gives_the_same_batches():
    expected = {(e, s): digest(loader().batch(e, s)) for e in range(3) for s in range(5)}
    assert len(set(expected.values())) == 15
    made, order = loader(), list(expected)
    random.Random(0).shuffle(order)
    assert {place: digest(made.batch(*place)) for place in order} == expected


def test_an_epoch_can_be_entered_in_its_middle():
    assert epoch_digests(loader(), 2, first=3) == epoch_digests(loader(), 2)[3:]
    assert epoch_digests(loader(), 2, first=5) == []


def test_what_is_remembered_does_not_change_a_batch():
    assert epoch_digests(loader(limit=0)) == epoch_digests(loader(limit=10**9)) == epoch_digests(loader(limit=5_000))


def test_torchs_and_numpys_global_generators_are_not_asked():
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    expected = epoch_digests(loader())
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[2]
    assert np.array_equal(np.random.get_state()[1], before[1])
    torch.manual_seed(2)
    assert epoch_digests(loader()) == expected


def test_another_seed_is_another_training():
    assert not set(epoch_digests(loader(seed=1))) & set(epoch_digests(loader(seed=0)))


@pytest.mark.parametrize("changes", [(), ("mixup",), ("cutmix",)])
def test_several_labels_are_blended_like_one(changes):
    one = loader(changes=changes)
    marks = np.arange(33)[:, None] % np.array([2, 3, 5, 1]) == 0
    several = Loader(one.store, marks, 4, one.augment, 8)
    for step in range(several.steps):
        batch, chosen = several.batch(1, step), several.indices(1, step)
        own = torch.from_numpy(marks[chosen]).float()
        partners = own if batch.mix is None else own[torch.from_numpy(batch.mix.partner)]
        share = 1.0 if batch.mix is None else batch.mix.share
        assert torch.allclose(batch.targets, share * own + (1 - share) * partners, atol=1e-6)
        assert torch.equal(batch.pixels, one.batch(1, step).pixels)


# ------------------------------------------------------------------ another process, started from nothing


def folder_loader(root):
    """A loader over the files of a folder: what a process that shares nothing can build again."""
    pictures = read_folder(root).pictures
    numbers = {label: n for n, label in enumerate(sorted({p.label for p in pictures}))}
    store = Store(pictures, lambda picture: picture)
    return Loader(store, [numbers[p.label] for p in pictures], len(numbers), Augment(STRONG, Preprocess(16), 3), 4)


def digests_elsewhere(root, answers):
    """Runs in the other process."""
    answers.put(epoch_digests(folder_loader(root), epoch=1, workers=2))


def test_a_spawned_process_makes_the_same_batches(plant):
    root = plant([f"{label}/{n}.png" for label in ("猫", "perro ñ") for n in range(6)], "数据 集/ñ é")
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=digests_elsewhere, args=(root, answers))
    process.start()
    try:
        theirs = answers.get(timeout=60)
    finally:
        process.join(60)  # a busy machine
    assert process.exitcode == 0
    assert theirs == epoch_digests(folder_loader(root), epoch=1, workers=0)
    assert len(theirs) == 3
