"""Lesson 8, ResNet-18 from a blank page: the capstone."""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.forbidden import without_modules
from reslab.learn.exercises.lesson8_more import BUG_HUNT, PARAMETERS, SMALL_STEM
from reslab.learn.exercises.modules import Diagnosis, Trace, Undrawn, Variant, count, give_weights, randomise, trace
from reslab.learn.exercises.plain import Network
from reslab.nn.zoo import build_named

_SIZE = (64, 96)  # of the pictures: not square, and small enough to be quick
_ENDS = {"stem": 0, "stage 1": 4, "stage 2": 8, "stage 3": 12, "stage 4": 16}
"""The last convolution of each part, along the main path."""
_CASES = [(look,) for look in ("parameters", "layers", "linear layer", *_ENDS, "logits")]
_TOLERANCE = 1e-4


@lru_cache(maxsize=2)
def _ours() -> dict[str, Tensor]:
    """The weights that every answer gets."""
    return randomise(build_named("resnet18", seed=8), 8).state_dict()


def _pictures() -> Tensor:
    return torch.rand(2, 3, *_SIZE, generator=torch.Generator().manual_seed(8))


class _Wrong:
    """Makes networks with mistakes."""

    def __init__(self, mistakes: Variant) -> None:
        self.mistakes = mistakes

    def __call__(self) -> nn.Module:
        """A network whose weights are still to be set."""
        with Undrawn():
            return Network(mistakes=self.mistakes)


@lru_cache(maxsize=2)
def _built(answer: Any) -> nn.Module:
    """A network; kept, since several cases look at it."""
    return answer()


@lru_cache(maxsize=2)
def _traced(answer: Any) -> Trace:
    return trace(_built(answer), _pictures()[:1])


@lru_cache(maxsize=4)
def _logits(answer: Any) -> Tensor:
    network = answer()
    give_weights(network, _pictures()[:1], _ours())
    with torch.no_grad():
        return network.eval()(_pictures())


def _observe(answer: Any, case: tuple[Any, ...]) -> Any:
    """One aspect of a network: counts, the shape at the end of a part, or its logits with our weights."""
    (look,) = case
    if look == "logits":
        return _logits(answer)
    network = _built(answer)
    if look == "parameters":
        return f"{count(network):,} parameters"
    if look == "layers":
        return _layers(network)
    if look == "linear layer":
        linear = [each for each in network.modules() if isinstance(each, nn.Linear)]
        return ", ".join(f"{each.in_features} to {each.out_features}" for each in linear) or "none"
    seen = _traced(answer)
    path = seen.path(projections=False)
    if len(path) <= _ENDS[look]:
        raise seen.error or RuntimeError(f"the network ends before {look}: it has {len(path)} convolutions")
    return f"{look} ends with " + " x ".join(map(str, seen.outputs[path[_ENDS[look]]][1:]))


def _layers(network: nn.Module) -> str:
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    projections = sum(each.kernel_size == (1, 1) for each in convolutions)
    biases = sum(each.bias is not None for each in convolutions)
    norms = sum(hasattr(each, "running_mean") for each in network.modules())
    return (
        f"{len(convolutions) - projections} convolutions and {projections} projections, {biases} of them with a bias, "
        f"and {norms} norms"
    )


_GROUPS = (
    ("small stem",),
    ("no projection", "projection everywhere", "projection at every stage"),
    ("shortcut without norm", "no second norm", "one norm"),
    ("no stem norm",),
    ("stem without stride",),
    ("no max pooling", "pooling unpadded", "pooling 2 × 2"),
    ("first stage strides", "no stage strides"),
    ("second strides",),
    ("no sum",),
    ("ReLU before the sum", "ReLU twice", "no ReLU after"),
    ("no ReLU between",),
    ("no stem ReLU",),
    ("maximum at the end",),
    ("softmax",),
)
_DIAGNOSIS = Diagnosis(_Wrong, _GROUPS, _observe, lambda: _CASES, tolerance=_TOLERANCE)


def _has(case: int, pattern: str) -> Callable[[list[Any], list[Any]], bool]:
    """Whether what one case gives matches a pattern."""
    return lambda given, expected: isinstance(given[case], str) and re.search(pattern, given[case]) is not None


