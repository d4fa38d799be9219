"""Lesson 10: cross-entropy (10.1)."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text, same


def _loss_cases() -> list[tuple[Tensor, Tensor]]:
    """Ordinary logits, as many pictures as classes, one picture, rows of very different size, and large ones alike."""
    dice = torch.Generator().manual_seed(10)
    cases = []
    for pictures, classes in ((6, 10), (5, 5), (1, 3)):
        logits = 3 * torch.randn(pictures, classes, generator=dice)
        cases.append((logits, torch.randint(classes, (pictures,), generator=dice)))
    far = torch.tensor([[1000.0, 0.0, 3.0], [-900.0, -901.0, -905.0], [0.1, 0.2, 0.3]])
    large = torch.tensor([[1000.0, 990.0, 995.0], [1001.0, 1000.0, 1000.5]])
    return [*cases, (far, torch.tensor([1, 2, 0])), (large, torch.tensor([2, 0]))]


def _log_p(logits: Tensor, labels: Tensor) -> Tensor:
    """The logarithm of the true class' probability, of each picture."""
    return F.log_softmax(logits, 1)[torch.arange(len(labels)), labels]


def _unstable(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -p[torch.arange(len(labels)), labels].log().mean()


def _overflows(given: list[Any], expected: list[Any]) -> bool:
    """Right for ordinary logits, infinite or no number for large ones."""
    right = all(
        _number(g) is not None and abs(_number(g) - float(e)) < 1e-4 for g, e in zip(given[:3], expected, strict=False)
    )
    last, large = _number(given[3]), _number(given[4])
    return right and last is not None and not abs(last) < 1e30 and not abs(large) < 1e30


def _number(given: Any) -> Any:
    return float(given) if hasattr(given, "shape") and given.numel() == 1 or isinstance(given, float) else None


def _capped(given: list[Any], expected: list[Any]) -> bool:
    """Nearly right for ordinary logits, too small for large ones: a probability was kept from being zero."""
    near = all(
        _number(g) is not None and abs(_number(g) - float(e)) < 1e-2 for g, e in zip(given[:3], expected, strict=False)
    )
    last = _number(given[3])
    return near and last is not None and 0 < last < 0.7 * float(expected[3])


def _ordinary(*formulas: Callable[[Tensor, Tensor], Tensor]) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer that computes one of these for ordinary logits, whatever it makes of large ones."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        cases = _loss_cases()[:3]
        return any(all(same(g, f(*case), 1e-4) for g, case in zip(given, cases, strict=False)) for f in formulas)

    return when


def _true(table: Tensor, labels: Tensor) -> Tensor:
    """Of each picture the number of its true class."""
    return table[torch.arange(len(labels)), labels]


def _log_sum(logits: Tensor, base: float = math.e) -> Tensor:
    """The logarithm of the sum of the exponentials, to this base, of each picture."""
    return logits.logsumexp(1) / math.log(base)


def _shifted(logits: Tensor) -> Tensor:
    return logits - logits.amax(1, keepdim=True)


def _based(base: float) -> list[Callable[[Tensor, Tensor], Tensor]]:
    """The loss with logarithms to this base, all of it or only the sum's."""
    return [
        lambda z, t: -_log_p(z, t).mean() / math.log(base),
        lambda z, t: (_log_sum(z, base) - _true(z, t)).mean(),
        lambda z, t: (_log_sum(_shifted(z), base) - _true(_shifted(z), t)).mean(),
    ]


def _global_shift(logits: Tensor, labels: Tensor) -> Tensor:
    z = logits - logits.max()
    return (z.exp().sum(1).log() - _true(z, labels)).mean()


def _one_row_lost(given: list[Any], expected: list[Any]) -> bool:
    """Infinite only where the rows of a batch are of very different size."""
    fine = all(same(given[n], expected[n], 1e-4) for n in (0, 1, 2, 4))
    return fine and not abs(_number(given[3])) < 1e30


CROSS_ENTROPY = Exercise(
    number="10.1",
    name="cross_entropy",
    stub='''import torch


def cross_entropy(logits, labels):
    """logits [batch, classes], labels [batch] -> the mean loss, a tensor with one number"""
    raise NotImplementedError
''',
    expected=F.cross_entropy,
    cases=_loss_cases,
    mistakes=(
        Mistake(
            _unstable,
            "right for small logits, but exp(1000) is infinite: subtract each row's largest logit first, and take "
            "the logarithm "
            "before anything is divided",
            "logits 较小时正确，但 exp(1000) 是无穷大：先减去每一行最大的 logit，并在相除之前取对数",
            when=_overflows,
        ),
        Mistake(
            lambda z, t: -(F.softmax(z, 1) + 1e-7)[torch.arange(len(t)), t].log().mean(),
            "a small number under the logarithm hides how wrong the network is: the loss can no longer exceed a "
            "few dozen; use "
            "z - log sum exp z",
            "在对数里加一个小数，会掩盖网络错得多离谱：损失再也超不过几十；请用 z - log sum exp z",
            when=_capped,
        ),
        Mistake(
            lambda z, t: _log_p(z, t).mean(),
            "the sign is missing: a logarithm of a probability is negative",
            "漏了负号：概率的对数是负的",
        ),
        Mistake(
            lambda z, t: -_log_p(z, t).sum(),
            "this is the sum over the batch: divide by the number of pictures",
            "这是整批之和：还要除以图片张数",
        ),
        Mistake(
            lambda z, t: -_log_p(z, t),
            "one loss for each picture: take their mean",
            "给出的是每张图片各自的损失：请取平均",
        ),
        Mistake(
            lambda z, t: F.cross_entropy(z, t).view(1),
            "the number is right, but it stands in a list of one: a loss has no dimensions, shape ()",
            "数值对了，但套在长度为 1 的数组里：损失应是一个单独的数，形状为 ()",
        ),
        Mistake(
            lambda z, t: -F.log_softmax(z, 1).mean(),
            "the labels are not used: of each picture only the probability of its true class counts",
            "没有用到标签：每张图片只看真实类别的概率",
        ),
        Mistake(
            lambda z, t: (_log_sum(z - z.amax(0)) - _true(z - z.amax(0), t)).mean(),
            "the largest number of each class is subtracted, which changes the probabilities: take each picture's own, dim=1",
            "减去的是每个类别的最大值，这会改变概率：应沿 dim=1 取，即每张图片各取一个",
            when=_ordinary(lambda z, t: (_log_sum(z - z.amax(0)) - _true(z - z.amax(0), t)).mean()),
        ),
        Mistake(
            lambda z, t: -_log_p(z, t).sum() / z.numel(),
            "divided by pictures times classes: the zeros of the one-hot rows do not count, only the pictures do",
            "除以了图片数乘以类别数：one-hot 行里的零不算，只除以图片张数",
        ),
        Mistake(
            lambda z, t: -F.log_softmax(z, 0)[torch.arange(len(t)), t].mean(),
            "softmax over the pictures: the probabilities of one picture add up to 1, so it runs along dimension 1",
            "softmax 是沿图片方向做的：应是同一张图片的各类概率之和为 1，即沿第 1 维",
        ),
        Mistake(
            lambda z, t: F.cross_entropy(F.softmax(z, 1), t),
            "softmax twice: the second one takes probabilities for logits, and no loss gets far below log of the "
            "number of classes",
            "做了两次 softmax：第二次把概率当成了 logits，损失怎么也降不低",
        ),
        Mistake(
            _based(2)[0],
            "this is the logarithm to base 2: the natural one is meant",
            "这是以 2 为底的对数：应取自然对数",
            when=_ordinary(*_based(2)),
        ),
        Mistake(
            _based(10)[0],
            "this is the logarithm to base 10: the natural one is meant",
            "这是以 10 为底的对数：应取自然对数",
            when=_ordinary(*_based(10)),
        ),
        Mistake(
            lambda z, t: -F.log_softmax(z, 1)[:, t].mean(),
            "[:, labels] takes the columns of all labels from every picture: pair them, [torch.arange(len(labels)), labels]",
            "[:, labels] 会从每张图片取出所有标签对应的列：应当一一对应，写成 [torch.arange(len(labels)), labels]",
            when=_ordinary(lambda z, t: -F.log_softmax(z, 1)[:, t].mean()),
        ),
        Mistake(
            lambda z, t: (_shifted(z).exp().sum(1).log() - _true(z, t)).mean(),
            "the largest logit is subtracted in the sum only: subtract it from the true logit as well, or add it again",
            "只在求和时减去了最大的 logit：真实类别的 logit 也要减，或者最后再加回来",
        ),
        Mistake(
            _global_shift,
            "one number is subtracted from the whole batch, so a row of small logits underflows to log 0: subtract each "
            "row's own largest",
            "整批减去了同一个数，logits 都很小的那一行就会下溢成 log 0：每一行要减去自己的最大值",
            when=_one_row_lost,
        ),
        Mistake(
            lambda z, t: 1 - _true(F.softmax(z, 1), t).mean(),
            "the probability itself is used, without its logarithm: a picture that is quite wrong then costs at most 1",
            "直接用了概率，没有取对数：这样错得再离谱，损失也大不了多少",
            when=_ordinary(
                lambda z, t: 1 - _true(F.softmax(z, 1), t).mean(), lambda z, t: -_true(F.softmax(z, 1), t).mean()
            ),
        ),
        Mistake(
            lambda z, t: -F.logsigmoid(_true(z, t)).mean(),
            "a sigmoid looks at the true logit alone: with softmax the classes share one probability",
            "sigmoid 只看真实类别的 logit：用 softmax 时，各类共分总和为 1 的概率",
            when=_ordinary(
                lambda z, t: -F.logsigmoid(_true(z, t)).mean(),
                lambda z, t: F.binary_cross_entropy_with_logits(z, F.one_hot(t, z.shape[1]).float()),
            ),
        ),
        Mistake(
            lambda z, t: -F.log_softmax(z, 1).amax(1).mean(),
            "the largest probability is taken, whatever the label: take that of the true class",
            "取的是最大的概率，没有看标签：应取真实类别的概率",
        ),
        Mistake(
            lambda z, t: -z[torch.arange(len(t)), t].mean(),
            "only the true logit counts here: subtract the logarithm of the sum of all exponentials from it",
            "这里只用到了真实类别的 logit：还要减去“各类别指数之和”的对数",
        ),
    ),
    hints=(
        Text("What is the logarithm of a fraction?", "分数的对数等于什么？"),
        Text(
            "log p = z - log sum exp z. Subtracting the same number from all logits of a picture changes nothing.",
            "log p = z - log sum exp z。把一张图片的所有 logits 减去同一个数，结果不变。",
        ),
        Text(
            "logits[torch.arange(len(labels)), labels] picks the true ones; logits.max(dim=1, keepdim=True).values is "
            "what to subtract.",
            "logits[torch.arange(len(labels)), labels] 取出真实类别；要减去的是 logits.max(dim=1, keepdim=True).values。",
        ),
    ),
)
