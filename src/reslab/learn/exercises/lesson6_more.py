"""Lesson 6, continued: the shortcut without parameters, and a bug hunt."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, as_numpy, same
from reslab.learn.exercises.modules import Diagnosis, Variant, count, give_weights, randomise
from reslab.nn.blocks import PaddedIdentity

_EVEN = 1  # the case whose map is divided by its stride


def _padded_cases() -> list[tuple[Tensor, int, int]]:
    dice = torch.Generator().manual_seed(63)
    shapes = [(4, 8, 2, 9, 7), (3, 8, 2, 6, 8), (4, 8, 1, 5, 4), (2, 6, 3, 8, 10)]
    return [(torch.randn(2, c, h, w, generator=dice), out, stride) for c, out, stride, h, w in shapes]


def _padded(x: Tensor, out_channels: int, stride: int) -> Tensor:
    return PaddedIdentity(x.shape[1], out_channels, stride)(x)


def _padded_wrong(x: Tensor, out_channels: int, stride: int, mistake: str) -> Tensor:
    """The shortcut with one mistake."""
    new = out_channels - x.shape[1]
    before = {"behind": 0, "before": new, "rounded up": -(-new // 2), "half of all": out_channels // 2}.get(
        mistake, new // 2
    )
    if mistake == "average":
        x = F.avg_pool2d(x, stride, ceil_mode=True)
    elif mistake == "maximum":
        x = F.max_pool2d(x, stride, ceil_mode=True)
    elif mistake == "last pixel":
        x = x[:, :, stride - 1 :: stride, stride - 1 :: stride]
    elif mistake == "rows":
        x = x[:, :, ::stride]
    elif mistake != "no stride":
        rows, columns = (side // stride if mistake == "rounded down" else side for side in x.shape[2:])
        x = x[:, :, ::stride, ::stride][:, :, :rows, :columns]
    if mistake == "repeated":
        return torch.cat([x] * (1 + new // x.shape[1] + 1), 1)[:, :out_channels]
    if mistake == "ones":
        return F.pad(x, (0, 0, 0, 0, before, new - before), value=1.0)
    if mistake == "columns":
        return F.pad(x, (before, new - before))
    return x if mistake == "no channels" else F.pad(x, (0, 0, 0, 0, before, new - before))


def _kept(result: Any, pooled: Tensor) -> bool:
    """Whether these maps are what a result has besides the new channels, wherever those stand."""
    maps, channels = as_numpy(result), pooled.shape[1]
    if maps.shape[2:] != tuple(pooled.shape[2:]):
        return False
    starts = range(maps.shape[1] - channels + 1)
    return any(same(maps[:, start : start + channels], pooled, 1e-5) for start in starts)


def _pools(pool: Callable[[Tensor, int], Tensor]) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises pooling by the map that the stride divides, whatever happens to the others."""
    x, _, stride = _padded_cases()[_EVEN]
    return lambda given, expected: _kept(given[_EVEN], pool(x, stride))


