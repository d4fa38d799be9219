"""Lesson 4, keeping the signal alive: batch normalisation, folding, the start, running averages."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from reslab.learn.exercise import Exercise, Mistake, Text, raised, same
from reslab.learn.exercises.lesson4_more import DEVIATION, RECALIBRATE

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
    """Batch normalisation with one mistake, or none."""

    slip = ""

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        if self.slip != "no affine":
            self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        start = torch.zeros(channels, 1, 1)
        self.register_buffer("mean", start)
        self.register_buffer("variance", start if self.slip == "variance from 0" else start + 1)

    def _axes(self) -> tuple[int, ...]:
        return {"per pixel": (0,), "per picture": (2, 3), "all channels": (0, 1, 2, 3)}.get(self.slip, (0, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        axes = self._axes()
        mean = x.mean(dim=axes, keepdim=True)
        variance = x.var(dim=axes, correction=int(self.slip == "unbiased in the batch"), keepdim=True)
        if self.training or self.slip == "updated in eval":
            self._update(mean, variance, x.numel() / (x.shape[1] if 1 not in axes else 1))
        if not self.training and self.slip != "batch in eval":
            mean, variance = self.mean, self.variance
        root = variance.sqrt() + self.eps if self.slip == "eps outside" else (variance + self.eps).sqrt()
        y = (x - mean) / root
        if self.slip == "no affine":
            return y
        return y * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)

    def _update(self, mean: Tensor, variance: Tensor, n: float) -> None:
        share = 1 - self.momentum if self.slip == "momentum reversed" else self.momentum
        if self.slip == "last batch only":
            share = 1.0
        if self.slip not in ("biased average", "unbiased in the batch"):
            variance = variance * n / (n - 1)
        if self.slip in ("per picture", "per pixel"):
            mean, variance = (each.mean(dim=(0, 2, 3), keepdim=True)[0] for each in (mean, variance))
        elif self.slip == "all channels":
            mean, variance = mean[0], variance[0]
        self.mean, self.variance = self.mean.lerp(mean, share), self.variance.lerp(variance, share)
        if mean.ndim == 4:
            self.mean, self.variance = self.mean[0], self.variance[0]


def _slipped(slip: str) -> type[_Norm]:
    return type("BatchNorm2d", (_Norm,), {"slip": slip})


def _trains_like(slip: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by its first training step alone, whatever it keeps for evaluation."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        theirs = [_observe_norm(_slipped(slip), case) for case in _norm_cases()]
        return all(isinstance(g, list) and same(g[0], t[0], 1e-5) for g, t in zip(given, theirs, strict=True))

    return when


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
        Mistake(
            _slipped("biased average"),
            Text(
                "the running variance is too small: it receives the variance divided by N - 1, while the batch is "
                "normalised "
                "with the one divided by N",
                "滑动平均里的方差偏小：归一化这一批用的是除以 N 的方差，而存入滑动平均的应是除以 N - 1 的方差",
            ),
        ),
        Mistake(
            _slipped("unbiased in the batch"),
            Text(
                "in training mode the variance is divided by N, not N - 1: torch's var() needs correction=0",
                "训练模式下的方差应除以 N 而不是 N - 1：torch 的 var() 要写 correction=0",
            ),
        ),
        Mistake(
            _slipped("eps outside"),
            Text(
                "eps stands outside the root: it is sqrt(variance + eps), not sqrt(variance) + eps",
                "eps 放到根号外面了：应为 sqrt(方差 + eps)，而不是 sqrt(方差) + eps",
            ),
        ),
        Mistake(
            _slipped("batch in eval"),
            Text(
                "in evaluation mode you still normalise with the batch: there the running averages are used",
                "评估模式下仍在用这一批的统计量：此时应改用滑动平均",
            ),
        ),
        Mistake(
            _slipped("updated in eval"),
            Text(
                "the running averages change in evaluation mode: update them only if self.training",
                "评估模式下滑动平均也在变：只有 self.training 为真时才更新",
            ),
        ),
        Mistake(
            _slipped("momentum reversed"),
            Text(
                "momentum is the share of the new batch here: (1 - momentum) * old + momentum * new",
                "这里的 momentum 是新一批所占的份额：(1 - momentum) * 旧值 + momentum * 新值",
            ),
        ),
        Mistake(
            _slipped("last batch only"),
            Text(
                "evaluation uses the last batch alone: keep an average, (1 - momentum) * old + momentum * new",
                "评估时只用了最后一批的统计量：要保留滑动平均 (1 - momentum) * 旧值 + momentum * 新值",
            ),
        ),
        Mistake(
            _slipped("variance from 0"),
            Text(
                "the running variance starts at 1, only the running mean starts at 0",
                "方差的滑动平均从 1 开始，从 0 开始的只有均值",
            ),
        ),
        Mistake(
            _slipped("per pixel"),
            Text(
                "you take statistics per pixel: mean and variance run over batch, height and width, dim=(0, 2, 3)",
                "您对每个像素位置分别求了统计量：均值和方差要跨批、高、宽一起求，dim=(0, 2, 3)",
            ),
            when=_trains_like("per pixel"),
        ),
        Mistake(
            _slipped("per picture"),
            Text(
                "you take statistics per picture (instance norm): they run over the batch, too, dim=(0, 2, 3)",
                "您对每张图片分别求了统计量（那是实例归一化）：还要跨整个批求，dim=(0, 2, 3)",
            ),
            when=_trains_like("per picture"),
        ),
        Mistake(
            _slipped("all channels"),
            Text(
                "one mean for all channels: each channel has statistics of its own, so dimension 1 is left out",
                "所有通道共用了一个均值：每个通道要有自己的统计量，求平均时不要包含第 1 维",
            ),
            when=_trains_like("all channels"),
        ),
        Mistake(
            _slipped("no affine"),
            Text(
                "scale and shift are missing: two learnt numbers per channel, which start at 1 and 0",
                "缺少缩放和平移：每个通道有两个可学习的数，初值为 1 和 0",
            ),
        ),
    ),
    hints=(
        Text(
            "Which dimensions does the mean run over, if one number for each channel is to remain?",
            "如果每个通道只剩下一个数，均值要跨哪几个维度求？",
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


def _fold_cases() -> list[tuple[Any, ...]]:
    """Square ones, too, in which a factor on the wrong axis raises no error."""
    dice = torch.Generator().manual_seed(4)
    cases = []
    for c_in, c_out, k, eps in ((4, 4, 3, 1e-5), (2, 5, 1, 0.5), (4, 4, 4, 0.1)):
        gamma, beta, mean = (torch.randn(c_out, generator=dice) for _ in range(3))
        variance = torch.rand(c_out, generator=dice) + 0.2
        cases.append((torch.randn(c_out, c_in, k, k, generator=dice), gamma, beta, mean, variance, eps))
    return cases


def _observe_fold(answer: Any, case: tuple[Any, ...]) -> list[Tensor]:
    """Filters and bias, and what they compute."""
    weight, bias = answer(*case)
    dice = torch.Generator().manual_seed(5)
    x = torch.randn(2, case[0].shape[1], 5, 6, generator=dice)
    return [weight, bias, F.conv2d(x, weight, bias)]


def _fold(
    weight: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """By PyTorch's own fusion."""
    filters, bias = fuse_conv_bn_weights(weight, None, mean, variance, eps, gamma, beta)
    return filters, bias


