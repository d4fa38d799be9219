"""Damage to the state folder: what is lost, and what is said."""

import pytest
import torch

from reslab.errors import ResLabError
from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import build
from reslab.system import device
from reslab.train.state import Progress, StateFolder, Training
from reslab.train.step.optim import EMA, OptimConfig, build_optimizer

SCALER = device.scaler(torch.device("cpu"), "float32")
TINY = ResNetConfig((1,), (4,), stem="3x3", num_classes=3)


def training(step=0, seed=0):
    network = build(TINY, seed)
    return Training(network, build_optimizer(network, OptimConfig()), EMA(network, 0.9), SCALER, Progress(step=step))


@pytest.fixture
def folder(tmp_path):
    """Steps 1 to 5 saved: the last two of them are here."""
    saved = StateFolder(tmp_path)
    assert not saved.exists()
    for step in range(1, 6):
        saved.save(training(step, seed=step))
    assert saved.exists() and len(list(tmp_path.iterdir())) == 2
    return tmp_path


def loaded(folder):
    after = training(0, seed=99)
    complaint = StateFolder(folder).load(after)
    assert torch.equal(after.network.head.weight, build(TINY, after.progress.step).head.weight)
    return after.progress.step, complaint


def newest_first(folder):
    return sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def renamed_checksum(path):
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha255"))


@pytest.mark.parametrize("damage", [cut, empty, renamed_checksum])
def test_the_generation_before_is_taken_and_it_is_said(folder, damage):
    assert loaded(folder) == (5, None)
    damage(newest_first(folder)[0])
    step, complaint = loaded(folder)
    assert step == 4 and "damaged" in complaint and "of step 4, was taken" in complaint


def test_an_older_generation_that_is_gone_is_not_worth_a_word(folder):
    newest_first(folder)[1].unlink()
    assert loaded(folder) == (5, None)


@pytest.mark.parametrize("number", [0, 1])
def test_the_whole_generation_is_not_the_one_that_is_overwritten(folder, number):
    """If the next save is cut by a crash, what was loaded must still be there."""
    cut(newest_first(folder)[number])
    again = StateFolder(folder)
    again.load(training())
    again.save(training(6, seed=6))
    assert loaded(folder) == (6, None)
    cut(newest_first(folder)[0])
    assert loaded(folder)[0] == (4, 5)[number]


def test_two_damaged_generations_are_told_in_a_sentence(folder):
    for path in folder.iterdir():
        cut(path)
    with pytest.raises(ResLabError, match="holds no whole state: .*damaged.*; .*damaged") as caught:
        loaded(folder)
    assert "\n" not in caught.value.message


def test_a_state_of_another_version_is_named(folder):
    from reslab.model.file import read_tensors, write_tensors

    for path in list(folder.iterdir()):
        tensors, content = read_tensors(path)
        content.pop("sha256")
        write_tensors(path, tensors, content | {"format": 1})
    with pytest.raises(ResLabError, match=r"another version of ResLab \(state format 1") as caught:
        StateFolder(folder).load(training())
    assert "model.safetensors is good in any" in caught.value.hint


def test_the_scale_of_float16_comes_back(tmp_path):
    before, after = training(3), training(0)
    for one in (before, after):
        one.scaler = device.scaler(torch.device("cpu"), "float16")
    before.scaler.scale(torch.ones(1))
    before.scaler.load_state_dict(before.scaler.state_dict() | {"scale": 128.0, "_growth_tracker": 7})
    StateFolder(tmp_path).save(before)
    StateFolder(tmp_path).load(after)
    assert after.scaler.state_dict() == before.scaler.state_dict()
