"""Lesson 12, the training loop: averaged weights, a batch in parts, a continued run; the bug hunt is in `lesson12_more`."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.lesson12_more import LOOP
from reslab.train.step.muon import SGD
from reslab.train.step.optim import EMA


def _observe_average(answer: Any, case: tuple[Any, ...]) -> list[Any]:
    """The averages of two tensors after each of the first steps."""
    steps, decay = case
    dice = torch.Generator().manual_seed(12)
    old, found = [torch.ones(2, 3), torch.zeros(4)], []
    for step in range(steps):
        new = [torch.randn(t.shape, generator=dice) for t in old]
        old = answer([t.clone() for t in old], new, step, decay)
        found.append([t.clone() for t in old])
    return found


def _average(old: list[Tensor], new: list[Tensor], step: int, decay: float) -> list[Tensor]:
    """The product's."""
    holder = nn.ParameterList(new)
    ema = EMA(holder, decay)
    ema.tensors = {str(n): t.clone() for n, t in enumerate(old)}
    ema.update(holder, step)
    return list(ema.tensors.values())


def _average_with(change: Callable[[int, float], float]) -> Callable[..., list[Tensor]]:
    """An average in which the old value has the share `change(step, decay)`."""

    def average(old: list[Tensor], new: list[Tensor], step: int, decay: float) -> list[Tensor]:
        d = change(step, decay)
        return [d * a + (1 - d) * b for a, b in zip(old, new, strict=True)]

    return average


AVERAGE = Exercise(
    number="12.1",
    name="average",
    stub='''def average(old, new, step, decay):
    """old, new: lists of tensors -> the list of their moving averages after step `step` (the first is 0)"""
    raise NotImplementedError
''',
    expected=_average,
    cases=lambda: [(12, 0.5), (30, 0.99), (5, 0.05)],
    observe=_observe_average,
    mistakes=(
        Mistake(
            lambda old, new, step, decay: [
                a + b - (1 - min(decay, (1 + step) / (10 + step))) * a for a, b in zip(old, new, strict=True)
            ],
            "the new value counts whole: its share is 1 - decay, so that both add up to 1",
            "新值整个加了进去：它的份额是 1 - decay，两个份额之和为 1",
        ),
        Mistake(
            _average_with(lambda t, d: min(d, (1 + t) / (11 + t))),
            "the denominator is 10 + step, not 11 + step",
            "分母是 10 + step，不是 11 + step",
        ),
        Mistake(
            _average_with(lambda t, d: d),
            "the decay is the same from the first step: so the random start stays in the average for long; take "
            "min(decay, (1 + step) / (10 + step))",
            "衰减系数从第一步起就是定值，随机的初始权重会在平均里留很久；应取 min(decay, (1 + step) / (10 + step))",
        ),
        Mistake(
            _average_with(lambda t, d: max(d, (1 + t) / (10 + t))),
            "the smaller of the two counts: min, not max",
            "两者应取较小的：用 min，而不是 max",
        ),
        Mistake(
            _average_with(lambda t, d: 1 - min(d, (1 + t) / (10 + t))),
            "old and new are exchanged: the decay is the share of the old average",
            "新旧弄反了：衰减系数是旧平均所占的份额",
        ),
        Mistake(
            _average_with(lambda t, d: (1 + t) / (10 + t)),
            "the decay must not exceed its bound: min(decay, …)",
            "衰减不能超过上限：min(decay, …)",
        ),
        Mistake(
            _average_with(lambda t, d: min(d, (2 + t) / (11 + t))),
            "a step ahead: the first step is step 0",
            "多算了一步：第一步的 step 是 0",
        ),
        Mistake(
            _average_with(lambda t, d: t / (t + 1)),
            "this is the plain mean of all weights so far: the average is to forget the early ones",
            "这是迄今所有权重的普通平均：滑动平均应当逐渐遗忘早期的权重",
        ),
        Mistake(
            _average_with(lambda t, d: min(d, t / (10 + t))),
            "the numerator is 1 + step, not step",
            "分子是 1 + step，不是 step",
        ),
    ),
    hints=(
        Text("What share has the old average in step 0?", "第 0 步时，旧平均占多大份额？"),
        Text(
            "d = min(decay, (1 + step) / (10 + step)) is the share of the old one.",
            "d = min(decay, (1 + step) / (10 + step))，是旧平均的份额。",
        ),
        Text(
            "[d * a + (1 - d) * b for a, b in zip(old, new)]",
            "对每一对张量：[d * a + (1 - d) * b for a, b in zip(old, new)]",
        ),
    ),
)


