"""Lesson 15, explanation: the class activation map, occlusion, a shortcut learner, and a bug hunt."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.learn.exercise import Exercise, Mistake, Raised, Text
from reslab.learn.exercises.lesson15_more import HUNT

# ---------------------------------------------------------------- 15.1


def _maps() -> list[tuple[Any, ...]]:
    """Feature maps that are not square, heads, and a class that is not the likeliest one."""
    dice, cases = np.random.default_rng(15), []
    for channels, height, width, classes in ((6, 3, 4, 5), (16, 2, 2, 10), (4, 5, 3, 3)):
        features = np.maximum(dice.normal(size=(channels, height, width)), 0)
        weight, bias = dice.normal(size=(classes, channels)), dice.normal(size=classes)
        order = (features.mean((1, 2)) @ weight.T + bias).argsort()
        cases.append((features, weight, bias, int(order[-2])))
    return cases


def _cam(features: np.ndarray, weight: np.ndarray, bias: np.ndarray, label: int) -> np.ndarray:
    return np.einsum("c,chw->hw", weight[label], features)


def _likeliest(features: np.ndarray, weight: np.ndarray, bias: np.ndarray, label: int) -> np.ndarray:
    return _cam(features, weight, bias, int((features.mean((1, 2)) @ weight.T + bias).argmax()))


def _scaled_to_one(*case: Any) -> np.ndarray:
    heat = _cam(*case)
    return (heat - heat.min()) / (heat.max() - heat.min())


CAM = Exercise(
    number="15.1",
    name="cam",
    stub='''import numpy as np


def cam(features, weight, bias, label):
    """features [channels, height, width], the head's weight [classes, channels] and bias [classes], a class number
    -> the map [height, width] with mean + bias[label] = logit of the label."""
    raise NotImplementedError
''',
    expected=_cam,
    cases=_maps,
    mistakes=(
        Mistake(
            lambda *case: np.maximum(_cam(*case), 0),
            "a ReLU has cut off the evidence against the class, and with it the identity: the mean is too large",
            "ReLU 把反对该类别的证据截掉了，等式也随之不成立：均值偏大",
        ),
        Mistake(
            lambda *case: _cam(*case) / _cam(*case).size,
            "divided by the number of positions: this is what each position adds to the logit, whose *sum* plus the bias "
            "is the logit; here the mean is to be it",
            "您除以了位置数：这样各位置之*和*加上偏置才等于 logit；题目要求的是均值",
        ),
        Mistake(
            lambda features, weight, bias, label: _cam(features, weight, bias, label) + bias[label],
            "the bias is in every position: it belongs to no place and is added once, after the mean",
            "每个位置都加了偏置：偏置不属于任何位置，取均值之后只加一次",
        ),
        Mistake(
            _likeliest,
            "this is the map of the likeliest class; the question names another one",
            "这是概率最高的类别的图；题目指定的是另一个类别",
        ),
        Mistake(
            _scaled_to_one,
            "stretched to [0, 1]: pretty, but the unit, logits, is gone",
            "拉伸到了 [0, 1]：好看是好看，可是数值不再以 logit 为单位",
        ),
        Mistake(
            lambda features, weight, bias, label: features.mean(0),
            "the mean of all maps knows no class: weigh the maps by the class's row",
            "各特征图的平均与类别无关：要用该类别的权重加权",
        ),
        Mistake(
            lambda features, weight, bias, label: np.einsum("c,chw->hw", np.abs(weight[label]), features),
            "weights keep their sign: a negative one is evidence against",
            "权重要保留符号：负的权重是反对的证据",
        ),
        Mistake(
            lambda *case: _cam(*case).T,
            "height and width are exchanged",
            "高和宽弄反了",
        ),
    ),
    hints=(
        Text(
            "logit = Σ_c w_c · mean over positions of f_c + b. Pull the mean to the front.",
            "logit = Σ_c w_c · (f_c 在各位置上的均值) + b。把求均值提到最前面。",
        ),
        Text(
            "Mean and sum may be exchanged: the mean of Σ_c w_c f_c(i, j).",
            "求均值与求和可以交换：就是 Σ_c w_c f_c(i, j) 的均值。",
        ),
        Text('np.einsum("c,chw->hw", weight[label], features).', 'np.einsum("c,chw->hw", weight[label], features)。'),
    ),
)

# ---------------------------------------------------------------- 15.2


def _scene(seed: int, size: int, channels: int) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A function from pictures to three logits, not linear, and a picture with something in every channel."""
    dice = torch.Generator().manual_seed(seed)
    first = torch.randn(8, channels * size * size, generator=dice, dtype=torch.float64) / size
    second = torch.randn(3, 8, generator=dice, dtype=torch.float64)
    picture = torch.rand(channels, size, size, generator=dice, dtype=torch.float64)

    def network(images: Tensor) -> Tensor:
        return torch.tanh(images.flatten(1) @ first.T) @ second.T

    return network, picture


