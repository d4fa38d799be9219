"""Lesson 2, convolution by hand: the exercises 2.1 and 2.3; the gradient (2.2) and the bug hunt (2.4) are in `lesson2_more`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text, as_numpy, same
from reslab.learn.exercises.forbidden import CONVOLUTION, without
from reslab.learn.exercises.lesson2_more import BACKWARD, FAST_CONV2D

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


def _right_and_below(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(F.pad(x, (0, 2 * padding, 0, 2 * padding)), weight, stride=stride)


def _edge_values(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(F.pad(x, (padding,) * 4, mode="replicate"), weight, stride=stride)


def _no_padding(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight, stride, 0)


def _no_stride(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight, 1, padding)


def _stride_in_size_only(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    right = _conv2d(x, weight, stride, padding)
    return _conv2d(x, weight, 1, padding)[:, :, : right.shape[2], : right.shape[3]]


def _rows_only(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(x, weight, stride=(stride, 1), padding=padding)


def _last_missing(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight, stride, padding)[:, :, :-1, :-1]


def _one_channel(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x[:, :1], weight[:, :1], stride, padding)


def _mean(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return _conv2d(x, weight, stride, padding) / weight[0].numel()


def _one_picture(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    y = _conv2d(x, weight, stride, padding)
    return torch.stack([y[0], torch.zeros_like(y[0])])


def _ends_early(given: list[Any], expected: list[Any]) -> bool:
    """Right as far as they go, but some maps lack their last row or column."""
    short = 0
    for one, right in zip(given, expected, strict=True):
        ours, theirs = as_numpy(one), as_numpy(right)
        if getattr(ours, "ndim", 0) != 4 or ours.shape[2] > theirs.shape[2] or ours.shape[3] > theirs.shape[3]:
            return False
        short += ours.shape != theirs.shape
        if not same(ours, theirs[:, :, : ours.shape[2], : ours.shape[3]], 1e-4):
            return False
    return short > 0


def _partly_padded(en: str, zh: str, sides: Callable[[int], tuple[int, int, int, int]]) -> Mistake:
    """Padding on two sides only; `sides` as in `F.pad`: left, right, above, below."""

    def answer(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(F.pad(x, sides(padding)), weight, stride=stride)

    return Mistake(
        answer,
        Text(
            f"your padding is {en} only; put `padding` rows or columns of zeros on all four sides",
            f"您只在{zh}做了填充；四边都要各补 padding 圈零",
        ),
    )


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
    watch=without(*CONVOLUTION),
    mistakes=(
        Mistake(
            _flipped,
            Text("your filter is turned by 180°: this is the mathematicians' convolution; networks slide it as it is",
                 "您把卷积核旋转了 180°：那是数学意义上的卷积；神经网络直接滑动卷积核，不翻转（互相关）"),
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight.flip(3), stride, padding),
            Text("your filter is mirrored, left and right are exchanged", "您的卷积核左右镜像了"),
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight.flip(2), stride, padding),
            Text("your filter is mirrored, above and below are exchanged", "您的卷积核上下镜像了"),
        ),
        Mistake(
            _transposed,
            Text("rows and columns of the filter are exchanged: weight[o, c, m, n] meets x[b, c, i + m, j + n]",
                 "卷积核的行与列弄反了：与 weight[o, c, m, n] 相乘的是 x[b, c, i + m, j + n]"),
        ),
        Mistake(
            _right_and_below,
            Text("the output has the right size, but all padding is at the right and below; half of it belongs above and left",
                 "输出尺寸对了，但填充全补在右侧和下侧；应当四边各补 padding 圈零"),
        ),
        _partly_padded("right and below", "右侧和下侧", lambda p: (0, p, 0, p)),
        _partly_padded("above and left", "上侧和左侧", lambda p: (p, 0, p, 0)),
        _partly_padded("above and below", "上侧和下侧", lambda p: (0, 0, p, p)),
        _partly_padded("left and right", "左侧和右侧", lambda p: (p, p, 0, 0)),
        Mistake(
            _edge_values,
            Text("the padding repeats the pixels of the border; it should be zeros", "填充时重复了边缘像素；这里要补的是零"),
        ),
        Mistake(
            _no_padding,
            Text("the padding is ignored: your output is right for padding = 0 only",
                 "没有用到 padding：只有 padding = 0 时结果才对"),
        ),
        Mistake(
            _no_stride,
            Text("the stride is ignored: the window must move by `stride` pixels",
                 "没有用到 stride：窗口每次要移动 stride 个像素"),
        ),
        Mistake(
            _stride_in_size_only,
            Text("the size is right, but the windows begin at (i, j); with a stride they begin at (i * stride, j * stride)",
                 "尺寸对了，但窗口的起点是 (i, j)；有步幅时应为 (i * stride, j * stride)"),
        ),
        Mistake(
            _rows_only,
            Text("the stride is used for the rows only; columns need it, too", "只有行方向用了 stride，列方向也要用"),
        ),
        Mistake(
            _last_missing,
            Text("the last row and column are missing: there are (n + 2p - k) // s + 1 positions, the first one counts, too",
                 "少了最后一行和最后一列：位置共有 (n + 2p - k) // s + 1 个，起始位置也算"),
            when=_ends_early,
        ),
        Mistake(
            _one_channel,
            Text("only the first input channel is used: the products of all input channels are added up",
                 "只用了第一个输入通道：所有输入通道的乘积要加在一起"),
        ),
        Mistake(
            _mean,
            Text("you take the mean of the products; convolution takes their sum", "您对乘积取了平均；卷积求的是和"),
        ),
        Mistake(
            _one_picture,
            Text("only the first picture of the batch is computed, the others are zero", "只算了批中的第一张图片，其余都是零"),
        ),
    ),
    hints=(
        Text("How many positions does the window have in each direction? The lesson has the formula.",
             "窗口在每个方向上有多少个位置？课文里有公式。"),
        Text("Pad first, into a tensor of zeros. Output (i, j) needs the k × k window whose corner is (i * stride, j * stride).",
             "先把 x 放进一个更大的全零张量完成填充。输出 (i, j) 用到的是左上角在 (i * stride, j * stride) 的 k × k 窗口。"),
        Text('One position: torch.einsum("bcmn,ocmn->bo", window, weight).',
             '一个位置的结果：torch.einsum("bcmn,ocmn->bo", window, weight)。'),
    ),
)  # fmt: skip

_Layers = list[tuple[int, int]]


def _networks() -> list[tuple[_Layers]]:
    """Small stacks, one with large strides, and ResNet-18: 435 pixels."""
    stages = [(3, 1)] * 4 + [(3, 2), (3, 1), (3, 1), (3, 1)] * 3
    return [
        ([(3, 1)],), ([(3, 1), (3, 1)],), ([(5, 1), (3, 1)],), ([(3, 2), (3, 1)],), ([(3, 1), (3, 2)],),
        ([(3, 2), (5, 3), (3, 1)],), ([(1, 2), (3, 1)],), ([(7, 2), (3, 2), *stages],), ([],),
    ]  # fmt: skip


def _field(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + (k - 1) * step, step * s
    return field


def _strides_ignored(layers: _Layers) -> int:
    return 1 + sum(k - 1 for k, _ in layers)


def _own_stride_first(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        step *= s
        field += (k - 1) * step
    return field


def _last_stride(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + (k - 1) * step, s
    return field


def _sum_of_strides(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + (k - 1) * step, step + s - 1
    return field


def _whole_kernels(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + k * step, step * s
    return field


def _kernels_added(layers: _Layers) -> int:
    return sum(k for k, _ in layers)


def _kernels_multiplied(layers: _Layers) -> int:
    field = 1
    for k, _ in layers:
        field *= k
    return field


def _from_zero(layers: _Layers) -> int:
    return _field(layers) - 1


def _backwards(layers: _Layers) -> int:
    return _field(layers[::-1])


RECEPTIVE_FIELD = Exercise(
    number="2.3",
    name="receptive_field",
    stub='''def receptive_field(layers):
    """layers: (side of the filter, stride) of each, from the picture on -> side of the receptive field in pixels"""
    raise NotImplementedError
''',
    expected=_field,
    cases=_networks,
    mistakes=(
        Mistake(
            _strides_ignored,
            Text(
                "the strides are ignored: behind a stride of 2, neighbours in the map are two pixels apart in the picture",
                "没有考虑步幅：经过步幅 2 之后，特征图上相邻的两个值在图片上相距两个像素",
            ),
        ),
        Mistake(
            _own_stride_first,
            Text(
                "a layer's own stride widens only the layers behind it: add (k - 1) * step first, then multiply the step",
                "一层自己的步幅只影响它后面的层：先加 (k - 1) * step，再更新 step",
            ),
        ),
        Mistake(
            _last_stride,
            Text(
                "only the stride of the layer before counts with you; the strides of all layers before multiply",
                "您只用了前一层的步幅；应当把前面所有层的步幅连乘起来",
            ),
        ),
        Mistake(
            _sum_of_strides,
            Text("strides are added up; they multiply", "您把各层步幅相加了；应当相乘"),
        ),
        Mistake(
            _whole_kernels,
            Text(
                "each layer adds k - 1 steps, not k: the filter's first pixel is there already",
                "每层增加的是 k - 1 步，而不是 k 步：卷积核的第一个像素本来就在感受野里",
            ),
        ),
        Mistake(
            _kernels_added,
            Text(
                "sides are added up: two 3 × 3 filters see 5 pixels, not 6, since they overlap; and strides are left out",
                "您把边长直接相加了：两个 3 × 3 卷积看到 5 个像素而不是 6 个，因为窗口有重叠；步幅也没有考虑",
            ),
        ),
        Mistake(
            _kernels_multiplied,
            Text(
                "sides are multiplied: two 3 × 3 filters see 5 pixels, not 9, since neighbouring windows overlap",
                "您把边长相乘了：两个 3 × 3 卷积看到 5 个像素而不是 9 个，因为相邻窗口有重叠",
            ),
        ),
        Mistake(
            _from_zero,
            Text(
                "one too few: without any layer, a pixel sees itself, so the count starts at 1",
                "少了 1：一层都没有时，一个像素能看到它自己，所以要从 1 算起",
            ),
        ),
        Mistake(
            _backwards,
            Text(
                "you go through the layers from the end; with this rule start at the picture",
                "您是从最后一层往前算的；用这条规则要从图片一侧开始",
            ),
        ),
    ),
    hints=(
        Text("Keep two numbers: the field so far, and how many pixels one step in the map is.",
             "记两个数：目前的感受野，以及特征图上移动一步相当于图片上的多少像素。"),
        Text("Both start at 1. A filter of side k takes k - 1 steps from its first number to its last.",
             "两个数都从 1 开始。边长为 k 的卷积核，从第一个数到最后一个数要走 k - 1 步。"),
        Text("For each layer: field += (k - 1) * step, and only then step *= stride.",
             "对每一层：先 field += (k - 1) * step，然后才 step *= stride。"),
    ),
)  # fmt: skip

EXERCISES = (CONV2D, BACKWARD, RECEPTIVE_FIELD, FAST_CONV2D)
