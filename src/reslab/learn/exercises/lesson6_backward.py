"""Lesson 6: back through a block by hand (6.2)."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.forbidden import AUTOGRAD, without


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
    masks = {"no last mask": torch.ones_like(x), "mask of F": hidden @ w2.T, "mask of grad": grad}
    at_sum = grad * (masks.get(mistake, total) > 0)
    at_hidden = at_sum @ w2
    if mistake != "no inner mask":
        at_hidden = at_hidden * (before > 0)
    along = {"no shortcut": 0 * at_sum, "literal one": torch.ones_like(at_sum), "raw shortcut": grad}.get(
        mistake, at_sum
    )
    dx = along if mistake == "shortcut alone" else at_hidden @ w1 + along
    dw1, dw2 = at_hidden.T @ x, at_sum.T @ hidden
    if mistake == "order":
        return [dx, dw2, dw1]
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
        "您让 y 的梯度原样走了捷径；可是相加之后的 ReLU 也在这条路上",
    ),
    "no last mask": Text(
        "the ReLU after the sum is passed over: where the sum is negative, no gradient comes through",
        "漏掉了相加之后的 ReLU：和为负的地方，梯度传不过去",
    ),
    "mask of F": Text(
        "the last ReLU looks at the whole sum, F(x) + x: you ask where F(x) alone is positive",
        "最后的 ReLU 看的是整个和 F(x) + x：您只看了 F(x) 是否为正",
    ),
    "mask of grad": Text(
        "the mask of a ReLU comes from the forward pass, where its input is positive, not from the sign of the gradient",
        "ReLU 的掩码取自前向计算，即输入为正的地方，而不看梯度的正负",
    ),
    "order": Text(
        "the gradients of w1 and w2 are exchanged: return those of x, w1, w2 in this order",
        "w1 与 w2 的梯度次序反了：应依次返回 x、w1、w2 的梯度",
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
        "权重的梯度对整批取了平均：应当求和，各行所占的比重已经包含在 grad 里",
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
    mistakes=tuple(Mistake(partial(_by_hand, mistake=name), *says) for name, says in _SLIPS.items()),
    hints=(
        Text(
            "Compute forward first and keep what you meet on the way: before each ReLU, after it, and the sum.",
            "先做一遍前向计算，把中间值都留下：每个 ReLU 之前、之后的值，以及相加的和。",
        ),
        Text(
            "Go back step by step: the last ReLU, then two ways: straight to x, and through w2, the inner ReLU and w1 to x. "
            "Where two ways meet, gradients add up.",
            "一步步往回走：先过最后的 ReLU，然后分成两路：一路直达 x，另一路经过 w2、中间的 ReLU 和 w1 到 x。"
            "两路会合处，梯度相加。",
        ),
        Text(
            "With hidden = relu(x @ w1.T) and total = hidden @ w2.T + x: s = grad * (total > 0); g = (s @ w2) * (hidden > 0); "
            "return g @ w1 + s, g.T @ x, s.T @ hidden",
            "记 hidden = relu(x @ w1.T)，total = hidden @ w2.T + x，则 s = grad * (total > 0)；g = (s @ w2) * (hidden > 0)；"
            "返回 g @ w1 + s、g.T @ x、s.T @ hidden",
        ),
    ),
)
