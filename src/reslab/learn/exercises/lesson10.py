"""Lesson 10, loss and steps: SGD with momentum and decay; the loss is in `lesson10_loss`, more in `lesson10_more`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from reslab.learn.exercise import Exercise, Mistake, Text, same
from reslab.learn.exercises.lesson10_loss import CROSS_ENTROPY
from reslab.learn.exercises.lesson10_more import ADAM, COSINE
from reslab.train.step.muon import SGD

_STEPS = 10


def gradients(seed: int) -> list[Tensor]:
    """Ten gradients; the first has numbers of very different size."""
    dice = torch.Generator().manual_seed(seed)
    return [torch.tensor([1000.0, 1.0, -0.001]), *(torch.randn(3, generator=dice) for _ in range(_STEPS - 1))]


def _observe_sgd(answer: Any, case: tuple[Any, ...]) -> list[Tensor]:
    """The weights after each of ten steps, the rate of which changes half way."""
    rate, momentum, decay = case
    weights, velocity, found = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.5, -1.0, 2.0]), []
    for step, gradient in enumerate(gradients(2)):
        eta = rate if step < _STEPS // 2 else rate / 10
        weights, velocity = answer(weights.clone(), gradient.clone(), velocity.clone(), eta, momentum, decay)
        found.append(weights.clone())
    return found


def _sgd(weights: Tensor, gradient: Tensor, velocity: Tensor, rate: float, momentum: float, decay: float) -> Any:
    """One step of PyTorch's (without its compiler, whose import takes a second)."""
    parameter = weights.clone().requires_grad_()
    parameter.grad = gradient
    optimizer = SGD([parameter], lr=rate, momentum=momentum, weight_decay=decay)
    optimizer.state[parameter]["momentum_buffer"] = velocity.clone()
    optimizer.step()
    return parameter.detach(), optimizer.state[parameter].get("momentum_buffer", gradient + decay * weights)


