"""What concerns GPUs and can be tested without one; what ran on one is in LOG.md."""

import os

import pytest
import torch

from reslab.errors import ResLabError
from reslab.nn.zoo import build_named
from reslab.system import device
from reslab.train.step.process_group import take_gpu


@pytest.fixture
def two_gpus(monkeypatch):
    """The numbers of the GPUs that are taken, where a host has two."""
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return taken


def test_each_process_of_a_host_takes_a_gpu_of_its_own(two_gpus):
    take_gpu(0)
    take_gpu(1)
    assert two_gpus == [0, 1]
    with pytest.raises(ResLabError, match="process 3 of this host finds no GPU of its own: the host has 2"):
        take_gpu(2)


def test_a_process_that_sees_its_own_gpu_alone_takes_it(two_gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    take_gpu(1)
    assert two_gpus == [0]


def test_float32_on_a_gpu_is_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    device.to_device(build_named("resnet20", seed=0))
    assert not torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "highest"


def test_products_of_a_gpu_may_be_deterministic():
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] in (":4096:8", ":16:8")
