"""The block is `relu(shortcut(x) + residual(x))`, and nothing else."""

import dataclasses
import json
import math
from functools import partial

import pytest
import torch

from reslab.errors import ResLabError
from reslab.nn.blocks import BasicBlock, Bottleneck, PaddedIdentity
from reslab.nn.config import ResNetConfig, config_from
from reslab.nn.layers import Normalize, SqueezeExcitation, StochasticDepth, conv, to_images
from reslab.nn.resnet import build
from reslab.nn.zoo import ZOO, build_named


def block(make=BasicBlock, in_channels=4, width=8, stride=1, **shape):
    """One block of a network of that shape."""
    return make(ResNetConfig((1,), (width,), **shape), in_channels, width, stride)


def basic(kind, stride, **shape):
    return block(BasicBlock, 4, 8, stride, shortcut=kind, **shape)


def bottleneck(kind, stride, **shape):
    return block(Bottleneck, 4, 2, stride, block="bottleneck", shortcut=kind, **{"group_width": 64} | shape)


BLOCKS = [
    pytest.param(basic, id="basic"),
    pytest.param(partial(basic, squeeze=True), id="basic, squeezed"),
    pytest.param(bottleneck, id="bottleneck"),
    pytest.param(partial(bottleneck, stride_in_1x1=True), id="bottleneck, paper"),
    pytest.param(partial(bottleneck, groups=2, group_width=64), id="bottleneck, groups"),
]
PRE_BLOCKS = [
    pytest.param(partial(basic, preact=True), id="basic"),
    pytest.param(partial(bottleneck, preact=True), id="bottleneck"),
    pytest.param(partial(bottleneck, preact=True, groups=2, squeeze=True), id="bottleneck, groups, squeezed"),
]


@pytest.mark.parametrize("make", BLOCKS)
@pytest.mark.parametrize("kind", ["A", "B", "C", "D"])
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


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20", "seresnet50", "resnext50_32x4d", "resnet50d"])
def test_zero_initialised_blocks_start_as_the_identity(name):
    network = build_named(name, zero_init_last_norm=True).train()
    blocks = [block for stage in network.stages for block in stage]
    assert len(blocks) > 5
    for block in blocks:
        in_channels = block.first.conv.in_channels
        x = torch.randn(2, in_channels, 8, 8)
        assert torch.equal(block(x), torch.relu(block.shortcut(x)))


@pytest.mark.parametrize("name", ["preact_resnet18", "preact164"])
def test_zero_initialised_pre_activation_blocks_are_the_identity_itself(name):
    network = build_named(name, zero_init_last_norm=True).train()
    block = network.stages[1][1]
    x = torch.randn(2, block.norm.num_features, 8, 8)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("kind", ["A", "B", "C"])
@pytest.mark.parametrize("make", PRE_BLOCKS)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_pre_activation_block_leaves_the_sum_as_it_is(make, kind, stride):
    block = make(kind, stride).eval()
    x = torch.randn(2, 4, 8, 8)
    active = torch.relu(torch.nn.functional.batch_norm(x, torch.zeros(4), torch.ones(4)))
    passed = block.shortcut(active if isinstance(block.shortcut, torch.nn.Conv2d) else x)
    assert torch.allclose(block(x), passed + block.residual(active), atol=1e-6)
    assert block(x).min() < 0 and block(x).shape == (2, 8, 8 // stride, 8 // stride)


def test_option_d_averages_before_it_projects():
    block = basic("D", 2).eval()
    x = torch.randn(2, 4, 8, 8)
    means = x.view(2, 4, 4, 2, 4, 2).mean((3, 5))
    assert torch.allclose(block.shortcut(x), block.shortcut.norm(block.shortcut.conv(means)), atol=1e-6)
    assert block.shortcut(torch.randn(2, 4, 7, 7)).shape == block.residual(torch.randn(2, 4, 7, 7)).shape


def test_excitation_scales_channels():
    gate = SqueezeExcitation(32)
    x = torch.randn(3, 32, 4, 4)
    means = x.mean((2, 3))
    hidden = torch.relu(means @ gate.squeeze.weight[:, :, 0, 0].T + gate.squeeze.bias)
    factors = torch.sigmoid(hidden @ gate.excite.weight[:, :, 0, 0].T + gate.excite.bias)
    assert gate.squeeze.out_channels == 2
    assert torch.allclose(gate(x), x * factors[:, :, None, None], atol=1e-6)


def test_stochastic_depth_skips_and_scales():
    """The mean stays: zero for a share of the pictures, 1 / (1 - share) for the others; nothing when judged."""
    layer, x = StochasticDepth(0.25), torch.ones(4000, 2, 1, 1)
    torch.manual_seed(0)
    y = layer.train()(x)
    assert set(y.unique().tolist()) == {0.0, torch.tensor(4 / 3).item()}
    assert (y[:, 0] == y[:, 1]).all()
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 4000))
    assert layer.eval()(x) is x
    network = build_named("resnet20", drop_path=0.9)
    rates = [b.drop.rate for stage in network.stages for b in stage]
    assert rates == pytest.approx([0.1 * n for n in range(1, 10)])


