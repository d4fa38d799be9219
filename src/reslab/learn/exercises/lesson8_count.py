"""Lesson 8: count the parameters by arithmetic (8.2)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from reslab.learn.exercise import Exercise, Text, call
from reslab.learn.exercises.forbidden import without_modules
from reslab.learn.exercises.modules import Diagnosis, Variant
from reslab.nn import count as arithmetic
from reslab.nn.config import ResNetConfig

_WIDTHS = (64, 128, 256, 512)


def _count_cases() -> list[tuple[tuple[int, ...]]]:
    return [((2, 2, 2, 2),), ((3, 4, 6, 3),), ((1, 1, 1, 1),), ((2, 1, 3, 2),), ((1, 2, 1, 4),)]


def _counted(depths: Sequence[int]) -> int:
    return arithmetic.parameters(ResNetConfig(tuple(depths), _WIDTHS))


def _miscounted(depths: Sequence[int], wrong: Variant) -> int:
    """The sum of all layers, with some mistakes."""
    norms = {"norms with one number": 1, "norms with four numbers": 4, "no norms": 0, "biases": 3}
    per_channel = next((norms[name] for name in norms if name in wrong), 2)
    inside = 0 if "no norms in blocks" in wrong else per_channel
    total = (9 if "small stem" in wrong else 49) * (1 if "grey stem" in wrong else 3) * 64
    total += 0 if "no stem norm" in wrong else per_channel * 64
    total, channels = 0 if "no stem" in wrong else total, 64
    for stage, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True)):
        for number in range(depth):
            into = width if "same channels" in wrong else channels
            total += 9 * into * width + inside * width
            if "one convolution" not in wrong:
                total += 9 * width * width + (0 if "one norm" in wrong else inside * width)
            projects = number == 0 and (stage > 0 or "first stage projects" in wrong)
            if "every block projects" in wrong or (projects and "no projections" not in wrong):
                total += channels * width + (0 if "projections without norm" in wrong else per_channel * width)
            channels = width
    return total + 512 * 1000 + (0 if "no last bias" in wrong else 1000)


def _make_count(wrong: Variant) -> Any:
    return partial(_miscounted, wrong=wrong)


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
    "no norms in blocks": Text(
        "the norms of the blocks are missing: two numbers for each channel, behind both convolutions",
        "漏了块里的归一化：两个卷积后面都有，每个通道两个数",
    ),
    "no stem norm": Text(
        "the stem's norm is missing: two numbers for each channel", "漏了起始层的归一化：每个通道两个数"
    ),
    "grey stem": Text(
        "the stem takes pictures of three channels: 7 × 7 × 3 × 64", "起始层的输入有三个通道：7 × 7 × 3 × 64"
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

_COUNTS = Diagnosis(_make_count, [(name,) for name in _COUNT_SAYS], call, _count_cases, tolerance=0.0)

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
    mistakes=_COUNTS.mistakes(_COUNT_SAYS),
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
