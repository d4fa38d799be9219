"""Lesson 8, continued: change the stem, and a bug hunt."""

import re
from functools import partial
from typing import Any

import torch
from torch import nn

from reslab.learn.exercise import Exercise, Mistake, Raised, Text
from reslab.learn.exercises.modules import Diagnosis, Variant, count, give_weights, randomise, trace
from reslab.learn.exercises.plain import RIGHT, Network

_SMALL = {"depths": (1, 1, 1, 1), "widths": (64, 10, 12, 14), "num_classes": 10}
"""Small behind a stem that is as wide as the lesson's."""


def _small_stem(network: Any) -> nn.Module:
    network.conv1 = nn.Conv2d(3, network.conv1.out_channels, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def _other_stem(network: Any, mistakes: Variant) -> nn.Module:
    """The stem changed with some mistakes."""
    known = {"strides": (3, 2, 1), "unpadded": (3, 1, 0), "large": (7, 1, 3), "as it was": (7, 2, 3)}
    kernel, stride, padding = next((known[name] for name in known if name in mistakes), (3, 1, 1))
    network.conv1 = nn.Conv2d(3, network.conv1.out_channels, kernel, stride, padding, bias="bias" in mistakes)
    if "pools at stride 1" in mistakes:
        network.maxpool = nn.MaxPool2d(3, 1, 1)
    elif "still pools" not in mistakes:
        network.maxpool = nn.Identity()
    return network


def _changed(mistakes: Variant) -> Any:
    return partial(_other_stem, mistakes=mistakes)


_STEM_CASES = [("parameters",), ("stem",), ("last map",), ("logits",)]


def _unreturned(network: nn.Module) -> None:
    _small_stem(network)


def _removed(network: Any) -> nn.Module:
    _small_stem(network).maxpool = None  # pyrefly: ignore[bad-argument-type]
    return network


def _calls_nothing(given: list[Any], expected: list[Any]) -> bool:
    return isinstance(given[-1], Raised) and re.search("NoneType.*callable|maxpool", given[-1].message) is not None


def _stem_observe(answer: Any, case: tuple[Any, ...]) -> Any:
    """What the changed network looks like for pictures of 32 pixels."""
    (look,) = case
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(83))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(83)
        ours = randomise(_small_stem(Network(**_SMALL)))
        network = answer(Network(**_SMALL))
    if network is None:
        return "nothing is returned"
    if look == "parameters":
        return f"{count(network):,} parameters"
    if look == "logits":
        give_weights(network, x, _as_ours(ours))
        with torch.no_grad():
            return network.eval()(x)
    seen = trace(network, x)
    path = seen.path(projections=False)
    return f"{look}: " + " x ".join(map(str, seen.outputs[path[0] if look == "stem" else path[-1]][1:]))


