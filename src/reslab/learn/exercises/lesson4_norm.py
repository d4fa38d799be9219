"""Lesson 4: batch normalisation (4.1)."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, raised, same
from reslab.learn.exercises.modules import Diagnosis, Variant

_STEPS = 20


def _norm_cases() -> list[tuple[int, float, float]]:
    """Channels, eps and momentum; eps is large enough to be seen."""
    return [(3, 1e-5, 0.1), (3, 0.5, 0.1), (5, 0.1, 0.3)]


def _observe_norm(answer: Any, case: tuple[Any, ...]) -> list[Any]:
    """Answers in training mode, in evaluation mode (twice, once of one picture), and after one step more."""
    channels, eps, momentum = case
    dice = torch.Generator().manual_seed(4)
    norm = answer(channels, eps, momentum).double()
    slopes = torch.linspace(0, 3, 6, dtype=torch.float64)  # pixels of a row differ, so that statistics per pixel do
    wide = torch.arange(1, channels + 1, dtype=torch.float64).view(-1, 1, 1)

    def pictures(n: int) -> Tensor:
        return (torch.randn(n, channels, 4, 6, generator=dice, dtype=torch.float64) + slopes) * wide + wide

    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=dice, dtype=torch.float64) + 0.5)
        trained = [_tried(norm.train(), pictures(2 + step % 3)) for step in range(_STEPS)]
        used = [_tried(norm.eval(), pictures(n)) for n in (4, 1, 3)]
        _tried(norm.train(), pictures(4))
        return [trained[0], trained[-1], *used, _tried(norm.eval(), pictures(2))]


def _tried(norm: nn.Module, x: Tensor) -> Any:
    try:
        return norm(x)
    except (RuntimeError, ValueError) as error:
        return raised(error)


class _Norm(nn.Module):
    """Batch normalisation with some mistakes, or none."""

    slips: Variant = frozenset()

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = 1e-5 if "eps ignored" in self.slips else eps
        self.momentum = 0.1 if "momentum ignored" in self.slips else momentum
        if "no affine" not in self.slips:
            self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        start = torch.zeros(channels, 1, 1)
        self.register_buffer("mean", start)
        self.register_buffer("variance", start if "variance from 0" in self.slips else start + 1)

    def _axes(self) -> tuple[int, ...]:
        known = {"per pixel": (0,), "per picture": (2, 3), "all channels": (0, 1, 2, 3), "layer norm": (1, 2, 3)}
        return next((known[slip] for slip in known if slip in self.slips), (0, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        axes, slips = self._axes(), self.slips
        mean = x.mean(dim=axes, keepdim=True)
        if "one mean" in slips:
            mean = x.mean().expand_as(mean)
        variance = x.var(dim=axes, correction=int("unbiased in the batch" in slips), keepdim=True)
        if (self.training or "updated in eval" in slips) and "never updated" not in slips:
            values = x.numel() / mean.numel()
            self._update(mean, variance, len(x) if "counts pictures" in slips else values)
        if "running in training" in slips or not (self.training or "batch in eval" in slips):
            mean, variance = self.mean, self.variance
        variance = variance.sqrt() if "root twice" in slips else variance
        root = variance.sqrt() + self.eps if "eps outside" in slips else (variance + self.eps).sqrt()
        y = (x if "not centred" in slips else x - mean) / (root**2 if "no root" in slips else root)
        if {"no affine", "affine unused"} & slips:
            return y
        scale, shift = (each.view(-1, 1, 1) for each in (self.weight, self.bias))
        if "exchanged" in slips:
            scale, shift = shift, scale
        return (y + shift) * scale if "shift first" in slips else y * scale + shift

    def _update(self, mean: Tensor, variance: Tensor, n: float) -> None:
        share = 1 - self.momentum if "momentum reversed" in self.slips else self.momentum
        mean, variance = (each.mean(dim=(0, 2, 3), keepdim=True)[0] for each in (mean, variance))
        if "last batch only" in self.slips:
            share = 1.0
        if not {"biased average", "unbiased in the batch"} & self.slips:
            variance = variance * n / (n - 1)
        if "deviation kept" in self.slips:
            variance = variance.sqrt()
        if "never forgets" in self.slips:
            self.mean, self.variance = self.mean + share * mean, self.variance + share * variance
            return
        self.mean = self.mean.lerp(mean, share)
        self.variance = self.variance.lerp(variance, 1.0 if "last variance" in self.slips else share)


def _slipped(slips: Variant) -> type[_Norm]:
    return type("BatchNorm2d", (_Norm,), {"slips": slips})


def _trains_like(*slips: str, error: str = "$.") -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by its first training step alone, whatever it keeps for evaluation.

    Args:
        error: a pattern of the error about shapes that its statistics may raise; `C` stands for the channels.
    """

    def when(given: list[Any], expected: list[Any]) -> bool:
        firsts = [g[0] for g in given]
        if all(isinstance(first, Raised) for first in firsts):
            channels = [str(case[0]) for case in _norm_cases()]
            return all(
                re.search(error.replace("C", c), first.message) for first, c in zip(firsts, channels, strict=True)
            )
        known = [[_observe_norm(_slipped(frozenset({slip})), case)[0] for case in _norm_cases()] for slip in slips]
        return any(all(same(first, other, 1e-5) for first, other in zip(firsts, each, strict=True)) for each in known)

    return when


