"""Lesson 8, continued: count the parameters, change the stem, and a bug hunt."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.forbidden import without_modules
from reslab.learn.exercises.modules import Diagnosis, Variant, count, give_weights, randomise, trace
from reslab.learn.exercises.plain import RIGHT, Network
from reslab.nn import count as arithmetic
from reslab.nn.config import ResNetConfig

_WIDTHS = (64, 128, 256, 512)


def _count_cases() -> list[tuple[tuple[int, ...]]]:
    return [((2, 2, 2, 2),), ((3, 4, 6, 3),), ((1, 1, 1, 1),), ((2, 1, 3, 2),), ((1, 2, 1, 4),)]


def _counted(depths: Sequence[int]) -> int:
    return arithmetic.parameters(ResNetConfig(tuple(depths), _WIDTHS))


def _miscounted(depths: Sequence[int], mistake: str) -> int:
    """The sum of all layers, with one mistake."""
    per_channel = {"norms with one number": 1, "norms with four numbers": 4, "no norms": 0, "biases": 3}.get(mistake, 2)
    total = 0 if mistake == "no stem" else (9 if mistake == "small stem" else 49) * 3 * 64 + per_channel * 64
    channels = 64
    for stage, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True)):
        for number in range(depth):
            into = width if mistake == "same channels" else channels
            total += 9 * into * width + per_channel * width
            if mistake != "one convolution":
                total += 9 * width * width + (0 if mistake == "one norm" else per_channel * width)
            projects = number == 0 and (stage > 0 or mistake == "first stage projects")
            if mistake == "every block projects" or (projects and mistake != "no projections"):
                total += channels * width + (0 if mistake == "projections without norm" else per_channel * width)
            channels = width
    return total + 512 * 1000 + (0 if mistake == "no last bias" else 1000)


_COUNT_SAYS = {
    "biases": Text("convolutions before a norm have no bias", "后面接归一化的卷积不带偏置"),
    "no norms": Text(
        "the norms are missing: two numbers for each channel, behind every convolution",
        "漏了归一化：每个卷积后面，每个通道两个数",
    ),
    "norms with one number": Text(
        "a norm has two parameters per channel, a factor and an offset",
        "归一化层的每个通道有两个参数：系数和偏移",
    ),
    "one norm": Text(
        "a block has two norms, one behind each convolution; you count one",
        "一个块里有两个归一化，每个卷积后面各一个；您只算了一个",
    ),
    "norms with four numbers": Text(
        "you count the running mean and variance of the norms: they are no parameters, since no gradient changes them",
        "您把归一化层的滑动平均（均值和方差）也算进去了：滑动平均不由梯度更新，不算参数",
    ),
    "no stem": Text("the stem is missing: 7 × 7 × 3 × 64, and a norm", "漏了起始层：7 × 7 × 3 × 64，外加一个归一化"),
    "small stem": Text("the stem's filters are 7 × 7", "起始层的卷积核是 7 × 7"),
    "same channels": Text(
        "the first convolution of a stage takes the channels of the stage before",
        "每个阶段的第一个卷积，输入通道数是上一阶段的",
    ),
    "one convolution": Text("a block has two convolutions", "一个块里有两个卷积"),
    "first stage projects": Text(
        "the first stage needs no projection: 64 channels come in and 64 go out",
        "第一阶段不需要投影：输入、输出都是 64 个通道",
    ),
    "every block projects": Text(
        "only the first block of stages 2 to 4 has a projection",
        "只有第 2 至 4 阶段的第一个块才有投影",
    ),
    "no projections": Text(
        "the projections are missing: 1 × 1, where the channels change, and a norm",
        "漏了投影：通道数改变处的 1 × 1 卷积，外加一个归一化",
    ),
    "projections without norm": Text("the projections have norms, too", "投影后面也有归一化"),
    "no last bias": Text("the last layer has a bias: 1,000 numbers", "最后一层有偏置：1,000 个数"),
}

PARAMETERS = Exercise(
    number="8.2",
    name="parameters",
    stub='''def parameters(depths):
    """Parameters of a ResNet with so many basic blocks in its four stages, 1,000 classes, by arithmetic alone."""
    raise NotImplementedError
''',
    expected=_counted,
    cases=_count_cases,
    watch=without_modules("torch", "torchvision", "timm", "reslab"),
    tolerance=0.0,
    mistakes=tuple(Mistake(partial(_miscounted, mistake=name), *says) for name, says in _COUNT_SAYS.items()),
    hints=(
        Text(
            "A convolution has k² × inputs × outputs weights, a norm two numbers per channel. Which layers are there?",
            "卷积有 k² × 输入通道 × 输出通道个权重，归一化每个通道两个数。一共有哪些层？",
        ),
        Text(
            "Stem, then for every block two convolutions with norms; in the first block of stages 2 to 4 the first convolution "
            "takes half as many channels, and there is a projection with a norm; last 512 × 1000 + 1000.",
            "先是起始层；每个块有两个带归一化的卷积；第 2 至 4 阶段的第一个块里，第一个卷积的输入通道少一半，另有带归一化的投影；"
            "最后是 512 × 1000 + 1000。",
        ),
        Text(
            "Keep `channels` while you loop: block = 9·channels·width + 9·width² + 4·width, and if channels != width also "
            "channels·width + 2·width.",
            "循环时记住 channels：每个块 9·channels·width + 9·width² + 4·width；若 channels != width，"
            "再加 channels·width + 2·width。",
        ),
    ),
)

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
        *(Mistake(_changed(frozenset({name})), *says, _STEM.shows(name)) for name, says in _STEM_SAYS.items()),
        Mistake(
            _unreturned,
            "the network is not returned: end with `return network`",
            "没有返回网络：最后要写 return network",
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
    mistakes=tuple(
        Mistake(_hunted(frozenset({name})), *_HUNT_SAYS[name], _DIAGNOSIS.shows(name))
        for group in _HUNT_GROUPS
        for name in group
    ),
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
