"""Whitening: the patches come out without correlation and with variance 1."""

import numpy as np
import torch

from reslab.data.catalog import Picture
from reslab.data.store import Store
from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import build
from reslab.pixels.preprocess import Preprocess
from reslab.train.whiten import whiten, whitening_filters

QUICK = ResNetConfig(
    (1, 1), (8, 16), "single", stem="whitening", entry="pool", num_classes=3, mean=(0.5,) * 3, std=(0.25,) * 3
)


def correlated(n=40, size=16):
    """Smooth pictures whose channels go together."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(n, size, size, 1)).cumsum(1).cumsum(2)
    noisy = base + rng.normal(size=(n, size, size, 3))
    return (255 * (noisy - noisy.min()) / (noisy.max() - noisy.min())).astype(np.uint8)


def test_filters_decorrelate():
    images = torch.from_numpy(correlated()).permute(0, 3, 1, 2).double() * 100
    out = torch.nn.functional.conv2d(images, whitening_filters(images).double()).transpose(0, 1).flatten(1)
    assert torch.allclose(out @ out.T / out.shape[1], torch.eye(12, dtype=torch.double), atol=1e-3)


def test_the_stem_gets_both_signs_and_another_stem_nothing():
    pictures = [Picture(str(i), p, "a") for i, p in enumerate(correlated())]
    store = Store(pictures, lambda p: p)
    network, again = build(QUICK), build(QUICK)
    whiten(network, store, Preprocess(16))
    whiten(again, store, Preprocess(16))
    weight = network.stem.conv.weight
    assert torch.equal(weight, again.stem.conv.weight) and torch.equal(weight[:12], -weight[12:])
    images = network.normalize(torch.from_numpy(correlated()).permute(0, 3, 1, 2) / 255)
    out = torch.nn.functional.conv2d(images, weight[:12]).transpose(0, 1).flatten(1)
    assert torch.allclose(out.square().mean(1)[-3:], torch.ones(3), atol=0.05), (
        "the strongest directions have variance 1"
    )
    plain = build(ResNetConfig((1,), (4,), stem="3x3", num_classes=3))
    before = plain.stem.first.conv.weight.clone()
    whiten(plain, store, Preprocess(16))
    assert torch.equal(before, plain.stem.first.conv.weight)
