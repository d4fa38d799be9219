"""The typed session really checks: a hook that is installed too late checks nothing, and nobody would notice."""

import importlib
import pkgutil

import numpy as np
import pytest
import torch

from tests.conftest import TYPED_ROOMS


@pytest.fixture
def typed(request):
    if not request.config.getoption("--typed"):
        pytest.skip("only in the typed session")


def modules():
    return [
        importlib.import_module(info.name)
        for room in TYPED_ROOMS
        for info in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}.")
    ]


@pytest.mark.usefixtures("typed")
def test_every_module_of_the_rooms_came_through_the_hook():
    found = modules()
    assert len(found) >= 12
    assert {type(module.__spec__.loader).__name__ for module in found} == {"_JaxtypingLoader"}


def test_the_plain_session_checks_nothing(request):
    if request.config.getoption("--typed"):
        pytest.skip("only in the plain session")
    assert "_JaxtypingLoader" not in {type(module.__spec__.loader).__name__ for module in modules()}


@pytest.mark.usefixtures("typed")
def test_a_wrong_rank_is_refused_by_the_network():
    from reslab.nn.zoo import build_named

    with pytest.raises(Exception, match="Type-check error"):
        build_named("resnet20")(torch.zeros(3, 32, 32))


@pytest.mark.usefixtures("typed")
def test_a_wrong_rank_is_refused_by_the_metrics():
    from reslab.metrics.calibration import log_softmax, softmax
    from reslab.metrics.scores import score

    with pytest.raises(Exception, match="Type-check error"):
        log_softmax(np.zeros(3))
    with pytest.raises(Exception, match="Type-check error"):
        softmax(np.zeros((2, 3), np.int64))
    with pytest.raises(Exception, match="Type-check error"):  # one label too few
        score(np.zeros((3, 2)), np.zeros(2, np.int64), ("a", "b"))


@pytest.mark.usefixtures("typed")
def test_a_wrong_rank_is_refused_by_the_pixels():
    from reslab.pixels.preprocess import Preprocess

    with pytest.raises(Exception, match="Type-check error"):
        Preprocess(8)(np.zeros((16, 16), np.uint8))
    with pytest.raises(Exception, match="Type-check error"):
        Preprocess(8)(np.zeros((16, 16, 3), np.float32))
