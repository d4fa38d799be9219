"""Lesson 7, the "+1": Jacobians and paths."""

from collections.abc import Sequence
from functools import partial
from math import comb, perm

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.forbidden import AUTOGRAD, without
from reslab.learn.exercises.lesson7_more import BUG_HUNT, LESION

Weights = Sequence[tuple[Tensor, Tensor]]


def _stacks() -> list[tuple[Tensor, Weights]]:
    """An input, and the weights of one block, of five, and of three with another width inside."""
    dice = torch.Generator().manual_seed(7)
    cases: list[tuple[Tensor, Weights]] = []
    for inputs, inside, blocks in ((4, 4, 1), (4, 8, 5), (3, 6, 3)):
        weights = [
            (torch.randn(inside, inputs, generator=dice), torch.randn(inputs, inside, generator=dice) * 0.5)
            for _ in range(blocks)
        ]
        cases.append((torch.randn(inputs, generator=dice), weights))
    return cases


def _through(x: Tensor, blocks: Weights) -> Tensor:
    for w1, w2 in blocks:
        x = x + w2 @ F.relu(w1 @ x)
    return x


def _autograd(x: Tensor, blocks: Weights) -> Tensor:
    return torch.autograd.functional.jacobian(lambda each: _through(each, blocks), x)


def _product(x: Tensor, blocks: Weights, mistake: str) -> Tensor:
    """The Jacobian as a product of one factor per block, with one mistake."""
    one = torch.ones(len(x), len(x)) if mistake == "number one" else torch.eye(len(x))
    if mistake == "no one":
        one = torch.zeros_like(one)
    total, first_order, of_residual = torch.eye(len(x)), torch.eye(len(x)), torch.zeros(len(x), len(x))
    for w1, w2 in blocks:
        open_ = torch.ones(len(w1)) if mistake == "no mask" else (w1 @ x > 0).float()
        of_residual = w2 @ torch.diag(open_) @ w1
        first_order = first_order + of_residual
        total = total @ (one + of_residual) if mistake == "wrong order" else (one + of_residual) @ total
        if mistake == "linear way":
            x = x + w2 @ (w1 @ x)
        elif mistake != "same x":
            x = w2 @ F.relu(w1 @ x) + (0 if mistake == "x lost" else x)
    if mistake == "last block":
        return one + of_residual
    return {"first order": first_order, "transposed": total.T}.get(mistake, total)


_PRODUCT_SAYS = {
    "no one": Text(
        "the identity is missing: this is the Jacobian of a plain network, a product of the residuals' alone",
        "缺少单位矩阵：这是普通网络的雅可比矩阵，只有残差部分的连乘",
    ),
    "number one": Text(
        "you add the number 1 to every entry: the “+1” is the identity matrix",
        "您给每个元素都加上了 1：“+1”指的是单位矩阵",
    ),
    "wrong order": Text(
        "the factors are in the wrong order: the Jacobian of the last block stands on the left",
        "因子的次序反了：最后一个块的雅可比矩阵应在最左边",
    ),
    "same x": Text(
        "every block is differentiated at the first x: each needs its own input, which the blocks below it give",
        "每个块都在最初的 x 处求导：应当用各块自己的输入，也就是前面各块的输出",
    ),
    "linear way": Text(
        "the factors are right, but on the way forward x goes through no ReLU: each block gives x + w2 @ relu(w1 @ x)",
        "因子没错，可是前向计算时 x 没有过 ReLU：每个块给出 x + w2 @ relu(w1 @ x)",
    ),
    "x lost": Text(
        "the factors are right, but on the way forward the shortcut is lost: each block gives x + w2 @ relu(w1 @ x)",
        "因子没错，可是前向计算时丢了捷径：每个块给出 x + w2 @ relu(w1 @ x)",
    ),
    "first order": Text(
        "you add up the residuals' Jacobians once: that leaves out the paths through several residuals",
        "您只是把各个残差的雅可比矩阵加在一起：漏掉了经过多个残差的路径",
    ),
    "no mask": Text(
        "ReLU is passed over: where w1 x is negative, its derivative is 0",
        "漏掉了 ReLU：w1 x 为负的地方，导数为 0",
    ),
    "transposed": Text(
        "the matrix is transposed: row i, column j is the derivative of output i by input j",
        "矩阵转置了：第 i 行第 j 列应是第 i 个输出对第 j 个输入的导数",
    ),
    "last block": Text(
        "only the last block is there: multiply the factors of all blocks",
        "只有最后一个块：应把所有块的因子乘起来",
    ),
}

