"""Every network of the zoo is what its paper says: layers, parameters, multiply-accumulates, shapes."""

import dataclasses
import re

import pytest
import timm
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from reslab.errors import ResLabError
from reslab.nn.config import ResNetConfig, last_map
from reslab.nn.count import layer_table, macs, parameters
from reslab.nn.resnet import ResNet, build
from reslab.nn.zoo import SOURCES, ZOO, build_named, configuration, native_size
from reslab.train.plan.memory import activation_bytes

TORCHVISION = {
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
    "resnext50_32x4d": (25_028_904, 4.230),
    "resnext101_32x8d": (88_791_336, 16.414),
    "resnext101_64x4d": (83_455_272, 15.460),
    "wide_resnet50_2": (68_883_240, 11.398),
    "wide_resnet101_2": (126_886_696, 22.753),
}
"""Parameters and 10^9 multiply-accumulates as torchvision's weight tables publish them."""
TIMM = {
    "resnet50d": "resnet50d",
    "seresnet50": "seresnet50",
    "preact_resnet50": "resnetv2_50",
    "resnet200": "resnet200",
}
CIFAR = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202")
PLAIN = ("plain18", "plain34", "plain20", "plain32", "plain44", "plain56", "plain110")
OTHERS = ("preact_resnet18", "preact110", "preact164", "preact1001", "resnext29_8x64d", "wrn_16_8", "wrn_28_10")
QUICK = ("fast_resnet8", "fast_resnet8_wide")
PAPER_MILLIONS = {
    # He et al. 2015, table 6
    "resnet20": "0.27", "resnet32": "0.46", "resnet44": "0.66", "resnet56": "0.85", "resnet110": "1.7", "resnet1202": "19.4",
    # He et al. 2016, table 4 (ResNet-1001: see below); Zagoruyko and Komodakis 2016, table 5
    "preact110": "1.7", "preact164": "1.7", "wrn_16_8": "11.0", "wrn_28_10": "36.5",
    "resnext29_8x64d": "34.4",  # Xie et al. 2017, table 7
}  # fmt: skip
LONG = ("resnet1202", "preact1001")
"""Built in reproduce/, not here."""
USUAL = [name for name in ZOO if name not in LONG]


def test_the_zoo_is_complete():
    assert set(ZOO) == {*TORCHVISION, *TIMM, *CIFAR, *PLAIN, *OTHERS, *QUICK} == set(SOURCES)


@pytest.mark.parametrize("name", TORCHVISION)
def test_parameters_and_macs_equal_torchvisions(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None)
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    count, giga = TORCHVISION[name]
    assert parameters(ZOO[name]) == sum(p.numel() for p in theirs.parameters()) == published["num_params"] == count
    assert round(macs(ZOO[name], 224) / 1e9, 3) == published["_ops"] == giga


@pytest.mark.parametrize(("name", "theirs"), TIMM.items())
def test_parameters_equal_timms(name, theirs):
    with torch.device("meta"):
        assert parameters(ZOO[name]) == sum(p.numel() for p in timm.create_model(theirs).parameters())


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_network_is_a_residual_one_without_shortcuts(name):
    assert ZOO[name] == dataclasses.replace(ZOO[name.replace("plain", "resnet")], shortcut="plain")


@pytest.mark.parametrize("name", PAPER_MILLIONS)
def test_parameters_equal_the_papers_printed_digits(name):
    printed = PAPER_MILLIONS[name]
    assert f"{parameters(ZOO[name]) / 1e6:.{len(printed.split('.')[1])}f}" == printed


def test_the_papers_own_variant_strides_in_the_first_convolution():
    papers = dataclasses.replace(ZOO["resnet50"], stride_in_1x1=True)
    assert round(macs(papers, 224) / 1e9, 3) == 3.858
    assert parameters(papers) == parameters(ZOO["resnet50"])


def test_resnet1001_is_printed_without_its_norms():
    """10.2 M: the convolutions and the linear layer; with the norms' weights and biases it has 10.33 M."""
    with torch.device("meta"):
        network = ResNet(ZOO["preact1001"])
    norms = sum(p.numel() for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters())
    assert f"{(parameters(ZOO['preact1001']) - norms) / 1e6:.1f}" == "10.2"


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_macs_by_hand(name):
    """Stem, then n blocks of two 3x3 convolutions on maps of 32, 16, 8 pixels, then the linear layer."""
    n = (int(name.removeprefix("resnet")) - 2) // 6
    total, before = 32 * 32 * 9 * 3 * 16, 16
    for width, side in ((16, 32), (32, 16), (64, 8)):
        total += side * side * 9 * (before * width + (2 * n - 1) * width * width)
        before = width
    assert macs(ZOO[name], 32) == total + 64 * 10