_SEEN = {
    "bias": (
        _has(1, r"projections, [1-9]\d* of them with a bias"),
        Text(
            "convolutions have biases, and a norm behind each subtracts them again: 4,800 parameters too many if all have; "
            "bias=False",
            "卷积带了偏置，而后面的归一化又会把它减掉：若每个卷积都带，就多出 4,800 个参数；应设 bias=False",
        ),
    ),
    "one block too many": (
        _has(1, r"^(?!17 )\d+ convolutions"),
        Text(
            "the main path has another number of convolutions than 17: one in the stem, and two in each of eight blocks",
            "主路上的卷积不是 17 个：起始层一个，八个块各两个",
        ),
    ),
    "flattened": (
        lambda given, expected: _has(2, r"^(?!512 to)\d")(given, expected) or "mat1 and mat2" in str(given[-1]),
        Text(
            "the last layer takes another number of inputs than 512: average each channel over its map first, so that any "
            "picture size fits",
            "最后一层的输入不是 512 个数：应先在每个通道的整张图上取平均，这样任何尺寸的图片都能用",
        ),
    ),
    "other classes": (
        _has(2, r"^512 to (?!1000$)"),
        Text(
            "the last layer does not give 1,000 numbers: `ResNet18()` without arguments is for the 1,000 classes of ImageNet",
            "最后一层给出的不是 1,000 个数：不带参数的 ResNet18() 面向 ImageNet 的 1,000 个类别",
        ),
    ),
}
_SAYS = {
    "small stem": Text(
        "the stem is that of the small networks for CIFAR-10; ResNet-18 begins with 7 × 7 at stride 2, padding 3",
        "起始层用的是 CIFAR-10 小网络的；ResNet-18 的第一层是 7 × 7 卷积，步幅 2，填充 3",
    ),
    "no projection": Text(
        "there is no projection: where a stage begins, the shortcut needs a 1 × 1 convolution at stride 2 with a norm",
        "没有投影：每个新阶段开头，捷径上要有步幅为 2 的 1 × 1 卷积和归一化",
    ),
    "projection everywhere": Text(
        "every shortcut has a projection (option C): only the three that change the shape may",
        "每条捷径上都有投影（方案 C）：只有改变形状的那三条才需要",
    ),
    "projection at every stage": Text(
        "the first stage has a projection, too: there the stem already gives 64 channels of the right size, so x passes as "
        "it is",
        "第一阶段也用了投影：起始层给出的本来就是 64 个通道，大小也对，x 应当原样通过",
    ),
    "shortcut without norm": Text(
        "the projections have no norm behind them: 1,792 parameters are missing",
        "投影后面没有归一化：少了 1,792 个参数",
    ),
    "no second norm": Text(
        "the second convolution of a block has no norm behind it",
        "残差块里第二个卷积后面没有归一化",
    ),
    "one norm": Text(
        "the two convolutions of a block share one norm: each needs its own",
        "残差块里的两个卷积共用了一个归一化：应当各有一个",
    ),
    "no stem norm": Text(
        "the 7 × 7 convolution has no norm behind it",
        "7 × 7 卷积后面没有归一化",
    ),
    "stem without stride": Text(
        "the 7 × 7 convolution does not stride: it halves the picture",
        "7 × 7 卷积没有跨步：它应把图片缩小一半",
    ),
    "no max pooling": Text(
        "the max pooling behind the first convolution is missing: all maps are twice as large as they should be",
        "第一个卷积之后缺少最大池化：所有的图都大了一倍",
    ),
    "pooling unpadded": Text(
        "the max pooling has no padding: 3 × 3 at stride 2 needs padding=1 to halve the map exactly",
        "最大池化没有填充：3 × 3、步幅 2 的池化要设 padding=1，才能恰好缩小一半",
    ),
    "pooling 2 × 2": Text(
        "the max pooling has windows of 2 × 2: ResNet's are 3 × 3 at stride 2, so they overlap",
        "最大池化用了 2 × 2 的窗口：ResNet 用的是 3 × 3、步幅 2，窗口互相重叠",
    ),
    "first stage strides": Text(
        "the first stage strides, too: the stem has already shrunk the picture by 4; only stages 2, 3 and 4 halve the map",
        "第一阶段也跨步了：起始层已把图片缩小到四分之一；只有第 2、3、4 阶段才把图缩小一半",
    ),
    "no stage strides": Text(
        "no stage strides: the first block of stages 2, 3 and 4 halves the map",
        "各阶段都没有跨步：第 2、3、4 阶段的第一个块应把图缩小一半",
    ),
    "second strides": Text(
        "counts and shapes are right, but the stride is in the second convolution of a block: it belongs to the first",
        "个数和形状都对，但 stride 用在了块里的第二个卷积上：应当用在第一个上",
    ),
    "no sum": Text(
        "the shortcut is not added: this is the plain network",
        "没有加上捷径：这是普通网络",
    ),
    "ReLU before the sum": Text(
        "counts and shapes are right, but the last ReLU of a block stands before the sum: it belongs after it",
        "个数和形状都对，但块末尾的 ReLU 放在了相加之前：应当放在相加之后",
    ),
    "ReLU twice": Text(
        "counts and shapes are right, but F(x) goes through a ReLU before the sum as well",
        "个数和形状都对，但 F(x) 在相加之前也过了一次 ReLU",
    ),
    "no ReLU after": Text(
        "counts and shapes are right, but the ReLU after the sum is missing",
        "个数和形状都对，但缺少相加之后的 ReLU",
    ),
    "no ReLU between": Text(
        "counts and shapes are right, but between the two convolutions of a block there is no ReLU",
        "个数和形状都对，但块里两个卷积之间没有 ReLU",
    ),
    "no stem ReLU": Text(
        "counts and shapes are right, but the stem has no ReLU behind its norm",
        "个数和形状都对，但起始层的归一化之后没有 ReLU",
    ),
    "maximum at the end": Text(
        "counts and shapes are right, but the head takes the maximum of each channel: it takes the mean",
        "个数和形状都对，但末端取了每个通道的最大值：应取平均值",
    ),
    "softmax": Text(
        "the network ends in a softmax: it gives logits, and the loss function applies the softmax",
        "网络末尾加了 softmax：网络应给出 logits，softmax 由损失函数来做",
    ),
}

