"""Lesson 15, continued: Grad-CAM with bugs."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from reslab.learn.exercise import Exercise, Mistake, Raised, Text
from reslab.nn.resnet import ResNet
from reslab.nn.zoo import build_named


def _network(seed: int) -> ResNet:
    """A small network in training mode, whose norms have statistics of their own and whose parameters have gradients."""
    network = build_named(
        "resnet20", in_channels=1, num_classes=4, depths=(1, 1, 1), widths=(4, 8, 8), seed=seed
    ).double()
    dice = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(5):
        network(1 + torch.rand(8, 1, 20, 12, dtype=torch.float64, generator=dice)).square().sum().backward()
    return network


def _gradcam(network: ResNet, image: Tensor, label: int, bugs: Sequence[str] = ()) -> Tensor:
    """Grad-CAM of one picture `[1, height, width]`, with those of the bugs that are named."""
    if "mode" not in bugs:
        network.eval()
    features = network.features(image[None])
    features.retain_grad()
    logits = network.classify(features)[0]
    score = logits.softmax(0)[label] if "softmax" in bugs else logits[label]
    if "likeliest" in bugs:
        score = logits.max()
    if "all" in bugs:
        score = logits.sum()
    score.backward()
    gradient = features.grad
    assert gradient is not None
    if "channels" in bugs:
        heat = gradient[0].mean(0) * features[0].mean(0)
    elif "product" in bugs:
        heat = (gradient[0] * features[0].abs()).mean(0)
    else:
        weights = gradient[0].mean((1, 2)).abs() if "size" in bugs else gradient[0].mean((1, 2))
        heat = torch.einsum("c,chw->hw", weights, features[0])
    return (heat if "relu" in bugs else torch.relu(heat)).detach()


def _broken(*bugs: str) -> Callable[..., Tensor]:
    return lambda *given: _gradcam(*given, bugs=bugs)


def _observe(answer: Callable[..., Any], case: tuple[Any, ...]) -> Any:
    """The map in units in which its largest size is one, that size, and the mode in which the network was asked."""
    seed, label = case
    network, modes = _network(seed), []
    network.head.register_forward_hook(lambda module, given, result: modes.append(module.training))
    image = 1 + torch.rand(1, 20, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 50))
    heat = torch.as_tensor(answer(network, image, label)).detach()
    size = heat.abs().max()
    return heat / (size if size > 0 else 1.0), size, "training" if any(modes) else "evaluation"


def _mode(given: list[Any], expected: list[Any]) -> bool:
    return all(not isinstance(each, Raised) and each[2] == "training" for each in given)


def _negative(given: list[Any], expected: list[Any]) -> bool:
    """Whether the map is right but for what lies below zero."""
    return all(
        not isinstance(g, Raised)
        and g[0].shape == e[0].shape
        and torch.allclose(torch.relu(g[0]) * g[1], e[0] * e[1], atol=1e-9)
        for g, e in zip(given, expected, strict=True)
    )


HUNT = Exercise(
    number="15.4",
    name="gradcam",
    stub='''import torch


def gradcam(network, image, label):
    """Grad-CAM (Selvaraju et al. 2017) of the last feature map: a reslab network and a picture [channels, height, width]
    -> [map height, map width]."""
    features = network.features(image[None])
    features.retain_grad()
    probabilities = network.classify(features)[0].softmax(0)
    probabilities[label].backward()
    weights = features.grad[0].mean((1, 2)).abs()
    heat = torch.einsum("c,chw->hw", weights, features[0])
    return heat.detach()
''',
    expected=_broken(),
    cases=lambda: [(1, 0), (2, 3), (3, 1)],
    observe=_observe,
    mistakes=(
        Mistake(
            _broken("mode"),
            "the network is asked in training mode: a norm then looks at this one picture; call eval() first",
            "网络还在训练模式：归一化此时只用这一张图片的统计量；先调用 eval()",
            when=_mode,
        ),
        Mistake(
            _broken("relu"),
            "the weights are right, but Grad-CAM keeps only what speaks for the class: a ReLU belongs at the end",
            "权重对了，但 Grad-CAM 只保留支持该类别的部分：最后要加 ReLU",
            when=_negative,
        ),
        Mistake(
            _broken("softmax"),
            "this is the gradient of the probability, which the other classes pull along; take the logit's",
            "这是概率的梯度，会受其他类别牵动；要用 logit 的梯度",
        ),
        Mistake(
            _broken("size"),
            "the weights have lost their sign: a channel that speaks against the class must count against it",
            "权重丢掉了符号：反对该类别的通道，就要算作反对",
        ),
        Mistake(
            _broken("softmax", "size"),
            "two bugs are left: the gradient is that of the probability, and the weights have lost their sign",
            "还剩两处错误：用的是概率的梯度，而且权重丢掉了符号",
        ),
        Mistake(
            _broken("softmax", "relu"),
            "two bugs are left: the gradient is that of the probability, and the ReLU is missing",
            "还剩两处错误：用的是概率的梯度，而且缺少 ReLU",
        ),
        Mistake(
            _broken("channels"),
            "averaged over channels: the gradient is averaged over *positions*, one weight per channel",
            "您在通道上取了平均：梯度要在*位置*上取平均，每个通道得到一个权重",
        ),
        Mistake(
            _broken("all"),
            "the gradient of the sum of all logits knows no class",
            "所有 logit 之和的梯度与类别无关",
        ),
        Mistake(
            _broken("likeliest"),
            "this explains the likeliest class, not the one asked for",
            "这解释的是概率最高的类别，不是题目指定的",
        ),
    ),
    hints=(
        Text(
            "Four bugs. Of what should the gradient be taken? In which mode? What does the paper do at the end?",
            "共有四处错误。该对什么求梯度？网络处于什么模式？论文最后一步做什么？",
        ),
        Text("One of them is a call to abs.", "其中一处是 abs。"),
        Text(
            "eval(); the logit, not the softmax; no abs; torch.relu at the end.",
            "eval()；用 logit 而不是 softmax；去掉 abs；最后加 torch.relu。",
        ),
    ),
)
