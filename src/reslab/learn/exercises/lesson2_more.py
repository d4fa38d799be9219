"""Lesson 2: the gradient of a convolution (2.2), and the bug hunt (2.4)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text, as_numpy, same

_Gradients = tuple[Tensor, Tensor, Tensor]
_X, _WEIGHT, _BIAS = 0, 1, 2
_CLOSE = 1e-4


def _cases() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Inputs, filters and gradients of outputs; in the last, channels in and out are as many."""
    dice = torch.Generator().manual_seed(22)
    shapes = [(2, 3, 4, 6, 7, 3), (3, 2, 5, 8, 6, 5), (2, 1, 1, 5, 6, 2), (4, 3, 2, 4, 5, 1), (2, 3, 3, 7, 6, 3)]
    return [
        (
            torch.randn(batch, channels, height, width, generator=dice),
            torch.randn(out, channels, k, k, generator=dice),
            torch.randn(batch, out, height - k + 1, width - k + 1, generator=dice),
        )
        for batch, channels, out, height, width, k in shapes
    ]


def _backward(x: Tensor, weight: Tensor, grad: Tensor) -> _Gradients:
    """By PyTorch's automatic differentiation."""
    x, weight, bias = (each.detach().requires_grad_() for each in (x, weight, torch.zeros(len(weight))))
    grad_x, grad_weight, grad_bias = torch.autograd.grad(F.conv2d(x, weight, bias), (x, weight, bias), grad)
    return grad_x, grad_weight, grad_bias


def _with(part: int, wrong: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., _Gradients]:
    """The right gradients, one of them replaced."""

    def answer(x: Tensor, weight: Tensor, grad: Tensor) -> _Gradients:
        gradients = list(_backward(x, weight, grad))
        gradients[part] = wrong(x, weight, grad)
        return gradients[0], gradients[1], gradients[2]

    return answer


def _slip(part: int, wrong: Callable[[Tensor, Tensor, Tensor], Tensor], says: Text) -> Mistake:
    """Wrong in one of the three gradients, whatever the other two are."""
    answer = _with(part, wrong)

    def found(given: list[Any], expected: list[Any]) -> bool:
        theirs = [answer(*case)[part] for case in _cases()]
        return all(
            isinstance(one, (tuple, list)) and len(one) == 3 and same(one[part], other, _CLOSE)
            for one, other in zip(given, theirs, strict=True)
        )

    return Mistake(answer, *says, found)


def _full(grad: Tensor, weight: Tensor) -> Tensor:
    """`grad` padded by k - 1 and slid over by `weight`, as given."""
    return F.conv2d(F.pad(grad, (weight.shape[-1] - 1,) * 4), weight)


def _weight_gradients(x: Tensor, grad: Tensor) -> Tensor:
    """`[out, in, k, k]`"""
    return F.conv2d(x.transpose(0, 1), grad.transpose(0, 1)).transpose(0, 1)


def _last_window(x: Tensor, weight: Tensor, grad: Tensor) -> Tensor:
    """Each output writes its window of the gradient of x, the last one stays."""
    result, k = torch.zeros_like(x), weight.shape[-1]
    for o in range(len(weight)):
        for i in range(grad.shape[2]):
            for j in range(grad.shape[3]):
                result[:, :, i : i + k, j : j + k] = grad[:, o, i, j].view(-1, 1, 1, 1) * weight[o]
    return result


def _last_place(x: Tensor, weight: Tensor, grad: Tensor) -> Tensor:
    k = weight.shape[-1]
    return grad[-1, :, -1, -1].view(-1, 1, 1, 1) * x[-1, :, -k:, -k:]


def _reordered(x: Tensor, weight: Tensor, grad: Tensor) -> _Gradients:
    grad_x, grad_weight, grad_bias = _backward(x, weight, grad)
    return grad_weight, grad_x, grad_bias