ODD = {
    "shortcuts C": ResNetConfig((2, 1), (8, 24), shortcut="C", stem_width=5),
    "grouped, pre-activated, squeezed": ResNetConfig(
        (1, 2), (16, 32), "bottleneck", True, "3x3", groups=4, group_width=8, squeeze=True
    ),
    "strides in 1x1": ResNetConfig((1, 2), (16, 20), "bottleneck", stride_in_1x1=True, num_classes=7),
    "deep, D, grey": ResNetConfig((1, 1), (8, 16), stem="deep", shortcut="D", in_channels=1, mean=(0.5,), std=(0.5,)),
    "plain, squeezed": ResNetConfig((1, 1), (8, 16), shortcut="plain", squeeze=True),
}
"""What no network of the zoo has."""


@pytest.mark.parametrize("name", [*USUAL, *ODD])
@torch.no_grad()
def test_the_layers_are_those_of_the_built_network(name):
    """Names, kinds, shapes and parameters as hooks see them, multiply-accumulates as PyTorch counts them."""
    config, size, seen = ODD.get(name) or ZOO[name], 13, []  # odd at every stage, and small
    with torch.device("meta"):
        network, images = ResNet(config).eval(), torch.zeros(1, config.in_channels, size, size)
    for place, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.Linear | torch.nn.MaxPool2d):
            own = sum(p.numel() for p in module.parameters())
            module.register_forward_hook(
                lambda m, _, y, place=place, own=own: seen.append((place, type(m).__name__, tuple(y.shape[1:]), own))
            )
    with FlopCounterMode(display=False) as counter:
        network(images)
    rows = layer_table(config, size)
    assert [(row.name, row.kind, row.output, row.parameters) for row in rows] == seen
    assert macs(config, size) == counter.get_total_flops() // 2
    assert parameters(config) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", ZOO)
def test_layers_are_what_the_name_says(name):
    """A deep stem has two convolutions more; wide networks count projections and leave the linear layer out."""
    number = int(re.search(r"\d+", name)[0])
    weighted = [
        row for row in layer_table(ZOO[name], 32) if row.kind in ("Conv2d", "Linear") and ".gate." not in row.name
    ]
    projections = [row for row in weighted if "shortcut" in row.name]
    assert len(weighted) - len(projections) == ZOO[name].layers
    if name.startswith("wrn"):
        assert len(weighted) - 1 == number
    else:
        assert ZOO[name].layers == number + (2 if ZOO[name].stem == "deep" else 0)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in QUICK])
def test_the_shape_of_every_stage(name):
    config = ZOO[name]
    side = native_size(config) // (4 if native_size(config) == 224 else 1)
    expansion = 4 if config.block == "bottleneck" else 1
    with torch.device("meta"):
        network = ResNet(config).eval()
        x = network.stem(torch.zeros(2, 3, native_size(config), native_size(config)))
        assert x.shape == (2, config.stem_width or config.widths[0], side, side)
        for index, (stage, width) in enumerate(zip(network.stages, config.widths, strict=True)):
            x = stage(x)
            assert x.shape == (2, width * expansion, side >> index, side >> index)