@pytest.mark.parametrize("make", BLOCKS + PRE_BLOCKS)
@pytest.mark.parametrize("kind", ["A", "B", "plain"])
def test_gradients_against_finite_differences(make, kind):
    torch.manual_seed(0)
    block = make(kind, 2).double().train()
    x = torch.randn(2, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


def test_the_gradient_has_a_plus_one():
    """With a zero residual the gradient passes unchanged: d(x + F)/dx = 1 + dF/dx (He et al. 2016, equation 5)."""
    unit = block(width=4).eval()
    torch.nn.init.zeros_(unit.last_weight)
    x = torch.rand(1, 4, 5, 5, requires_grad=True)
    unit(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_forward_is_classify_after_features():
    network = build_named("resnet20").eval()
    images = torch.rand(2, 3, 32, 32)
    features = network.features(images)
    assert torch.equal(network(images), network.classify(features))
    assert torch.allclose(network.classify(features), network.head(features.mean((2, 3))))


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet18", "fast_resnet8"])
def test_the_last_of_the_stages_maps_are_the_features(name):
    """In a pre-activation network with norm and ReLU: the maps may be used as they are."""
    network = build_named(name).eval()
    images = torch.rand(2, 3, 32, 48)
    maps = network.stage_maps(images)
    assert torch.equal(maps[-1], network.features(images))
    assert [m.shape[1] for m in maps] == list(network.config.widths)
    assert torch.equal(maps[0], network.stages[0](network.stem(images)))


def test_normalisation_is_the_first_operation():
    config = ResNetConfig((1,), (4,), stem="3x3", num_classes=2, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))
    network = build(config).eval()
    images = torch.rand(2, 3, 8, 8)
    by_hand = (images - torch.tensor(config.mean).view(3, 1, 1)) / torch.tensor(config.std).view(3, 1, 1)
    assert torch.allclose(network.normalize(images), by_hand)
    assert Normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))(images) is images
    one_for_all = Normalize((0.5,), (0.25,))(images)
    assert torch.allclose(one_for_all, (images - 0.5) / 0.25)
    assert not [name for name in network.state_dict() if "normalize" in name]


def test_pixels_become_images():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    images = to_images(pixels)
    assert images.shape == (1, 3, 16, 16) and images.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(images, pixels.permute(0, 3, 1, 2) / 255)


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "resnet50"])
def test_every_layer_starts_as_documented(name):
    """Convolutions: mean 0, std sqrt(2 / (kernel^2 out_channels)); linear: uniform in +-1/sqrt(inputs); norms: 1 and 0.

    The mean of n normal numbers strays by 1/sqrt(n) of their std, the std by 1/sqrt(2n): five times that is allowed.
    """
    network = build_named(name)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(convolutions) == len(norms) >= 19
    for layer in convolutions:
        n, std = layer.weight.numel(), math.sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels))
        assert layer.bias is None and abs(layer.weight.mean().item()) < 5 * std / math.sqrt(n)
        assert layer.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n))
    for norm in norms:
        assert torch.equal(norm.weight, torch.ones_like(norm.weight)) and not norm.bias.any()
    bound = network.head.in_features**-0.5
    for tensor in (network.head.weight, network.head.bias):
        assert bound * 0.7 < tensor.abs().max().item() <= bound


def test_a_plain_network_learns_whatever_was_asked_of_its_norms():
    """It has no shortcut: with the last norms at zero every block would put out nothing, and no gradient would pass."""
    config = dataclasses.replace(ZOO["resnet20"], shortcut="plain", zero_init_last_norm=True)
    network = build(config)
    network(torch.rand(4, 3, 16, 16)).square().mean().backward()
    assert all(p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_zero_initialised_blocks_wake_up(name):
    """Two steps reach every weight: the first moves the zeroed norms, the second what lies behind them."""
    network = build_named(name, zero_init_last_norm=True, num_classes=3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(torch.rand(4, 3, 64, 64)), torch.arange(4) % 3).backward()
        optimizer.step()
    assert all(p.grad.any() for p in network.parameters())


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
    assert ZOO
    for config in ZOO.values():
        assert config_from(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.plain
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"block": "botleneck"}, "block is 'botleneck', not basic"),
        ({"stem": "5x5"}, "stem is '5x5', not 7x7"),
        ({"shortcut": "E"}, "shortcut is 'E', not A"),
        ({"activation": "selu"}, "activation is 'selu', not relu"),
        ({"groups": 4}, "a basic block has no groups"),
        ({"groups": 0}, "positive"),
        ({"drop_path": 1.0}, "skipped with probability 1.0"),
        ({"preact": True, "stem": "deep"}, "cannot be combined with"),
        ({"depths": (2, 2)}, r"one width per stage, not \(16, 32, 64\) for \(2, 2\)"),
        ({"depths": (), "widths": ()}, "one width per stage"),
        ({"depths": (3, 0, 3)}, "positive"),
        ({"in_channels": 0}, "positive"),
        ({"num_classes": 0}, "--num-classes 0 is not between"),
        ({"mean": (0.5,)}, "cannot normalise"),
        ({"std": (1.0, 0.0, 1.0)}, "cannot normalise"),
        ({"std": (1.0, float("nan"), 1.0)}, "holds nan"),
    ],
)
def test_what_no_network_can_be_is_refused_in_a_sentence(changes, complaint):
    """A model file may describe anything."""
    values = json.loads(json.dumps({**dataclasses.asdict(ZOO["resnet20"]), **changes}))
    with pytest.raises(ResLabError, match=complaint):
        config_from(values)
    with pytest.raises(ResLabError, match="its field cardinality is unknown here"):
        config_from({**values, "cardinality": 4})