JACOBIAN = Exercise(
    number="7.1",
    name="jacobian",
    stub='''import torch


def jacobian(x, blocks):
    """Of a stack of blocks x + w2 @ relu(w1 @ x) at x [n]: the derivative [n, n] of the last output by x, by hand.

    blocks: list of (w1 [m, n], w2 [n, m]), the first one first
    """
    raise NotImplementedError
''',
    expected=_autograd,
    cases=_stacks,
    watch=without(*AUTOGRAD),
    mistakes=tuple(Mistake(partial(_product, mistake=name), *says) for name, says in _PRODUCT_SAYS.items()),
    hints=(
        Text(
            "One block first: what is the derivative of x, and what that of w2 relu(w1 x)?",
            "先看一个块：x 的导数是什么？w2 relu(w1 x) 的导数又是什么？",
        ),
        Text(
            "One block gives I + w2 D w1, where D is diagonal with ones where w1 x is positive. The chain rule multiplies.",
            "一个块给出 I + w2 D w1，其中 D 是对角矩阵，在 w1 x 为正处为 1。链式法则把它们乘起来。",
        ),
        Text(
            "total = (I + w2 @ torch.diag((w1 @ x > 0).float()) @ w1) @ total; then x = x + w2 @ relu(w1 @ x).",
            "total = (I + w2 @ torch.diag((w1 @ x > 0).float()) @ w1) @ total；然后 x = x + w2 @ relu(w1 @ x)。",
        ),
    ),
)


def _paths(blocks: int, longest: int) -> int:
    return sum(comb(blocks, length) for length in range(longest + 1))


def _path_cases() -> list[tuple[int, int]]:
    return [(3, 1), (9, 4), (27, 13), (5, 5), (4, 0), (20, 12)]


PATHS = Exercise(
    number="7.2",
    name="paths",
    stub='''def paths(blocks, longest):
    """Of the paths through so many blocks: how many pass through at most `longest` residuals."""
    raise NotImplementedError
''',
    expected=_paths,
    cases=_path_cases,
    tolerance=0.0,
    mistakes=(
        Mistake(
            lambda blocks, longest: comb(blocks, longest),
            "these pass through exactly `longest` residuals: add those through fewer",
            "这只是恰好经过 longest 个残差的路径：还要加上经过更少的",
        ),
        Mistake(
            lambda blocks, longest: sum(comb(blocks, length) for length in range(longest)),
            "you stop one too early: `longest` itself counts, too",
            "少算了一项：恰好 longest 个也算在内",
        ),
        Mistake(
            lambda blocks, longest: sum(comb(blocks, length) for length in range(1, longest + 1)),
            "one path is missing: the one that takes every shortcut, through no residual at all",
            "少了一条路径：一路都走捷径、不经过任何残差的那条",
        ),
        Mistake(
            lambda blocks, longest: sum(comb(blocks, length) for length in range(longest, blocks + 1)),
            "these pass through at least `longest` residuals: at most is asked for",
            "这是经过至少 longest 个残差的路径：题目问的是至多",
        ),
        Mistake(
            lambda blocks, longest: 2**blocks,
            "these are all paths: only those through at most `longest` residuals are asked for",
            "这是全部路径：题目只问至多经过 longest 个残差的",
        ),
        Mistake(
            lambda blocks, longest: 2**longest,
            "2 to the power of `longest` counts the paths through `longest` blocks: here `longest` of all blocks may be "
            "any ones",
            "2 的 longest 次方是穿过 longest 个块的路径数：而这里可以从所有块中任选几个经过",
        ),
        Mistake(
            lambda blocks, longest: sum(perm(blocks, length) for length in range(longest + 1)),
            "you count orders: blocks come in one order only, so it is comb and not perm",
            "您把次序也算进去了：块的先后只有一种，应当用 comb，而不是 perm",
        ),
    ),
    hints=(
        Text(
            "Each block is either entered or passed by, like the toss of a coin.",
            "每个块要么走残差，要么走捷径，如同掷硬币。",
        ),
        Text(
            "How many ways are there to choose k of n blocks? Sum over k, from 0 on.",
            "从 n 个块里选 k 个，有多少种选法？对 k 求和，从 0 开始。",
        ),
        Text(
            "sum(math.comb(blocks, k) for k in range(longest + 1))",
            "sum(math.comb(blocks, k) for k in range(longest + 1))，k 从 0 起",
        ),
    ),
)

EXERCISES = (JACOBIAN, PATHS, LESION, BUG_HUNT)
