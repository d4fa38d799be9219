"""Lesson 3, pooling and the head: 3.1 and 3.3; the head (3.2) is in `lesson3_head`, the bug hunt (3.4) in `lesson3_more`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text, same, value
from reslab.learn.exercises.lesson3_head import HEAD
from reslab.learn.exercises.lesson3_more import NETWORK
from reslab.nn.count import layer_table
from reslab.nn.zoo import ZOO

_Both = tuple[Tensor, Tensor]
_Part = Callable[[Tensor, Tensor, int, int, int], Tensor]
_MAP, _GRADIENT = 0, 1
_CLOSE = 1e-5


def _cases() -> list[tuple[Tensor, Tensor, int, int, int]]:
    """Maps, most of them negative and some with equal values; windows that overlap and that do not."""
    dice = torch.Generator().manual_seed(31)
    cases = []
    for k, stride, padding, mean in [(2, 2, 0, 0.0), (3, 2, 1, -2.0), (3, 1, 0, 0.0), (3, 2, 1, 0.0), (2, 1, 1, -2.0)]:
        x = (torch.randn(2, 3, 7, 8, generator=dice) + mean).mul(2).round().div(2)  # rounded, so that some are equal
        rows, columns = ((length + 2 * padding - k) // stride + 1 for length in x.shape[2:])
        cases.append((x, torch.randn(2, 3, rows, columns, generator=dice), k, stride, padding))
    return cases


def _max_pool(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> _Both:
    x = x.detach().requires_grad_()
    y = F.max_pool2d(x, k, stride, padding)
    y.backward(grad)
    assert x.grad is not None
    return y.detach(), x.grad


def _slip(part: int, wrong: _Part, says: Text) -> Mistake:
    """Wrong in the map or in the gradient, whatever the other is."""

    def answer(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> _Both:
        y, grad_x = _max_pool(x, grad, k, stride, padding)
        other = wrong(x, grad, k, stride, padding)
        return (other, grad_x) if part == _MAP else (y, other)

    def found(given: list[Any], expected: list[Any]) -> bool:
        theirs = [wrong(*case) for case in _cases()]
        return all(
            isinstance(one, (tuple, list)) and len(one) == 2 and same(one[part], other, _CLOSE)
            for one, other in zip(given, theirs, strict=True)
        )

    return Mistake(answer, *says, found)


def _windows(x: Tensor, k: int, stride: int, padding: int) -> Tensor:
    """`[batch, channels, rows, columns, k * k]`; the padding is minus infinity."""
    padded = F.pad(x, (padding,) * 4, value=-torch.inf)
    return padded.unfold(2, k, stride).unfold(3, k, stride).flatten(4)


def _spread(x: Tensor, shares: Tensor, k: int, stride: int, padding: int, added: bool = True) -> Tensor:
    """Shares of each window's positions, put back to the places in x: added up, or the last one stays."""
    height, width = x.shape[2:]
    result = torch.zeros(*x.shape[:2], height + 2 * padding, width + 2 * padding)
    for i in range(shares.shape[2]):
        for j in range(shares.shape[3]):
            part = result[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            share = shares[:, :, i, j].unflatten(2, (k, k))
            part.copy_(part + share if added else torch.where(share != 0, share, part))
    return result[:, :, padding : padding + height, padding : padding + width]


def _first_greatest(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    windows = _windows(x, k, stride, padding)
    return F.one_hot(windows.argmax(dim=-1), k * k) * grad[..., None]


def _overwritten(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    return _spread(x, _first_greatest(x, grad, k, stride, padding), k, stride, padding, added=False)


def _to_all_equal(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    windows = _windows(x, k, stride, padding)
    return _spread(x, (windows == windows.amax(dim=-1, keepdim=True)) * grad[..., None], k, stride, padding)


def _shared_by_equals(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    windows = _windows(x, k, stride, padding)
    equals = (windows == windows.amax(dim=-1, keepdim=True)).float()
    return _spread(x, equals / equals.sum(dim=-1, keepdim=True) * grad[..., None], k, stride, padding)


def _to_last_equal(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    last = k * k - 1 - _windows(x, k, stride, padding).flip(-1).argmax(dim=-1)
    return _spread(x, F.one_hot(last, k * k) * grad[..., None], k, stride, padding)


def _shared(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    every = (grad / k**2)[..., None].expand(*grad.shape, k * k)
    return _spread(x, every, k, stride, padding)


def _copied(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    return _spread(x, grad[..., None].expand(*grad.shape, k * k), k, stride, padding)


def _times_value(x: Tensor, grad: Tensor, k: int, stride: int, padding: int) -> Tensor:
    return _max_pool(x, grad, k, stride, padding)[1] * x


MAX_POOL = Exercise(
    number="3.1",
    name="max_pool",
    stub='''import torch


def max_pool(x, grad, k, stride, padding):
    """x [batch, channels, height, width], and the gradient of the pooled map -> the pooled map, the gradient of x

    If several numbers of a window are the greatest, the first of them, row by row, gets the gradient.
    """
    raise NotImplementedError
''',
    expected=_max_pool,
    cases=_cases,
    tolerance=_CLOSE,
    mistakes=(
        _slip(
            _MAP, lambda x, g, k, s, p: F.max_pool2d(F.pad(x, (p,) * 4), k, s),
            Text("the padding is 0, and so beats every negative number; pad with minus infinity, which is never the greatest",
                 "填充补的是 0，会胜过所有负数；应当补负无穷，它永远不会是最大值"),
        ),
        _slip(
            _MAP, lambda x, g, k, s, p: F.max_pool2d(x, k, s),
            Text("the padding is ignored", "没有用到 padding"),
        ),
        _slip(
            _MAP, lambda x, g, k, s, p: F.max_pool2d(x, k, padding=p),
            Text("the windows move by k; they should move by `stride`, and may overlap",
                 "窗口每次移动了 k；应当移动 stride，窗口之间可以重叠"),
        ),
        _slip(
            _MAP, lambda x, g, k, s, p: F.avg_pool2d(x, k, s, p),
            Text("this is the mean of each window; max pooling takes the greatest number",
                 "这是每个窗口的平均值；最大池化取的是最大值"),
        ),
        _slip(
            _GRADIENT, _overwritten,
            Text("where windows overlap, one number may be the greatest of several; its gradients are added, not overwritten",
                 "窗口重叠时，同一个数可能是好几个窗口的最大值；各窗口传来的梯度要相加，而不是覆盖"),
        ),
        _slip(
            _GRADIENT, _to_all_equal,
            Text("where several numbers of a window are the greatest, each gets the gradient; only the first should",
                 "一个窗口里有多个相等的最大值时，您让它们都得到了梯度；应当只给第一个"),
        ),
        _slip(
            _GRADIENT, _shared_by_equals,
            Text("where several numbers of a window are the greatest, they share the gradient; the first should get all of it",
                 "一个窗口里有多个相等的最大值时，您让它们平分了梯度；应当全部给第一个"),
        ),
        _slip(
            _GRADIENT, _to_last_equal,
            Text("where several numbers of a window are the greatest, the last gets the gradient; the first, row by row, should",
                 "一个窗口里有多个相等的最大值时，您把梯度给了最后一个；应当按逐行的顺序给第一个"),
        ),
        _slip(
            _GRADIENT, lambda x, g, k, s, p: _max_pool(x, torch.ones_like(g), k, s, p)[1],
            Text("each maximum gets 1; it should get the gradient of its output, `grad`",
                 "每个最大值得到的是 1；应当得到对应输出的梯度 grad"),
        ),
        _slip(
            _GRADIENT, lambda x, g, k, s, p: F.pad(_max_pool(x, g, k, s, p)[1], (p,) * 4),
            Text("the gradient still has the padding; cut it off, so that it has the shape of x",
                 "梯度里还带着填充部分；要切掉，使形状与 x 相同"),
        ),
        _slip(
            _GRADIENT, _shared,
            Text("the gradient is shared by the whole window, as in average pooling; here the greatest number gets all of it",
                 "梯度平分给了整个窗口，那是平均池化；这里应当全部给最大的那个数"),
        ),
        _slip(
            _GRADIENT, _copied,
            Text("every number of a window gets the gradient; the others did not influence the maximum, theirs is 0",
                 "窗口里每个数都得到了梯度；其余的数对最大值没有影响，梯度为 0"),
        ),
        _slip(
            _GRADIENT, _times_value,
            Text("the gradient is multiplied by x; the slope of a maximum is 1 at its place, whatever the value",
                 "梯度乘上了 x；最大值对自身位置的导数是 1，与数值大小无关"),
        ),
    ),
    hints=(
        Text("Padding must never win: what is smaller than every number?", "填充进来的数绝不能成为最大值：什么比所有的数都小？"),
        Text("Remember where each maximum was. Only there does a small change of x change the output.",
             "记住每个最大值的位置。只有在那里，x 的微小变化才会改变输出。"),
        Text("For each window: flatten(2).argmax(-1) is the place; add grad[:, :, i, j] there; cut off the padding last.",
             "对每个窗口：flatten(2).argmax(-1) 给出位置，把 grad[:, :, i, j] 加到那里；最后把填充部分切掉。"),
    ),
)  # fmt: skip


_LAYERS = layer_table(ZOO["resnet18"], 224)
_TOTAL, _STEM, _LINEAR = sum(row.macs for row in _LAYERS), _LAYERS[0].macs, _LAYERS[-1].macs

MACS = Exercise(
    number="3.3",
    name="macs",
    stub='''macs = None  # multiply-accumulates of ResNet-18 for a picture of 224 x 224 pixels, if its max pooling is left out
''',
    expected=4 * (_TOTAL - _STEM - _LINEAR) + _STEM + _LINEAR,
    observe=value,
    tolerance=1e-9,
    mistakes=(
        Mistake(
            _TOTAL,
            "this is ResNet-18 as it is; without the pooling all later maps have four times as many places",
                 "这是原来的 ResNet-18；去掉池化后，后面每张特征图的位置数都是原来的四倍",
        ),
        Mistake(
            4 * _TOTAL,
            "the 7 × 7 convolution lies before the pooling and costs what it did before; so does the head, behind a mean",
                 "7 × 7 卷积在池化之前，计算量不变；网络末端在取平均之后，计算量也不变",
        ),
        Mistake(
            4 * (_TOTAL - _STEM) + _STEM,
            "nearly: behind the global mean, the fully connected layer costs the same as before",
                 "差一点：全连接层在全局平均之后，计算量与原来相同",
        ),
        Mistake(
            4 * (_TOTAL - _LINEAR) + _LINEAR,
            "nearly: the 7 × 7 convolution lies before the pooling, so it costs what it did before",
                 "差一点：7 × 7 卷积在池化之前，计算量不变",
        ),
        Mistake(
            2 * (_TOTAL - _STEM - _LINEAR) + _STEM + _LINEAR,
            "height and width both double, so there are four times as many places, not twice",
                 "高和宽都加倍，位置数是四倍，而不是两倍",
        ),
        Mistake(
            2 * _TOTAL,
            "twice is too little (height and width both double), and not everything lies behind the pooling",
                 "两倍太少（高和宽都加倍），而且并非所有层都在池化之后",
        ),
    ),
    hints=(
        Text("Which layers see a larger map than before? Which do not?", "哪些层面对的特征图变大了？哪些没有？"),
        Text("Stages: four times. The first convolution lies before the pooling, the head behind a mean over the whole map.",
             "各阶段变成四倍。第一个卷积在池化之前，网络末端在全局平均之后。"),
        Text("4 * (total - first - head) + first + head, with the three numbers from count.layer_table.",
             "4 * (总数 - 第一层 - 末层) + 第一层 + 末层，三个数都在 count.layer_table 里。"),
    ),
)  # fmt: skip

EXERCISES = (MAX_POOL, HEAD, MACS, NETWORK)
