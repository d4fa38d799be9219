"""Lesson 14, continued: rows of a head by name, and a fine-tuning loop with four bugs."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, same
from reslab.nn.resnet import ResNet
from reslab.nn.zoo import build_named

# ---------------------------------------------------------------- 14.3

Rows = tuple[Tensor, Tensor]


def _heads() -> list[tuple[Any, ...]]:
    dice = torch.Generator().manual_seed(3)
    names = [
        (["ant", "bee", "cat", "Turkey"], ["bee", "turkey", "ant"]),
        (["a", "b", "c"], ["c", "d", "b", "e", "a"]),
        (["x", "y"], ["u", "v", "y"]),
    ]
    return [
        (torch.randn(len(old), 5, generator=dice), torch.randn(len(old), generator=dice), old, new)
        for old, new in names
    ]


def _handed_over(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    rows, values = weight.new_zeros(len(new), weight.shape[1]), bias.new_zeros(len(new))
    for number, name in enumerate(new):
        if name in old:
            rows[number], values[number] = weight[old.index(name)], bias[old.index(name)]
    return rows, values


def _by_position(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    rows, values = weight.new_zeros(len(new), weight.shape[1]), bias.new_zeros(len(new))
    n = min(len(old), len(new))
    rows[:n], values[:n] = weight[:n], bias[:n]
    return rows, values


def _without_bias(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    rows, values = _handed_over(weight, bias, old, new)
    return rows, torch.zeros_like(values)


def _any_case(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    return _handed_over(weight, bias, [name.lower() for name in old], [name.lower() for name in new])


def _sorted(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    return _handed_over(weight, bias, old, sorted(new))


def _unknown_raises(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    places = [old.index(name) for name in new]
    return weight[places], bias[places]


def _known_only(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    places = [old.index(name) for name in new if name in old]
    return weight[places], bias[places]


def _random_rows(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Rows:
    rows, values = _handed_over(weight, bias, old, new)
    unknown = torch.tensor([name not in old for name in new])
    rows[unknown] = torch.rand_like(rows[unknown])
    return rows, values


def _known_rows_right(given: list[Any], expected: list[Any]) -> bool:
    """Whether only rows that should be zero are wrong."""
    for ours, theirs in zip(given, expected, strict=True):
        if (
            isinstance(ours, Raised)
            or len(ours) != 2
            or any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True))
        ):
            return False
        known = theirs[0].abs().sum(1) > 0
        if not same((ours[0][known], ours[1][known]), (theirs[0][known], theirs[1][known]), 1e-5):
            return False
    return True


def _unknown_name(given: list[Any], expected: list[Any]) -> bool:
    """Whether every case stops where a class is new."""
    return all(isinstance(each, Raised) and each.kind in ("ValueError", "KeyError") for each in given)


HANDOVER = Exercise(
    number="14.3",
    name="hand_over",
    stub='''import torch


def hand_over(weight, bias, old, new):
    """weight [old classes, d], bias [old classes], two lists of names -> weight and bias of the head for `new`:
    the trained rows of names that both know, zeros for the others."""
    raise NotImplementedError
''',
    expected=_handed_over,
    cases=_heads,
    mistakes=(
        Mistake(
            _by_position,
            "the rows are copied by position: row 0 belongs to the first *old* class, so look the name up",
            "这是按位置复制的：第 0 行属于第一个*旧*类别，应当按名称查找",
        ),
        Mistake(
            _without_bias,
            "the weights are right, the biases were left behind",
            "权重对了，但偏置没有一起带过来",
        ),
        Mistake(
            _any_case,
            "names were matched in lower case: Turkey and turkey may be two classes, and guessing is not for a head",
            "您把名称转成小写再比较：Turkey 和 turkey 可能是两个类别，这里不该猜",
        ),
        Mistake(
            _sorted,
            "the rows must stand in the order of `new`, not sorted",
            "各行的顺序应与 new 一致，不要排序",
        ),
        Mistake(
            _unknown_raises,
            "a class that the old head does not know stops your code; its row is zero",
            "遇到旧分类头没有的类别，您的代码就停下来了；这样的行应为零",
            when=_unknown_name,
        ),
        Mistake(
            _known_only,
            "the rows of new classes are missing: one row per name in `new`, zero where nothing is known",
            "缺少新类别的行：new 里每个名称都要有一行，未知的行为零",
        ),
        Mistake(
            _random_rows,
            "the known rows are right, but unknown classes do not start at zero: a random row pushes a random direction "
            "into the trained layers at the first step",
            "已知类别的行都对，但新类别没有从零开始：行是随机的，第一步就会把方向随机的梯度传进训练好的各层",
            when=_known_rows_right,
        ),
    ),
    hints=(
        Text("Start with zeros of the right shape.", "先建一个形状正确的全零张量。"),
        Text(
            "Go through `new` with enumerate; old.index(name) is the row to copy.",
            "用 enumerate 遍历 new；要复制的行号是 old.index(name)。",
        ),
        Text(
            "Copy only `if name in old`, the weight's row and the bias.",
            "只在 if name in old 时复制，权重的行和偏置都要。",
        ),
    ),
)


# ---------------------------------------------------------------- 14.4

_RATE, _STEPS = 0.05, 5


def _finetune(
    network: ResNet, images: Tensor, labels: Tensor, classes: int, bugs: Sequence[str] = (), below: bool = False
) -> ResNet:
    """The loop of the bug hunt, with those of its bugs that are named."""
    network.requires_grad_(below)
    network.train("train" in bugs)
    old = list(network.parameters())
    network.head = nn.Linear(network.head.in_features, classes).to(images.dtype)
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    optimizer = torch.optim.SGD(old if "optimizer" in bugs else network.parameters(), lr=_RATE)
    for _ in range(_STEPS):
        if "thaw" in bugs:
            network.train()
        logits = network(images)
        loss = F.cross_entropy(logits.softmax(1) if "softmax" in bugs else logits, labels)
        if "grad" not in bugs:
            network.zero_grad()
        loss.backward()
        optimizer.step()
    return network.train("end" in bugs)


def _broken(*bugs: str, below: bool = False) -> Callable[..., ResNet]:
    def loop(network: ResNet, images: Tensor, labels: Tensor, classes: int) -> ResNet:
        return _finetune(network, images, labels, classes, bugs, below)

    return loop


def _tasks() -> list[tuple[Any, ...]]:
    dice = torch.Generator().manual_seed(4)
    cases = []
    for classes in (3, 4):
        images = 2 * torch.rand(12, 1, 8, 8, dtype=torch.float64, generator=dice)
        cases.append((classes, images, torch.arange(12) % classes))
    return cases


def _after(loop: Callable[..., ResNet], case: tuple[Any, ...]) -> tuple[Any, ...]:
    """The head that was learnt; whether weights or statistics below it moved; and the mode in which the network is given."""
    classes, images, labels = case
    given = build_named("resnet20", in_channels=1, num_classes=5, depths=(1, 1, 1), widths=(4, 8, 8), seed=classes)
    network = given.double().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network = loop(deepcopy(network), images, labels, classes)
    below = [n for n, v in network.state_dict().items() if not n.startswith("head.") and not torch.equal(before[n], v)]
    statistics = [name for name in below if "running" in name or "num_batches" in name]
    return (
        network.head.weight,
        network.head.bias,
        len(below) > len(statistics),
        bool(statistics),
        "training" if network.training else "evaluation",
    )


def _where(test: Callable[[tuple[Any, ...]], bool]) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises a bug by something that is true in every case."""
    return lambda given, expected: all(not isinstance(each, Raised) and bool(test(each)) for each in given)