def _as_ours(network: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a plain network under the names that `give_weights` understands."""
    new = {"shortcut.0": "shortcut.conv", "shortcut.1": "shortcut.norm", "fc": "head"}
    named = {}
    for name, tensor in network.state_dict().items():
        module, _, leaf = name.rpartition(".")
        for old, ours in new.items():
            module = module.replace(old, ours)
        module = module.replace("conv1", "first.conv").replace("bn1", "first.norm")
        named[f"{module.replace('conv2', 'second.conv').replace('bn2', 'second.norm')}.{leaf}"] = tensor
    return named


_STEM_SAYS = {
    "still pools": Text(
        "the max pooling is still there: the last map of a 32-pixel picture is 2 × 2; replace it by nn.Identity()",
        "最大池化还在：32 像素的图片到最后只剩 2 × 2；请换成 nn.Identity()",
    ),
    "pools at stride 1": Text(
        "the max pooling no longer shrinks the map, but it still takes the largest of nine pixels; replace it by nn.Identity()",
        "最大池化虽不再缩小特征图，却仍在取九个像素中的最大值；请换成 nn.Identity()",
    ),
    "strides": Text(
        "the first convolution still strides: give it stride 1",
        "第一个卷积仍在跨步：步幅应为 1",
    ),
    "unpadded": Text(
        "the first convolution has no padding: 3 × 3 needs padding=1 to keep the size",
        "第一个卷积没有填充：3 × 3 的卷积要设 padding=1 才能保持大小",
    ),
    "large": Text(
        "the first convolution is still 7 × 7: on 32 pixels 3 × 3 will do (He et al. 2015, section 4.2)",
        "第一个卷积仍是 7 × 7：对 32 像素的图片，3 × 3 就够了（He 等，2015，4.2 节）",
    ),
    "as it was": Text(
        "only the pooling is gone: the first convolution is to be 3 × 3 at stride 1",
        "只去掉了池化：第一个卷积也应换成 3 × 3、步幅 1",
    ),
    "bias": Text(
        "the new convolution has a bias: the norm behind it subtracts it again; bias=False",
        "新的卷积带了偏置：后面的归一化又会把它减掉；应设 bias=False",
    ),
}

_STEM_GROUPS = (("still pools", "pools at stride 1"), ("strides", "unpadded", "large", "as it was"), ("bias",))
_STEM = Diagnosis(_changed, _STEM_GROUPS, _stem_observe, lambda: _STEM_CASES, most=3, tolerance=1e-4)

SMALL_STEM = Exercise(
    number="8.3",
    name="small_stem",
    stub='''from torch import nn


def small_stem(network):
    """Change the stem of the lesson's ResNet (conv1, bn1, maxpool) for pictures of 32 pixels, and return the network."""
    raise NotImplementedError
''',
    expected=_small_stem,
    cases=lambda: _STEM_CASES,
    observe=_stem_observe,
    tolerance=1e-4,
    mistakes=(
        *_STEM.mistakes(_STEM_SAYS),
        Mistake(
            _unreturned,
            "the network is not returned: end with `return network`",
            "没有返回网络：最后要写 return network",
        ),
        Mistake(
            _removed,
            "forward still calls maxpool, and there is none any more: put nn.Identity() in its place",
            "forward 里仍会调用 maxpool，可它已经没有了：请换成 nn.Identity()",
            _calls_nothing,
        ),
    ),
    hints=(
        Text(
            "How often is the picture halved? What is left of 32 pixels? Which two layers of the stem do it?",
            "图片一共被缩小几次？32 像素到最后剩多少？起始层里哪两层在缩小它？",
        ),
        Text(
            "A module can be replaced: network.conv1 = …; nn.Identity() does nothing.",
            "模块可以直接替换：network.conv1 = …；nn.Identity() 什么也不做。",
        ),
        Text(
            "nn.Conv2d(3, network.conv1.out_channels, 3, padding=1, bias=False), and network.maxpool = nn.Identity()",
            "nn.Conv2d(3, network.conv1.out_channels, 3, padding=1, bias=False)，以及 network.maxpool = nn.Identity()",
        ),
    ),
)

_HUNT_CASES = [
    (look, *plan) for plan in (((1, 2), (6, 8), 5), ((2, 1, 1), (4, 6, 8), 3)) for look in ("parameters", "logits")
]


def _hunt_observe(answer: Any, case: tuple[Any, ...]) -> Any:
    look, depths, widths, classes = case
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(84)
        network, ours = answer(depths, widths, classes), randomise(Network(depths, widths, classes))
    if look == "parameters":
        return f"{count(network):,} parameters"
    x = torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(84))
    give_weights(network, x, _as_ours(ours))
    with torch.no_grad():
        return network.eval()(x)


def _hunted(mistakes: Variant = RIGHT) -> Any:
    return partial(Network, mistakes=mistakes)


_HUNT_GROUPS = (
    ("one block too many",),
    ("first stage strides", "no stage strides"),
    ("no max pooling",),
    ("no stem norm",),
    ("no stem ReLU",),
    ("maximum at the end",),
    ("softmax",),
)
_HUNT_SAYS = {
    "one block too many": Text(
        "each stage has one block too many: the first one counts, too",
        "每个阶段多了一个块：第一个块也算在内",
    ),
    "first stage strides": Text(
        "the first stage strides: the stem has shrunk the picture by 4 already",
        "第一阶段跨步了：起始层已经把图片缩小到四分之一",
    ),
    "no stage strides": Text(
        "no stage strides any more: the later ones must, with their first block",
        "现在没有一个阶段跨步了：后面各阶段的第一个块要跨步",
    ),
    "no max pooling": Text("the max pooling is gone", "最大池化不见了"),
    "no stem norm": Text("the stem has no norm any more", "起始层的归一化不见了"),
    "no stem ReLU": Text(
        "the stem has no ReLU: behind every norm of the network but those before a sum there is one",
        "起始层没有 ReLU：除了相加之前的那些，网络里每个归一化层后面都有一个",
    ),
    "maximum at the end": Text(
        "the head takes the maximum of each channel instead of the mean",
        "末端取的是每个通道的最大值，而不是平均值",
    ),
    "softmax": Text(
        "the network gives probabilities: PyTorch's cross-entropy wants logits and would apply softmax a second time",
        "网络给出的是概率：PyTorch 的交叉熵要的是 logits，否则会再做一次 softmax",
    ),
}
_DIAGNOSIS = Diagnosis(_hunted, _HUNT_GROUPS, _hunt_observe, lambda: _HUNT_CASES, most=4, tolerance=1e-4)

BUG_HUNT = Exercise(
    number="8.4",
    name="ResNet",
    stub='''import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """This class is right."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    """This one has four bugs."""

    def __init__(self, depths, widths, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks, channels = [], widths[0]
        for depth, width in zip(depths, widths):
            blocks.append(Block(channels, width, stride=2))
            for _ in range(depth):
                blocks.append(Block(width, width, stride=1))
            channels = width
        self.stages = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)))
        x = self.stages(x)
        return torch.softmax(self.fc(x.mean((2, 3))), 1)
''',
    expected=_hunted(),
    cases=lambda: _HUNT_CASES,
    observe=_hunt_observe,
    tolerance=1e-4,
    mistakes=_DIAGNOSIS.mistakes(_HUNT_SAYS),
    hints=(
        Text(
            "Two bugs are in __init__, in the loop over the stages; two are in forward.",
            "两处错误在 __init__ 里搭建各阶段的循环中，两处在 forward 里。",
        ),
        Text(
            "Count the blocks of a stage of depth 2. By how much has the picture shrunk before the first stage? What does the "
            "loss function expect?",
            "数一数深度为 2 的阶段有几个块。到第一阶段之前，图片已经缩小了多少？损失函数要的是什么？",
        ),
        Text(
            "range(depth - 1); stride 1 in the first stage; relu around bn1; fc without softmax.",
            "range(depth - 1)；第一阶段步幅为 1；bn1 外面加 relu；fc 之后不要 softmax。",
        ),
    ),
)
