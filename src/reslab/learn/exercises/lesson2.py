"""Lesson 2, convolution by hand: 2.1; the receptive field (2.3) is in `lesson2_field`, 2.2 and 2.4 in `lesson2_more`."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, as_numpy, same
from reslab.learn.exercises.forbidden import CONVOLUTION, without
from reslab.learn.exercises.lesson2_field import RECEPTIVE_FIELD
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


def _edge_values(x: Tensor, weight: Tensor, stride: int, padding: int, mode: str = "replicate") -> Tensor:
    return F.conv2d(F.pad(x, (padding,) * 4, mode=mode), weight, stride=stride)


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


def _begins_late(given: list[Any], expected: list[Any]) -> bool:
    """With a stride, the windows start at another position than the first, and every stride-th follows."""
    late = 0
    for (x, weight, stride, padding), one, right in zip(_cases(), given, expected, strict=True):
        ours = as_numpy(one)
        if same(ours, right, 1e-4):
            continue
        every = _conv2d(x, weight, 1, padding)
        starts = [every[:, :, i::stride, j::stride] for i in range(stride) for j in range(stride) if i or j]
        if not any(same(ours, start[:, :, : ours.shape[2], : ours.shape[3]], 1e-4) for start in starts):
            return False
        late += 1
    return late > 0


def _runs_out(result: Any) -> bool:
    """An error such as a window gives that is too small."""
    kinds, words = ("RuntimeError", "ValueError", "IndexError"), r"size|match|broadcast|out of|align"
    return isinstance(result, Raised) and result.kind in kinds and re.search(words, result.message) is not None


def _too_many(given: list[Any], expected: list[Any]) -> bool:
    """Windows run out of the picture even where nothing is padded, or maps have rows or columns behind the last."""
    wrong = 0
    for one, right, (*_, padding) in zip(given, expected, _cases(), strict=True):
        ours, theirs = as_numpy(one), as_numpy(right)
        if _runs_out(one):
            wrong += padding == 0
        elif same(ours[:, :, : theirs.shape[2], : theirs.shape[3]], theirs, 1e-4):
            wrong += ours.shape != theirs.shape
        else:
            return False
    return wrong > 0


def _padding_in_size_only(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    k = weight.shape[-1]
    rows, columns = ([stride * n for n in range((side + 2 * padding - k) // stride + 1)] for side in x.shape[2:])
    windows = [[x[:, :, i : i + k, j : j + k] for j in columns] for i in rows]
    return torch.stack(
        [torch.stack([torch.einsum("bcmn,ocmn->bo", w, weight) for w in row], -1) for row in windows], -2
    )


def _unpadded_runs_out(given: list[Any], expected: list[Any]) -> bool:
    """Right without padding; with it, windows run out of the picture (one of a single pixel may be stretched)."""
    return any(map(_runs_out, given)) and all(
        same(one, right, 1e-4) != (padding > 0)
        for one, right, (*_, padding) in zip(given, expected, _cases(), strict=True)
    )


def _masked(x: Tensor, weight: Tensor, stride: int, padding: int, kept: Any) -> Tensor:
    """Only some weights `[in_channels, k, k]` of each filter count."""
    some = torch.zeros_like(weight)
    some[:, *kept] = weight[:, *kept]
    return _conv2d(x, some, stride, padding)


_ALL = slice(None)
_LAST = [(_ALL, -1, -1), (-1, _ALL, _ALL), (_ALL, -1, _ALL), (_ALL, _ALL, -1), (-1, -1, -1)]


def _any_of(*answers: Callable[..., Tensor]) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises what one of these gives in every case."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        pairs = list(zip(given, _cases(), strict=True))
        return any(all(same(one, answer(*case), 1e-4) for one, case in pairs) for answer in answers)

    return when


def _squared(given: list[Any], expected: list[Any]) -> bool:
    """Each map is square, though no picture is."""
    return all(one.shape[2] == one.shape[3] for one in given)


def _partly_padded(en: str, zh: str, sides: Callable[[int], tuple[int, int, int, int]]) -> Mistake:
    """Padding on two sides only; `sides` as in `F.pad`: left, right, above, below."""

    def answer(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(F.pad(x, sides(padding)), weight, stride=stride)

    return Mistake(
        answer,
        f"your padding is {en} only; put `padding` rows or columns of zeros on all four sides",
        f"您只在{zh}做了填充；四边都要各补 padding 圈零",
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
            "your filter is turned by 180°: this is the mathematicians' convolution; networks slide it as it is",
                 "您把卷积核旋转了 180°：那是数学意义上的卷积；神经网络直接滑动卷积核，不翻转（互相关）",
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight.flip(3), stride, padding),
            "your filter is mirrored, left and right are exchanged", "您的卷积核左右镜像了",
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight.flip(2), stride, padding),
            "your filter is mirrored, above and below are exchanged", "您的卷积核上下镜像了",
        ),
        Mistake(
            _transposed,
            "rows and columns of the filter are exchanged: weight[o, c, m, n] meets x[b, c, i + m, j + n]",
                 "卷积核的行与列弄反了：与 weight[o, c, m, n] 相乘的是 x[b, c, i + m, j + n]",
        ),
        Mistake(
            _right_and_below,
            "the output has the right size, but all padding is at the right and below; half of it belongs above and left",
                 "输出尺寸对了，但填充全补在右侧和下侧；应当四边各补 padding 圈零",
        ),
        _partly_padded("right and below", "右侧和下侧", lambda p: (0, p, 0, p)),
        _partly_padded("above and left", "上侧和左侧", lambda p: (p, 0, p, 0)),
        _partly_padded("above and below", "上侧和下侧", lambda p: (0, 0, p, p)),
        _partly_padded("left and right", "左侧和右侧", lambda p: (p, p, 0, 0)),
        Mistake(
            _edge_values,
            "the padding repeats pixels of the picture; it should be zeros", "填充时重复了图片里的像素；这里应当补零",
            when=_any_of(*(partial(_edge_values, mode=mode) for mode in ("replicate", "reflect", "circular"))),
        ),
        Mistake(
            _no_padding,
            "the padding is ignored: your output is right for padding = 0 only",
                 "没有用到 padding：只有 padding = 0 时结果才对",
        ),
        Mistake(
            _no_stride,
            "the stride is ignored: the window must move by `stride` pixels",
                 "没有用到 stride：窗口每次要移动 stride 个像素",
        ),
        Mistake(
            _stride_in_size_only,
            "the size is right, but the windows begin at (i, j); with a stride they begin at (i * stride, j * stride)",
                 "尺寸对了，但窗口的起点是 (i, j)；有步幅时应为 (i * stride, j * stride)",
        ),
        Mistake(
            _rows_only,
            "the stride is used for the rows only; columns need it, too", "只有行方向用了 stride，列方向也要用",
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x[:, :, :, : x.shape[2]], weight, stride, padding),
            "your output is always square: rows follow from the height of x, columns from its width",
                 "您的输出总是正方形：行数由 x 的高决定，列数由 x 的宽决定",
            when=_squared,
        ),
        Mistake(
            _last_missing,
            "the last row and column are missing: there are (n + 2p - k) // s + 1 positions, the first one counts, too",
                 "少了最后一行和最后一列：位置共有 (n + 2p - k) // s + 1 个，起始位置也算",
            when=_ends_early,
        ),
        Mistake(
            lambda x, weight, stride, padding: F.pad(_conv2d(x, weight, stride, padding), (0, 1, 0, 1)),
            "too many positions: the last windows run out of the padded picture; there are (n + 2p - k) // s + 1",
                 "位置算多了：最后几个窗口超出了填充后的图片；一共只有 (n + 2p - k) // s + 1 个位置",
            when=_too_many,
        ),
        Mistake(
            _padding_in_size_only,
            "the size of your output counts the padding, but x is not padded: the last windows run out of the picture",
                 "输出尺寸里算进了 padding，x 却没有填充：最后几个窗口超出了图片",
            when=_unpadded_runs_out,
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight, 1, padding)[:, :, stride - 1 :: stride, stride - 1 :: stride],
            "with a stride your first window is not at the corner: begin at position 0 and take every stride-th, [::stride]",
                 "有步幅时，第一个窗口没有从角上开始：应从位置 0 起，每隔 stride 取一个，即 [::stride]",
            when=_begins_late,
        ),
        Mistake(
            _one_channel,
            "only the first input channel is used: the products of all input channels are added up",
                 "只用了第一个输入通道：所有输入通道的乘积要加在一起",
        ),
        Mistake(
            partial(_masked, kept=_LAST[0]),
            "each product overwrites the one before, so only the last counts: add them up with +=",
                 "后一个乘积覆盖了前一个，只剩下最后的：要用 += 累加",
            when=_any_of(*(partial(_masked, kept=kept) for kept in _LAST)),
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight, stride, 2 * padding),
            "the picture is padded twice: each side gets `padding` rows or columns, 2 * padding are both sides together",
                 "填充做了两遍：每一边只补 padding 圈，2 * padding 是两边合计",
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight, stride, padding).transpose(2, 3),
            "rows and columns of the output are exchanged: y[b, o, i, j] belongs to the window at row i, column j",
                 "输出的行与列弄反了：y[b, o, i, j] 对应第 i 行、第 j 列的窗口",
        ),
        Mistake(
            lambda x, weight, stride, padding: _conv2d(x, weight, stride, padding).permute(0, 2, 3, 1),
            "the channels of the output are last; they stand behind the batch, [batch, out_channels, …, …]",
                 "输出的通道放到了最后；应紧跟在批之后：[batch, out_channels, …, …]",
        ),
        Mistake(
            _mean,
            "you take the mean of the products; convolution takes their sum", "您对乘积取了平均；卷积求的是和",
        ),
        Mistake(
            _one_picture,
            "only the first picture of the batch is computed", "只算了批中的第一张图片",
            when=_any_of(_one_picture, lambda x, *rest: _conv2d(x[:1], *rest), lambda x, *rest: _conv2d(x[:1], *rest)[0]),
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

EXERCISES = (CONV2D, BACKWARD, RECEPTIVE_FIELD, FAST_CONV2D)
