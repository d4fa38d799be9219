"""Lesson 14, fine-tuning: freeze correctly, fit a head, hand over its rows by name, and a bug hunt."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.lesson14_more import HANDOVER, HUNT
from reslab.nn.resnet import ResNet
from reslab.nn.zoo import build_named
from reslab.train.probe import fit_head
from reslab.train.step.finetune import unfreeze


def _network(model: str, seed: int) -> ResNet:
    """A small network whose norms have statistics of their own."""
    network = build_named(model, in_channels=1, num_classes=3, depths=(1, 1, 1), widths=(4, 8, 8), seed=seed).double()
    dice = torch.Generator().manual_seed(seed)
    network.train()
    with torch.no_grad():
        for _ in range(5):
            network(torch.rand(8, 1, 8, 8, dtype=torch.float64, generator=dice))
    return network


def _pictures(seed: int) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed + 100)
    return 2 * torch.rand(6, 1, 8, 8, dtype=torch.float64, generator=dice), torch.tensor([0, 1, 2, 0, 1, 2])


# ---------------------------------------------------------------- 14.1


def _freeze(network: ResNet) -> None:
    unfreeze(network, "head", 0.0)


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _gradients_off(network: ResNet) -> None:
    network.requires_grad_(False)
    network.head.requires_grad_(True)


def _evaluation_only(network: ResNet) -> None:
    network.eval()


def _everything(network: ResNet) -> None:
    network.eval()
    network.requires_grad_(False)


def _upside_down(network: ResNet) -> None:
    network.head.requires_grad_(False)
    network.head.eval()


def _convolutions(network: ResNet) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.requires_grad_(False)


def _convolutions_and_statistics(network: ResNet) -> None:
    _convolutions(network)
    for norm in _norms(network):
        norm.eval()


def _no_momentum(network: ResNet) -> None:
    _gradients_off(network)
    for norm in _norms(network):
        norm.momentum = 0.0


def _last_stage_too(network: ResNet) -> None:
    unfreeze(network, "last", 0.0)


def _nothing(network: ResNet) -> None:
    pass


def _behaviour(freeze: Callable[[ResNet], Any], case: tuple[Any, ...]) -> tuple[Any, ...]:
    """What ten steps of training change, by groups of layers, and whether frozen layers look at one picture at a time."""
    model, seed = case
    network, (images, labels) = _network(model, seed), _pictures(seed)
    network.train()
    freeze(network)
    with torch.no_grad():
        alone, together = network.features(images[:1]), network.features(images)[:1]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learning = [p for p in network.parameters() if p.requires_grad]
    steps = torch.optim.Adam(learning, lr=1e-2) if learning else None
    for _ in range(10):
        loss = F.cross_entropy(network(images), labels)
        if steps:
            steps.zero_grad()
            loss.backward()
            steps.step()
    after = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    moved = [name for name, value in after.items() if not torch.equal(before[name], value)]
    return (
        [sorted({_kind(name) for name in moved if name.startswith(group)}) for group in _groups(network)],
        "one picture at a time" if torch.allclose(alone, together) else "the whole batch",
        any(name.startswith("head.") for name in moved),
    )


def _groups(network: ResNet) -> list[str]:
    return ["stem", *(f"stages.{n}" for n in range(len(network.stages))), "last"]


def _kind(name: str) -> str:
    if "running" in name:
        return "statistics"
    return "norm" if "norm" in name or name.startswith("last") else "convolution"


FREEZE = Exercise(
    number="14.1",
    name="freeze",
    stub='''def freeze(network):
    """Of a reslab network in training mode, let only `network.head` learn: everything below stays as it is."""
''',
    expected=_freeze,
    cases=lambda: [("resnet20", 1), ("preact110", 2)],
    observe=_behaviour,
    mistakes=(
        Mistake(
            _gradients_off,
            "no weight moves, but the norms below the head still normalise by the batch and update their running "
            "statistics: put these layers into eval(), too",
            "权重都没有动，但分类头以下的归一化仍在用当前批的统计量，还在更新滑动平均：这些层也要调用 eval()",
        ),
        Mistake(
            _evaluation_only,
            "the statistics stand still, but every weight still learns: eval() switches no gradient off, "
            "requires_grad_(False) does",
            "统计量不动了，但所有权重仍在学习：eval() 并不会关闭梯度，要用 requires_grad_(False)",
        ),
        Mistake(
            _everything,
            "nothing learns any more: the head must keep requires_grad",
            "什么都不再学习了：分类头必须保留 requires_grad",
        ),
        Mistake(
            _upside_down,
            "upside down: you froze the head, and the layers below it learn",
            "弄反了：您冻结的是分类头，学习的却是它下面的各层",
        ),
        Mistake(
            _convolutions,
            "only the convolutions are frozen: a norm has a weight and a bias of its own, and running statistics",
            "只冻结了卷积：归一化层自己也有 weight 和 bias，还有滑动平均的统计量",
        ),
        Mistake(
            _convolutions_and_statistics,
            "the norms' statistics stand still, but their weight and bias still learn",
            "归一化的统计量不动了，但它们的 weight 和 bias 还在学习",
        ),
        Mistake(
            _no_momentum,
            "momentum 0 keeps the running statistics, but does not use them: in training mode a norm still normalises by "
            "the batch, so a picture's features depend on its neighbours",
            "momentum 设为 0 只是不更新滑动平均，训练模式下的归一化仍然用当前批的统计量，"
            "于是一张图片的特征会随同一批里的其他图片而变",
        ),
        Mistake(
            _last_stage_too,
            "the last stage still learns: here only the head is to learn",
            "最后一个阶段还在学习：这里只允许分类头学习",
        ),
        Mistake(_nothing, "everything still learns", "所有层都还在学习"),
    ),
    hints=(
        Text(
            "Two things change in training: parameters, by the optimiser, and running statistics, by the forward pass.",
            "训练会改动两样东西：参数由优化器更新，滑动平均则在前向传播时更新。",
        ),
        Text(
            "requires_grad_(False) stops the first, eval() the second. Both can be called on a whole network.",
            "requires_grad_(False) 管第一样，eval() 管第二样。两者都可以对整个网络调用。",
        ),
        Text(
            "Freeze the whole network in both ways, then open network.head again in both ways.",
            "先把整个网络用两种方式都冻结，再把 network.head 用两种方式都打开。",
        ),
    ),
)


# ---------------------------------------------------------------- 14.2

_C = 0.1


def _features() -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Features of very different scales, some far from zero, as those after a ReLU are."""
    dice, cases = np.random.default_rng(14), []
    for n, d, classes in ((45, 6, 3), (64, 10, 4)):
        labels = np.arange(n) % classes
        centres = dice.normal(size=(classes, d))
        raw = centres[labels] + 1.2 * dice.normal(size=(n, d))
        cases.append((raw * np.geomspace(0.2, 4, d) + np.linspace(0.5, 3, d), labels, classes))
    return cases