def test_the_quick_network_by_hand():
    """Four 2x2 coordinates of three channels with both signs; 31, 15, 7 and 3 pixels (Jordan's airbench94, with shortcuts)."""
    with torch.device("meta"):
        network = ResNet(ZOO["fast_resnet8"]).eval()
        shapes = [network.stem(torch.zeros(2, 3, 32, 32))]
        for stage in network.stages:
            shapes.append(stage(shapes[-1]))
    assert [tuple(s.shape[1:]) for s in shapes] == [(24, 31, 31), (64, 15, 15), (256, 7, 7), (256, 3, 3)]
    filters = 24 * 3 * 4 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    products = (
        31**2 * (24 * 12 + 9 * 24 * 64)
        + 15**2 * 9 * (64 * 64 + 64 * 256)
        + 7**2 * 9 * 256 * 256 * 2
        + 9 * 9 * 256 * 256
    )
    assert parameters(ZOO["fast_resnet8"]) == filters + 24 + 2 * (2 * 64 + 4 * 256) + 257 * 10
    assert macs(ZOO["fast_resnet8"], 32) == products + 2560


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "fast_resnet8"])
def test_the_last_map_of_every_size(name):
    with torch.device("meta"):
        network = ResNet(ZOO[name]).eval()
        for size in range(8, 100):
            assert network.features(torch.zeros(1, 3, size, size)).shape[2:] == (last_map(ZOO[name], size),) * 2


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "resnet50", "preact164", "resnet50d", "wrn_16_8"])
@pytest.mark.parametrize("size", [8, 13, 33, 64])
def test_any_size_channels_and_classes(name, size):
    config = dataclasses.replace(ZOO[name], in_channels=5, num_classes=3, mean=(0.5,) * 5, std=(0.5,) * 5)
    network = build(config).eval()
    features = network.features(torch.rand(2, 5, size, size))
    assert features.shape[-1] == last_map(config, size) >= 1
    assert network.classify(features).shape == (2, 3)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("resnet21", "resnet20"), ("resnet49", "resnet50"), ("resnet19", "resnet18"), ("ResNet-51", "resnet50"),
        ("resnet", "resnet18"), ("wide_resnet50", "wide_resnet50_2"), ("wrn_28_9", "wrn_28_10"), ("plain100", "plain110"),
        ("resnt50", "resnet50"), ("resnext50_32x3d", "resnext50_32x4d"),
    ],
)  # fmt: skip
def test_an_unknown_name_offers_the_nearest(word, meant):
    """Of names that differ in numbers only, the one whose number is closest."""
    with pytest.raises(ResLabError) as caught:
        configuration(word)
    assert caught.value.hint == f"did you mean {meant!r}?"


def test_an_impossible_network_is_not_built():
    with pytest.raises(ResLabError):
        configuration("resnet" + "9" * 5000)
    with pytest.raises(ResLabError):
        build_named("resnet18", num_classes=0)


@pytest.mark.plain
@pytest.mark.parametrize("name", USUAL)
@torch.no_grad()
def test_compiles_in_one_graph(name):
    network = build_named(name).eval()
    images = torch.rand(2, 3, 32, 32)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    expected = network(images)
    assert (compiled(images) - expected).abs().max() <= 1e-5 * max(1.0, expected.abs().max())
    torch._dynamo.reset()


@pytest.mark.plain
@pytest.mark.parametrize("name", USUAL)
@torch.no_grad()
def test_exports_with_any_batch(name):
    network = build_named(name).eval()
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(network, (torch.rand(2, 3, 32, 32),), dynamic_shapes={"images": {0: batch}})
    images = torch.rand(5, 3, 32, 32)
    expected = network(images)
    assert (exported.module()(images) - expected).abs().max() <= 1e-5 * max(1.0, expected.abs().max())


@pytest.mark.plain
@pytest.mark.parametrize(
    "shape",
    [{}, {"block": "bottleneck"}, {"preact": True}, {"block": "bottleneck", "preact": True}, {"squeeze": True}],
    ids=["basic", "bottleneck", "pre-activation", "pre-activation bottleneck", "squeezed"],
)
@torch.no_grad()
def test_inductor_compiles_every_kind_of_block(shape):
    network = build(ResNetConfig((1,), (16,), stem="3x3", num_classes=3, **shape)).eval()
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(torch.compile(network, fullgraph=True)(images), network(images), atol=1e-5)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 64), ("resnet20", 32), ("resnet50", 64), ("fast_resnet8", 32), ("seresnet50", 64), ("preact164", 32)],
)
def test_the_estimate_of_memory_against_real_tensors(name, size):
    """What autograd keeps of four pictures, counted on tensors that hold data; each storage once, weights left out."""
    network = build_named(name)
    kept: dict[int, torch.Tensor] = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = network(torch.rand(4, 3, size, size))
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    held = sum(t.untyped_storage().nbytes() for where, t in kept.items() if where not in weights)
    assert output.requires_grad and activation_bytes(ZOO[name], size) == pytest.approx(held / 4, rel=0.02)