HUNT = Exercise(
    number="14.4",
    name="finetune",
    stub='''import torch
from torch import nn
from torch.nn import functional as F


def finetune(network, images, labels, classes):
    """Train a new head on frozen layers for five steps of SGD at 0.05; give the network back, ready to answer."""
    network.requires_grad_(False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    network.head = nn.Linear(network.head.in_features, classes).to(images.dtype)
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    for _ in range(5):
        network.train()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    return network
''',
    expected=_broken(),
    cases=_tasks,
    observe=_after,
    mistakes=(
        Mistake(
            _broken("optimizer"),
            "the head is still zero: the optimiser was made before the new head and holds the old one's parameters",
            "分类头仍然全是零：优化器创建得比新分类头早，管的还是旧分类头的参数",
            when=_where(lambda each: not each[0].any()),
        ),
        Mistake(
            _broken(below=True),
            "layers below the head learn: freeze them with requires_grad_(False)",
            "分类头以下的层也在学习：用 requires_grad_(False) 把它们冻结",
            when=_where(lambda each: each[2]),
        ),
        Mistake(
            _broken("thaw"),
            "the running statistics below have moved: network.train() thaws every norm; the frozen layers need eval() in "
            "every step",
            "下面各层的滑动平均变了：network.train() 会让所有归一化重新更新；冻结的层在每一步都必须处于 eval()",
            when=_where(lambda each: each[3]),
        ),
        Mistake(
            _broken("end"),
            "the network comes back in training mode: its answers would depend on the batch; call eval()",
            "返回的网络还处于训练模式：输出会随批而变；请调用 eval()",
            when=_where(lambda each: each[4] == "training"),
        ),
        Mistake(
            _broken("grad"),
            "gradients of earlier steps are added up: zero_grad() is missing",
            "前几步的梯度被累加起来了：少了 zero_grad()",
        ),
        Mistake(
            _broken("softmax"),
            "cross_entropy takes logits: it applies the softmax itself, so yours is one too many",
            "cross_entropy 的输入是 logits：它自己会做 softmax，您的那一次是多余的",
        ),
    ),
    hints=(
        Text(
            "Four bugs. Follow the new head: who holds its parameters? Then follow a norm: who sets its mode?",
            "共有四处错误。先盯住新的分类头：谁在管它的参数？再盯住归一化：模式由谁决定？",
        ),
        Text(
            "Order: freeze, new head, optimiser. In the loop: no train(). What does backward() do to gradients that are there?",
            "顺序是：冻结、新分类头、优化器。循环里不要 train()。梯度已经存在时，backward() 会怎样？",
        ),
        Text(
            "network.eval() before the loop, optimizer.zero_grad() in it, the optimiser after the head, and the network stays in "
            "evaluation mode.",
            "循环之前调用 network.eval()，循环里调用 optimizer.zero_grad()，优化器放在新分类头之后，网络始终保持评估模式。",
        ),
    ),
)
