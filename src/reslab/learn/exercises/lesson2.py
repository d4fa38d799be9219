"""Lesson 2, convolution by hand."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text

_SHAPES = [(3, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (5, 3, 0), (1, 2, 0), (7, 2, 3), (2, 2, 1)]


def _cases() -> list[tuple[Tensor, Tensor, int, int]]:
    """Pictures, filters, strides and paddings of every kind; nothing in them is symmetric."""
    dice = torch.Generator().manual_seed(2)
    return [
        (torch.randn(2, 3, 9, 11, generator=dice), torch.randn(4, 3, k, k, generator=dice), stride, padding)
        for k, stride, padding in _SHAPES
    ]


def _conv2d(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(x, weight, stride=stride, padding=padding)


def _flipped(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight.flip(2, 3), stride, padding)


def _transposed(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight.transpose(2, 3), stride, padding)


def _one_side(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(F.pad(x, (0, 2 * padding, 0, 2 * padding)), weight, stride=stride)


def _no_padding(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight, stride, 0)


def _no_stride(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight, 1, padding)


def _last_missing(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight, stride, padding)[:, :, :-1, :-1]


def _one_channel(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x[:, :1], weight[:, :1], stride, padding)


CONV2D = Exercise(
    number="2.1",
    name="conv2d",
    stub='''import torch


def conv2d(x, weight, stride, padding):
    """x [batch, in_channels, height, width], weight [out_channels, in_channels, k, k] -> [batch, out_channels, …, …]"""
    raise NotImplementedError
''',
    expected=_conv2d,
    cases=_cases,
    mistakes=(
        Mistake(
            _flipped,
            Text(
                "your filter is turned by 180°: this is the mathematicians' convolution; networks slide it as it is",
                "您把卷积核旋转了 180°：那是数学意义上的卷积；神经网络直接滑动卷积核，不翻转（互相关）",
            ),
        ),
        Mistake(
            _transposed,
            Text(
                "rows and columns of the filter are exchanged",
                "卷积核的行与列弄反了",
            ),
        ),
        Mistake(
            _one_side,
            Text(
                "the padding is on one side only (right and bottom); put `padding` zeros on all four sides",
                "只在右侧和下侧做了填充；四边都要各补 padding 圈零",
            ),
        ),
        Mistake(_no_padding, Text("the padding is ignored", "没有使用 padding")),
        Mistake(
            _no_stride,
            Text(
                "the stride is ignored: the window must move by `stride` pixels",
                "没有使用 stride：窗口每次要移动 stride 个像素",
            ),
        ),
        Mistake(
            _last_missing,
            Text(
                "the last row and column are missing: there are (n + 2p - k) // s + 1 positions, the first one counts, too",
                "少了最后一行和最后一列：位置共有 (n + 2p - k) // s + 1 个，起始位置也算",
            ),
        ),
        Mistake(
            _one_channel,
            Text(
                "only the first input channel is used: the products of all input channels are added up",
                "只用了第一个输入通道：所有输入通道的乘积要加在一起",
            ),
        ),
    ),
    hints=(
        Text(
            "How many positions does the window have in each direction? The lesson has the formula.",
            "窗口在每个方向上有多少个位置？课文里有公式。",
        ),
        Text(
            "Pad first, into a tensor of zeros. Output (i, j) needs the k × k window whose corner is (i * stride, j * stride).",
            "先把 x 放进一个更大的全零张量完成填充。输出 (i, j) 用到的是左上角在 (i * stride, j * stride) 的 k × k 窗口。",
        ),
        Text(
            'One position: torch.einsum("bcij,ocij->bo", window, weight).',
            '一个位置的结果：torch.einsum("bcij,ocij->bo", window, weight)。',
        ),
    ),
)

EXERCISES = (CONV2D,)
