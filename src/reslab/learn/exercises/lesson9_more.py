"""Lesson 9, the family, continued: pre-activation, and a bug hunt in squeeze-and-excitation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text, call
from reslab.learn.exercises.modules import Diagnosis

Layer = Callable[[Tensor], Tensor]


def _layers(*modules: nn.Module) -> list[nn.Module]:
    """The modules in evaluation mode, with numbers that nothing cancels."""
    dice = torch.Generator().manual_seed(93)
    for module in modules:
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                values = torch.randn(tensor.shape, generator=dice) / 2
                tensor.copy_(values.abs() + 0.5 if name == "running_var" else values)
        module.eval().requires_grad_(False)
    return list(modules)


def _blocks() -> list[tuple]:
    """A block that keeps its shape, and one that halves the map and changes the channels."""
    dice = torch.Generator().manual_seed(39)
    keeps = _layers(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, 1, 1))
    halves = _layers(
        nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, 1, 1), nn.Conv2d(4, 6, 1, 2)
    )
    return [
        (torch.randn(2, 4, 6, 8, generator=dice), *keeps, None),
        (torch.randn(2, 4, 6, 8, generator=dice), *halves),
    ]


def _first_order(x: Tensor, norm1: Layer, conv1: Layer, norm2: Layer, conv2: Layer, project: Layer | None) -> Tensor:
    y = norm2(conv2(torch.relu(norm1(conv1(x)))))
    return torch.relu(y + (project(x) if project else x))


def _preactivated(slip: str = "") -> Callable[..., Tensor]:
    """The block of 2016, with one slip."""

    def active(norm: Layer, y: Tensor, place: str) -> Tensor:
        if slip in ("no relu", f"no {place} relu"):
            return norm(y)
        return norm(torch.relu(y)) if slip == "relu first" else torch.relu(norm(y))

    def block(x: Tensor, norm1: Layer, conv1: Layer, norm2: Layer, conv2: Layer, project: Layer | None) -> Tensor:
        before = active(norm1, x, "first")
        y = conv1(before)
        y = conv2(y if slip == "one norm" else active(norm2, y, "second"))
        along = before if project or slip == "active identity" else x
        if project:
            along = project(x if slip == "raw projection" else along)
        if slip == "relu in front":
            y = torch.relu(y)
        if slip != "no sum":
            y = y + along
        return torch.relu(y) if slip == "relu behind" else y

    return block


PREACTIVATED = Exercise(
    number="9.3",
    name="preactivated",
    stub='''import torch


def preactivated(x, norm1, conv1, norm2, conv2, project):
    """This is the block of 2015. Turn it into that of 2016; `project` is None where the shape stays the same."""
    y = torch.relu(norm1(conv1(x)))
    y = norm2(conv2(y))
    shortcut = project(x) if project else x
    return torch.relu(y + shortcut)
''',
    expected=_preactivated(),
    cases=_blocks,
    mistakes=(
        Mistake(
            _first_order,
            "this is still the order of 2015: convolution, norm, ReLU; in 2016 it is norm, ReLU, convolution",
            "这仍是 2015 年论文的次序：卷积、归一化、ReLU；2016 年改成了归一化、ReLU、卷积",
        ),
        Mistake(
            _preactivated("relu behind"),
            "nothing may follow the sum: your ReLU there cuts off whatever is negative, in x, too",
            "相加之后不能再有别的操作：那里的 ReLU 会把负值（包括 x 中的负值）全部截掉",
        ),
        Mistake(
            _preactivated("raw projection"),
            "the projection reads x behind the first norm and ReLU (He et al. 2016, appendix); only the identity takes x",
            "投影读取的是经过第一个归一化与 ReLU 之后的 x（He 等，2016，附录）；只有恒等捷径才直接取 x",
        ),
        Mistake(
            _preactivated("active identity"),
            "your shortcut carries relu(norm1(x)): then it is no identity any more; add x itself",
            "您的捷径传的是 relu(norm1(x))，这就不再是恒等映射；应当加上 x 本身",
        ),
        Mistake(
            _preactivated("no relu"),
            "norm and convolution without a ReLU: in evaluation the whole residual is then one linear function",
            "只有归一化和卷积，没有 ReLU：评估模式下整个残差就只是线性运算",
        ),
        Mistake(
            _preactivated("no first relu"),
            "a ReLU is missing behind the first norm: norm, ReLU, convolution, twice",
            "第一个归一化之后少了 ReLU：归一化、ReLU、卷积，重复两次",
        ),
        Mistake(
            _preactivated("no second relu"),
            "a ReLU is missing behind the second norm: norm, ReLU, convolution, twice",
            "第二个归一化之后少了 ReLU：归一化、ReLU、卷积，重复两次",
        ),
        Mistake(
            _preactivated("relu in front"),
            "a ReLU stands between the last convolution and the sum: F(x) could only add, never take away",
            "最后一个卷积与相加之间有一个 ReLU：这样 F(x) 只能加，不能减",
        ),
        Mistake(
            _preactivated("relu first"),
            "norm and ReLU are exchanged: first the norm, then the ReLU, then the convolution",
            "归一化与 ReLU 的次序反了：先归一化，再 ReLU，然后卷积",
        ),
        Mistake(
            _preactivated("one norm"),
            "the second convolution has lost its norm and ReLU: each convolution has both in front of it",
            "第二个卷积前缺了归一化与 ReLU：每个卷积之前都要有这两步",
        ),
        Mistake(_preactivated("no sum"), "the shortcut is not added", "没有加上捷径"),
    ),
    hints=(
        Text(
            "Each convolution takes its norm and ReLU from behind to in front of it. What is then left behind the sum?",
            "把每个卷积后面的归一化和 ReLU 挪到它前面。这样一来，相加之后还剩什么？",
        ),
        Text(
            "norm1 now sees x, norm2 what conv1 gives. Where there is a projection, it shares the first norm and ReLU.",
            "norm1 现在作用于 x，norm2 作用于 conv1 的输出。有投影时，它与残差共用第一个归一化和 ReLU。",
        ),
        Text(
            "active = relu(norm1(x)); return conv2(relu(norm2(conv1(active)))) + (project(active) if project else x)",
            "active = relu(norm1(x)); return conv2(relu(norm2(conv1(active)))) + (project(active) if project else x)，到此为止。",
        ),
    ),
)


def _gated(
    x: Tensor, residual: Layer, squeeze: Layer, excite: Layer, bugs: Sequence[str] = (), pool: str = "mean"
) -> Tensor:
    """The block with squeeze-and-excitation, and with some of the bugs."""
    y = residual(x)
    source = x if "source" in bugs else y
    pooled = source.amax(dim=(2, 3)) if pool == "max" else source.mean(dim=(2, 3))
    inner = squeeze(pooled) if "linear" in bugs else torch.relu(squeeze(pooled))
    factors = (excite(inner).softmax(1) if "softmax" in bugs else torch.sigmoid(excite(inner)))[:, :, None, None]
    return torch.relu((x + y) * factors if "sum" in bugs else x + y * factors)


def _gates() -> list[tuple]:
    dice = torch.Generator().manual_seed(94)
    layers = [_layers(nn.Conv2d(8, 8, 3, 1, 1), nn.Linear(8, 2), nn.Linear(2, 8)) for _ in range(2)]
    return [(torch.randn(3, 8, 5, 4, generator=dice), *each) for each in layers]


_BUGS = {
    "source": Text("the means are taken of x, not of F(x)", "取的是 x 的均值，而不是 F(x) 的均值"),
    "softmax": Text(
        "softmax makes the channels compete, and all factors add up to 1; each channel has a sigmoid of its own",
        "softmax 让各通道互相竞争，系数之和为 1；应当让每个通道各有自己的 sigmoid",
    ),
    "sum": Text(
        "the factors scale the sum, and with it x; only F(x) is scaled",
        "系数乘在了相加的结果上，连 x 也被缩放；只应缩放 F(x)",
    ),
}


def _with_bugs(bugs: Sequence[str], pool: str = "mean") -> Callable[..., Tensor]:
    return lambda x, residual, squeeze, excite: _gated(x, residual, squeeze, excite, bugs, pool)


_DIAGNOSIS = Diagnosis(
    lambda bugs: _with_bugs(tuple(bugs), "max" if "max" in bugs else "mean"),
    (*((bug,) for bug in _BUGS), ("linear",), ("max",)),
    call,
    _gates,
    most=3,
)

GATE = Exercise(
    number="9.4",
    name="gated",
    stub='''import torch


def gated(x, residual, squeeze, excite):
    """A block with squeeze-and-excitation: each channel of F(x) times a factor between 0 and 1. Three bugs."""
    y = residual(x)
    means = x.mean(dim=(2, 3))
    factors = excite(torch.relu(squeeze(means))).softmax(dim=1)
    return torch.relu((x + y) * factors[:, :, None, None])
''',
    expected=_with_bugs(()),
    cases=_gates,
    mistakes=(
        Mistake(
            _with_bugs(tuple(_BUGS)),
            "all three bugs are still in it; begin with a shortcut that must stay the identity: what do the factors touch?",
            "三处错误都还在；先想一想：捷径应当保持恒等，系数乘到了什么上面？",
        ),
        *(Mistake(_with_bugs((bug,)), *says, _DIAGNOSIS.shows(bug)) for bug, says in _BUGS.items()),
        Mistake(
            _with_bugs(("linear",)),
            "the ReLU between the two linear layers is gone: together they are then only one",
            "两个全连接层之间的 ReLU 不见了：这样两层合起来只相当于一层",
        ),
        Mistake(
            _with_bugs((), "max"),
            "squeezing takes the mean over the pixels, not the maximum",
            "压缩一步取的是像素的均值，不是最大值",
        ),
    ),
    hints=(
        Text(
            "Which of the two paths may a factor touch, if the shortcut is to stay the identity?",
            "如果要让捷径保持恒等，系数可以作用在哪条路径上？",
        ),
        Text(
            "The means describe what the gate will scale. And no channel's factor should fall because another's rises.",
            "门控缩放的是哪个量，均值就应当对哪个量求。而且一个通道的系数不应受其他通道系数大小的影响。",
        ),
        Text(
            "means of y; torch.sigmoid; relu(x + y * factors).",
            "对 y 取均值；用 torch.sigmoid；relu(x + y * factors)。",
        ),
    ),
)
