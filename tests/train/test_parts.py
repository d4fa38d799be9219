"""The parts of training that are pure, or nearly: schedule, optimizer state, average, journal, state folder."""

from dataclasses import replace
from math import cos, pi

import numpy as np
import pytest
import torch

from reslab.data.augment import ROOM
from reslab.data.catalog import Catalog, Picture
from reslab.errors import ResLabError
from reslab.model.run import read_journal
from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import build
from reslab.pixels.preprocess import Preprocess, shrunk
from reslab.system import device
from reslab.train.config import TrainConfig
from reslab.train.inputs import open_stores
from reslab.train.journal import Journal
from reslab.train.plan.resolve import resolve, with_statistics
from reslab.train.recipes import RECIPES, recipe, with_recipe
from reslab.train.schedule import ScheduleConfig, Timeline, rate
from reslab.train.state import Progress, StateFolder, Training
from reslab.train.step.optim import EMA, OptimConfig, build_optimizer, optimizer_tensors, restore_optimizer

TINY = ResNetConfig((1,), (4,), stem="3x3", num_classes=3)
TOTAL = 100
SCALER = device.scaler(torch.device("cpu"), "float32")


def course(**options):
    return [rate(ScheduleConfig(**options), 2.0, Timeline.straight(TOTAL).done(step)) for step in range(TOTAL)]


@pytest.mark.parametrize("kind", ["constant", "step", "cosine", "onecycle"])
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_every_step_moves_and_none_exceeds_the_peak(kind, warmup):
    rates = course(kind=kind, warmup=warmup)
    assert min(rates) > 0 and max(rates) <= 2.0
    if warmup:
        assert np.allclose(rates[:25], [2.0 * (s + 1) / 25.25 for s in range(25)])
        assert max(rates) == rates[25] or rates[25] == pytest.approx(2.0, rel=0.02)


def test_closed_forms():
    assert course(kind="constant") == [2.0] * TOTAL
    paper = course(kind="step", milestones=(0.5, 0.75), gamma=0.1)
    assert paper == pytest.approx([2.0] * 50 + [0.2] * 25 + [0.02] * 25)
    wave = course(kind="cosine", floor=0.1)
    assert wave == pytest.approx([2.0 * (0.1 + 0.9 * (1 + cos(pi * (s + 1) / 101)) / 2) for s in range(TOTAL)])
    line = course(kind="onecycle")
    assert line == pytest.approx([2.0 * (1 - (s + 1) / 101) for s in range(TOTAL)])


def test_unknown_names_are_refused():
    with pytest.raises(ResLabError, match="cosin"):
        ScheduleConfig("cosin")
    with pytest.raises(ResLabError, match="sdg") as caught:
        OptimConfig("sdg")
    assert "sgd" in caught.value.hint
    with pytest.raises(ResLabError, match="--lr"):
        OptimConfig(lr=0)
    with pytest.raises(ResLabError, match="artcle"):
        recipe("artcle")


def test_measured_statistics_are_those_of_all_pixels_as_the_network_sees_them():
    rng = np.random.default_rng(3)
    sides = rng.integers(16, 60, (24, 2))
    arrays = [rng.integers(0, 60 + 4 * n, (*sides[n], 3)).astype(np.uint8) for n in range(24)]
    catalog = Catalog(
        "made", "made", tuple(Picture(str(n), each, "ab"[n % 2], "train") for n, each in enumerate(arrays))
    )
    plan = resolve(TrainConfig(data="made", normalize="measured", size=16), catalog, {"size"})
    found = with_statistics(plan, open_stores(plan, catalog).train).network
    seen = np.stack([Preprocess(16)(shrunk(each, round(16 * ROOM))) for each in arrays]) / 255
    assert found["mean"] == seen.mean((0, 1, 2)).round(6).tolist()
    assert found["std"] == seen.std((0, 1, 2)).round(6).tolist()


def test_recipes_are_complete_configs():
    assert len(RECIPES) >= 3
    for name, make in RECIPES.items():
        assert isinstance(make(), TrainConfig) and make().recipe == name and make() == make()
    article = recipe("article")
    assert (article.model, article.epochs, article.optim.name, article.optim.lr) == ("resnet18", 25, "adam", 1e-3)
    assert (article.log_every, article.schedule.kind, article.label_smoothing) == (100, "constant", 0.0)


def test_another_recipe_keeps_what_was_set():
    begun = replace(recipe("standard"), data="pictures", minutes=5.0, ema=0.9)
    begun = replace(begun, optim=replace(begun.optim, weight_decay=0.1))
    other = with_recipe(begun, "quick", {"label_smoothing"})
    assert (other.recipe, other.model, other.augment) == ("quick", "fast_resnet8", "quick")
    assert (other.data, other.minutes, other.ema, other.label_smoothing) == ("pictures", 5.0, 0.9, 0.1)
    assert (other.optim.name, other.optim.lr, other.optim.weight_decay) == ("muon", 0.24, 0.1)
    assert with_recipe(recipe("standard"), "quick") == recipe("quick")


