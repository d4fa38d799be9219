"""Lesson 9, the family: the bottleneck, and counting networks that are made of it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text, call
from reslab.learn.exercises.forbidden import without_modules
from reslab.learn.exercises.lesson9_more import GATE, PREACTIVATED
from reslab.learn.exercises.modules import Diagnosis, Variant
from reslab.nn import count
from reslab.nn.blocks import Bottleneck
from reslab.nn.config import ResNetConfig

_SHAPES = [(6, 4, 1), (16, 4, 1), (16, 8, 2), (16, 4, 2)]
"""Input channels, width, stride: widens, keeps the shape, widens and halves the map, halves it alone."""


class _Variant(nn.Module):
    """A bottleneck with one thing wrong."""

    def __init__(self, in_channels: int, width: int, stride: int, wrong: str = "") -> None:
        super().__init__()
        self.wrong, out = wrong, width if wrong == "expansion" else 4 * width
        stride = 1 if wrong == "no stride" else stride
        early, late = (stride, 1) if wrong == "v1" else (1, stride)
        biased = wrong == "bias"
        self.conv1 = nn.Conv2d(in_channels, width, 1, early, bias=biased)
        self.conv2 = nn.Conv2d(width, width, 3, late, padding=0 if wrong == "padding" else 1, bias=biased)
        self.conv3 = nn.Conv2d(width, out, 1, bias=biased)
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(width), nn.BatchNorm2d(width), nn.BatchNorm2d(out)
        self.shortcut = self._shortcut(in_channels, out, stride)

    def _shortcut(self, in_channels: int, out: int, stride: int) -> nn.Module:
        if self.wrong == "striding only" and stride == 1:
            return nn.Identity()
        if self.wrong == "widening only" and in_channels == out:
            return nn.Identity()
        if stride == 1 and in_channels == out and self.wrong != "always":
            return nn.Identity()
        project = nn.Conv2d(in_channels, out, 1, 1 if self.wrong == "shortcut stride" else stride, bias=False)
        return project if self.wrong == "bare" else nn.Sequential(project, nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.norm1(torch.relu(y)) if self.wrong == "norm last" else torch.relu(self.norm1(y))
        y = self.conv2(y)
        y = self.norm2(torch.relu(y)) if self.wrong == "norm last" else self.norm2(y)
        y = self.conv3(y if self.wrong in ("one relu", "norm last") else torch.relu(y))
        y = y if self.wrong == "third norm" else self.norm3(y)
        if self.wrong == "x alone":
            return torch.relu(y + x)
        if self.wrong == "plain":
            return torch.relu(y)
        y = torch.relu(y) if self.wrong == "two relus" else y
        if self.wrong == "early relu":
            return torch.relu(y) + self.shortcut(x)
        return y + self.shortcut(x) if self.wrong == "late relu" else torch.relu(y + self.shortcut(x))


def _wrong(what: str) -> Callable[[int, int, int], nn.Module]:
    return lambda in_channels, width, stride: _Variant(in_channels, width, stride, what)


def _product(in_channels: int, width: int, stride: int) -> nn.Module:
    return Bottleneck(ResNetConfig((1,), (width,), "bottleneck"), in_channels, width, stride)


def _filled(module: nn.Module) -> nn.Module:
    """The module with weights that depend on the kind and the shape of each tensor alone, not on names or order."""
    for name, tensor in module.state_dict().items():
        leaf = name.rpartition(".")[2]
        if tensor.is_floating_point():
            dice = torch.Generator().manual_seed(sum(n * 31**i for i, n in enumerate(tensor.shape)) + len(leaf))
            values = torch.randn(tensor.shape, generator=dice) / 2
            tensor.copy_(values.abs() + 0.5 if leaf == "running_var" else values)
    return module.eval()


def _outcome(make: Any, case: tuple[int, int, int]) -> tuple[int, Tensor]:
    """How many parameters a block has, and its output for one batch of negative and positive numbers."""
    block = _filled(make(*case))
    x = torch.randn(2, case[0], 6, 8, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        return sum(p.numel() for p in block.parameters()), block(x)


def _fits_nowhere(given: list[Any], expected: list[Any]) -> bool:
    """The sum fails in the case that strides; the others have the right shapes."""
    fits = all(_count_and_shape(g) == _count_and_shape(e) for g, e in zip(given[:2], expected[:2], strict=True))
    return fits and not isinstance(given[2], tuple)


def _biased(given: list[Any], expected: list[Any]) -> bool:
    """As many parameters too many as the convolutions have channels: those of the residual, of the shortcut, or both."""
    extra = [g[0] - e[0] for g, e in zip(given, expected, strict=True)]
    residual = [6 * width for _, width, _ in _SHAPES]
    along = [4 * width if stride != 1 or into != 4 * width else 0 for into, width, stride in _SHAPES]
    return extra in (residual, along, [a + b for a, b in zip(residual, along, strict=True)])


def _count_and_shape(outcome: Any) -> Any:
    return (outcome[0], tuple(outcome[1].shape)) if isinstance(outcome, tuple) else None


BOTTLENECK = Exercise(
    number="9.1",
    name="Bottleneck",
    stub='''from torch import nn


class Bottleneck(nn.Module):
    """ResNet-50's block: in_channels in, 4 * width out; where it strides, the map is halved (v1.5)."""

    def __init__(self, in_channels, width, stride):
        super().__init__()

    def forward(self, x):
        raise NotImplementedError
