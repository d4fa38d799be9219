"""Lesson 7, continued: take a block out of a network, and measure gradients rightly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.modules import Diagnosis, Variant, randomise
from reslab.learn.exercises.plain import RIGHT
from reslab.nn.zoo import build_named

_PLACES = [(0, 1), (1, 0), (2, 0), (0, 0)]


def _network(shortcut: str = "A") -> nn.Module:
    """A small network, its norms as after some training."""
    small = build_named("resnet20", seed=7, depths=(2, 2, 1), widths=(4, 6, 8), in_channels=1, shortcut=shortcut)
    return randomise(small, 7).eval()


def _pictures() -> Tensor:
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(7))


def _lesion_cases() -> list[tuple[Any, ...]]:
    return [*(("logits", *place) for place in _PLACES), ("afterwards", 1, 1)]


def _lesion_observe(answer: Any, case: tuple[Any, ...]) -> Any:
    look, stage, number = case
    network, x = _network(), _pictures()
    with torch.no_grad():
        before = network(x)
        logits = answer(network, x, stage, number)
        if look == "logits":
            return logits
        after = network(x)
    return "the network is as it was" if torch.allclose(before, after) else "the network was changed"


def _replaced(network: nn.Module, x: Tensor, block: nn.Module, instead: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The logits if a block gives something else, made of its input and its output."""
    hook = block.register_forward_hook(lambda _, given, output: instead(given[0], output))
    try:
        return network(x)
    finally:
        hook.remove()