def _sgd_with(slip: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def step(w: Tensor, g: Tensor, v: Tensor, rate: float, momentum: float, decay: float) -> tuple[Tensor, Tensor]:
        pull = {
            "no decay": 0 * w,
            "decay beside": 0 * w,
            "decay squared": w**2,
            "decay twice": 2 * w,
            "decay reversed": -w,
        }
        pulled = g + decay * pull.get(slip, w)
        fresh = {
            "rate inside": momentum * v + rate * pulled,
            "damped": momentum * v + (1 - momentum) * pulled,
            "no momentum": pulled,
            "velocity decayed": momentum * (v + pulled),
        }.get(slip, momentum * v + pulled)
        along = {"nesterov": pulled + momentum * fresh, "old velocity": v, "uphill": -fresh}.get(slip, fresh)
        moved = w - (1 if slip in ("rate inside", "no rate") else rate) * along
        if slip == "decay beside":
            moved = moved - rate * decay * w
        if slip == "order":
            return fresh, moved
        return moved, v if slip == "velocity forgotten" else fresh

    return step


def _rate_inside(given: list[Any], expected: list[Any]) -> bool:
    """The weights move as with the rate inside, whichever sign the velocity has."""
    ways = (_sgd_with("rate inside"), _turned)
    theirs = [[_observe_sgd(way, case) for case in _CASES] for way in ways]
    return any(all(same(g, t, 1e-5) for g, t in zip(given, each, strict=True)) for each in theirs)


def _turned(w: Tensor, g: Tensor, v: Tensor, rate: float, momentum: float, decay: float) -> tuple[Tensor, Tensor]:
    """The rate inside a velocity that points downhill."""
    v = momentum * v - rate * (g + decay * w)
    return w + v, v


_CASES = [(0.1, 0.9, 0.01), (0.01, 0.5, 0.3), (0.1, 0.8, 0.0)]

MOMENTUM = Exercise(
    number="10.2",
    name="sgd_step",
    stub='''def sgd_step(weights, gradient, velocity, rate, momentum, decay):
    """One step of SGD -> the new weights, the new velocity"""
    raise NotImplementedError
''',
    expected=_sgd,
    cases=lambda: _CASES,
    observe=_observe_sgd,
    mistakes=(
        Mistake(
            _sgd_with("rate inside"),
            "the rate stands inside the velocity: when the schedule lowers the rate, old gradients still move with the old "
            "one; multiply by it only in w - rate * v",
            "学习率乘进速度里了：学习率下调之后，旧梯度仍按旧的学习率起作用；应当只在 w - rate * v 里乘",
            when=_rate_inside,
        ),
        Mistake(
            _sgd_with("damped"),
            "you take (1 - momentum) * gradient: that is a moving average, PyTorch's momentum adds the whole gradient",
            "您用了 (1 - momentum) * 梯度：那是滑动平均，PyTorch 的动量是把整个梯度加进去",
        ),
        Mistake(
            _sgd_with("no momentum"),
            "the old velocity is not used: v = momentum * v + gradient",
            "没有用到旧的速度：v = momentum * v + 梯度",
        ),
        Mistake(
            _sgd_with("velocity decayed"),
            "momentum multiplies the new gradient, too: only the old velocity is slowed down",
            "momentum 把新梯度也乘上了：只有旧的速度才需要衰减",
        ),
        Mistake(
            _sgd_with("nesterov"),
            "this is Nesterov's momentum, which looks one step ahead; here the step is along the velocity itself",
            "这是 Nesterov 动量，会向前多看一步；本题直接沿速度方向走",
        ),
        Mistake(
            _sgd_with("old velocity"),
            "the step uses the velocity from before: update it first, then step along it",
            "走步时用的是更新之前的速度：先更新速度，再沿它走",
        ),
        Mistake(
            _sgd_with("velocity forgotten"),
            "the returned velocity is the old one, so nothing collects",
            "返回的还是旧的速度，于是什么也没有积累下来",
        ),
        Mistake(
            _sgd_with("uphill"),
            "the step goes with the gradient, uphill: subtract it",
            "沿着梯度方向走，是在上坡：应当减去",
        ),
        Mistake(
            _sgd_with("no decay"),
            "weight decay is ignored: add decay * weights to the gradient",
            "没有用到权重衰减：把 decay * weights 加到梯度上",
        ),
        Mistake(
            _sgd_with("decay reversed"),
            "the decay pushes weights away from zero: it is added to the gradient, since the step subtracts it",
            "权重衰减把权重推离了零：它要加到梯度上，因为走步时会减去",
        ),
        Mistake(
            _sgd_with("decay beside"),
            "the decay is applied beside the velocity, as in AdamW; here it is part of the gradient and collects "
            "with it",
            "权重衰减没有进入速度，像 AdamW 那样；本题里它是梯度的一部分，随梯度一起积累",
        ),
        Mistake(
            _sgd_with("decay twice"),
            "the gradient of λ/2 w² is λ w: you add it twice",
            "λ/2 w² 的梯度是 λ w：您加了两倍",
        ),
        Mistake(
            _sgd_with("no rate"),
            "the rate is not used: w - rate * v",
            "没有用到学习率：w - rate * v",
        ),
        Mistake(
            _sgd_with("order"),
            "weights and velocity are exchanged: return the new weights first",
            "权重与速度的次序反了：先返回新的权重",
        ),
        Mistake(
            _sgd_with("decay squared"),
            "the gradient of λ/2 w² is λ w, not λ w²",
            "λ/2 w² 的梯度是 λ w，不是 λ w²",
        ),
    ),
    hints=(
        Text("In which order: decay, velocity, step?", "衰减、速度、走步，先后顺序如何？"),
        Text(
            "The decay is a part of the gradient: gradient + decay * weights.",
            "权重衰减是梯度的一部分：gradient + decay * weights。",
        ),
        Text(
            "velocity = momentum * velocity + gradient + decay * weights; weights - rate * velocity.",
            "新速度：velocity = momentum * velocity + gradient + decay * weights；新权重：weights - rate * velocity。",
        ),
    ),
)

EXERCISES = (CROSS_ENTROPY, MOMENTUM, ADAM, COSINE)
