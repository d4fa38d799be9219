"""Lesson 6, the residual block: write it, go back through it by hand."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.forbidden import AUTOGRAD, without
from reslab.learn.exercises.lesson6_more import BUG_HUNT, PADDED_IDENTITY
from reslab.learn.exercises.modules import Diagnosis, Variant, count, give_weights, randomise
from reslab.learn.exercises.plain import Block
from reslab.nn import blocks
from reslab.nn.zoo import ZOO

_SHAPES = [(8, 8, 1), (8, 12, 1), (8, 8, 2), (8, 12, 2)]


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
        return f"{count(block):,} parameters"
    x = torch.randn(2, in_channels, 10, 6, generator=torch.Generator().manual_seed(stride))
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


_GROUPS = (
    ("no projection", "asks only for channels", "asks only for stride", "projection everywhere"),
    ("no sum", "series"),
    ("no padding", "both stride", "second strides", "second counts wrong"),
    ("shortcut without stride",),
    ("ReLU before the sum", "ReLU twice", "no ReLU after"),
    ("no ReLU between",),
    ("no second norm", "one norm"),
    ("shortcut without norm",),
    ("in place",),
    ("bias",),
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
    "no sum": Text(
        "nothing is added: this is a block of a plain network",
        "没有相加：这是普通网络里的块",
    ),
    "series": Text(
        "the shortcut stands behind the two convolutions, as the article draws it; it must carry x past them",
        "捷径接在两层卷积之后，正是文章里画错的样子；捷径应当让 x 绕过它们",
    ),
    "no padding": Text(
        "the 3 × 3 convolutions shrink the map by 2 pixels each: use padding=1",
        "每个 3 × 3 卷积都使图缩小 2 个像素：应设 padding=1",
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
        "捷径没有用 stride：它的行数和列数都是残差的两倍，无法相加",
    ),
    "ReLU before the sum": Text(
        "ReLU stands before the sum and not after it: so a block could only ever add, never take away",
        "ReLU 放在了相加之前，而不是之后：这样的块只能往上加，永远减不了",
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
        "两个卷积之间没有 ReLU：那样两层合起来和一层差不多",
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
    "in place": Text(
        "the block writes into its own input: where the shortcut is the identity, `+=` on what it returns changes x; add "
        "with `+`, or write into F(x)",
        "这个块改写了自己的输入：捷径为恒等映射时，返回的就是 x 本身，对它做 += 会改掉 x；请用 +，或者把结果写进 F(x)",
    ),
    "bias": Text(
        "the convolutions have biases: the norm behind each subtracts them again (lesson 4); bias=False",
        "卷积带了偏置：后面的归一化又会把它减掉（第 4 课）；应设 bias=False",
    ),
}


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
    mistakes=tuple(
        Mistake(_make(frozenset({name})), _SAYS[name], _DIAGNOSIS.shows(name)) for group in _GROUPS for name in group
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


def _backward_cases() -> list[tuple[Tensor, ...]]:
    """x, the two weights, and the gradient of y, for several batches."""
    dice = torch.Generator().manual_seed(6)
    shapes = [((3, 4), (4, 4), (4, 4), (3, 4)), ((5, 3), (6, 3), (3, 6), (5, 3))]
    return [tuple(torch.randn(*shape, generator=dice) for shape in each) for each in shapes]


def _autograd(x: Tensor, w1: Tensor, w2: Tensor, grad: Tensor) -> list[Tensor]:
    given = [each.clone().requires_grad_() for each in (x, w1, w2)]
    y = F.relu(F.relu(given[0] @ given[1].T) @ given[2].T + given[0])
    return list(torch.autograd.grad(y, given, grad))


def _by_hand(x: Tensor, w1: Tensor, w2: Tensor, grad: Tensor, mistake: str = "") -> list[Tensor]:
    """The same by hand, with one mistake."""
    before = x @ w1.T
    hidden = F.relu(before)
    total = hidden @ w2.T + x
    at_sum = grad if mistake == "no last mask" else grad * (total > 0)
    at_hidden = at_sum @ w2
    if mistake != "no inner mask":
        at_hidden = at_hidden * (before > 0)
    along = {"no shortcut": 0 * at_sum, "literal one": torch.ones_like(at_sum), "raw shortcut": grad}.get(
        mistake, at_sum
    )
    dx = along if mistake == "shortcut alone" else at_hidden @ w1 + along
    dw1, dw2 = at_hidden.T @ x, at_sum.T @ hidden
    if mistake == "averaged":
        return [dx, dw1 / len(x), dw2 / len(x)]
    if mistake == "linear input":
        return [dx, dw1, at_sum.T @ before]
    return [dx, dw1.T, dw2.T] if mistake == "transposed" else [dx, dw1, dw2]


_SLIPS = {
    "no shortcut": Text(
        "the gradient of x lacks what arrives through the shortcut: add the gradient at the sum itself",
        "x 的梯度少了从捷径传来的部分：要加上相加处的梯度本身",
    ),
    "literal one": Text(
        "you add the number 1: the “+1” stands for the identity, so what is added is the gradient at the sum",
        "您加上的是数字 1：“+1”代表恒等映射，应当加上的是相加处的梯度",
    ),
    "raw shortcut": Text(
        "through the shortcut comes the gradient of y as it was; the ReLU after the sum lies on that way, too",
        "从捷径传来的是 y 的梯度原样；可是相加之后的 ReLU 也在这条路上",
    ),
    "no last mask": Text(
        "the ReLU after the sum is passed over: where the sum is negative, no gradient comes through",
        "漏掉了相加之后的 ReLU：和为负的地方，梯度传不过去",
    ),
    "no inner mask": Text(
        "the ReLU between the two weights is passed over: where w1 x is negative, no gradient comes through",
        "漏掉了两个权重之间的 ReLU：w1 x 为负的地方，梯度传不过去",
    ),
    "shortcut alone": Text(
        "the gradient of x is only what arrives through the shortcut: what comes through F is missing",
        "x 的梯度只有从捷径传来的部分：还缺经过 F 的那一部分",
    ),
    "averaged": Text(
        "the gradients of the weights are averaged over the batch: they are sums, since `grad` says how much each row counts",
        "权重的梯度取了批上的平均：应当求和，各行占多少已经由 grad 给出",
    ),
    "linear input": Text(
        "the gradient of w2 uses w1 x before its ReLU: w2 was multiplied with what came after it",
        "w2 的梯度用了 ReLU 之前的 w1 x：与 w2 相乘的是 ReLU 之后的值",
    ),
    "transposed": Text(
        "the gradients of the weights are transposed: each must have the shape of its weight",
        "权重的梯度转置了：形状应当与权重相同",
    ),
}

BACKWARD = Exercise(
    number="6.2",
    name="backward",
    stub='''import torch


def backward(x, w1, w2, grad):
    """Of y = relu(relu(x @ w1.T) @ w2.T + x): given the gradient of y, the gradients of x, w1 and w2.

    x, grad [batch, n], w1 [m, n], w2 [n, m]
    """
    raise NotImplementedError
''',
    expected=_autograd,
    cases=_backward_cases,
    watch=without(*AUTOGRAD),
    mistakes=tuple(Mistake(partial(_by_hand, mistake=name), says) for name, says in _SLIPS.items()),
    hints=(
        Text(
            "Compute forward first and keep what you meet on the way: before each ReLU, after it, and the sum.",
            "先做一遍前向计算，把途中的值都留下：每个 ReLU 之前、之后的值，以及相加的和。",
        ),
        Text(
            "Go back step by step: the last ReLU, then two ways: straight to x, and through w2, the inner ReLU and w1 to x. "
            "Where two ways meet, gradients add up.",
            "一步步往回走：先过最后的 ReLU，然后分成两路：一路直达 x，另一路经过 w2、中间的 ReLU 和 w1 到 x。"
            "两路会合处，梯度相加。",
        ),
        Text(
            "s = grad * (total > 0); h = (s @ w2) * (x @ w1.T > 0); return h @ w1 + s, h.T @ x, s.T @ hidden",
            "s = grad * (total > 0)；h = (s @ w2) * (x @ w1.T > 0)；返回 h @ w1 + s、h.T @ x、s.T @ hidden",
        ),
    ),
)

EXERCISES = (BASIC_BLOCK, BACKWARD, PADDED_IDENTITY, BUG_HUNT)