def _lesion(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    block = network.stages[stage][number]
    return _replaced(network, x, block, lambda given, output: block.shortcut(given))


def _no_output(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    return _replaced(network, x, network.stages[stage][number], lambda given, output: torch.zeros_like(output))


def _no_shortcut(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    block = network.stages[stage][number]
    return _replaced(network, x, block, lambda given, output: F.relu(block.residual(given)))


def _whole_block(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    return _replaced(network, x, network.stages[stage][number], lambda given, output: given)


def _all_of_stage(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    def shortcuts(given: Tensor, output: Tensor) -> Tensor:
        for block in network.stages[stage]:
            given = block.shortcut(given)
        return given

    return _replaced(network, x, network.stages[stage], shortcuts)


def _next_one(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    return _lesion(network, x, stage, (number + 1) % len(network.stages[stage]))


def _zeroed(network: Any, x: Tensor, stage: int, number: int, names: tuple[str, ...], restore: bool = True) -> Tensor:
    """The logits while some parameters of a block are zero."""
    parameters = [network.stages[stage][number].get_parameter(name) for name in names]
    kept = [parameter.detach().clone() for parameter in parameters]
    for parameter in parameters:
        parameter.data.zero_()
    logits = network(x)
    for parameter, old in zip(parameters, kept, strict=True):
        if restore:
            parameter.data.copy_(old)
    return logits


def _stays_changed(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    return _zeroed(network, x, stage, number, ("second.norm.weight", "second.norm.bias"), restore=False)


def _left_training(network: Any, x: Tensor, stage: int, number: int) -> Tensor:
    return _lesion(network.train(), x, stage, number)


LESION = Exercise(
    number="7.3",
    name="lesion",
    stub='''import torch


def lesion(network, x, stage, number):
    """The logits for x when F of block network.stages[stage][number] is taken out and its shortcut stays.

    A block has the parts block.shortcut and block.residual. Afterwards the network must be as it was.
    """
    raise NotImplementedError
''',
    expected=_lesion,
    cases=_lesion_cases,
    observe=_lesion_observe,
    mistakes=(
        Mistake(
            _no_output,
            "the whole block gives zero: only F is taken out, the shortcut still carries x",
            "整个块输出了零：只应去掉 F，x 仍要从捷径通过",
        ),
        Mistake(
            _no_shortcut,
            "you took out the shortcut and left F: the other way round",
            "您去掉的是捷径，留下的是 F：应当反过来",
        ),
        Mistake(
            _whole_block,
            "you skip the block altogether: where a stage begins, its shortcut must still change the shape",
            "您把整个块跳过了：在阶段开头，捷径仍要改变形状",
        ),
        Mistake(
            _all_of_stage,
            "all blocks of the stage are taken out: only one is asked for",
            "整个阶段的块都去掉了：只要求去掉一个",
        ),
        Mistake(
            _next_one,
            "another block of the stage is taken out: they are counted from 0",
            "去掉的是本阶段的另一个块：编号从 0 开始",
        ),
        Mistake(
            partial(_zeroed, names=("first.conv.weight", "second.conv.weight")),
            "the convolutions are zero, but the norm behind them still subtracts its running mean and adds its offset: F "
            "is not zero",
            "卷积是零了，可后面的归一化仍要减去均值的滑动平均、加上偏移：F 并不为零",
        ),
        Mistake(
            partial(_zeroed, names=("second.norm.weight",)),
            "the factor of the last norm is zero, but its offset is still there: F is not zero",
            "最后一个归一化的系数是零了，偏移却还在：F 并不为零",
        ),
        Mistake(
            _stays_changed,
            "the logits are right, but the network stays changed: put back what you replaced",
            "logits 是对的，但网络没有复原：请把换掉的东西放回去",
        ),
        Mistake(
            _left_training,
            "the network answers in training mode: its norms use this batch instead of their running averages",
            "网络处在训练模式：归一化用的是这一批的统计量，而不是滑动平均",
        ),
    ),
    hints=(
        Text(
            "What does the block give if F is zero everywhere?",
            "如果 F 处处为零，这个块的输出是什么？",
        ),
        Text(
            "block.shortcut(x). Make the block give that for one forward pass: a forward hook may replace an output.",
            "是 block.shortcut(x)。让这个块在一次前向计算中改为输出捷径的结果：前向钩子（hook）可以替换输出。",
        ),
        Text(
            "hook = block.register_forward_hook(lambda _, given, output: block.shortcut(given[0])); logits = network(x); "
            "hook.remove()",
            "hook = block.register_forward_hook(lambda _, given, output: block.shortcut(given[0]))；logits = network(x)；"
            "最后 hook.remove()",
        ),
    ),
)


def _norms(network: Any, images: Tensor, labels: Tensor, mistakes: Variant = RIGHT) -> list[float]:
    """Gradient norms of the convolutions on the longest path, with some mistakes."""
    network.train("evaluation mode" not in mistakes)
    if "accumulated" not in mistakes:
        network.zero_grad()
    loss = F.cross_entropy(network(images), labels, reduction="sum" if "summed" in mistakes else "mean")
    loss.backward()
    kinds = (nn.Conv2d, nn.Linear) if "linear layer" in mistakes else nn.Conv2d
    chosen = [
        module.weight
        for name, module in network.named_modules()
        if isinstance(module, kinds) and ("projections" in mistakes or "shortcut" not in name)
    ]
    power = 2 if "squared" in mistakes else 1
    measured: list[Any] = [w.detach() if "of the weights" in mistakes else w.grad for w in chosen]
    means = "mean size" in mistakes
    sizes = [float(each.abs().mean() if means else each.norm()) ** power for each in measured]
    return sizes[::-1] if "reversed" in mistakes else sizes


def _hunt_cases() -> list[tuple[str]]:
    return [("first call",), ("second call",)]


def _hunt_observe(answer: Any, case: tuple[Any, ...]) -> Any:
    """What it gives for a network that has a gradient from elsewhere, or when it is asked twice."""
    network, images, labels = _network("B"), _pictures(), torch.tensor([0, 3, 1, 9, 4, 4])
    found = answer(network, images, labels)
    if case == ("second call",):
        found = answer(network, images, labels)
    return torch.tensor([float(each) for each in found])


def _hunted(mistakes: Variant = RIGHT) -> Any:
    return partial(_norms, mistakes=mistakes)


_GROUPS = (
    ("accumulated",),
    ("evaluation mode",),
    ("projections",),
    ("linear layer",),
    ("summed",),
    ("of the weights", "squared", "mean size"),
    ("reversed",),
)
_SAYS = {
    "accumulated": Text(
        "a second call gives more: `backward` adds to the gradients that are there, so call zero_grad first",
        "再调用一次，数值就变大了：backward 会累加到已有的梯度上，应先调用 zero_grad",
    ),
    "evaluation mode": Text(
        "the network is in evaluation mode: training, which is to be measured, uses the statistics of the batch",
        "网络处在评估模式：要测量的是训练，训练时归一化用的是当前这一批的统计量",
    ),
    "projections": Text(
        "the projections of the shortcuts are in the list: they lie beside the longest path",
        "列表里混进了捷径上的投影：这些投影不在最长的路径上",
    ),
    "linear layer": Text(
        "the linear layer is in the list: only convolutions are asked for",
        "列表里混进了全连接层：只要卷积层",
    ),
    "summed": Text(
        "the loss is summed over the batch: then the size of the gradient depends on how many pictures there are; take the mean",
        "损失在批上求了和：那样梯度的大小就取决于图片张数；应取平均",
    ),
    "of the weights": Text(
        "these are norms of the weights: of their gradients is asked for",
        "这是权重的范数：要的是权重梯度的范数",
    ),
    "squared": Text(
        "these are squares: the norm is the root of the sum of squares",
        "这是平方：范数是平方和的平方根",
    ),
    "mean size": Text(
        "these are means of absolute values: the norm is the root of the sum of squares",
        "这是绝对值的平均：范数是平方和的平方根",
    ),
    "reversed": Text(
        "the order is reversed: the layer at the input comes first",
        "次序反了：靠近输入的层在前",
    ),
}
_DIAGNOSIS = Diagnosis(_hunted, _GROUPS, _hunt_observe, _hunt_cases, most=4)

BUG_HUNT = Exercise(
    number="7.4",
    name="gradient_norms",
    stub='''import torch
from torch import nn
from torch.nn import functional as F


def gradient_norms(network, images, labels):
    """Norm of the gradient of each convolution on the longest path, from the first to the last, as in a training step."""
    network.eval()
    loss = F.cross_entropy(network(images), labels, reduction="sum")
    loss.backward()
    return [
        module.weight.grad.norm().item()
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
''',
    expected=_hunted(),
    cases=_hunt_cases,
    observe=_hunt_observe,
    mistakes=_DIAGNOSIS.mistakes(_SAYS),
    hints=(
        Text(
            "There are four bugs, one in nearly every line. Call it twice and compare.",
            "共有四处错误，几乎每行一处。调用两次，比一比。",
        ),
        Text(
            "In which mode is a network trained? What was in `grad` before? Does the result depend on the number of pictures? "
            "Which convolutions are not on the longest path?",
            "训练时网络处在哪种模式？grad 里原来有什么？结果与图片张数有关吗？哪些卷积不在最长的路上？",
        ),
        Text(
            'network.train(); network.zero_grad(); the mean loss; skip modules with "shortcut" in their name.',
            'network.train()；network.zero_grad()；损失取平均；跳过名字里有 "shortcut" 的模块。',
        ),
    ),
)