def _small(seed: int, norm: bool = False) -> nn.Sequential:
    """A network of two layers, with its own random numbers."""
    dice = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 5), *([nn.BatchNorm1d(5)] if norm else []), nn.Tanh(), nn.Linear(5, 3))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=dice) / 2)
    return network.double()


def _batch(seed: int, pictures: int) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    x = torch.randn(pictures, 4, generator=dice, dtype=torch.float64)
    return x, torch.randint(3, (pictures,), generator=dice)


def _observe_gradient(answer: Any, case: tuple[Any, ...]) -> list[Tensor]:
    """The gradient that is left in the parameters; some was there before."""
    pictures, size = case
    network = _small(1)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    answer(network, *_batch(2, pictures), size)
    return [p.grad.clone() if p.grad is not None else torch.zeros_like(p) for p in network.parameters()]


def _gradient(network: nn.Module, x: Tensor, y: Tensor, size: int) -> None:
    """In one piece."""
    network.zero_grad()
    F.cross_entropy(network(x), y).backward()


def _gradient_with(slip: str) -> Callable[..., None]:
    def gradient(network: nn.Module, x: Tensor, y: Tensor, size: int) -> None:
        if slip != "not cleared":
            network.zero_grad()
        whole = len(x) // size if slip == "rest dropped" else -(-len(x) // size)
        for some, theirs in list(zip(x.split(size), y.split(size), strict=True))[:whole]:
            if slip == "cleared inside":
                network.zero_grad()
            total = F.cross_entropy(network(some), theirs, reduction="sum")
            below = {
                "means added": len(some), "mean of means": len(some) * whole, "sum": 1, "by size": size * whole
            }.get(slip, len(x))  # fmt: skip
            (total / below).backward()

    return gradient


GRADIENT = Exercise(
    number="12.2",
    name="gradient",
    stub='''from torch.nn import functional as F


def gradient(network, x, y, size):
    """Leave the gradient of the batch's mean cross-entropy in the parameters, computed in parts of at most `size` pictures."""
    raise NotImplementedError
''',
    expected=_gradient,
    cases=lambda: [(8, 4), (7, 3), (5, 2), (6, 6)],
    observe=_observe_gradient,
    mistakes=(
        Mistake(
            _gradient_with("not cleared"),
            "old gradients are still in it: zero_grad() once, before the first part",
            "旧的梯度还在里面：在第一部分之前调用一次 zero_grad()",
        ),
        Mistake(
            _gradient_with("cleared inside"),
            "zero_grad() in every part leaves only the last one's gradient: call it once, before all parts",
            "每一部分都调用 zero_grad()，最后只剩最后一部分的梯度：只在所有部分之前调用一次",
        ),
        Mistake(
            _gradient_with("means added"),
            "the means of the parts are added up: the gradient becomes larger the more parts there are",
            "把各部分的平均损失直接相加了：分得越细，梯度就越大",
        ),
        Mistake(
            _gradient_with("mean of means"),
            "a mean of means: where the last part is smaller, its pictures count too much; divide each part's sum "
            "by the whole batch",
            "这是“平均的平均”：最后一部分较小时，其中的图片权重过大；应把每部分的损失之和除以整批张数",
        ),
        Mistake(
            _gradient_with("sum"),
            "this is the gradient of the sum: divide by len(x)",
            "这是损失之和的梯度：要除以 len(x)",
        ),
        Mistake(
            _gradient_with("by size"),
            "you divide by parts times size: with a smaller last part that is more than the batch has",
            "您除以了份数乘以 size：最后一部分较小时，这比整批的张数多",
        ),
        Mistake(
            _gradient_with("rest dropped"),
            "the smaller last part is left out",
            "漏掉了较小的最后一部分",
        ),
    ),
    hints=(
        Text("What does PyTorch do with gradients that are there already?", "参数里已经有梯度时，PyTorch 会怎么做？"),
        Text("A mean over the batch is a sum of sums, divided once.", "整批的平均，等于各部分之和相加后再除一次。"),
        Text(
            'F.cross_entropy(network(some), theirs, reduction="sum") / len(x), then backward(), for each part.',
            '对每一部分：F.cross_entropy(network(some), theirs, reduction="sum") / len(x)，然后 backward()。',
        ),
    ),
)


