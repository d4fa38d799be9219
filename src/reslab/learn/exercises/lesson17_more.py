"""Lesson 17, continued: a bug hunt in a feature pyramid."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text, call
from reslab.learn.exercises.modules import Diagnosis

Layer = Callable[[Tensor], Tensor]


def _maps() -> list[tuple]:
    dice = torch.Generator().manual_seed(174)
    cases = []
    for sides in ((8, 4, 2), (9, 5, 3)):
        maps = [torch.randn(2, 2 + n, side, side + 4 * (side % 2 == 0), generator=dice) for n, side in enumerate(sides)]
        maps = [m[..., : m.shape[2]] for m in maps]
        laterals = [nn.Conv2d(2 + n, 4, 1) for n in range(len(sides))]
        for layer in laterals:
            for parameter in layer.parameters():
                parameter.data = torch.randn(parameter.shape, generator=dice)
                parameter.requires_grad_(False)
        cases.append((maps, laterals))
    return cases


_BUGS = {
    "twice": Text(
        "scale_factor=2 fails on odd sides: enlarge to the size of the finer map",
        "scale_factor=2 遇到奇数边长会出错：应放大到较细那张图的尺寸",
    ),
    "unmerged": Text(
        "what is enlarged is the bare deeper map, so the deepest one never reaches the finest: take the sum before it",
        "放大的是未经合并的深层图，最深层的信息到不了最细层：应取上一步的和",
    ),
    "order": Text("the result is coarsest first; asked for is finest first", "结果是从粗到细排列；题目要求从细到粗"),
}


def _pyramid(bugs: Sequence[str] = (), merge: str = "add", mode: str = "nearest") -> Callable[..., list[Tensor]]:
    def pyramid(maps: Sequence[Tensor], laterals: Sequence[Layer]) -> list[Tensor]:
        levels = [lateral(x) for lateral, x in zip(laterals, maps, strict=True)]
        merged = [levels[-1]]
        for number in range(len(levels) - 2, -1, -1):
            deeper = levels[number + 1] if "unmerged" in bugs else merged[-1]
            size: Any = {"scale_factor": 2} if "twice" in bugs else {"size": levels[number].shape[2:]}
            up = F.interpolate(deeper, mode=mode, **size)
            merged.append(levels[number] + up if merge == "add" else torch.maximum(levels[number], up))
        return merged if "order" in bugs else merged[::-1]

    return pyramid


def _no_merging(maps: Sequence[Tensor], laterals: Sequence[Layer]) -> list[Tensor]:
    return [lateral(x) for lateral, x in zip(laterals, maps, strict=True)]


_DIAGNOSIS = Diagnosis(
    lambda bugs: _pyramid(tuple(bugs), "maximum" if "maximum" in bugs else "add"),
    (*((bug,) for bug in _BUGS), ("maximum",)),
    call,
    _maps,
    most=3,
)

PYRAMID = Exercise(
    number="17.4",
    name="pyramid",
    stub='''import torch.nn.functional as F


def pyramid(maps, laterals):
    """A feature pyramid. maps: finest first; laterals: a 1 x 1 convolution for each. Gives one map for each, finest first,
    with what the deeper ones know added to it. Three bugs."""
    levels = [lateral(x) for lateral, x in zip(laterals, maps)]
    merged = [levels[-1]]
    for deeper, finer in zip(levels[:0:-1], levels[-2::-1]):
        merged.append(finer + F.interpolate(deeper, scale_factor=2, mode="nearest"))
    return merged
''',
    expected=_pyramid(),
    cases=_maps,
    mistakes=(
        Mistake(
            _pyramid(tuple(_BUGS)),
            "all three bugs are still in it; begin with maps whose sides are odd: 9, 5 and 3",
            "三处错误都还在；先用边长为奇数的图试一试：9、5、3",
        ),
        *(Mistake(_pyramid((bug,)), *says, _DIAGNOSIS.shows(bug)) for bug, says in _BUGS.items()),
        Mistake(
            _no_merging,
            "nothing is passed down: the finest map knows nothing of the deeper ones",
            "没有从深层往浅层传递：最细的图得不到深层的信息",
        ),
        Mistake(
            _pyramid((), "maximum"),
            "the two maps are added, not compared",
            "两张图应当相加，而不是取较大者",
        ),
        Mistake(
            _pyramid((), "add", "bilinear"),
            "asked for is nearest-neighbour enlargement, as in the paper; yours interpolates",
            "题目要求最近邻放大（与论文一致）；您用的是插值",
        ),
    ),
    hints=(
        Text("Try maps with sides 9, 5 and 3.", "用边长 9、5、3 的图试一试。"),
        Text(
            "On the way down, what is enlarged should already contain everything deeper.",
            "从深层往浅层走，每次拿来放大的那张图，应当已经包含所有更深层的信息。",
        ),
        Text(
            "merged.append(finer + F.interpolate(merged[-1], size=finer.shape[2:])); at the end merged[::-1].",
            "merged.append(finer + F.interpolate(merged[-1], size=finer.shape[2:]))；最后返回 merged[::-1]。",
        ),
    ),
)