def _rounds_down(given: list[Any], expected: list[Any]) -> bool:
    """Maps whose sides the stride does not divide lose their last row or column, or raise an error."""
    found = []
    for (x, _, stride), one in zip(_padded_cases(), given, strict=True):
        rows, columns = (side // stride for side in x.shape[2:])
        if rows * stride == x.shape[2] and columns * stride == x.shape[3]:
            if isinstance(one, Raised) or not _kept(one, x[:, :, ::stride, ::stride]):
                return False
        else:
            small = x[:, :, ::stride, ::stride][:, :, :rows, :columns]
            found.append(one.kind == "RuntimeError" if isinstance(one, Raised) else _kept(one, small))
    return all(found)


_WHEN = {"average": _pools(F.avg_pool2d), "maximum": _pools(F.max_pool2d), "rounded down": _rounds_down}

_PADDED_SAYS = {
    "behind": Text(
        "all new channels stand behind: half of them belong before x (rounded down)",
        "新通道全放在了后面：其中一半（向下取整）应放在 x 之前",
    ),
    "before": Text(
        "all new channels stand before x: half of them, rounded up, belong behind",
        "新通道全放在了前面：其中一半（向上取整）应放在 x 之后",
    ),
    "rounded up": Text(
        "of an odd number of new channels the greater half stands before x: round down, new // 2",
        "新通道数为奇数时，多出的一个放在了前面：应向下取整，new // 2",
    ),
    "half of all": Text(
        "half of *all* channels stand before x: half of the *new* ones belong there, (out_channels - channels) // 2",
        "放在 x 之前的是总通道数的一半：应当是新通道数的一半，即 (out_channels - channels) // 2",
    ),
    "average": Text(
        "you average: option A takes every `stride`-th pixel as it is and drops the others",
        "您取了平均：方案 A 隔 stride 个像素取一个，其余的丢掉",
    ),
    "maximum": Text(
        "you take the largest of each window: option A takes every `stride`-th pixel as it is",
        "您取了每个窗口的最大值：方案 A 只是隔 stride 个像素取一个",
    ),
    "last pixel": Text(
        "you begin with pixel stride - 1: begin with pixel 0, where a striding convolution has its centre",
        "您从第 stride - 1 个像素开始取：应从第 0 个开始，跨步的卷积也以这个像素为中心",
    ),
    "rounded down": Text(
        "the size is rounded down: of 9 rows, ::2 takes 5, the first and the last included; let the slice decide the size",
        "尺寸向下取整了：9 行里用 ::2 取到的是 5 行，首尾都在内；尺寸以切片的结果为准",
    ),
    "rows": Text(
        "only the rows stride: columns must, too",
        "只在行上跨步了：列也要跨步",
    ),
    "no stride": Text(
        "nothing strides: the map must become smaller by `stride`",
        "没有跨步：特征图要按 stride 缩小",
    ),
    "repeated": Text(
        "the new channels repeat x: they are zero in option A",
        "新通道里重复了 x：方案 A 填的是零",
    ),
    "ones": Text(
        "the new channels are filled with ones: with zeros, so that the sum is F(x) alone there",
        "新通道填成了 1：应当填零，这样在这些通道上相加的结果就只有 F(x)",
    ),
    "columns": Text(
        "F.pad counts axes from the last one, so this adds columns: channels are the third pair, (0, 0, 0, 0, before, behind)",
        "F.pad 从最后一个轴数起，这样加上的是列：通道是第三对，(0, 0, 0, 0, before, behind)",
    ),
    "no channels": Text(
        "the new channels are missing: x and F(x) could not be added",
        "缺少新通道：x 与 F(x) 无法相加",
    ),
}

PADDED_IDENTITY = Exercise(
    number="6.3",
    name="padded_identity",
    stub='''import torch


def padded_identity(x, out_channels, stride):
    """x [batch, channels, height, width] as the shortcut of option A; of the new channels half (rounded down) come first."""
    raise NotImplementedError
''',
    expected=_padded,
    cases=_padded_cases,
    mistakes=tuple(
        Mistake(partial(_padded_wrong, mistake=name), *says, _WHEN.get(name)) for name, says in _PADDED_SAYS.items()
    ),
    hints=(
        Text(
            "Two steps: fewer pixels, more channels. Neither needs a number that is learnt.",
            "分两步：像素变少，通道变多。两步都没有需要学习的参数。",
        ),
        Text(
            "A slice may have a step, x[:, :, ::2]. torch.nn.functional.pad counts axes from the last one.",
            "切片可以带步长：x[:, :, ::2]。torch.nn.functional.pad 从最后一个轴数起。",
        ),
        Text(
            "F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, behind))",
            "F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, behind))，before 与 behind 之和是新增的通道数",
        ),
    ),
)


class _Block(nn.Module):
    """The block of the bug hunt, with some mistakes left."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, mistakes: Variant) -> None:
        super().__init__()
        self.mistakes = mistakes
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.Identity() if "no second norm" in mistakes else nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            along = 1 if "shortcut without stride" in mistakes else stride
            project = nn.Conv2d(in_channels, out_channels, 1, along, bias=False)
            norm = nn.Identity() if "shortcut without norm" in mistakes else nn.BatchNorm2d(out_channels)
            self.shortcut = nn.Sequential(project, norm)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if "series" in self.mistakes:
            return F.relu(self.shortcut(out))
        if {"ReLU before the sum", "ReLU twice"} & self.mistakes:
            out = F.relu(out)
        total = self.shortcut(x)
        if "in place" in self.mistakes:
            total += out
        else:
            total = total + out
        return total if "ReLU before the sum" in self.mistakes else F.relu(total)


def _stages(depths: Any, widths: Any, mistakes: Variant = frozenset()) -> nn.Sequential:
    made: list[nn.Module] = []
    channels = widths[0]
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for number in range(depth):
            first = number == 0 and stage > 0
            if "only the first block strides" in mistakes:
                first = not made
            elif "every stage strides" in mistakes:
                first = number == 0
            elif "every block strides" in mistakes:
                first = stage > 0
            made.append(_Block(channels, width, 2 if first else 1, mistakes))
            channels = width
    return nn.Sequential(*made)


def _hunt_cases() -> list[tuple[Any, ...]]:
    plan = ((2, 2, 1), (4, 6, 8))
    return [("parameters", *plan), ("output", *plan), ("input", *plan)]


def _hunt_observe(answer: Any, case: tuple[Any, ...]) -> Any:
    look, depths, widths = case
    network = answer(depths, widths)
    if look == "parameters":
        return f"{count(network):,} parameters"
    x = torch.rand(2, widths[0], 16, 12, generator=torch.Generator().manual_seed(64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(64)
        right = randomise(_stages(depths, widths))
    give_weights(network, x, _named(right))
    given = x.clone()
    with torch.no_grad():
        output = network.eval()(given)
    if look == "input":
        return "x is as it was" if torch.equal(given, x) else "x was changed"
    return output


def _named(network: nn.Module) -> dict[str, Tensor]:
    """The tensors under the names that `give_weights` understands."""
    new = {
        "conv1": "first.conv", "norm1": "first.norm", "conv2": "second.conv", "norm2": "second.norm",
        "shortcut.0": "shortcut.conv", "shortcut.1": "shortcut.norm",
    }  # fmt: skip
    named = {}
    for name, tensor in network.state_dict().items():
        block, _, rest = name.partition(".")
        module, _, leaf = rest.rpartition(".")
        named[f"{block}.{new[module]}.{leaf}"] = tensor
    return named


_HUNT_GROUPS = (
    ("series",),
    ("only the first block strides", "every stage strides", "every block strides"),
    ("shortcut without stride",),
    ("ReLU before the sum", "ReLU twice"),
    ("no second norm",),
    ("shortcut without norm",),
    ("in place",),
)
_HUNT_SAYS = {
    "series": Text(
        "the shortcut takes what the convolutions gave: it must take x, and be added (the article's drawing has it wrong)",
        "捷径接的是卷积的输出：应当接 x，再与卷积的输出相加（文章里的图画错了）",
    ),
    "only the first block strides": Text(
        "only the very first block of all strides: the first block of every stage but the first must, so ask whether it is "
        "the first of its stage, not the first of the network",
        "只有整个网络的第一个块跨步了：除第一阶段外，每个阶段的第一个块都要跨步；应当问“是不是本阶段的第一个”，而不是“是不是网络的第一个”",
    ),
    "every stage strides": Text(
        "the first stage strides, too: it keeps the size of the map that it gets",
        "第一阶段也跨步了：这一阶段应当保持特征图的大小不变",
    ),
    "every block strides": Text(
        "every block of the later stages strides: only the first of each may",
        "后面各阶段里每个块都跨步了：每个阶段只有第一个块可以跨步",
    ),
    "shortcut without stride": Text(
        "a shortcut does not stride where its block does, so the two maps to be added have different sizes",
        "块跨步了，捷径却没有跨步，要相加的两张特征图大小不同",
    ),
    "ReLU before the sum": Text(
        "ReLU stands before the sum instead of after it",
        "ReLU 放在了相加之前，应当放在相加之后",
    ),
    "ReLU twice": Text(
        "F(x) goes through a ReLU of its own before the sum: it could never take anything away from x",
        "F(x) 在相加之前又过了一次 ReLU：这样块就只能在 x 上做加法，做不了减法",
    ),
    "no second norm": Text(
        "the second convolution has no norm behind it",
        "第二个卷积后面没有归一化",
    ),
    "shortcut without norm": Text(
        "the projection in the shortcut has no norm behind it",
        "捷径上的投影后面没有归一化",
    ),
    "in place": Text(
        "the numbers are right, but a block overwrites its input: an identity returns x itself, so `+=` changes x",
        "结果是对的，但有的块改写了自己的输入：恒等映射返回的就是 x 本身，+= 会把 x 改掉",
    ),
}


def _hunted(mistakes: Variant) -> Any:
    return partial(_stages, mistakes=mistakes)


_DIAGNOSIS = Diagnosis(_hunted, _HUNT_GROUPS, _hunt_observe, _hunt_cases, most=4)

BUG_HUNT = Exercise(
    number="6.4",
    name="stages",
    stub='''from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x):
        out = F.relu(self.norm1(self.conv1(x)))
        out = F.relu(self.norm2(self.conv2(out)))
        total = self.shortcut(x)
        total += out
        return F.relu(total)


def stages(depths, widths):
    """Stages of blocks as one network. The first block of each stage strides by 2, except in the first stage."""
    blocks = []
    channels = widths[0]
    for depth, width in zip(depths, widths):
        for number in range(depth):
            stride = 2 if not blocks else 1
            blocks.append(Block(channels, width, stride))
            channels = width
    return nn.Sequential(*blocks)
''',
    expected=_hunted(frozenset()),
    cases=_hunt_cases,
    observe=_hunt_observe,
    mistakes=_DIAGNOSIS.mistakes(_HUNT_SAYS),
    hints=(
        Text(
            "There are four bugs: two in Block.forward, one in Block.__init__, one in stages.",
            "共有四处错误：Block.forward 里两处，Block.__init__ 里一处，stages 里一处。",
        ),
        Text(
            "Which block strides, and do both of its ways stride? Count the ReLUs. What does an identity return?",
            "哪个块跨步？块里的两条路都跨步吗？数一数有几个 ReLU。恒等映射返回的是什么？",
        ),
        Text(
            "Stride where number is 0 and width is not that of the first stage; give it to the 1 × 1 convolution, too; no ReLU "
            "around norm2; F.relu(self.shortcut(x) + out).",
            "在 number 为 0 且不是第一阶段时跨步；1 × 1 卷积也要 stride；norm2 外面不要 ReLU；"
            "写成 F.relu(self.shortcut(x) + out)。",
        ),
    ),
)