RESNET18 = Exercise(
    number="8.1",
    name="ResNet18",
    stub='''from torch import nn


class ResNet18(nn.Module):
    """ResNet-18 for 1,000 classes: pictures [batch, 3, height, width] -> logits [batch, 1000]."""

    def __init__(self):
        super().__init__()
        raise NotImplementedError

    def forward(self, x):
        raise NotImplementedError
''',
    expected=partial(build_named, "resnet18"),
    cases=lambda: _CASES,
    observe=_observe,
    tolerance=_TOLERANCE,
    watch=without_modules("torchvision", "timm", "reslab"),
    mistakes=(
        *(Mistake(_Wrong(frozenset({name})), says, when) for name, (when, says) in _SEEN.items()),
        *(
            Mistake(_Wrong(frozenset({name})), _SAYS[name], _DIAGNOSIS.shows(name))
            for group in _GROUPS
            for name in group
        ),
    ),
    hints=(
        Text(
            "Five parts: a stem that shrinks the picture by 4, four stages of two blocks, a head. Begin with the block of "
            "lesson 6.",
            "五个部分：把图片缩小到四分之一的起始层，四个各有两个块的阶段，末端。从第 6 课的残差块写起。",
        ),
        Text(
            "Stem: 7 × 7 at stride 2, norm, ReLU, max pooling 3 × 3 at stride 2 with padding 1. Widths 64, 128, 256, 512; the "
            "first block of stages 2 to 4 strides. No biases but the last layer's.",
            "起始层：7 × 7、步幅 2 的卷积，归一化，ReLU，3 × 3、步幅 2、填充 1 的最大池化。宽度 64、128、256、512；"
            "第 2 至 4 阶段的第一个块跨步。除最后一层外都不带偏置。",
        ),
        Text(
            "forward: x = maxpool(relu(bn1(conv1(x)))); x = stages(x); return fc(x.mean((2, 3))). Parameters: 11,689,512.",
            "forward：x = maxpool(relu(bn1(conv1(x))))；x = stages(x)；return fc(x.mean((2, 3)))。参数共 11,689,512 个。",
        ),
    ),
)

EXERCISES = (RESNET18, PARAMETERS, SMALL_STEM, BUG_HUNT)
