"""The typed session really checks: a hook that is installed too late checks nothing, and nobody would notice."""

import numpy as np
import pytest
import torch


@pytest.fixture
def typed(request):
    if not request.config.getoption("--typed"):
        pytest.skip("only in the typed session")


@pytest.mark.usefixtures("typed")
def test_a_wrong_rank_is_refused_by_the_network():
    from reslab.nn.zoo import build_named

    with pytest.raises(Exception, match="Type-check error"):
        build_named("resnet20")(torch.zeros(3, 32, 32))


@pytest.mark.usefixtures("typed")
def test_a_wrong_rank_is_refused_by_the_metrics():
    from reslab.metrics.calibration import log_softmax

    with pytest.raises(Exception, match="Type-check error"):
        log_softmax(np.zeros(3))


@pytest.mark.usefixtures("typed")
def test_a_wrong_rank_is_refused_by_the_pixels():
    from reslab.pixels.preprocess import Preprocess

    with pytest.raises(Exception, match="Type-check error"):
        Preprocess(8)(np.zeros((16, 16), np.uint8))