class _Saved(SGD):
    """SGD whose state is read and written without loading torch's compiler."""

    state_dict = inspect.unwrap(optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(optim.Optimizer.load_state_dict)


def _advance(network: nn.Module, optimiser: SGD, step: int, dice: torch.Generator, count: int) -> int:
    """Some steps, the pictures of which are drawn and the rate of which depends on the step."""
    network.train()
    for _ in range(count):
        step += 1
        x, y = _batch(int(torch.randint(1000, (1,), generator=dice)), 6)
        for group in optimiser.param_groups:
            group["lr"] = 1 / step
        optimiser.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimiser.step()
    return step


def _observe_resumed(answer: Any, case: tuple[Any, ...]) -> list[Any]:
    """What a continued run ends with; the first one goes on after it was saved."""
    before, after = case
    save, resume = answer
    network, dice = _small(1, norm=True), torch.Generator().manual_seed(0)
    optimiser = _Saved(network.parameters(), lr=1.0, momentum=0.9)
    step = _advance(network, optimiser, 0, dice, before)
    state = save(network, optimiser, step, dice)
    _advance(network, optimiser, step, dice, 2)
    network, dice = _small(5, norm=True), torch.Generator().manual_seed(0)
    optimiser = _Saved(network.parameters(), lr=1.0, momentum=0.9)
    step = resume(state, network, optimiser, dice)
    end = _advance(network, optimiser, step, dice, after)
    return [step, end, network.eval()(_batch(9, 4)[0]), *network.parameters()]


def _saving(slip: str = "") -> tuple[Any, Any]:
    def save(network: nn.Module, optimiser: Any, step: int, dice: torch.Generator) -> dict[str, Any]:
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "dice": dice.get_state(),
        }
        return state if slip == "not copied" else copy.deepcopy(state)

    def resume(state: dict[str, Any], network: nn.Module, optimiser: Any, dice: torch.Generator) -> int:
        if slip == "parameters only":
            names = {name for name, _ in network.named_parameters()}
            network.load_state_dict({k: v for k, v in state["network"].items() if k in names}, strict=False)
        elif slip != "no network":
            network.load_state_dict(state["network"])
        if slip != "no optimiser":
            optimiser.load_state_dict(state["optimiser"])
        if slip != "no dice":
            dice.set_state(state["dice"])
        return {"no step": 0, "a step more": state["step"] + 1}.get(slip, state["step"])

    return save, resume


SAVED = Exercise(
    number="12.3",
    name="saved",
    stub='''def save(network, optimiser, step, dice):
    """All that a run needs to go on, as a dictionary; the run may go on after it."""
    raise NotImplementedError


def resume(state, network, optimiser, dice):
    """Put it into a fresh network, a fresh optimiser and a fresh random generator -> the number of steps made"""
    raise NotImplementedError


saved = (save, resume)
''',
    expected=_saving(),
    cases=lambda: [(3, 4), (1, 2)],
    observe=_observe_resumed,
    mistakes=(
        Mistake(
            _saving("not copied"),
            "state_dict() gives the tensors themselves, not copies: what trains on changes what you have saved; "
            "use copy.deepcopy",
            "state_dict() 给出的是张量本身，不是副本：继续训练会改动您保存的内容；请用 copy.deepcopy",
        ),
        Mistake(
            _saving("no optimiser"),
            "the optimiser begins anew, without its momentum: save and load its state_dict(), too",
            "优化器从头开始，动量丢了：它的 state_dict() 也要保存和恢复",
        ),
        Mistake(
            _saving("no dice"),
            "the random generator begins anew, so other pictures are drawn: dice.get_state() and set_state()",
            "随机数生成器从头开始，抽到的图片就不同了：用 dice.get_state() 和 set_state()",
        ),
        Mistake(
            _saving("parameters only"),
            "only the parameters are put back: the running averages of batch norm belong to the network, too; use "
            "state_dict()",
            "只恢复了参数：批量归一化的滑动平均也属于网络；请用 state_dict()",
        ),
        Mistake(
            _saving("no network"),
            "the network's weights are not put back",
            "没有恢复网络的权重",
        ),
        Mistake(
            _saving("no step"),
            "resume gives step 0, so the schedule begins anew: give back the step that was saved",
            "resume 返回了第 0 步，学习率调度就会从头开始：应返回保存的步数",
        ),
        Mistake(
            _saving("a step more"),
            "one step too many: the saved step counts the steps already made",
            "多了一步：保存的步数就是已经走过的步数",
        ),
    ),
    hints=(
        Text("What does the next step depend on, besides the weights?", "除了权重，下一步还取决于什么？"),
        Text(
            "Four things: network, optimiser, step, random generator.",
            "四样东西：网络、优化器、步数、随机数生成器。",
        ),
        Text(
            'copy.deepcopy({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "dice": '
            "dice.get_state()})",
            '保存：copy.deepcopy({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step, '
            '"dice": dice.get_state()})',
        ),
    ),
)

EXERCISES = (AVERAGE, GRADIENT, SAVED, LOOP)