def _oracle(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    found = fit_head(features, labels, classes)
    return found.weight, found.bias


def _solve(
    features: np.ndarray, labels: np.ndarray, classes: int, strength: float = 1 / _C, bias_too: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the summed cross-entropy plus `strength / 2` times the squared weights."""
    x, y = torch.tensor(features), torch.tensor(labels)
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        squares = weight.square().sum() + (bias.square().sum() if bias_too else 0.0)
        loss = F.cross_entropy(x @ weight.T + bias, y, reduction="sum") + strength / 2 * squares
        loss.backward()
        return loss

    solver.step(closure)
    return weight.detach().numpy(), bias.detach().numpy()


def _scaled(features: np.ndarray, labels: np.ndarray, classes: int, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    """The standardised fit, in units of the raw features."""
    mean, std = features.mean(0), features.std(0)
    weight, bias = _solve((features - mean) / std, labels, classes, **how)
    return weight / std, bias - (weight / std) @ mean


def _of_scaled_features(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    return _solve((features - features.mean(0)) / features.std(0), labels, classes)


def _bias_left(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = _of_scaled_features(features, labels, classes)
    return weight / features.std(0), bias


def _shares(answer: Callable[..., Any], case: tuple[Any, ...]) -> Tensor:
    """The probabilities that the fitted layer gives to pictures near those that it was fitted to."""
    features, labels, classes = case
    weight, bias = (
        torch.as_tensor(np.asarray(each), dtype=torch.float64) for each in answer(features, labels, classes)
    )
    nearby = torch.tensor(features[::-1].copy()) * 0.9
    return F.linear(nearby, weight, bias).softmax(1)


PROBE = Exercise(
    number="14.2",
    name="probe",
    stub='''import numpy as np
import torch


def probe(features, labels, classes):
    """features [n, d], labels [n] (both numpy) -> weight [classes, d] and bias [classes], for the features as they are."""
    raise NotImplementedError
''',
    expected=_oracle,
    cases=_features,
    observe=_shares,
    tolerance=0.01,
    mistakes=(
        Mistake(
            _solve,
            "the features are not standardised: one penalty then weighs large features less than small ones",
            "特征没有标准化：同一个惩罚项对数值大的特征和数值小的特征就轻重不一",
        ),
        Mistake(
            lambda *case: _scaled(*case, strength=1e-4),
            "the penalty is missing: the weights grow until the training pictures are known by heart",
            "缺少惩罚项：权重会一直增大，直到把训练图片背下来",
        ),
        Mistake(
            lambda features, labels, classes: _scaled(features, labels, classes, strength=len(features) / _C),
            "the penalty is far too strong: it belongs to the *sum* of the losses, not to their mean",
            "惩罚项强得太多：它对应的是损失之*和*，而不是平均损失",
        ),
        Mistake(
            lambda *case: _scaled(*case, strength=_C),
            "the penalty is upside down: C = 0.1 means 1 / C = 10 times half the squared weights",
            "惩罚项弄反了：C = 0.1 表示权重平方和的一半要乘以 1 / C = 10",
        ),
        Mistake(
            lambda *case: _scaled(*case, bias_too=True),
            "the bias is penalised, too: only the weights are, or a frequent class could not be likelier from the start",
            "偏置也受了惩罚：应当只惩罚权重，否则常见的类别就没法靠偏置领先一步",
        ),
        Mistake(
            _of_scaled_features,
            "this layer is for standardised features; divide the weights by the standard deviation, and move the bias",
            "这个线性层只适用于标准化之后的特征；请把权重除以标准差，并相应调整偏置",
        ),
        Mistake(
            _bias_left,
            "the weights are right, the bias is not: subtracting the mean belongs into it",
            "权重对了，偏置不对：减去的均值要并入偏置",
        ),
    ),
    hints=(
        Text(
            "A convex problem: from zeros, any good optimiser finds the one optimum. torch.optim.LBFGS needs few steps.",
            "这是凸问题：从零出发，任何像样的优化器都会找到唯一的最优解。torch.optim.LBFGS 只需很少几步。",
        ),
        Text(
            "Minimise the sum of the cross-entropies plus 5 times the sum of the squared weights, on (features - mean) / std.",
            "在 (features - mean) / std 上，最小化交叉熵之和加上权重平方和的 5 倍。",
        ),
        Text(
            "w · (x - mean) / std + b = (w / std) · x + (b - (w / std) · mean).",
            "w · (x - mean) / std + b = (w / std) · x + (b - (w / std) · mean)。",
        ),
    ),
)

EXERCISES = (FREEZE, PROBE, HANDOVER, HUNT)
