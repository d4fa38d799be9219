"""Lesson 6: the residual block (6.1); going back through it is in `lesson6_backward`, the rest in `lesson6_more`."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.lesson6_backward import BACKWARD
from reslab.learn.exercises.lesson6_more import BUG_HUNT, PADDED_IDENTITY
from reslab.learn.exercises.modules import Diagnosis, Variant, count, give_weights, randomise
from reslab.learn.exercises.plain import ACTIVATIONS, JOINS, Block
from reslab.nn import blocks
from reslab.nn.zoo import ZOO

_SHAPES = [(8, 8, 1), (8, 12, 1), (8, 8, 2), (8, 12, 2)]
_OTHER_NORMS = (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)


def _cases() -> list[tuple[Any, ...]]:
    """What is looked at, and the block's arguments."""
    looks = [("parameters", *shape) for shape in _SHAPES] + [("output", *shape) for shape in _SHAPES]
    return [*looks, ("input", *_SHAPES[0])]


def _ours(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    return blocks.BasicBlock(ZOO["resnet18"], in_channels, out_channels, stride)


def _observe(answer: Any, case: tuple[Any, ...]) -> Any:
    """The number of parameters, what the block makes of our weights, or whether it leaves its input alone."""
    look, in_channels, out_channels, stride = case
    block = answer(in_channels, out_channels, stride)
    if look == "parameters":
        said = f"BasicBlock({in_channels}, {out_channels}, {stride}) has {count(block):,} parameters"
        others = {type(each).__name__ for each in block.modules() if isinstance(each, _OTHER_NORMS)}
        if others:
            return f"{said}, and {', '.join(sorted(others))}"
        if count(block) == count(_ours(in_channels, out_channels, stride)):
            return said
        kernels = sorted((each.kernel_size[0] for each in block.modules() if isinstance(each, nn.Conv2d)), reverse=True)
        return f"{said}, and filters of side {', '.join(map(str, kernels))}"
    x = 4 * torch.randn(2, in_channels, 10, 6, generator=torch.Generator().manual_seed(stride))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        ours = randomise(_ours(in_channels, out_channels, stride))
    give_weights(block, x, ours.state_dict())
    given = x.clone()
    with torch.no_grad():
        output = block.eval()(given)
    if look == "input":
        return "x is as it was" if torch.equal(given, x) else "x was changed"
    return output


def _extra(given: list[Any], expected: list[Any]) -> list[int]:
    """How many parameters are too many, for each shape."""
    counts = [[_found(r"has ([\d,]+)", each) for each in results[: len(_SHAPES)]] for results in (given, expected)]
    return [int(one.replace(",", "")) - int(other.replace(",", "")) for one, other in zip(*counts, strict=True)]


def _found(pattern: str, text: str) -> str:
    return re.findall(pattern, text)[0]


def _adds(*known: list[int]) -> Callable[[list[Any], list[Any]], bool]:
    return lambda given, expected: _extra(given, expected) in known


def _sides(*patterns: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises the sides of the filters, for each shape; where the count is right, there are none."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        sides = [each.partition(" of side ")[2] for each in given[: len(_SHAPES)]]
        return all(re.fullmatch(pattern, each) for pattern, each in zip(patterns, sides, strict=True))

    return when


def _wider(given: list[Any], expected: list[Any]) -> bool:
    """Twice the channels."""
    pairs = zip(given, expected, strict=True)
    return all(one.shape[1] == 2 * right.shape[1] for one, right in pairs if isinstance(right, Tensor))


def _shows(*names: str) -> Callable[[list[Any], list[Any]], bool]:
    return lambda given, expected: any(_DIAGNOSIS.shows(name)(given, expected) for name in names)


def _overwrites(given: list[Any], expected: list[Any]) -> bool:
    return given[-1] == "x was changed"


_GROUPS = (
    ("no projection", "asks only for channels", "asks only for stride", "projection everywhere", "projection unused"),
    ("no sum", "series", "doubled", "x overwritten", "x overwritten at once", "no residual", *JOINS),
    ("no padding", "first unpadded", "second unpadded", "both stride", "second strides", "second counts wrong"),
    ("shortcut without stride", "shortcut pools"),
    ("pre-activation",),
    ("ReLU before the sum", "ReLU twice", "no ReLU after"),
    ("no ReLU between", "norm after ReLU"),
    ("shortcut active", "projection active", "x active"),
    ("no first norm", "first norm unused"),
    ("no second norm", "second norm unused", "one norm", "norm used twice", "norm behind the sum"),
    ("shortcut without norm",),
    ("in place",),
    ("bias",),
    tuple(ACTIVATIONS),
)
_SAYS = {
    "no projection": Text(
        "the shape changes and x is added as it is: where the stride or the channels change, the shortcut needs a 1 × 1 "
        "convolution with a norm",
        "形状变了，x 却原样相加：凡是步幅或通道数改变的地方，捷径上都要有 1 × 1 卷积和归一化",
    ),
    "asks only for channels": Text(
        "a block that strides but keeps its channels has no projection: ask for `stride != 1 or in_channels != out_channels`",
        "步幅为 2、通道数不变的块没有投影：条件应为 stride != 1 or in_channels != out_channels",
    ),
    "asks only for stride": Text(
        "a block that changes its channels at stride 1 has no projection: ask for `stride != 1 or in_channels != out_channels`",
        "步幅为 1、通道数改变的块没有投影：条件应为 stride != 1 or in_channels != out_channels",
    ),
    "projection everywhere": Text(
        "every block projects: that is option C; where the shape stays, x goes through as it is",
        "每个块都做了投影，那是方案 C；形状不变时，x 应当原样通过",
    ),
    "projection unused": Text(
        "the projection is created, but x itself is added: add what the projection makes of x",
        "投影建好了，相加的却还是 x 本身：应当加上 x 经投影之后的结果",
    ),
    "no sum": Text(
        "nothing is added: this is a block of a plain network",
        "没有相加：这是普通网络里的块",
    ),
    "series": Text(
        "the shortcut stands behind the two convolutions, as the article draws it; it must carry x past them",
        "捷径接在两层卷积之后，正是文章里画错的样子；捷径应当让 x 绕过它们",
    ),
    "no padding": Text(
        "a 3 × 3 convolution shrinks the map by 2 pixels: use padding=1 in both",
        "没有填充的 3 × 3 卷积使图缩小 2 个像素：两个都应设 padding=1",
    ),
    "both stride": Text(
        "both convolutions stride, so the map shrinks twice: only the first one takes the stride",
        "两个卷积都用了 stride，图缩小了两次：只有第一个卷积用 stride",
    ),
    "second strides": Text(
        "the stride is in the second convolution: the shape is right, but the first one should have it",
        "stride 用在了第二个卷积上：形状虽对，但应当用在第一个卷积上",
    ),
    "second counts wrong": Text(
        "the second convolution takes `out_channels` in: they are what the first one gives",
        "第二个卷积的输入通道数应为 out_channels，也就是第一个卷积的输出通道数",
    ),
    "shortcut without stride": Text(
        "the shortcut does not stride: it has twice as many rows and columns as what it is added to",
        "捷径没有用 stride：行数和列数都是残差的两倍，无法相加",
    ),
    "ReLU before the sum": Text(
        "ReLU stands before the sum and not after it: so a block could only ever add, never take away",
        "ReLU 放在了相加之前，而不是之后：这样的块只能在输入上做加法，做不了减法",
    ),
    "ReLU twice": Text(
        "there is a ReLU before the sum as well as after it: F(x) can no longer be negative; leave out the first",
        "相加之前和之后各有一个 ReLU：F(x) 便不能为负了；去掉相加之前的那个",
    ),
    "no ReLU after": Text(
        "the ReLU after the sum is missing",
        "缺少相加之后的 ReLU",
    ),
    "no ReLU between": Text(
        "there is no ReLU between the two convolutions: together they are then hardly more than one",
        "两个卷积之间没有 ReLU：这样两层合起来只相当于一层",
    ),
    "no first norm": Text(
        "the first convolution has no norm",
        "第一个卷积之后没有归一化",
    ),
    "no second norm": Text(
        "the second convolution has no norm",
        "第二个卷积之后没有归一化",
    ),
    "one norm": Text(
        "both convolutions share one norm: each needs its own, since their outputs have other means and variances",
        "两个卷积共用了同一个归一化层：它们输出的均值与方差各不相同，应当各有一个",
    ),
    "shortcut without norm": Text(
        "the projection has no norm: in ResNet-18 every convolution is followed by one",
        "投影之后没有归一化：在 ResNet-18 里，每个卷积后面都有归一化",
    ),
    "multiplied": Text(
        "F(x) is multiplied by the shortcut: it is added",
        "F(x) 与捷径相乘了：应当相加",
    ),
    "subtracted": Text(
        "one of the two is subtracted from the other: F(x) and the shortcut are added",
        "一个减去了另一个：F(x) 与捷径应当相加",
    ),
    "averaged": Text(
        "the sum is halved: F(x) and the shortcut are added, nothing more",
        "相加之后又除以了 2：F(x) 与捷径只需相加",
    ),
    "shortcut twice": Text(
        "one of the two counts twice: F(x) and the shortcut are added as they are",
        "其中一个算了两倍：F(x) 与捷径应当原样相加",
    ),
    "x overwritten": Text(
        "x is overwritten before the shortcut takes it, so what is added is no longer what came in: keep x under a name of "
        "its own",
        "捷径取用之前，x 已被改写，加上的就不是原来的输入了：请另用一个名字保留 x",
    ),
    "shortcut pools": Text(
        "the shortcut averages before its projection, which came later (ResNet-D): here the 1 × 1 convolution takes the stride",
        "捷径先做了平均再投影，那是后来的做法（ResNet-D）：这里由 1 × 1 卷积自己跨步",
    ),
    "pre-activation": Text(
        "norm and ReLU stand in front of the convolutions, as in 2016 (lesson 9): here each norm stands behind its convolution",
        "归一化和 ReLU 放在了卷积之前，那是 2016 年的次序（第 9 课）：这里每个卷积之后才是归一化",
    ),
    "norm after ReLU": Text(
        "ReLU stands before the first norm: convolution, norm, ReLU is the order",
        "第一个归一化放在了 ReLU 之后：次序应为卷积、归一化、ReLU",
    ),
    "shortcut active": Text(
        "the shortcut goes through a ReLU of its own before the sum: it is added as it is",
        "捷径在相加之前单独过了一次 ReLU：应当直接相加",
    ),
    "norm used twice": Text(
        "the first norm runs behind both convolutions, and the second one never: the second convolution needs its own",
        "两个卷积后面用的都是第一个归一化，第二个从未用到：第二个卷积要用自己的那个",
    ),
    "maximum": Text(
        "the larger of F(x) and the shortcut is taken: the two are added",
        "取了 F(x) 与捷径中较大的一个：两者应当相加",
    ),
    "x active": Text(
        "x goes through a ReLU before anything else: the shortcut must carry x as it comes",
        "x 一进来就过了 ReLU：捷径应当原样传递 x",
    ),
    "doubled": Text(
        "where no projection is needed, the shortcut carries what the convolutions gave: it must carry x",
        "不需要投影时，捷径传的是卷积的输出：应当传 x",
    ),
    "no residual": Text(
        "the result is the shortcut alone: what the convolutions give is not added",
        "结果里只有捷径：没有加上卷积的输出",
    ),
    "norm behind the sum": Text(
        "the second norm stands behind the sum: it would change x, too; it belongs in front",
        "第二个归一化放在了相加之后：这样连 x 也会被归一化；应放在相加之前",
    ),
    "GELU": Text(
        "the activation is another function than ReLU",
        "激活函数不是 ReLU",
    ),
    "bias": Text(
        "the convolutions have biases: the norm behind each subtracts them again (lesson 4); bias=False",
        "卷积带了偏置：后面的归一化又会把它减掉（第 4 课）；应设 bias=False",
    ),
}


_SEEN = {
    "another norm": (
        lambda given, expected: "Norm" in given[0],
        Text(
            "the norm is another one than batch norm: ResNet-18 has nn.BatchNorm2d behind every convolution",
            "归一化用的不是批归一化：ResNet-18 的每个卷积后面都是 nn.BatchNorm2d",
        ),
    ),
    "projection bias": (
        _adds([0, 12, 8, 12]),
        Text(
            "the 1 × 1 convolution of the shortcut has a bias: the norm behind it subtracts it again; bias=False there, too",
            "捷径上的 1 × 1 卷积带了偏置：后面的归一化又会把它减掉；那里也应设 bias=False",
        ),
    ),
    "projection 3 × 3": (
        _sides("", *["3, 3, 3"] * 3),
        Text(
            "the shortcut's convolution is 3 × 3: it only has to match the shape, so 1 × 1 (with the stride) is enough",
            "捷径上用了 3 × 3 卷积：它只需把形状对上，带步幅的 1 × 1 就够了",
        ),
    ),
    "three convolutions": (
        _sides("3, 3, 3", *["3, 3, 3, 1"] * 3),
        Text(
            "F has three 3 × 3 convolutions: a basic block has two",
            "F 里有三个 3 × 3 卷积：基本块只有两个",
        ),
    ),
    "other filters": (
        _sides("(?!3, 3(, 1)?$).+", *["(?!3, 3, [13]$).+"] * 3),
        Text(
            "the filters have another side than 3: both convolutions of F are 3 × 3 with padding=1",
            "卷积核的边长不是 3：F 里的两个卷积都是 3 × 3，padding=1",
        ),
    ),
    "concatenated": (
        _wider,
        Text(
            "the result has twice the channels: F(x) and the shortcut are added, not put side by side (torch.cat)",
            "结果的通道数多了一倍：F(x) 与捷径应当相加，而不是用 torch.cat 拼接",
        ),
    ),
}
_ALSO = {
    "subtracted": ("subtracted from",), "GELU": [name for name in ACTIVATIONS if name != "GELU"],
    "no padding": ("first unpadded", "second unpadded"), "shortcut twice": ("residual twice",),
    "x overwritten": ("x overwritten at once",), "shortcut active": ("projection active",),
    "no first norm": ("first norm unused",), "no second norm": ("second norm unused",),
}  # fmt: skip
"""Mistakes that get the same sentence."""
_IN_PLACE = Text(
    "the block writes into its own input: where the shortcut is the identity, `+=` on what it returns changes x; add "
    "with `+`, or write into F(x)",
    "这个块改写了自己的输入：捷径为恒等映射时，返回的就是 x 本身，对它做 += 会改掉 x；请用 +，或者把结果写进 F(x)",
)


def _make(mistakes: Variant) -> Any:
    return partial(Block, mistakes=mistakes)


_DIAGNOSIS = Diagnosis(_make, _GROUPS, _observe, _cases)

BASIC_BLOCK = Exercise(
    number="6.1",
    name="BasicBlock",
    stub='''from torch import nn


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions, each with batch norm, and a shortcut with a projection where the shape changes (option B)."""

    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        raise NotImplementedError

    def forward(self, x):
        raise NotImplementedError
''',
    expected=_ours,
    cases=_cases,
    observe=_observe,
    mistakes=(
        *(Mistake(_make(frozenset({name})), *says, when) for name, (when, says) in _SEEN.items()),
        *(Mistake(_make(frozenset({name})), *says, _shows(name, *_ALSO.get(name, ()))) for name, says in _SAYS.items()),
        Mistake(_make(frozenset({"in place"})), *_IN_PLACE, _overwrites),
    ),
    hints=(
        Text(
            "What does each arrow of the drawing do? Create the layers in __init__, connect them in forward.",
            "图中每个箭头各做什么？在 __init__ 里创建各层，在 forward 里把它们连起来。",
        ),
        Text(
            "Three things depend on the arguments: only the first convolution takes the stride; only the shortcut of a block "
            "that changes the shape is a 1 × 1 convolution with a norm; all others are the identity.",
            "有几处取决于参数：只有第一个卷积用 stride；只有形状改变的块，捷径才是带归一化的 1 × 1 卷积；"
            "其余的捷径都是恒等映射。",
        ),
        Text(
            "out = bn2(conv2(relu(bn1(conv1(x))))); return relu(out + shortcut(x)). All convolutions with bias=False.",
            "out = bn2(conv2(relu(bn1(conv1(x)))))；return relu(out + shortcut(x))。所有卷积都设 bias=False。",
        ),
    ),
)


EXERCISES = (BASIC_BLOCK, BACKWARD, PADDED_IDENTITY, BUG_HUNT)