BACKWARD = Exercise(
    number="2.2",
    name="backward",
    stub='''import torch


def backward(x, weight, grad):
    """Gradients of conv2d(x, weight) + bias, stride 1, no padding.

    x [batch, in_channels, height, width], weight [out_channels, in_channels, k, k], grad [batch, out_channels, …, …]
    -> gradients of x, of weight and of the bias, in this order
    """
    raise NotImplementedError
''',
    expected=_backward,
    cases=_cases,
    tolerance=_CLOSE,
    mistakes=(
        _slip(
            _X, lambda x, w, g: _full(g, w.transpose(0, 1)),
            Text("gradient of x: the filter is not turned by 180°, but pixel (a, b) met w(m, n) at output (a - m, b - n)",
                 "x 的梯度：卷积核没有旋转 180°；像素 (a, b) 是在输出 (a - m, b - n) 处与 w(m, n) 相乘的"),
        ),
        _slip(
            _X, lambda x, w, g: F.conv2d(F.pad(g, ((w.shape[-1] - 1) // 2,) * 4), w.flip(2, 3).transpose(0, 1)),
            Text("gradient of x has the wrong size: pad `grad` with k - 1 zeros on each side, so that it has the shape of x",
                 "x 的梯度尺寸不对：grad 四边要各补 k - 1 圈零，结果才与 x 形状相同"),
        ),
        _slip(
            _X, lambda x, w, g: _full(g, w.flip(2, 3).transpose(0, 1)) / w.shape[0],
            Text("gradient of x: you take a mean over the output channels; their contributions are added up",
                 "x 的梯度：您对输出通道取了平均；各输出通道的贡献应当相加"),
        ),
        _slip(
            _X, lambda x, w, g: _last_window(x, w, g),
            Text("gradient of x: each window overwrites the one before; a pixel lies in several windows, so add with +=",
                 "x 的梯度：后一个窗口覆盖了前一个；一个像素属于好几个窗口，要用 += 累加"),
        ),
        _slip(
            _WEIGHT, lambda x, w, g: _weight_gradients(x[-1:], g[-1:]),
            Text("gradient of the weight: only the last picture counts; set it to zero once, before all loops",
                 "权重的梯度：每张图片都重新开始，只剩下最后一张；清零只能在循环之前做一次"),
        ),
        _slip(
            _WEIGHT, lambda x, w, g: _last_place(x, w, g),
            Text("gradient of the weight: only the last place of the last picture counts; add up with +=",
                 "权重的梯度：只剩下最后一张图片的最后一个位置；要用 += 累加"),
        ),
        _slip(
            _BIAS, lambda x, w, g: g.mean(dim=(2, 3)).sum(dim=0),
            Text("gradient of the bias: you divide by the number of places; it is a sum over places and pictures",
                 "偏置的梯度：您除以了位置数；它是对所有位置、所有图片求和"),
        ),
        _slip(
            _WEIGHT, lambda x, w, g: _weight_gradients(x, g) / len(x),
            Text("gradient of the weight: you take the mean over the batch; the pictures' contributions are added up",
                 "权重的梯度：您对批取了平均；各张图片的贡献应当相加"),
        ),
        _slip(
            _WEIGHT, lambda x, w, g: _weight_gradients(x[:1], g[:1]),
            Text("gradient of the weight: only the first picture counts; sum over the batch",
                 "权重的梯度：只算了第一张图片；要对整批求和"),
        ),
        _slip(
            _WEIGHT, lambda x, w, g: _weight_gradients(x, g).flip(2, 3),
            Text("gradient of the weight is turned by 180°: w(m, n) meets x(i + m, j + n), nothing is turned here",
                 "权重的梯度被旋转了 180°：与 w(m, n) 相乘的是 x(i + m, j + n)，这里不需要旋转"),
        ),
        _slip(
            _WEIGHT, lambda x, w, g: _weight_gradients(x, g).transpose(2, 3),
            Text("gradient of the weight: rows and columns are exchanged", "权重的梯度：行与列弄反了"),
        ),
        _slip(
            _BIAS, lambda x, w, g: g.mean(dim=(0, 2, 3)),
            Text("gradient of the bias: you take the mean; the bias is added at every place of every picture, so sum them",
                 "偏置的梯度：您取了平均；偏置加在每张图片的每个位置上，应当求和"),
        ),
        _slip(
            _BIAS, lambda x, w, g: g.sum(dim=(2, 3)),
            Text("gradient of the bias is not summed over the batch: there is one number for each output channel",
                 "偏置的梯度没有对批求和：每个输出通道只有一个数"),
        ),
        Mistake(
            lambda x, w, g: _backward(x, w, g)[:2],
            "there are three gradients to return: of x, of weight, of the bias", "要返回三个梯度：x、weight、偏置",
            when=lambda given, expected: all(isinstance(one, (tuple, list)) and len(one) == 2 for one in given),
        ),
        Mistake(
            _reordered,
            "the order is wrong: return the gradients of x, of weight, of the bias",
                 "返回顺序不对：依次是 x、weight、偏置的梯度",
        ),
    ),
    hints=(
        Text("Shared things collect a sum: which places and which pictures used weight (m, n)?",
             "凡是被共用的数，梯度都要求和：哪些位置、哪些图片用过权重 (m, n)？"),
        Text("You may loop: each output (b, o, i, j) sends grad * weight[o] to the window of x and grad * window to weight[o].",
             "可以用循环：输出 (b, o, i, j) 把 grad * weight[o] 加到 x 的窗口上，把 grad * 窗口 加到 weight[o] 上。"),
        Text("Without loops: pad grad by k - 1, convolve with weight.flip(2, 3).transpose(0, 1); that is the gradient of x.",
             "不用循环：把 grad 四边补 k - 1 圈零，再与 weight.flip(2, 3).transpose(0, 1) 做卷积，就是 x 的梯度。"),
    ),
)  # fmt: skip


# ------------------------------------------------------------------ 2.4, the bug hunt


def _hunt() -> list[tuple[Tensor, Tensor, Tensor, int, int]]:
    """Square and not, with and without bias, symmetric filters and not: each bug shows in a case where the others do not.

    0 only the bias, 1 only the filter, 2 only the shape (wide), 3 only the shape (high), then everything.
    """
    dice = torch.Generator().manual_seed(24)

    def case(height: int, width: int, symmetric: bool, biased: bool, stride: int = 1, padding: int = 0) -> Any:
        x = torch.randn(2, 3, height, width, generator=dice)
        weight = torch.randn(4, 3, 3, 3, generator=dice)
        weight = weight + weight.transpose(2, 3) if symmetric else weight
        bias = torch.randn(4, generator=dice) * biased
        return x, weight, bias, stride, padding

    return [
        case(6, 6, True, True), case(6, 6, False, False), case(5, 8, True, False), case(8, 5, True, False),
        case(7, 9, False, True, 2, 1), case(9, 6, False, True, 2, 0), case(7, 7, False, True, 3, 2),
    ]  # fmt: skip


def _right(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(x, weight, bias, stride, padding)


def _fast(many_biases: bool = False, square: bool = False, exchanged: bool = False) -> Callable[..., Tensor]:
    """The stub's convolution with some of its bugs."""

    def answer(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        k = weight.shape[-1]
        x = F.pad(x, (padding,) * 4)
        rows, columns = ((length - k) // stride + 1 for length in (x.shape[-1] if square else x.shape[2], x.shape[3]))
        y = torch.zeros(len(x), len(weight), rows, columns)
        for m in range(k):
            for n in range(k):
                part = x[:, :, m : m + stride * rows : stride, n : n + stride * columns : stride]
                tap = weight[:, :, n, m] if exchanged else weight[:, :, m, n]
                y += torch.einsum("bchw,oc->bohw", part, tap) + bias.view(-1, 1, 1) * many_biases
        return y if many_biases else y + bias.view(-1, 1, 1)

    return answer


def _no_bias(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    return _right(x, weight, torch.zeros_like(bias), stride, padding)


def _stride_lost(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """Windows of whole maps that are next to each other: the step of the slices was dropped."""
    right = _right(x, weight, bias, stride, padding)
    return _right(x, weight, bias, 1, padding)[:, :, : right.shape[2], : right.shape[3]]


def _bias_multiple(given: list[Any], expected: list[Any]) -> bool:
    """In the case that shows only the bias, the difference is a multiple of it, and it is there."""
    bias = _hunt()[0][2]
    ours = as_numpy(given[0])
    if not isinstance(ours, np.ndarray) or ours.shape != tuple(expected[0].shape):
        return False
    apart = torch.as_tensor(ours) - expected[0]
    times = float((apart.mean(dim=(0, 2, 3)) * bias).sum() / (bias * bias).sum())
    return times > 0.5 and same(apart, times * bias.view(-1, 1, 1).expand_as(apart), _CLOSE)


def _shape_wrong(given: list[Any], expected: list[Any]) -> bool:
    """Square pictures have the right shape, others not."""
    fits = [tuple(getattr(one, "shape", ())) == tuple(right.shape) for one, right in zip(given, expected, strict=True)]
    return fits[0] and fits[1] and not (fits[2] and fits[3])


def _turned(given: list[Any], expected: list[Any]) -> bool:
    """With a square picture and no bias, the filter's rows are its columns."""
    x, weight, *_ = _hunt()[1]
    return same(given[1], F.conv2d(x, weight.transpose(2, 3)), _CLOSE)


FAST_CONV2D = Exercise(
    number="2.4",
    name="fast_conv2d",
    stub='''import torch
from torch.nn import functional as F


def fast_conv2d(x, weight, bias, stride, padding):
    """The same as F.conv2d, without a loop over positions. Three bugs are in it."""
    k = weight.shape[-1]
    x = F.pad(x, (padding,) * 4)
    side = (x.shape[-1] - k) // stride + 1
    y = torch.zeros(len(x), len(weight), side, side)
    for m in range(k):
        for n in range(k):
            part = x[:, :, m : m + stride * side : stride, n : n + stride * side : stride]
            y += torch.einsum("bchw,oc->bohw", part, weight[:, :, n, m]) + bias.view(-1, 1, 1)
    return y
''',
    expected=_right,
    cases=_hunt,
    tolerance=_CLOSE,
    mistakes=(
        Mistake(
            _fast(True, True, True),
            "all three bugs are still in it; begin with a square picture and a symmetric filter, where only one shows",
                 "三处错误都还在；先用正方形图片和对称的卷积核试一试，这时只会暴露其中一处",
            when=lambda given, expected: all(bug(given, expected) for bug in (_bias_multiple, _shape_wrong, _turned)),
        ),
        Mistake(
            _fast(square=True),
            "height and width are taken for equal: pictures that are not square get the wrong shape or an error",
                 "把高和宽当成相等了：图片不是正方形时，输出形状会错，甚至报错",
            when=_shape_wrong,
        ),
        Mistake(
            _fast(many_biases=True),
            "the bias is added more than once: it belongs behind the loops, once for each output",
                 "偏置被加了不止一次：应当放在循环之外，每个输出只加一次",
            when=_bias_multiple,
        ),
        Mistake(
            _fast(exchanged=True),
            "rows and columns of the filter are exchanged: m moves down and n moves right, so the weight is [m, n]",
                 "卷积核的行与列弄反了：m 向下移、n 向右移，对应的权重是 [m, n]",
            when=_turned,
        ),
        Mistake(
            _no_bias,
            "the bias has gone altogether; each output channel adds its own once",
                 "偏置整个漏掉了；每个输出通道都要加一次自己的偏置",
        ),
        Mistake(
            _stride_lost,
            "the slices lost their step: with stride s they take every s-th row and column",
                 "切片漏了步长：步幅为 s 时，每隔 s 行、s 列取一个",
        ),
        Mistake(
            lambda x, weight, bias, stride, padding: _right(x, weight, bias, stride, 0),
            "the padding has gone", "漏了填充",
        ),
    ),
    hints=(
        Text("Compare with F.conv2d where only one thing is unusual: a wide picture; a bias; a filter that is not symmetric.",
             "与 F.conv2d 对照，每次只让一样东西特殊：很宽的图片；带偏置；不对称的卷积核。"),
        Text("How many times does the innermost line run, and what does it add each time? Which side does `side` come from?",
             "最内层那一行执行多少次，每次都加了什么？side 是由哪条边算出来的？"),
        Text("Rows and columns need a size each; the bias goes behind both loops; moving down by m needs weight[:, :, m, n].",
             "行数与列数要分别计算；偏置放到两重循环之外；向下移 m 行对应 weight[:, :, m, n]。"),
    ),
)  # fmt: skip