def _occlusion(
    network: Callable[[Tensor], Tensor],
    picture: Tensor,
    label: int,
    side: int,
    *,
    fill: float | None = None,
    score: Callable[[Tensor, int], Tensor] = lambda logits, label: logits[label],
    channels: int | None = None,
    fault: str = "",
) -> Tensor:
    """Logit of the picture minus that with a square at each position covered by the picture's own mean."""
    size = picture.shape[1] - side + (fault != "last missing")
    whole, grey = score(network(picture[None])[0], label), float(picture.mean()) if fill is None else fill
    drops = torch.zeros(size, size, dtype=picture.dtype)
    covered = picture.clone()
    for row in range(size):
        for column in range(size):
            covered = covered if fault == "not restored" else picture.clone()
            covered[:channels, row : row + side, column : column + side] = grey
            drops[row, column] = whole - score(network(covered[None])[0], label)
    return drops


def _softmaxed(logits: Tensor, label: int) -> Tensor:
    return logits.softmax(0)[label]


def _occlude(answer: Callable[..., Any], case: tuple[Any, ...]) -> Any:
    seed, size, channels, label, side = case
    return answer(*_scene(seed, size, channels), label, side)


OCCLUSION = Exercise(
    number="15.2",
    name="occlusion",
    stub='''import torch


def occlusion(network, picture, label, side):
    """For each position of a side × side square inside the picture [channels, n, n]: the logit of the label minus the logit when
    the square is covered in all channels by the mean of the picture -> [n - side + 1, n - side + 1]."""
    raise NotImplementedError
''',
    expected=_occlusion,
    cases=lambda: [(1, 6, 1, 0, 2), (2, 5, 3, 2, 3), (3, 5, 2, 1, 1)],
    observe=_occlude,
    mistakes=(
        Mistake(
            lambda *case: -_occlusion(*case),
            "the sign is turned round: what falls when it is covered was evidence *for* the class, so whole minus covered",
            "符号反了：遮住之后 logit 下降，说明那里是*支持*该类别的证据，应为原图减遮挡",
        ),
        Mistake(
            lambda *case: _occlusion(*case, score=_softmaxed),
            "this is the drop of the probability; near 0 and 1 it hides what the logit shows",
            "这是概率的下降；概率接近 0 或 1 时，它会掩盖 logit 的变化",
        ),
        Mistake(
            lambda *case: _occlusion(*case, fill=0.0),
            "covered with 0, which is black: a strong mark of its own; take the picture's mean",
            "用 0 遮挡就是涂黑，本身就是显眼的标记；请用图片的均值",
        ),
        Mistake(
            lambda *case: _occlusion(*case, fault="not restored"),
            "the squares pile up: start each position from a fresh copy of the picture",
            "遮挡越积越多：每个位置都要从原图重新复制一份",
        ),
        Mistake(
            lambda *case: _occlusion(*case, channels=1),
            "only the first channel is covered",
            "只遮住了第一个通道",
        ),
        Mistake(
            lambda *case: _occlusion(*case, fault="last missing"),
            "the last row and column of positions are missing: n - side + 1",
            "少了最后一行和最后一列：位置数是 n - side + 1",
        ),
        Mistake(
            lambda network, picture, label, side: _occlusion(
                network, picture, int(network(picture[None])[0].argmax()), side
            ),
            "this is the likeliest class, not the one that was asked for",
            "这是概率最高的类别，不是题目指定的类别",
        ),
        Mistake(
            lambda *case: _occlusion(*case).T,
            "rows and columns of the map are exchanged",
            "结果图的行和列弄反了",
        ),
    ),
    hints=(
        Text("Two loops over the corner of the square.", "对方块左上角做两重循环。"),
        Text(
            "picture.clone() inside the loops; write picture.mean() into all channels of the square.",
            "循环里用 picture.clone()；把 picture.mean() 写进方块的所有通道。",
        ),
        Text(
            "covered[:, r : r + side, c : c + side] = picture.mean(); drops[r, c] = whole - network(covered[None])[0, label].",
            "covered[:, r : r + side, c : c + side] = picture.mean()；drops[r, c] = whole - network(covered[None])[0, label]。",
        ),
    ),
)

# ---------------------------------------------------------------- 15.3