_GROUPS = (
    ("unbiased in the batch",),
    ("not centred",),
    ("no root", "eps outside", "eps ignored"),
    ("running in training", "batch in eval"),
    ("never updated", "updated in eval"),
    ("momentum reversed", "momentum ignored", "last batch only", "last variance", "never forgets"),
    ("variance from 0",),
    ("biased average", "counts pictures", "deviation kept"),
    ("no affine", "affine unused", "exchanged", "shift first"),
)
_DIAGNOSIS = Diagnosis(_slipped, _GROUPS, _observe_norm, _norm_cases)

_SAYS = {
    "unbiased in the batch": Text(
        "in training mode the variance is divided by N, not N - 1: torch's var() needs correction=0",
        "训练模式下的方差应除以 N 而不是 N - 1：torch 的 var() 要写 correction=0",
    ),
    "no root": Text(
        "the deviations are divided by the variance: divide by its root, the standard deviation",
        "偏差除以了方差：应除以它的平方根，即标准差",
    ),
    "not centred": Text(
        "the mean is not subtracted: (x - mean) / sqrt(variance + eps)",
        "没有减去均值：应为 (x - 均值) / sqrt(方差 + eps)",
    ),
    "deviation kept": Text(
        "the running average is one of standard deviations: average variances, and take the root when you normalise",
        "滑动平均里存的是标准差：应当存方差，归一化时再开平方",
    ),
    "last variance": Text(
        "the running variance is that of the last batch alone: average it as you do the mean",
        "方差只保留了最后一批的：应当像均值那样做滑动平均",
    ),
    "never forgets": Text(
        "the running averages only grow: the old one must shrink, too, (1 - momentum) * old + momentum * new",
        "滑动平均只增不减：旧值也要缩小，(1 - momentum) * 旧值 + momentum * 新值",
    ),
    "affine unused": Text(
        "scale and shift are created but not used: the result is scale * (x - mean) / sqrt(variance + eps) + shift",
        "缩放和平移建好了却没有用上：结果应为 缩放 * (x - 均值) / sqrt(方差 + eps) + 平移",
    ),
    "eps outside": Text(
        "eps stands outside the root: it is sqrt(variance + eps), not sqrt(variance) + eps",
        "eps 放到根号外面了：应为 sqrt(方差 + eps)，而不是 sqrt(方差) + eps",
    ),
    "eps ignored": Text(
        "the argument eps is not used: it is not always 1e-5",
        "没有用到参数 eps：它并不总是 1e-5",
    ),
    "running in training": Text(
        "in training mode you normalise with the running averages: there the batch itself counts",
        "训练模式下用了滑动平均来归一化：这时应当用这一批自己的统计量",
    ),
    "batch in eval": Text(
        "in evaluation mode you still normalise with the batch: there the running averages are used",
        "评估模式下仍在用这一批的统计量：此时应改用滑动平均",
    ),
    "never updated": Text(
        "the running averages never change: update them in every training step",
        "滑动平均从来没有更新：训练时每一步都要更新",
    ),
    "updated in eval": Text(
        "the running averages change in evaluation mode: update them only if self.training",
        "评估模式下滑动平均也在变：只有 self.training 为真时才更新",
    ),
    "momentum reversed": Text(
        "momentum is the share of the new batch here: (1 - momentum) * old + momentum * new",
        "这里的 momentum 是新一批所占的份额：(1 - momentum) * 旧值 + momentum * 新值",
    ),
    "momentum ignored": Text(
        "the argument momentum is not used: it is not always 0.1",
        "没有用到参数 momentum：它并不总是 0.1",
    ),
    "last batch only": Text(
        "evaluation uses the last batch alone: keep an average, (1 - momentum) * old + momentum * new",
        "评估时用的只是最后一批的统计量：要保存滑动平均 (1 - momentum) * 旧值 + momentum * 新值",
    ),
    "variance from 0": Text(
        "the running variance starts at 1, only the running mean starts at 0",
        "方差的滑动平均从 1 开始，从 0 开始的只有均值",
    ),
    "biased average": Text(
        "the running variance is too small: it receives the variance divided by N - 1, while the batch is normalised with "
        "the one divided by N",
        "滑动平均里的方差偏小：归一化这一批用的是除以 N 的方差，而存入滑动平均的应是除以 N - 1 的方差",
    ),
    "counts pictures": Text(
        "N counts pictures only: it is the number of values that the variance runs over, batch × height × width",
        "N 只算了图片张数：它是求方差时用到的数值个数，即 批 × 高 × 宽",
    ),
    "no affine": Text(
        "scale and shift are missing: two learnt numbers per channel, which start at 1 and 0",
        "缺少缩放和平移：每个通道有两个可学习的数，初值为 1 和 0",
    ),
    "exchanged": Text(
        "scale and shift are exchanged: create the scale first, then the shift, and multiply by the scale",
        "缩放与平移弄反了：先创建缩放，再创建平移，并且相乘的是缩放",
    ),
    "shift first": Text(
        "the shift is scaled, too: multiply first, then add the shift",
        "平移也被缩放了：应先乘缩放，再加平移",
    ),
}
_AXES = {
    "per pixel": Text(
        "you take statistics per pixel: mean and variance run over batch, height and width, dim=(0, 2, 3)",
        "您对每个像素位置分别求了统计量：均值和方差要对批、高、宽一起求，dim=(0, 2, 3)",
    ),
    "per picture": Text(
        "you take statistics per picture (instance norm): they run over the batch, too, dim=(0, 2, 3)",
        "您对每张图片分别求了统计量（那是实例归一化）：还要对整批一起求，dim=(0, 2, 3)",
    ),
    "layer norm": Text(
        "you take statistics per picture over all channels (layer norm): take them per channel, dim=(0, 2, 3)",
        "您对每张图片的所有通道一起求了统计量（那是层归一化）：应当每个通道各求各的，dim=(0, 2, 3)",
    ),
    "root twice": Text(
        "the root is taken twice: std() is one already; take var(), add eps, and then the root",
        "开了两次平方根：std() 本身就开过一次；应当用 var()，加上 eps 再开方",
    ),
    "all channels": Text(
        "one mean for all channels: each channel has statistics of its own, so dimension 1 is left out",
        "所有通道共用了一个均值：每个通道要有自己的统计量，求平均时不要包含第 1 维",
    ),
}
_SEEN = {
    "per pixel": _trains_like("per pixel", error=r"\[C, 4, 6\]|a \(C\) must match the size of tensor b \(6\)"),
    "per picture": _trains_like("per picture", error=r"\[2, C"),
    "root twice": _trains_like("root twice"),
    "all channels": _trains_like("all channels", "one mean"),
    "layer norm": _trains_like("layer norm", error=r"a \(C\) must match the size of tensor b \(2\)"),
}