''',
    expected=_product,
    cases=lambda: _SHAPES,
    observe=_outcome,
    tolerance=1e-4,
    mistakes=(
        Mistake(
            _wrong("early relu"),
            "the last ReLU stands before the sum: F(x) can then never be negative; add first, then ReLU",
            "最后一个 ReLU 放在了相加之前：这样 F(x) 永远不会为负；应当先相加，再做 ReLU",
        ),
        Mistake(
            _wrong("two relus"),
            "a ReLU stands before the sum as well as behind it; the one before it must go: F(x) may be negative",
            "相加之前和之后各有一个 ReLU；之前的那个要去掉：F(x) 可以为负",
        ),
        Mistake(
            _wrong("late relu"),
            "the ReLU behind the sum is missing",
            "相加之后少了一个 ReLU",
        ),
        Mistake(
            _wrong("one relu"),
            "the ReLU between the 3 × 3 and the second 1 × 1 convolution is missing",
            "3 × 3 卷积与第二个 1 × 1 卷积之间少了 ReLU",
        ),
        Mistake(
            _wrong("v1"),
            "your first 1 × 1 convolution strides, as in the paper of 2015; asked for is v1.5, in which the 3 × 3 does",
            "您让第一个 1 × 1 卷积带步幅，这是 2015 年论文的做法；题目要求 v1.5，由 3 × 3 卷积带步幅",
        ),
        Mistake(
            _wrong("bias"),
            "your convolutions have a bias: the norm behind each subtracts it again; use bias=False",
            "您的卷积带有偏置：后面的归一化会把它减掉；请用 bias=False",
            when=_biased,
        ),
        Mistake(
            _wrong("expansion"),
            "the block must output 4 * width channels; yours outputs width",
            "残差块应输出 4 * width 个通道；您的只输出 width 个",
        ),
        Mistake(
            _wrong("always"),
            "you project in every block (option C); where the shape stays the same, x itself is added (option B)",
            "您在每个块里都用了投影（方案 C）；形状不变时应直接加上 x（方案 B）",
        ),
        Mistake(
            _wrong("bare"),
            "the projection of the shortcut needs a norm of its own behind its convolution",
            "捷径上的投影之后还要有一个自己的归一化层",
        ),
        Mistake(
            _wrong("plain"),
            "x is not added: that is a plain network",
            "没有加上 x：这就成了普通网络",
        ),
        Mistake(
            _wrong("striding only"),
            "a block may change the channels without striding, as ResNet-50's first does (64 to 256): project there, too",
            "残差块可能只改变通道数，步幅却是 1，ResNet-50 的第一个块就是如此（64 变 256）：这里也要投影",
        ),
        Mistake(
            _wrong("widening only"),
            "a block that strides but keeps its channels has no projection: ask for `stride != 1 or in_channels != 4 * width`",
            "步幅为 2、通道数不变的块没有投影：条件应为 stride != 1 or in_channels != 4 * width",
        ),
        Mistake(
            _wrong("shortcut stride"),
            "with stride 2 the two maps of the sum differ in size: the projection must stride, too",
            "步幅为 2 时，相加的两张特征图大小不同：投影也要带同样的步幅",
            when=_fits_nowhere,
        ),
        Mistake(
            _wrong("x alone"),
            "x is added as it is even where the shape changes: add what the shortcut makes of it, self.shortcut(x)",
            "形状变了，x 却原样相加：应当加上捷径的输出 self.shortcut(x)",
        ),
        Mistake(
            _wrong("third norm"),
            "the last convolution has no norm behind it: each of the three has one",
            "最后一个卷积之后没有归一化：三个卷积后面各有一个",
        ),
        Mistake(
            _wrong("norm last"),
            "ReLU stands before the norm: convolution, norm, ReLU is the order",
            "归一化放在了 ReLU 之后：次序应为卷积、归一化、ReLU",
        ),
        Mistake(
            _wrong("no stride"),
            "`stride` is ignored: with stride 2 the map must be halved",
            "没有使用 stride：步幅为 2 时特征图应缩小一半",
        ),
        Mistake(
            _wrong("padding"),
            "the 3 × 3 convolution needs padding=1, or the map loses its edge and no longer fits the shortcut",
            "3 × 3 卷积需要 padding=1，否则特征图会少一圈，与捷径对不上",
        ),
    ),
    hints=(
        Text(
            "Three convolutions, three norms; and a shortcut that is the identity wherever it can be.",
            "三个卷积，三个归一化层；捷径能用恒等映射的地方都用恒等映射。",
        ),
        Text(
            "1 × 1 to width, 3 × 3 with the stride, 1 × 1 to 4 * width. The shortcut is a strided 1 × 1 convolution and a norm "
            "if stride != 1 or in_channels != 4 * width.",
            "1 × 1 降到 width，3 × 3 带步幅，1 × 1 升到 4 * width。stride != 1 或 in_channels != 4 * width 时，"
            "捷径是带步幅的 1 × 1 卷积加归一化。",
        ),
        Text(
            "return relu(norm3(conv3(relu(norm2(conv2(relu(norm1(conv1(x)))))))) + shortcut(x)), all convolutions without bias.",
            "return relu(norm3(conv3(relu(norm2(conv2(relu(norm1(conv1(x)))))))) + shortcut(x))，所有卷积都不带偏置。",
        ),
    ),
)

_DEPTHS = [((3, 4, 6, 3),), ((3, 4, 23, 3),), ((1, 1, 1, 1),)]


def _parameters(depths: Sequence[int]) -> int:
    return count.parameters(ResNetConfig(tuple(depths), (64, 128, 256, 512), "bottleneck"))


def _count_by_hand(depths: Sequence[int], wrong: Variant) -> int:
    """The count by hand, with some things wrong."""
    norm = next((n for name, n in {"norms": 0, "buffers": 4, "one number": 1, "bias": 3}.items() if name in wrong), 2)
    total, channels = 64 * 3 * 49 + (0 if "stem norm" in wrong else norm * 64), 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for number in range(depth):
            inside = channels * width + (1 if "one pixel" in wrong else 9) * width**2 + 4 * width**2
            total += inside + (0 if "block norms" in wrong else 3 if "narrow norms" in wrong else 6) * norm * width
            first = number == 0 and "projections" not in wrong and (stage or "first projection" not in wrong)
            if first or "every block projects" in wrong:
                total += channels * 4 * width + (0 if "projection norms" in wrong else norm * 4 * width)
            narrow = "narrow" in wrong and number < depth - 1 or "always narrow" in wrong
            channels = width if narrow else 4 * width
    return total + (512 if "head" in wrong else 2048) * 1000 + 1000 * ("head bias" not in wrong)


def _counted(wrong: Variant) -> Callable[[Sequence[int]], int]:
    return partial(_count_by_hand, wrong=wrong)


_COUNT_SAYS = {
    "norms": Text(
        "the norms are missing: two parameters, factor and offset, for each of their channels",
        "漏了归一化层：每个通道有两个参数，即缩放与平移",
    ),
    "buffers": Text(
        "the running mean and variance of a norm are buffers, no parameters: no gradient trains them",
        "归一化层里均值与方差的滑动平均是缓冲区，不是参数，不由梯度训练",
    ),
    "bias": Text(
        "convolutions in front of a norm have no bias",
        "归一化之前的卷积没有偏置",
    ),
    "projections": Text(
        "the projections are missing: the first block of each stage has a 1 × 1 convolution and a norm on its shortcut",
        "漏了投影：每个阶段的第一个块在捷径上有一个 1 × 1 卷积和一个归一化",
    ),
    "first projection": Text(
        "the first stage projects, too: it does not stride, but its first block turns 64 channels into 256",
        "第一阶段也有投影：它不带步幅，但第一个块要把 64 个通道变成 256 个",
    ),
    "narrow": Text(
        "between blocks there are 4 * width channels: the first 1 × 1 of each later block reads all of them",
        "块与块之间有 4 * width 个通道：后续每个块的第一个 1 × 1 卷积都要读取全部通道",
    ),
    "head": Text(
        "the last map has 4 * 512 = 2,048 channels, and the linear layer reads them all",
        "最后的特征图有 4 * 512 = 2048 个通道，全连接层读取全部通道",
    ),
    "head bias": Text(
        "the linear layer has a bias for each class",
        "全连接层对每个类别有一个偏置",
    ),
    "stem norm": Text(
        "the norm of the stem is missing: two numbers for each of its 64 channels",
        "漏了起始层的归一化：64 个通道各两个数",
    ),
    "block norms": Text(
        "the norms inside the blocks are missing: two numbers for each of w + w + 4w channels",
        "漏了块里的归一化：w + w + 4w 个通道各两个数",
    ),
    "narrow norms": Text(
        "the norms of a block are counted short: they have w + w + 4w channels, and two numbers for each",
        "块里的归一化少算了：一共 w + w + 4w 个通道，每个通道两个数",
    ),
    "one number": Text(
        "a norm has two parameters per channel, a factor and an offset",
        "归一化层的每个通道有两个参数：缩放和平移",
    ),
    "projection norms": Text(
        "a norm follows each projection, too",
        "每个投影之后也有归一化",
    ),
    "one pixel": Text(
        "the convolution in the middle is 3 × 3: 9 * width² weights",
        "中间的卷积是 3 × 3：9 * width² 个权重",
    ),
    "every block projects": Text(
        "only the first block of a stage has a projection",
        "只有每个阶段的第一个块才有投影",
    ),
    "always narrow": Text(
        "a block gives 4 * width channels, to the next stage as well",
        "块输出 4 * width 个通道，传给下一阶段时也是",
    ),
}
_COUNTS = Diagnosis(_counted, [(name,) for name in _COUNT_SAYS], call, lambda: _DEPTHS, tolerance=1e-9)

COUNT = Exercise(
    number="9.2",
    name="parameters",
    stub='''def parameters(depths):
    """How many parameters a network of bottlenecks has: depths = (3, 4, 6, 3) is ResNet-50, with 25,557,032.

    From what you know, without building it: stem 7 x 7 for RGB, widths 64, 128, 256, 512, 1,000 classes.
    """
    raise NotImplementedError
''',
    expected=_parameters,
    cases=lambda: _DEPTHS,
    watch=without_modules("torch", "torchvision", "timm", "reslab"),
    tolerance=1e-9,
    mistakes=_COUNTS.mistakes(_COUNT_SAYS),
    hints=(
        Text(
            "Four kinds of terms: stem, blocks, projections, linear layer. A convolution has in × out × k × k weights.",
            "共四类：起始层、残差块、投影、全连接层。一个卷积有 输入通道 × 输出通道 × k × k 个权重。",
        ),
        Text(
            "A block of width w with c channels coming in: c·w + 9w² + 4w² weights, and norms of w + w + 4w channels.",
            "宽度为 w、输入 c 个通道的块：c·w + 9w² + 4w² 个权重，归一化的通道数为 w + w + 4w。",
        ),
        Text(
            "c is 64 at the start, then 4w of the block before. A stage's first block adds c·4w + 2·4w for its projection.",
            "c 起初是 64，此后总是前一个块的 4w。每个阶段的第一个块因投影再加 c·4w + 2·4w。",
        ),
    ),
)

EXERCISES = (BOTTLENECK, COUNT, PREACTIVATED, GATE)