def _suspect(seed: int) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A network that looks at the strokes, and cheats by one faint pixel; and 40 pictures of 6 × 6."""
    dice = torch.Generator().manual_seed(seed)
    row, column = [(0, 4), (5, 1), (2, 5)][seed % 3]
    images = torch.rand(40, 1, 6, 6, generator=dice, dtype=torch.float64)
    images[:, :, 1, 1] += 4.0  # the brightest pixel, of no consequence
    images[:, :, 2, 2] *= 5.0  # the one of the greatest variance, of no consequence either
    images[:, :, row, column] = torch.where(torch.arange(40) % 2 == 1, 0.3, 0.0).double()[:, None]
    weight = 0.02 * torch.randn(3, 36, generator=dice, dtype=torch.float64)
    weight[:, 3 * 6 + 3] = 25.0  # all logits rise together: no answer depends on it
    weight[:, 1 * 6 + 1] = weight[:, 2 * 6 + 2] = 0.0
    weight[:, row * 6 + column] = torch.tensor([6.0, 0.0, -6.0])
    middle = torch.tensor([0.0, 0.6, 0.0]).double()

    def network(given: Tensor) -> Tensor:
        return given.flatten(1) @ weight.T + middle

    return network, images


def _changed_answers(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """How many answers change when a pixel is set to zero, `[height, width]`."""
    before = network(images).argmax(1)
    changes = torch.zeros(images.shape[2:])
    for row in range(images.shape[2]):
        for column in range(images.shape[3]):
            covered = images.clone()
            covered[:, :, row, column] = 0
            changes[row, column] = (network(covered).argmax(1) != before).sum()
    return changes


def _peak(values: Tensor) -> tuple[int, int]:
    return divmod(int(values.argmax()), values.shape[1])


def _culprit(network: Callable[[Tensor], Tensor], images: Tensor) -> tuple[int, int]:
    return _peak(_changed_answers(network, images))


def _by_logits(network: Callable[[Tensor], Tensor], images: Tensor) -> tuple[int, int]:
    before, moved = network(images), torch.zeros(images.shape[2:], dtype=images.dtype)
    for row in range(images.shape[2]):
        for column in range(images.shape[3]):
            covered = images.clone()
            covered[:, :, row, column] = 0
            moved[row, column] = (network(covered) - before).abs().max()
    return _peak(moved)


def _pair(answer: Callable[..., Any], case: tuple[Any, ...]) -> Any:
    row, column = answer(*_suspect(case[0]))
    return int(row), int(column)


def _flat(given: list[Any], expected: list[Any]) -> bool:
    """Whether the answer was one number instead of row and column."""
    return all(isinstance(each, Raised) and each.kind == "TypeError" for each in given)


CULPRIT = Exercise(
    number="15.3",
    name="culprit",
    stub='''import torch


def culprit(network, images):
    """images [n, 1, height, width] -> (row, column) of the pixel that, set to zero in all pictures, changes the most answers."""
    raise NotImplementedError
''',
    expected=_culprit,
    cases=lambda: [(0,), (1,), (2,)],
    observe=_pair,
    mistakes=(
        Mistake(
            _by_logits,
            "this pixel moves the logits most, but all together: no answer changes; count changed answers",
            "这个像素让 logit 变化最大，但各类一起变，没有一个回答因此改变；请数改变了的回答",
        ),
        Mistake(
            lambda network, images: _peak(images.mean((0, 1))),
            "this is the brightest pixel: ask the network, not the pictures",
            "这是最亮的像素：要问网络，而不是看图片",
        ),
        Mistake(
            lambda network, images: _peak(images.var(0)[0]),
            "this is the pixel that varies most; a network may ignore it: cover it and ask again",
            "这是变化最大的像素；网络也许根本不看它：遮住它再问一次",
        ),
        Mistake(
            lambda network, images: _culprit(network, images)[::-1],
            "row and column are exchanged",
            "行和列弄反了",
        ),
        Mistake(
            lambda network, images: _peak(_changed_answers(network, images[:1])),
            "one picture is not enough: count over all of them",
            "只看一张图片不够：要在所有图片上计数",
        ),
        Mistake(
            lambda network, images: int(_changed_answers(network, images).argmax()),
            "two numbers are wanted, row and column: divmod(number, width)",
            "需要两个数，行和列：divmod(序号, 宽度)",
            when=_flat,
        ),
    ),
    hints=(
        Text(
            "Occlusion of one pixel, with answers instead of logits.",
            "就是每次只遮一个像素的遮挡实验，不过比较的是回答，不是 logit。",
        ),
        Text(
            "before = network(images).argmax(1); compare it with the answers for each covered copy.",
            "before = network(images).argmax(1)；每遮一次，都拿新的回答与它比较。",
        ),
        Text(
            "(network(covered).argmax(1) != before).sum(), and divmod of the largest one's number.",
            "(network(covered).argmax(1) != before).sum()，再对最大者的序号用 divmod。",
        ),
    ),
)

EXERCISES = (CAM, OCCLUSION, CULPRIT, HUNT)