def _fold_with(slip: str) -> Any:
    def fold(
        w: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        scale = gamma / (variance + eps).sqrt()
        if slip == "no root":
            scale = gamma / (variance + eps)
        elif slip == "eps outside":
            scale = gamma / (variance.sqrt() + eps)
        elif slip == "no gamma":
            scale = 1 / (variance + eps).sqrt()
        axes = (1, -1, 1, 1) if slip == "input channels" else (-1, 1, 1, 1)
        filters = w if slip == "filters as they were" else w * scale.view(axes)
        bias = {
            "mean not scaled": beta - mean,
            "mean added": beta + scale * mean,
            "no mean": beta,
            "beta scaled": scale * (beta - mean),
            "no bias": torch.zeros_like(beta),
        }.get(slip, beta - scale * mean)
        return filters, bias

    return fold


FOLD = Exercise(
    number="4.2",
    name="fold",
    stub='''def fold(weight, gamma, beta, mean, variance, eps):
    """weight [out_channels, in_channels, k, k], the rest [out_channels] -> filters and bias of one convolution"""
    raise NotImplementedError
''',
    expected=_fold,
    cases=_fold_cases,
    observe=_observe_fold,
    mistakes=(
        Mistake(
            _fold_with("mean not scaled"),
            Text(
                "the mean is subtracted before the norm scales, so it is scaled, too: beta - scale * mean",
                "均值是在缩放之前减去的，所以它也要乘以缩放系数：beta - scale * mean",
            ),
        ),
        Mistake(
            _fold_with("mean added"),
            Text("the mean is added: the norm subtracts it", "把均值加上了：归一化是减去均值"),
        ),
        Mistake(
            _fold_with("no mean"),
            Text(
                "the running mean is missing from the bias: beta - scale * mean",
                "偏置里漏了均值：beta - scale * mean",
            ),
        ),
        Mistake(
            _fold_with("beta scaled"),
            Text(
                "beta is added after the scaling, so it stays as it is",
                "beta 是缩放之后才加的，保持原样即可，不要再乘系数",
            ),
        ),
        Mistake(
            _fold_with("no bias"),
            Text(
                "the bias is zero: what the norm adds has to go somewhere, beta - scale * mean",
                "偏置成了零：归一化所加的那部分必须有去处，beta - scale * mean",
            ),
        ),
        Mistake(
            _fold_with("filters as they were"),
            Text(
                "the filters are not scaled: each is multiplied by its channel's gamma / sqrt(variance + eps)",
                "卷积核没有缩放：每个卷积核都要乘以它所在通道的 gamma / sqrt(variance + eps)",
            ),
        ),
        Mistake(
            _fold_with("input channels"),
            Text(
                "the factors lie along the input channels: the norm follows the convolution, so they belong to axis 0, the "
                "output channels",
                "系数乘到输入通道上了：归一化在卷积之后，系数对应的是第 0 维，即输出通道",
            ),
        ),
        Mistake(
            _fold_with("no root"),
            Text(
                "you divide by the variance: the norm divides by its root",
                "您除以了方差：归一化除以的是方差的平方根",
            ),
        ),
        Mistake(
            _fold_with("eps outside"),
            Text("eps belongs under the root: sqrt(variance + eps)", "eps 应在根号里面：sqrt(variance + eps)"),
        ),
        Mistake(
            _fold_with("no gamma"),
            Text("gamma is missing from the factor", "系数里漏了 gamma"),
        ),
    ),
    hints=(
        Text(
            "Write the norm as one multiplication and one addition of constants.",
            "先把评估模式下的归一化写成乘一个常数、再加一个常数。",
        ),
        Text(
            "y = scale * (w * x - mean) + beta. What multiplies w, and what is left over?",
            "y = scale * (w * x - mean) + beta。与 w 相乘的是什么？剩下的又是什么？",
        ),
        Text(
            "scale = gamma / (variance + eps).sqrt(); reshape it to [out_channels, 1, 1, 1] for the filters.",
            "scale = gamma / (variance + eps).sqrt()；乘卷积核之前先变形为 [out_channels, 1, 1, 1]。",
        ),
    ),
)


EXERCISES = (BATCHNORM, FOLD, DEVIATION, RECALIBRATE)