BATCHNORM = Exercise(
    number="4.1",
    name="BatchNorm2d",
    stub='''from torch import nn


class BatchNorm2d(nn.Module):
    """Normalises each channel of x [batch, channels, height, width], in training and in evaluation mode."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        # two parameters (scale first, then shift) and the running averages

    def forward(self, x):
        raise NotImplementedError
''',
    expected=nn.BatchNorm2d,
    cases=_norm_cases,
    observe=_observe_norm,
    mistakes=(
        *(Mistake(_slipped(frozenset({name})), *says, _SEEN[name]) for name, says in _AXES.items()),
        *_DIAGNOSIS.mistakes(_SAYS),
    ),
    hints=(
        Text(
            "Which dimensions does the mean run over, if one number for each channel is to remain?",
            "要让每个通道只剩下一个数，均值应对哪几个维度求？",
        ),
        Text(
            "Keep the running averages with register_buffer; self.training says which mode it is.",
            "用 register_buffer 保存滑动平均；当前处于哪种模式，看 self.training。",
        ),
        Text(
            "mean(dim=(0, 2, 3)) and var(dim=(0, 2, 3), correction=0); the running variance gets the latter times N / "
            "(N - 1).",
            "x.mean(dim=(0, 2, 3)) 与 x.var(dim=(0, 2, 3), correction=0)；后者乘以 N / (N - 1) 再存入方差的滑动平均。",
        ),
    ),
)
