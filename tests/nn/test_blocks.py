"""The block is `relu(shortcut(x) + residual(x))`, and nothing else."""

import math

import pytest
import torch

from reslab.nn.blocks import BasicBlock, Bottleneck, PaddedIdentity
from reslab.nn.layers import Normalize, conv, to_images
from reslab.nn.resnet import ResNetConfig, build
from reslab.nn.zoo import ZOO, build_named

BLOCKS = [
    pytest.param(lambda kind, stride: BasicBlock(4, 8, stride, kind), id="basic"),
    pytest.param(lambda kind, stride: Bottleneck(4, 2, stride, kind), id="bottleneck"),
    pytest.param(lambda kind, stride: Bottleneck(4, 2, stride, kind, stride_in_1x1=True), id="bottleneck, paper"),
]


@pytest.mark.parametrize("make", BLOCKS)
@pytest.mark.parametrize("kind", ["A", "B", "C"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_is_shortcut_plus_residual(make, kind, stride):
    block = make(kind, stride).eval()
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), torch.relu(block.shortcut(x) + block.residual(x)))
    assert block(x).shape == (2, 8, 8 // stride, 8 // stride)


@pytest.mark.parametrize("make", BLOCKS)
def test_a_plain_block_has_no_shortcut(make):
    block = make("plain", 2).eval()
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), torch.relu(block.residual(x)))


def test_a_convolution_is_the_sum_of_the_formula():
    """y(i, j) = sum over m, n of x(i + m, j + n) w(m, n), zeros outside."""
    layer = conv(1, 1, kernel=3)
    x, w = torch.randn(5, 6, dtype=torch.float64), layer.weight.detach().double()[0, 0]
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    by_hand = torch.tensor(
        [[sum(padded[i + m, j + n] * w[m, n] for m in range(3) for n in range(3)) for j in range(6)] for i in range(5)]
    )
    assert torch.allclose(layer.double()(x[None, None])[0, 0], by_hand)


def test_option_a_pads_the_identity_with_zeros():
    x = torch.randn(1, 2, 4, 4)
    out = PaddedIdentity(2, 6, stride=2)(x)
    assert torch.equal(out[:, 2:4], x[:, :, ::2, ::2])
    assert out[:, :2].abs().sum() == out[:, 4:].abs().sum() == 0
    assert not list(PaddedIdentity(2, 6, 2).parameters())


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20"])
def test_zero_initialised_blocks_start_as_the_identity(name):
    network = build_named(name, zero_init_last_norm=True).train()
    blocks = [block for stage in network.stages for block in stage]
    assert len(blocks) > 5
    for block in blocks:
        in_channels = block.first.conv.in_channels
        x = torch.randn(2, in_channels, 8, 8)
        assert torch.equal(block(x), torch.relu(block.shortcut(x)))


@pytest.mark.parametrize("make", BLOCKS)
@pytest.mark.parametrize("kind", ["A", "B", "plain"])
def test_gradients_against_finite_differences(make, kind):
    torch.manual_seed(0)
    block = make(kind, 2).double().train()
    x = torch.randn(2, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


def test_the_gradient_has_a_plus_one():
    """With a zero residual the gradient passes unchanged: d(x + F)/dx = 1 + dF/dx (He et al. 2016, equation 5)."""
    block = BasicBlock(4, 4, 1).eval()
    torch.nn.init.zeros_(block.last_norm.weight)
    x = torch.rand(1, 4, 5, 5, requires_grad=True)
    block(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_forward_is_classify_after_features():
    network = build_named("resnet20").eval()
    images = torch.rand(2, 3, 32, 32)
    features = network.features(images)
    assert torch.equal(network(images), network.classify(features))
    assert torch.allclose(network.classify(features), network.head(features.mean((2, 3))))


def test_normalisation_is_the_first_operation():
    config = ResNetConfig((1,), (4,), stem="3x3", num_classes=2, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))
    network = build(config).eval()
    images = torch.rand(2, 3, 8, 8)
    by_hand = (images - torch.tensor(config.mean).view(3, 1, 1)) / torch.tensor(config.std).view(3, 1, 1)
    assert torch.allclose(network.normalize(images), by_hand)
    assert Normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))(images) is images
    assert not [name for name in network.state_dict() if "normalize" in name]


def test_pixels_become_images():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    images = to_images(pixels)
    assert images.shape == (1, 3, 16, 16) and images.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(images, pixels.permute(0, 3, 1, 2) / 255)


def test_he_initialisation():
    """Standard deviation sqrt(2 / (k k out_channels)): forty thousand weights, so within three per cent."""
    weight = build_named("resnet18").stages[3][0].first.conv.weight  # 256 channels in, 512 out
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * weight.shape[0])), rel=0.03)


def test_the_seed_alone_decides_the_weights():
    before = torch.random.get_rng_state()
    torch.manual_seed(1)
    first = build_named("resnet20", seed=3)
    torch.manual_seed(2)
    second, other = build_named("resnet20", seed=3), build_named("resnet20", seed=4)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(torch.random.get_rng_state(), state)  # building draws nothing from the global generator
    torch.random.set_rng_state(before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_configurations_are_plain_data():
    import json
    from dataclasses import asdict

    from reslab.nn.resnet import config_from

    for config in ZOO.values():
        assert config_from(json.loads(json.dumps(asdict(config)))) == config