def train_a_little(network, optimizer, steps, start=0):
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(4, 3, 8, 8, generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), torch.arange(4) % 3).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sgd", lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, fused=True)),
        ("adam", lambda groups: torch.optim.Adam(groups, lr=0.01, fused=True)),
        ("adamw", lambda groups: torch.optim.AdamW(groups, lr=0.01, fused=True)),
    ],
)
def test_an_optimizer_that_is_never_compiled_takes_torchs_steps(name, theirs):
    left, right = build(TINY), build(TINY)
    ours = build_optimizer(left, OptimConfig(name, lr=0.01))
    groups = build_optimizer(right, OptimConfig(name, lr=0.01)).param_groups
    other = theirs([{key: group[key] for key in ("params", "weight_decay")} for group in groups])
    train_a_little(left, ours, 4)
    train_a_little(right, other, 4)
    assert all(torch.equal(a, b) for a, b in zip(left.parameters(), right.parameters(), strict=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_an_optimizer_goes_on_as_if_never_stopped(name, layout):
    """What a file brings back lies in another order than channels-last weights; fused steps walk through memory."""
    config = OptimConfig(name, lr=0.01)
    whole = build(TINY).to(memory_format=layout)
    optimizer = build_optimizer(whole, config)
    train_a_little(whole, optimizer, 3)
    parts = build(TINY).to(memory_format=layout)
    parts.load_state_dict(whole.state_dict())
    again = build_optimizer(parts, config)
    restore_optimizer(again, {k: v.clone().contiguous() for k, v in optimizer_tensors(optimizer).items()})
    train_a_little(whole, optimizer, 5, start=3)
    train_a_little(parts, again, 5, start=3)
    assert len(optimizer_tensors(optimizer)) > 3
    for key, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[key]), key


def test_norms_and_biases_do_not_decay():
    network = build(TINY)
    groups = build_optimizer(network, OptimConfig(weight_decay=0.1)).param_groups
    assert [g["weight_decay"] for g in groups] == [0.1, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"]) and all(p.ndim == 1 for p in groups[1]["params"])
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters()))


def test_the_average_is_the_documented_one():
    network = torch.nn.Linear(1, 1, bias=False)
    network.register_buffer("count", torch.tensor(0))
    torch.nn.init.zeros_(network.weight)
    average = EMA(network, decay=0.7)
    expected = 0.0
    for step in range(30):
        torch.nn.init.constant_(network.weight, float(step + 1))
        network.count += 1
        average.update(network, step)
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step + 1)
        assert average.tensors["weight"].item() == pytest.approx(expected)
    assert average.tensors["weight"].item() == pytest.approx(expected) and average.tensors["count"] == 30


def training(steps=2):
    network = build(TINY)
    made = Training(network, build_optimizer(network, OptimConfig(lr=0.01)), EMA(network, 0.9), SCALER, Progress())
    train_a_little(network, made.optimizer, steps)
    made.ema.update(network, 0)
    made.progress.step = steps
    return made


def equal(a, b):
    same = all(torch.equal(v, b.network.state_dict()[k]) for k, v in a.network.state_dict().items())
    same &= all(torch.equal(v, b.ema.tensors[k]) for k, v in a.ema.tensors.items())
    left, right = optimizer_tensors(a.optimizer), optimizer_tensors(b.optimizer)
    return same and left.keys() == right.keys() and all(torch.equal(v, right[k]) for k, v in left.items())


def test_a_state_comes_back_whole(tmp_path):
    before = training(3)
    before.progress.loss_sum, before.progress.journal = 1 / 3, 99
    StateFolder(tmp_path).save(before)
    after = training(0)
    assert StateFolder(tmp_path).load(after) is None
    assert equal(before, after) and after.progress == before.progress


def test_a_damaged_generation_falls_back_and_is_overwritten_next(tmp_path):
    folder = StateFolder(tmp_path)
    first, second = training(1), training(2)
    folder.save(first)
    folder.save(second)
    newest = max(tmp_path.iterdir(), key=lambda p: p.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    data[-5] ^= 4
    newest.write_bytes(data)
    after, again = training(0), StateFolder(tmp_path)
    complaint = again.load(after)
    assert "damaged" in complaint and "step 1" in complaint and equal(first, after)
    again.save(second)
    reread = training(0)
    assert StateFolder(tmp_path).load(reread) is None and equal(second, reread)


def test_states_that_help_nobody_are_refused(tmp_path):
    with pytest.raises(ResLabError, match="no whole state"):
        StateFolder(tmp_path / "none").load(training(0))
    StateFolder(tmp_path).save(training(1))
    wide = build(ResNetConfig((1,), (5,), stem="3x3", num_classes=3))
    other = Training(wide, build_optimizer(wide, OptimConfig()), EMA(wide, 0.9), SCALER, Progress())
    with pytest.raises(ResLabError, match="another network"):
        StateFolder(tmp_path).load(other)


def test_a_journal_forgets_what_will_happen_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.write({"event": "a", "名": "值"})
        keep = journal.offset()
        journal.write({"event": "b"})
    with Journal(path, keep) as journal:
        journal.write({"event": "c"})
    assert [e["event"] for e in read_journal(tmp_path)] == ["a", "c"]
    path.write_bytes(path.read_bytes() + b'{"event": "cut')
    assert [e["event"] for e in read_journal(tmp_path)] == ["a", "c"]
    with pytest.raises(ValueError, match="JSON compliant"), Journal(path) as journal:
        journal.write({"loss": float("nan")})
    assert not list(read_journal(tmp_path / "nowhere"))
