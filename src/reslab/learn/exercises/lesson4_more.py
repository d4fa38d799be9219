"""Lesson 4, the last two exercises: the start, and a bug hunt around running averages."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text, same


def _deviation(in_channels: int, out_channels: int, kernel: int, a: float) -> float:
    return nn.init.calculate_gain("leaky_relu", a) / (in_channels * kernel**2) ** 0.5


DEVIATION = Exercise(
    number="4.3",
    name="standard_deviation",
    stub='''def standard_deviation(in_channels, out_channels, kernel, a):
    """Of the weights of a convolution [out_channels, in_channels, kernel, kernel] before a leaky ReLU with slope a."""
    raise NotImplementedError
''',
    expected=_deviation,
    cases=lambda: [
        (3, 64, 7, 0.0),
        (64, 128, 3, 0.0),
        (16, 8, 1, 0.0),
        (16, 8, 1, 1.0),
        (8, 16, 3, 0.5),
        (5, 7, 2, 0.1),
    ],
    mistakes=(
        Mistake(
            lambda i, o, k, a: _deviation(o, i, k, a),
            "you count the output channels: an output value is a sum over in_channels * kernel² products",
            "您数的是输出通道：一个输出值是 in_channels * kernel² 个乘积之和",
        ),
        Mistake(
            lambda i, o, k, a: _deviation(i, o, k, a) ** 2,
            "this is the variance: the standard deviation is its root",
            "这是方差：标准差是它的平方根",
        ),
        Mistake(
            lambda i, o, k, a: _deviation(i, o, k, a) * k,
            "the pixels of the filter are forgotten: each output value sums over kernel² of them, in every channel",
            "漏了卷积核的像素个数：每个通道上都有 kernel² 个乘积要相加",
        ),
        Mistake(
            lambda i, o, k, a: _deviation(i, o, k, a) * k**0.5,
            "the filter has kernel² pixels, not kernel",
            "卷积核有 kernel² 个像素，不是 kernel 个",
        ),
        Mistake(
            lambda i, o, k, a: _deviation(i, o, k, 1.0),
            "this is right without an activation function: ReLU halves the mean square, and the weights make up for it",
            "没有激活函数时才是这样：ReLU 会让均方减半，权重要把它补回来",
        ),
        Mistake(
            lambda i, o, k, a: _deviation(i, o, k, 0.0),
            "the slope a is ignored: half of the values keep a² of their square",
            "没有用到斜率 a：有一半的值还保留着平方的 a² 倍",
        ),
        Mistake(
            lambda i, o, k, a: (2 / ((1 + a) * i * k * k)) ** 0.5,
            "squares count: a negative value keeps a² of its square, not a of it",
            "要看的是平方：负值的平方保留 a² 倍，而不是 a 倍",
        ),
        Mistake(
            lambda i, o, k, a: _deviation(i, o, k, 0.0) * (1 + a**2) ** 0.5,
            "1 + a² stands on the wrong side: the more the activation lets through, the smaller the weights must be",
            "1 + a² 乘反了，应当除：激活函数放过的越多，权重应当越小",
        ),
        Mistake(
            lambda i, o, k, a: _deviation(i, o, k, a) / 2**0.5,
            "1 + a² must be halved: the two halves of the values keep 1 and a² of their square, on average (1 + a²) / 2",
            "1 + a² 还要除以 2：两半数值的平方分别保留 1 倍和 a² 倍，平均为 (1 + a²) / 2",
        ),
        Mistake(
            lambda i, o, k, a: 3**0.5 * _deviation(i, o, k, a),
            "this is the bound of a uniform distribution: its standard deviation is the bound divided by √3",
            "这是均匀分布的边界：均匀分布的标准差等于边界除以 √3",
        ),
        Mistake(
            lambda i, o, k, a: (2 / (k * k * (i + o))) ** 0.5,
            "this is Xavier initialisation (Glorot and Bengio 2010), made for activation functions that are straight at "
            "zero; ReLU halves the mean square",
            "这是 Xavier 初始化（Glorot 与 Bengio，2010），适用于在零附近近似线性的激活函数；而 ReLU 会让均方减半",
        ),
    ),
    hints=(
        Text(
            "How many products are added up in one output value?",
            "一个输出值由多少个乘积相加而成？",
        ),
        Text(
            "Half of the values are positive and keep their square. What share of the mean square do the others keep?",
            "有一半的值为正，平方不变。另一半的均方变成了原来的多少？",
        ),
        Text(
            "in_channels * kernel² * variance * (1 + a²) / 2 = 1; take the root.",
            "in_channels * kernel² * 方差 * (1 + a²) / 2 = 1；最后开平方。",
        ),
    ),
)


class _Twice(nn.Module):
    """Two norms, one after the other, the first of which has its own momentum."""

    def __init__(self, momentum: float) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(4)
        self.first, self.second = nn.BatchNorm2d(2, momentum=momentum), nn.BatchNorm2d(2)
        self.conv = nn.Conv2d(2, 2, 3, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=dice))
            for name, buffer in self.named_buffers():  # as after some training
                buffer.add_({"running_mean": 3, "running_var": 4}.get(name.rpartition(".")[2], 7))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.conv(self.first(x))))


def _observe_recalibrated(answer: Any, case: tuple[Any, ...]) -> list[Any]:
    """Running averages, weights, mode and momentum afterwards."""
    (momentum,) = case
    dice = torch.Generator().manual_seed(5)
    batches = [torch.randn(4, 2, 6, 6, generator=dice) * scale + scale for scale in (1.0, 2.0, 5.0)]
    network = _Twice(momentum).eval()
    answer(network, batches)
    norms = [network.first, network.second]
    return [
        [[buffer.clone() for name, buffer in norm.named_buffers() if name.startswith("running")] for norm in norms],
        [parameter.detach().clone() for parameter in network.parameters()],
        network.training,
        [norm.momentum for norm in norms],
    ]


def _recalibrated(slip: str = "") -> Callable[..., nn.Module]:
    def recalibrate(network: nn.Module, batches: list[Tensor]) -> nn.Module:
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms[:1] if slip == "one norm" else norms:
            if slip == "all of it reset":
                norm.reset_parameters()
            elif slip != "no reset":
                norm.reset_running_stats()
            if slip != "old momentum":
                norm.momentum = 1.0 if slip == "last batch" else None
        network.train(slip != "eval")
        with torch.no_grad():
            for batch in batches[:1] if slip == "one batch" else batches:
                network(batch)
        if slip != "momentum lost":
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = 0.1 if slip == "one momentum" else momentum
        return network if slip == "left in training" else network.eval()

    return recalibrate


def _only(part: int) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer in which this part of the observation is as in no right one."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        return all(isinstance(g, list) and g[part] != e[part] for g, e in zip(given, expected, strict=True))

    return when


def _averages_like(slip: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by its running averages, whatever else it leaves behind."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        theirs = [_observe_recalibrated(_recalibrated(slip), case) for case in _CASES]
        return all(isinstance(g, list) and same(g[0], t[0], 1e-5) for g, t in zip(given, theirs, strict=True))

    return when


_CASES = [(0.1,), (0.3,)]

RECALIBRATE = Exercise(
    number="4.4",
    name="recalibrate",
    stub='''import torch
from torch import nn


def recalibrate(network, batches):
    """Measure the running averages of every BatchNorm2d on these batches; all else stays as it was (evaluation mode, too)."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    network.eval()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    return network
