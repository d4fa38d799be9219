"""Network and size go by the time there is; pictures are never enlarged."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reslab.data.catalog import Catalog, Picture
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.run.prepare import OPENED, check_pictures, resolve_plan
from reslab.system.events import ignore
from reslab.train.config import OptimConfig
from reslab.train.plan import affordable
from reslab.train.plan.affordable import (
    DEFAULT_SECONDS,
    LADDER,
    LEAST_EPOCHS,
    PROCESSOR_SIZE,
    QUICK,
    QUICK_NETWORK,
    QUICK_SIZE,
    Timed,
    candidates,
    choose,
    describe_tenth,
    with_affordable,
)
from reslab.train.plan.document import plan_document, plan_from
from reslab.train.plan.resolve import fixed_choices, resolve
from reslab.train.plan.speed import epoch_seconds
from reslab.train.recipes import recipe
from tests.pictures import colour_folder

PAIRS = LADDER[:4]
QUICK_PAIRS = [(QUICK_NETWORK, size) for size in (32, 48, 64)]


def photographs(folder, width=150, height=100, each=12):
    for path in colour_folder(folder, each=each).rglob("*.png"):
        Image.open(path).resize((width, height)).save(path)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return photographs(tmp_path_factory.mktemp("photographs"))


def planned(data, user=(), **fields):
    config = replace(recipe(fields.pop("recipe", "standard")), data=str(data), **fields)
    catalog = assign_splits(read_data(data), 0.2).only(("train", "val"))
    return resolve(config, catalog, user), config, catalog


# ------------------------------------------------------------------ the default without a time limit


def test_from_scratch_a_processor_gets_no_large_inputs_unless_asked(tmp_path):
    pictures = photographs(tmp_path, 400, 300, each=2)
    plan, config, catalog = planned(pictures, weights="none")
    assert plan.config.size == 224
    plan = with_affordable(plan, config, catalog, (), 0)[0]
    assert (plan.config.size, plan.origins["size"].origin) == (PROCESSOR_SIZE, "default")
    asked = planned(pictures, ("size",), weights="none", size=224)
    assert with_affordable(*asked, ("size",), 0)[0].config.size == 224


def test_a_long_run_says_what_a_tenth_of_its_time_would_give(data, monkeypatch):
    monkeypatch.setattr(affordable, "_seconds_per_picture", lambda plan: plan.config.size / 32)
    plan, config, catalog = planned(data, weights="none")
    train, val = len(catalog.split("train")), len(catalog.split("val"))
    epochs = 60 * 20 / epoch_seconds(1.5, train, val)  # at 64 px fewer than 32 would fit
    said = describe_tenth(plan, config, catalog, (), 12_000)
    assert said == [f"--minutes 20, a tenth of the time, is enough for {epochs:.1f} epochs of fast_resnet8 at 48 px"]
    assert describe_tenth(plan, config, catalog, (), DEFAULT_SECONDS) == []


# ------------------------------------------------------------------ the choice


@pytest.mark.parametrize(
    ("seconds", "chosen", "larger"),
    [(8.0, 0, 1), (19.9, 0, 1), (20.0, 1, 2), (79.9, 2, 3), (80.0, 3, None), (1e9, 3, None), (7.9, 0, 1), (0.0, 0, 1)],
)
def test_the_largest_that_fits_else_the_smallest(data, seconds, chosen, larger):
    plan = planned(data)[0]
    speeds = (1000.0, 400.0, 200.0, 100.0)  # pictures per second; 900 train and 300 of them are judged at a third
    timed = [Timed(plan, epoch_seconds(1 / speed, 900, 300), 8) for speed in speeds]
    assert [one.seconds for one in timed] == pytest.approx([8.0, 20.0, 40.0, 80.0])
    mine, next_larger = choose(timed, seconds + 1e-9)
    assert mine is timed[chosen] and next_larger is (None if larger is None else timed[larger])


def test_one_that_was_timed_slow_by_chance_does_not_hide_larger_ones_that_fit(data):
    plan = planned(data)[0]
    timed = [Timed(plan, seconds, 8) for seconds in (1.0, 9.0, 2.0, 5.0)]
    assert choose(timed, 20.0) == (timed[2], timed[3])


def test_what_may_be_taken_is_never_larger_than_the_pictures(data):
    plan = planned(data)[0]
    assert (plan.config.model, plan.config.size, plan.config.weights) == ("resnet18", 100, "none")
    assert candidates(plan) == [*PAIRS, ("resnet18", 100)]
    small, _, _ = planned(photographs(data.parent / "small", 40, 50))
    assert small.config.size == 40 and candidates(small) == [("resnet20", 32), ("resnet20", 40)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"size": 96}, [("resnet18", 96)]),
        ({"model": "resnet34"}, [("resnet34", side) for side in (48, 64, 96, 100)]),
        ({"recipe": "article"}, [("resnet18", side) for side in (48, 64, 96, 100)]),
        ({"model": "resnet18", "size": 224}, [("resnet18", 224)]),
        ({"weights": "cifar10_resnet20"}, [("resnet20", 32)]),
    ],
)
def test_what_has_been_decided_stays(data, fields, expected):
    user = {name for name in fields if name != "recipe"}
    assert candidates(planned(data, user, **fields)[0]) == expected


# ------------------------------------------------------------------ never enlarged


@pytest.mark.parametrize(("minutes", "side"), [(0.0, 224), (3.0, 160), (60.0, 224)])
@pytest.mark.parametrize(
    ("width", "height", "short"), [(70, 90, 70), (90, 70, 70), (100, 100, 100), (640, 480, 480), (300, 161, 161)]
)
def test_pictures_are_never_enlarged(minutes, side, width, height, short):
    def made(number, **more):
        return Picture(str(number), np.zeros((height, width, 3), np.uint8), "ab"[number % 2], "train", **more)

    catalog = Catalog("made", "made", tuple(made(n) for n in range(20)))
    config = replace(recipe("standard"), minutes=minutes)
    assert resolve(config, catalog).config.size == min(short, side)
    boxed = Catalog("made", "made", tuple(made(n, box=(0, 0, 50, 33)) for n in range(20)))
    assert resolve(config, boxed).config.size == 33


# ------------------------------------------------------------------ the whole of it


def test_where_nothing_fits_the_smallest_is_taken_and_one_sentence_says_so(data):
    plan, config, catalog = planned(data)
    taken, said = with_affordable(plan, replace(config, minutes=0.001), catalog, (), 0.06)
    assert (taken.config.model, taken.config.size) == QUICK_PAIRS[0]
    assert taken.network["stem"] == "whitening" and taken.origins["weights"] == plan.origins["weights"]
    (sentence,) = said
    assert "about 0.0 epochs of fast_resnet8 at 32 px" in sentence and f"at least {LEAST_EPOCHS} are needed" in sentence
    assert all(taken.origins[name].origin == "measured" for name in ("model", "size"))
    assert "每轮" in taken.origins["size"].reason.text("zh")
    known = plan_from(json.loads(json.dumps(plan_document(taken))))
    assert (known.config, known.origins) == (taken.config, taken.origins), "so a resumed run measures nothing"


def test_in_limited_time_quick_is_trained(data, monkeypatch):
    monkeypatch.setattr(affordable, "_seconds_per_picture", lambda plan: 1e-6)
    plan, config, catalog = planned(data, minutes=5.0)
    taken, said = with_affordable(plan, config, catalog, (), 300.0)
    assert (taken.config.recipe, taken.config.model, taken.config.size) == (QUICK, QUICK_NETWORK, QUICK_SIZE)
    assert taken.config.optim == recipe(QUICK).optim and taken.config.minutes == 5.0 and said == []
    assert candidates(taken) == [*QUICK_PAIRS, (QUICK_NETWORK, QUICK_SIZE)]
    assert with_affordable(plan, config, catalog, (), 0)[0].config.recipe == "standard", (
        "without a time it stays as it was"
    )


@pytest.mark.parametrize(("epochs", "size"), [(0.5, 32), (7.5, 32), (8.5, 48), (31.0, 48), (33.0, 64)])
def test_quick_needs_few_epochs_up_to_48_pixels_and_many_beyond(data, monkeypatch, epochs, size):
    """`epochs` fit at 48 px and above, twice as many at 32 px; the last size takes too long."""
    plan, config, catalog = planned(data, minutes=5.0)
    train, val = len(catalog.split("train")), len(catalog.split("val"))
    each = 290 / epochs / epoch_seconds(1.0, train, val)
    speeds = {32: each / 2, 48: each, 64: each, QUICK_SIZE: 1e3}
    monkeypatch.setattr(affordable, "_seconds_per_picture", lambda plan: speeds[plan.config.size])
    monkeypatch.setattr(affordable, "_reading_seconds", lambda *_: 7.0)
    taken, said = with_affordable(plan, config, catalog, (), 300.0)
    assert taken.config.size == size and bool(said) == (2 * epochs < LEAST_EPOCHS)


@pytest.mark.parametrize(
    ("user", "fields"),
    [
        ({"model"}, {"model": "resnet18"}),
        ({"recipe"}, {}),
        ((), {"recipe": "paper"}),
        ({"optim.lr"}, {"optim": OptimConfig(lr=0.3)}),
        ({"weights"}, {"weights": "cifar10_resnet20"}),
        ({"size"}, {"size": 8}),
    ],
)
def test_quick_replaces_nothing_that_was_chosen(data, user, fields, monkeypatch):
    monkeypatch.setattr(affordable, "_seconds_per_picture", lambda plan: 1e-6)
    plan, config, catalog = planned(data, user, minutes=5.0, **fields)
    taken = with_affordable(plan, config, catalog, user, 300.0)[0]
    assert taken.config.recipe == plan.config.recipe != QUICK and taken.config.model == plan.config.model


def test_trained_weights_of_which_no_epoch_fits_get_a_new_head(tmp_path, monkeypatch):
    pictures = photographs(tmp_path, each=40)
    given = {"weights": "cifar10_resnet20", "minutes": 5.0}
    plan, config, catalog = planned(pictures, given.keys(), **given)
    train, val = len(catalog.split("train")), len(catalog.split("val"))
    assert plan.config.finetune == "all"
    for each, layers in ((100.0, "all"), (400.0, "head")):  # seconds of an epoch, of 300
        monkeypatch.setattr(affordable, "_SURE_MACS", 1.0)  # so that the time decides
        monkeypatch.setattr(
            affordable, "_seconds_per_picture", lambda _, each=each: each / epoch_seconds(1.0, train, val)
        )
        taken, said = with_affordable(plan, config, catalog, given.keys(), 300.0)
        assert (taken.config.finetune, said) == (layers, [])
    assert taken.origins["finetune"].origin == "measured" and "400" in taken.origins["finetune"].reason.text("en")
    assert resolve(config, catalog, given.keys(), fixed_choices(taken)).config.finetune == "head", (
        "also where the plan is resolved again, because pictures cannot be read"
    )
    plan, config, catalog = planned(pictures, {*given, "finetune"}, finetune="all", **given)
    taken, said = with_affordable(plan, config, catalog, {*given, "finetune"}, 300.0)
    assert taken.config.finetune == "all" and said, "what was asked for stays, with the warning"


@pytest.mark.parametrize(
    ("seconds", "size"), [(85.0, 32), (70.0, 24), (52.0, 24), (45.0, 16), (11.0, 16), (1.0, 16), (0.0, 32)]
)
def test_a_head_takes_the_largest_input_whose_features_are_computed_in_time(tmp_path, monkeypatch, seconds, size):
    given = {"weights": "cifar10_resnet20", "finetune": "head", "minutes": 5.0}
    plan, config, catalog = planned(photographs(tmp_path), given.keys(), **given)
    train, val = len(catalog.split("train")), len(catalog.split("val"))
    # All features take 50 s at 32 px, 28 at 24 px, 12.5 at 16 px; they may take 0.7 of the time
    # that is left beside 7 s for reading the pictures and 3 for the report.
    step = 3 * 50 / (2 * train + 3 * val)
    monkeypatch.setattr(affordable, "_SURE_MACS", 1.0)
    monkeypatch.setattr(affordable, "LADDER", (("resnet20", 16), ("resnet20", 24), ("resnet20", 64)))
    monkeypatch.setattr(affordable, "_reading_seconds", lambda *_: 7.0)
    monkeypatch.setattr(
        affordable, "_seconds_per_picture", lambda timed: step if timed.config.precision == "float32" else 0
    )
    taken, said = with_affordable(plan, config, catalog, given.keys(), seconds)
    assert (taken.config.size, taken.config.finetune, said) == (size, "head", [])
    if size != 32:
        assert taken.origins["size"].origin == "measured" and "50 s" in taken.origins["size"].reason.text("en")
    asked, config, catalog = planned(tmp_path, {*given, "size"}, size=32, **given)
    assert with_affordable(asked, config, catalog, {*given, "size"}, seconds)[0] is asked, "who asks for a size gets it"


def test_where_everything_fits_nothing_is_timed(data):
    plan, config, catalog = planned(data, epochs=2)
    taken, said = with_affordable(plan, config, catalog, (), 0.0)
    assert taken is plan and said == []
    taken, said = with_affordable(plan, config, catalog, ("model",), 1e9)
    assert (taken.config.size, said) == (QUICK_SIZE, [])


def test_what_the_person_set_stays_and_the_sentence_is_the_same(data):
    plan, config, catalog = planned(data, {"model", "size"}, model="resnet20", size=48)
    taken, said = with_affordable(plan, config, catalog, {"model", "size"}, 0.06)
    assert taken is plan and "epochs of resnet20 at 48 px" in said[0]


def test_a_default_run_of_hours_becomes_a_shorter_one_and_says_what_it_would_have_been(data):
    plan, config, catalog = planned(data, {"epochs"}, epochs=10**6)
    taken, said = with_affordable(plan, config, catalog, {"epochs"}, 0.0)
    assert (taken.config.model, taken.config.size, taken.config.epochs) == (*LADDER[0], 10**6)
    assert "even resnet20 at 32 px takes about" in said[0] and "--minutes" in said[0]


def test_pictures_that_drop_out_change_no_choice(tmp_path):
    folder = photographs(tmp_path / "data", each=60)  # more than a batch to train on
    (folder / "blue" / "broken.png").write_bytes(b"not a picture")
    config = replace(recipe("standard"), data=str(folder), minutes=0.001, skip_bad=True)
    whole = assign_splits(read_data(folder), 0.2)
    catalog = whole.only(OPENED)
    plan = resolve_plan(config, catalog, (), ignore, 0.06)
    again, left_out, stores = check_pictures(plan, catalog, config, (), ignore)
    assert left_out == ["blue/broken.png"] and again.config == plan.config and again.network == plan.network
    assert fixed_choices(again) == fixed_choices(plan) and (again.config.model, again.config.size) == QUICK_PAIRS[0]
    assert again.config.recipe == QUICK
    assert len(stores.train) + len(stores.val) == len(whole.only(("train", "val")).pictures) - 1
