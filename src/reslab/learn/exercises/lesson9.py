"""Lesson 9, the family: the bottleneck, and counting networks that are made of it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.forbidden import without_modules
from reslab.learn.exercises.lesson9_more import GATE, PREACTIVATED
from reslab.nn import count
from reslab.nn.blocks import Bottleneck
from reslab.nn.config import ResNetConfig

_SHAPES = [(6, 4, 1), (16, 4, 1), (16, 8, 2)]  # input channels, width, stride: widens, keeps the shape, halves the map


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
        if stride == 1 and in_channels == out and self.wrong != "always":
            return nn.Identity()
        project = nn.Conv2d(in_channels, out, 1, 1 if self.wrong == "shortcut stride" else stride, bias=False)
        return project if self.wrong == "bare" else nn.Sequential(project, nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y = self.norm3(self.conv3(y if self.wrong == "one relu" else torch.relu(y)))
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
            _wrong("shortcut stride"),
            "with stride 2 the two maps of the sum differ in size: the projection must stride, too",
            "步幅为 2 时，相加的两张特征图大小不同：投影也要带同样的步幅",
            when=_fits_nowhere,
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


def _counted(wrong: str = "") -> Callable[[Sequence[int]], int]:
    """The count by hand, with one thing wrong."""

    def parameters(depths: Sequence[int]) -> int:
        norm, bias = {"norms": 0, "buffers": 4}.get(wrong, 2), int(wrong == "bias")
        total, channels = 64 * 3 * 49 + (norm + bias) * 64, 64
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage
            for number in range(depth):
                inside = channels * width + 9 * width**2 + 4 * width**2
                total += inside + (norm + bias) * 6 * width
                if number == 0 and wrong != "projections" and (stage or wrong != "first projection"):
                    total += channels * 4 * width + (norm + bias) * 4 * width
                channels = width if wrong == "narrow" and number < depth - 1 else 4 * width
        features = 512 if wrong == "head" else 2048
        return total + features * 1000 + 1000 * (wrong != "head bias")

    return parameters


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
    mistakes=(
        Mistake(
            _counted("norms"),
            "the norms are missing: two parameters, factor and offset, for each of their channels",
            "漏了归一化层：每个通道有两个参数，即缩放与平移",
        ),
        Mistake(
            _counted("buffers"),
            "the running mean and variance of a norm are buffers, no parameters: no gradient trains them",
            "归一化层里均值与方差的滑动平均是缓冲区，不是参数，不由梯度训练",
        ),
        Mistake(
            _counted("bias"),
            "convolutions in front of a norm have no bias",
            "归一化之前的卷积没有偏置",
        ),
        Mistake(
            _counted("projections"),
            "the projections are missing: the first block of each stage has a 1 × 1 convolution and a norm on its shortcut",
            "漏了投影：每个阶段的第一个块在捷径上有一个 1 × 1 卷积和一个归一化",
        ),
        Mistake(
            _counted("first projection"),
            "the first stage projects, too: it does not stride, but its first block turns 64 channels into 256",
            "第一阶段也有投影：它不带步幅，但第一个块要把 64 个通道变成 256 个",
        ),
        Mistake(
            _counted("narrow"),
            "between blocks there are 4 * width channels: the first 1 × 1 of each later block reads all of them",
            "块与块之间有 4 * width 个通道：后续每个块的第一个 1 × 1 卷积都要读取全部通道",
        ),
        Mistake(
            _counted("head"),
            "the last map has 4 * 512 = 2,048 channels, and the linear layer reads them all",
            "最后的特征图有 4 * 512 = 2048 个通道，全连接层读取全部通道",
        ),
        Mistake(
            _counted("head bias"),
            "the linear layer has a bias for each class",
            "全连接层对每个类别有一个偏置",
        ),
    ),
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
