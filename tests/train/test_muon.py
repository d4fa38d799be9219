"""Muon against torch.optim.Muon and against the singular values that it promises."""

import pytest
import torch

from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import build
from reslab.train.step.muon import Muon, orthogonalize
from reslab.train.step.optim import OptimConfig, build_optimizer, set_rate

TINY = ResNetConfig((1,), (4,), stem="3x3", num_classes=3)
QUICK = ResNetConfig((1, 1), (8, 16), "single", stem="whitening", entry="pool", num_classes=3)


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_singular_values_approach_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalize(matrix, rounds=5))
    assert values.min() > 0.6 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonalize(matrix, rounds=5) @ right.T
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-3, "the singular vectors stay"


def test_the_same_step_as_torchs():
    """One convolution of 1x1, so that both see the same matrix; torch's works in bfloat16, ours in float32."""
    generator = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(8, 20, generator=generator), torch.randn(4, 8, 20, generator=generator)
    start *= 8**0.5 / start.norm()
    theirs, ours = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone()[:, :, None, None])
    # its rate is scaled by sqrt(max(1, rows / columns)), 1 here; no weight decay, five rounds
    opponent = torch.optim.Muon([theirs], lr=1e-3, momentum=0.6, weight_decay=0.0, ns_steps=3)
    mine = Muon([{"params": [ours], "momentum": 0.6, "orthogonal": True}], lr=1e-3)
    for gradient in gradients:
        # torch averages the momentum (lerp), ours sums it: a factor that the normalisation takes out
        theirs.grad, ours.grad = gradient.clone(), gradient.clone()[:, :, None, None]
        before = theirs.detach().clone(), ours.detach().clone()
        opponent.step()
        mine.step()
        kept = before[1] * 8**0.5 / before[1].norm()
        moved, expected = (ours.detach() - kept).flatten(1), theirs.detach() - before[0]
        assert torch.linalg.norm(moved - expected) < 0.02 * torch.linalg.norm(expected)


def test_the_order_of_memory_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(6, 5, 3, 3, generator=generator), torch.randn(6, 5, 3, 3, generator=generator)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        filters = torch.nn.Parameter(start.clone().to(memory_format=layout))
        filters.grad = gradient.clone().to(memory_format=layout)
        Muon([{"params": [filters], "momentum": 0.6, "orthogonal": True}], lr=0.1).step()
        results.append(filters.detach())
    assert torch.allclose(*results, atol=1e-5)


def test_the_rest_goes_by_sgd_at_its_own_rate():
    network, twin = build(TINY), build(TINY)
    optimizer = build_optimizer(network, OptimConfig("muon", lr=0.2, rest_lr=0.04, weight_decay=0.1))
    set_rate(optimizer, 0.1)  # half of the peak
    rest = [p for p in twin.parameters() if p.ndim != 4]
    sgd = torch.optim.SGD(
        [{"params": [p], "weight_decay": 0.1 if p.ndim == 2 else 0.0} for p in rest], 0.02, 0.85, nesterov=True
    )
    for _ in range(3):
        for a, b in zip(network.parameters(), twin.parameters(), strict=True):
            a.grad = torch.full_like(a, 0.3)
            b.grad = torch.full_like(b, 0.3)
        optimizer.step()
        sgd.step()
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        assert a.ndim == 4 or torch.allclose(a, b, atol=1e-6)
    assert [round(g["lr"], 6) for g in optimizer.param_groups] == [0.1, 0.02, 0.02]


def test_fixed_filters_are_left_alone():
    network = build(QUICK)
    before = network.stem.conv.weight.clone()
    optimizer = build_optimizer(network, OptimConfig("muon", lr=0.2))
    loss = torch.nn.functional.cross_entropy(network(torch.rand(4, 3, 16, 16)), torch.arange(4) % 3)
    loss.backward()
    optimizer.step()
    assert torch.equal(before, network.stem.conv.weight) and network.stem.conv.weight.grad is None
    assert network.stem.conv.bias.abs().max() > 0
