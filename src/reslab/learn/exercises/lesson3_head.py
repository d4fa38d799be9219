"""Lesson 3: the head of a network (3.2)."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, as_numpy, same

_Head = Callable[[Tensor, Tensor, Tensor], Tensor]


def _maps() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Last maps of several sizes, and a head's weights and biases."""
    dice = torch.Generator().manual_seed(32)
    weight, bias = torch.randn(4, 5, generator=dice), torch.randn(4, generator=dice)
    sizes = [(3, 5, 2, 2), (2, 5, 7, 7), (2, 5, 3, 8), (2, 5, 1, 5), (1, 5, 1, 1)]
    return [(torch.randn(*size, generator=dice), weight, bias) for size in sizes]


def _head(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(features.mean(dim=(2, 3)), weight, bias)


def _flattened(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(features.flatten(1), weight, bias)


def _needs_one_size(given: list[Any], expected: list[Any]) -> bool:
    """An answer for maps of one pixel, and none for larger ones."""
    return same(given[-1], expected[-1], 1e-5) and not any(hasattr(one, "shape") for one in given[:-1])


def _divided_by(divisor: Callable[[Tensor], float] | None) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises sums of the channels that are divided by this number, or, without one, always by the same."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        found, wanted = [], []
        for one, (features, weight, bias) in zip(given, _maps(), strict=True):
            total = F.linear(features.sum(dim=(2, 3)), weight)
            scaled = torch.as_tensor(as_numpy(one)) - bias
            number = float((total * total).sum() / (total * scaled).sum())
            if not same(scaled, total / number, 1e-4):
                return False
            found.append(number)
            wanted.append(divisor(features) if divisor else found[0])
        return same(found, wanted, 1e-3)

    return when


def _any_of(*answers: _Head) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises what one of these gives in every case."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        pairs = list(zip(given, _maps(), strict=True))
        return any(all(same(one, answer(*case), 1e-4) for one, case in pairs) for answer in answers)

    return when


def _of(pooled: Callable[[Tensor], Tensor]) -> _Head:
    """A head that pools like this."""
    return lambda features, weight, bias: F.linear(pooled(features), weight, bias)


_PLACES = [
    _of(lambda x: x[:, :, 0, 0]),
    _of(lambda x: x[:, :, -1, -1]),
    _of(lambda x: x[:, :, x.shape[2] // 2, x.shape[3] // 2]),
]
_LINES = [
    _of(lambda x: x.mean(2)[:, :, 0]),
    _of(lambda x: x.mean(3)[:, :, 0]),
    _of(lambda x: x.mean(2)[:, :, -1]),
    _of(lambda x: x.mean(3)[:, :, -1]),
]
_ENDS: list[_Head] = [
    lambda *case: _head(*case).softmax(1),
    lambda *case: _head(*case).log_softmax(1),
    lambda *case: _head(*case).sigmoid(),
    lambda *case: _head(*case).softmax(0),
]


def _crosswise(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return features.mean(dim=(2, 3)) @ weight + bias


def _cannot_multiply(given: list[Any], expected: list[Any]) -> bool:
    """The error of a matrix that lies crosswise."""
    return all(isinstance(one, Raised) and re.search(r"x5 and 4x5|\(5,?\).*\(4, 5\)", one.message) for one in given)


HEAD = Exercise(
    number="3.2",
    name="head",
    stub='''import torch


def head(features, weight, bias):
    """The last map [batch, channels, height, width], weight [classes, channels], bias [classes] -> logits [batch, classes]

    Global average pooling and a fully connected layer, for maps of any height and width.
    """
    raise NotImplementedError
''',
    expected=_head,
    cases=_maps,
    mistakes=(
        Mistake(
            _flattened,
            "flattened, a map gives as many inputs as it has numbers: the weights fit one size only; take channel means",
                 "展平之后，输入个数等于特征图里的全部数，权重只适合一种尺寸；应当先对每个通道取平均",
            when=_needs_one_size,
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.sum(dim=(2, 3)), weight, bias),
            "you take each channel's sum; with it, a larger picture gives larger logits. Take the mean",
                 "您取的是每个通道的和：图片越大，logits 就越大。应当取平均",
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.sum(dim=(2, 3)) / features.shape[2], weight, bias),
            "the sum is divided by the height only; a map has height × width places",
                 "和只除以了高；一张特征图有 高 × 宽 个位置",
            when=_divided_by(lambda features: features.shape[2]),
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.sum(dim=(2, 3)) / features.shape[3], weight, bias),
            "the sum is divided by the width only; a map has height × width places",
                 "和只除以了宽；一张特征图有 高 × 宽 个位置",
            when=_divided_by(lambda features: features.shape[3]),
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.sum(dim=(2, 3)) / 49, weight, bias),
            "the sum is always divided by the same number, which fits maps of one size only; divide by height × width",
                 "和总是除以同一个数，只适合一种尺寸的特征图；应当除以 高 × 宽",
            when=_divided_by(None),
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.amax(dim=(2, 3)), weight, bias),
            "you take each channel's greatest number; a ResNet takes the mean",
                 "您取的是每个通道的最大值；ResNet 取的是平均值",
        ),
        Mistake(
            _PLACES[0],
            "only one place of each channel is used; take the mean of all places",
                 "每个通道只用了一个位置；应当对所有位置取平均",
            when=_any_of(*_PLACES),
        ),
        Mistake(
            _LINES[0],
            "the mean runs over one row or column of each channel only; it runs over both axes, dim=(2, 3)",
                 "每个通道只对一行或一列取了平均；应当对高和宽都取平均，即 dim=(2, 3)",
            when=_any_of(*_LINES),
        ),
        Mistake(
            _crosswise,
            "the shapes do not fit: weight is [classes, channels], so multiply by weight.T",
                 "形状对不上：weight 是 [classes, channels]，应当乘以 weight.T",
            when=_cannot_multiply,
        ),
        Mistake(
            lambda features, weight, bias: _head(features, weight, bias).argmax(1),
            "these are the classes already; the head gives one logit for each class",
                 "这已经是类别了；网络末端要给出每个类别的 logit",
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.flatten(2).median(2).values, weight, bias),
            "you take each channel's median; a ResNet takes the mean",
                 "您取的是每个通道的中位数；ResNet 取的是平均值",
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.mean(dim=1).flatten(1), weight, bias),
            "you take the mean over the channels; take it over height and width, dim=(2, 3), so that each channel keeps one",
                 "您对通道取了平均；应当对高和宽取平均，即 dim=(2, 3)，每个通道留下一个数",
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.mean(dim=(2, 3)), weight),
            "the bias is missing", "漏了偏置",
        ),
        Mistake(
            lambda features, weight, bias: _head(features, weight, bias).softmax(dim=1),
            "these are probabilities; the head gives logits, softmax comes later",
                 "这是概率；网络末端给出的是 logits，softmax 是后面的事",
            when=_any_of(*_ENDS),
        ),
        Mistake(
            lambda features, weight, bias: torch.relu(_head(features, weight, bias)),
            "negative logits have become 0; nothing follows the fully connected layer",
                 "负的 logits 变成了 0；全连接层之后什么也不接",
        ),
        Mistake(
            lambda features, weight, bias: F.linear(features.mean(dim=(0, 2, 3)), weight, bias),
            "you take the mean over the pictures of the batch, too: each picture has logits of its own",
                 "您把同一批的各张图片也一起平均了：每张图片都应有自己的 logits",
        ),
    ),
    hints=(
        Text("How many numbers must arrive at the fully connected layer, whatever the picture's size?",
             "不论图片多大，应当有多少个数进入全连接层？"),
        Text("One for each channel: features.mean over the two axes of the map.",
             "每个通道一个数：对特征图的两个空间轴取 features.mean。"),
        Text("features.mean(dim=(2, 3)) @ weight.T, and then the bias.", "features.mean(dim=(2, 3)) @ weight.T，再加上偏置。"),
    ),
)  # fmt: skip