''',
    expected=_recalibrated(),
    cases=lambda: _CASES,
    observe=_observe_recalibrated,
    mistakes=(
        Mistake(
            _recalibrated("eval"),
            "the running averages stand at 0 and 1: in evaluation mode a norm measures nothing, so the batches must go "
            "through in training mode",
            "滑动平均还停在 0 和 1：评估模式下归一化不会统计，要在训练模式下让各批通过",
            when=_averages_like("eval"),
        ),
        Mistake(
            _recalibrated("all of it reset"),
            "reset_parameters() also resets the learnt scale and shift: use reset_running_stats()",
            "reset_parameters() 会把学到的缩放和平移也重置掉：请用 reset_running_stats()",
        ),
        Mistake(
            _recalibrated("no reset"),
            "the old averages take part: reset_running_stats() first",
            "旧的滑动平均也算进去了：先调用 reset_running_stats()",
            when=_averages_like("no reset"),
        ),
        Mistake(
            _recalibrated("old momentum"),
            "the last batches count most: with momentum = None PyTorch takes the plain average of all batches",
            "靠后的批占比过大：把 momentum 设为 None，PyTorch 就对所有批取普通平均",
            when=_averages_like("old momentum"),
        ),
        Mistake(
            _recalibrated("one norm"),
            "only the first norm is measured anew: there are more",
            "只重新统计了第一个归一化层：后面还有",
            when=_averages_like("one norm"),
        ),
        Mistake(
            _recalibrated("one batch"),
            "only one batch is measured: send all of them through",
            "只用了一批：所有批都要通过一遍",
            when=_averages_like("one batch"),
        ),
        Mistake(
            _recalibrated("left in training"),
            "the network is left in training mode: who uses it next gets answers that depend on the batch",
            "网络还留在训练模式：接下来使用它的人，得到的输出会随同批图片而变",
            when=_only(2),
        ),
        Mistake(
            _recalibrated("last batch"),
            "only the last batch counts: with momentum = 1 each batch replaces the one before; momentum = None averages them",
            "只有最后一批算数：momentum = 1 时每一批都会取代前一批；momentum = None 才是取平均",
            when=_averages_like("last batch"),
        ),
        Mistake(
            _recalibrated("one momentum"),
            "every norm gets the same momentum back: keep each one's own before you change it",
            "每个归一化层恢复成了同一个 momentum：改动之前应当记下各自的值",
        ),
        Mistake(
            _recalibrated("momentum lost"),
            "momentum is still None: in a later training the running averages would never forget; put the old "
            "value back",
            "momentum 还是 None：以后再训练，滑动平均就永远甩不掉旧值；请恢复原来的 momentum",
            when=_only(3),
        ),
    ),
    hints=(
        Text("In which mode does a norm measure?", "归一化在哪种模式下才做统计？"),
        Text(
            "What do the running averages hold before the first batch? And what does momentum = None leave behind?",
            "第一批通过之前，滑动平均里是什么？momentum = None 又会留下什么后果？",
        ),
        Text(
            "reset_running_stats(), momentum = None, network.train(), the batches, the old momentum back, network.eval().",
            "依次是：reset_running_stats()，momentum = None，network.train()，让各批通过，恢复原来的 momentum，"
            "network.eval()。",
        ),
    ),
)
