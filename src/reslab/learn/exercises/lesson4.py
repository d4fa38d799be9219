"""Lesson 4, keeping the signal alive: folding, the start; 4.1 is in `lesson4_norm`, the rest in `lesson4_more`."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.lesson4_more import DEVIATION, RECALIBRATE
from reslab.learn.exercises.lesson4_norm import BATCHNORM


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
            "mean not divided": beta - gamma * mean,
            "sign": scale * mean - beta,
        }.get(slip, beta - scale * mean)
        return (bias, filters) if slip == "order" else (filters, bias)

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
            "the mean is subtracted before the norm scales, so it is scaled, too: beta - scale * mean",
            "均值是在缩放之前减去的，所以它也要乘以缩放系数：beta - scale * mean",
        ),
        Mistake(
            _fold_with("mean added"),
            "the mean is added: the norm subtracts it",
            "把均值加上了：归一化是减去均值",
        ),
        Mistake(
            _fold_with("no mean"),
            "the running mean is missing from the bias: beta - scale * mean",
            "偏置里漏了均值：beta - scale * mean",
        ),
        Mistake(
            _fold_with("mean not divided"),
            "the mean is multiplied by gamma alone: by the whole factor, gamma / sqrt(variance + eps)",
            "均值只乘了 gamma：应乘以整个系数 gamma / sqrt(variance + eps)",
        ),
        Mistake(
            _fold_with("sign"),
            "the bias has the wrong sign: beta - scale * mean",
            "偏置的正负号反了：beta - scale * mean",
        ),
        Mistake(
            _fold_with("order"),
            "filters and bias are exchanged: return the filters first",
            "卷积核与偏置的次序反了：先返回卷积核",
        ),
        Mistake(
            _fold_with("beta scaled"),
            "beta is added after the scaling, so it stays as it is",
            "beta 是缩放之后才加的，保持原样即可，不要再乘系数",
        ),
        Mistake(
            _fold_with("no bias"),
            "the bias is zero: what the norm adds has to go somewhere, beta - scale * mean",
            "偏置成了零：归一化所加的那部分要并入偏置，beta - scale * mean",
        ),
        Mistake(
            _fold_with("filters as they were"),
            "the filters are not scaled: each is multiplied by its channel's gamma / sqrt(variance + eps)",
            "卷积核没有缩放：每个卷积核都要乘以它所在通道的 gamma / sqrt(variance + eps)",
        ),
        Mistake(
            _fold_with("input channels"),
            "the factors lie along the input channels: the norm follows the convolution, so they belong to axis 0, the "
            "output channels",
            "系数乘到输入通道上了：归一化在卷积之后，系数对应的是第 0 维，即输出通道",
        ),
        Mistake(
            _fold_with("no root"),
            "you divide by the variance: the norm divides by its root",
            "您除以了方差：归一化除以的是方差的平方根",
        ),
        Mistake(
            _fold_with("eps outside"),
            "eps belongs under the root: sqrt(variance + eps)",
            "eps 应在根号里面：sqrt(variance + eps)",
        ),
        Mistake(
            _fold_with("no gamma"),
            "gamma is missing from the factor",
            "系数里漏了 gamma",
        ),
    ),
    hints=(
        Text(
            "Write the norm as one multiplication and one addition of constants.",
            "先把评估模式下的归一化写成乘一个常数、再加一个常数。",
        ),
        Text(
            "y = scale * (w * x - mean) + beta. What multiplies w, and what is left over?",
            "y = scale * (w * x - mean) + beta。把括号展开，w 乘上了什么？剩下的又是什么？",
        ),
        Text(
            "scale = gamma / (variance + eps).sqrt(); reshape it to [out_channels, 1, 1, 1] for the filters.",
            "scale = gamma / (variance + eps).sqrt()；乘卷积核之前先变形为 [out_channels, 1, 1, 1]。",
        ),
    ),
)


EXERCISES = (BATCHNORM, FOLD, DEVIATION, RECALIBRATE)
