"""Lesson 10, the last two exercises: a step of Adam, and a bug hunt in a schedule."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from reslab.learn.exercise import Exercise, Mistake, Text, same
from reslab.train.schedule import ScheduleConfig, rate
from reslab.train.step.muon import Adam

_STEPS = 10


def _observe_adam(answer: Any, case: tuple[Any, ...]) -> list[Tensor]:
    """The weights after each of ten steps; the first gradient has numbers of very different size, one weight never has
    any."""
    weights, m, v, found = torch.tensor([1.0, -2.0, 3.0, 4.0]), torch.zeros(4), torch.zeros(4), []
    dice = torch.Generator().manual_seed(3)
    first = torch.tensor([1000.0, 1.0, -0.001, 0.0])
    for t in range(1, _STEPS + 1):
        gradient = first if t == 1 else torch.randn(4, generator=dice) * torch.tensor([1.0, 1.0, 0.01, 0.0])
        weights, m, v = answer(weights.clone(), gradient, m.clone(), v.clone(), t, *case)
        found.append(weights.clone())
    return found


def _adam(
    w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, rate: float, betas: tuple[float, float], eps: float
) -> Any:
    """One step of PyTorch's (without its compiler, whose import takes a second)."""
    parameter = w.clone().requires_grad_()
    parameter.grad = g.clone()
    optimizer = Adam([parameter], lr=rate, betas=betas, eps=eps)
    optimizer.state[parameter] |= {"step": torch.tensor(t - 1.0), "exp_avg": m, "exp_avg_sq": v}
    optimizer.step()
    return parameter.detach(), optimizer.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg_sq"]


def _adam_with(slip: str) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    def step(
        w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, rate: float, betas: tuple[float, float], eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        one, two = betas[::-1] if slip == "betas exchanged" else betas
        a = m + (1 - one) * g if slip == "first not decayed" else one * m + (1 - one) * g
        b = two * v + (1 - two) * (g.abs() if slip == "not squared" else g**2)
        if slip == "shares reversed":
            a, b = (1 - one) * m + one * g, (1 - two) * v + two * g**2
        n = {"t - 1": t - 1, "always 1": 1, "t + 1": t + 1}.get(slip, t)
        m_hat, v_hat = a / (1 - one**n), b / (1 - two**n)
        if slip == "one hat":
            v_hat = b
        if slip == "no hats":
            m_hat, v_hat = a, b
        if slip == "times t":
            m_hat, v_hat = a / (1 - one * t), b / (1 - two * t)
        below = {"eps inside": (v_hat + eps).sqrt(), "no root": v_hat + eps, "no eps": v_hat.sqrt()}.get(
            slip, v_hat.sqrt() + eps
        )
        if slip == "hat on the root":
            below = b.sqrt() / (1 - two**n) + eps
        kept = {"hats kept": (m_hat, v_hat), "order": (b, a)}.get(slip, (a, b))
        along = g if slip == "gradient itself" else a if slip == "no first hat" else m_hat
        step_size = {"uphill": -rate, "no rate": 1.0}.get(slip, rate)
        return w - step_size * along / below, *kept

    return step


def _first_step(slip: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by its very first step."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        theirs = [_observe_adam(_adam_with(slip), case) for case in _ADAM_CASES]
        return all(isinstance(g, list) and same(g[0], t[0], 1e-5) for g, t in zip(given, theirs, strict=True))

    return when


_ADAM_CASES = [(0.1, (0.9, 0.999), 1e-8), (0.5, (0.7, 0.8), 1e-2), (0.1, (0.9, 0.99), 0.5)]

ADAM = Exercise(
    number="10.3",
    name="adam_step",
    stub='''def adam_step(weights, gradient, m, v, t, rate, betas, eps):
    """Step t (the first is 1) of Adam -> the new weights, m, v"""
    raise NotImplementedError
''',
    expected=_adam,
    cases=lambda: _ADAM_CASES,
    observe=_observe_adam,
    mistakes=(
        Mistake(
            _adam_with("no hats"),
            "the hats are missing (bias correction): m and v start at 0 and are too small at first, so the first "
            "step is 3.16 times the rate; divide them by 1 - beta ** t",
            "漏了偏差修正（帽子）：m 和 v 从 0 开始，起初偏小，第一步会走到学习率的 3.16 倍；请分别除以 1 - beta ** t",
            when=_first_step("no hats"),
        ),
        Mistake(
            _adam_with("one hat"),
            "v needs a hat, too: v / (1 - betas[1] ** t)",
            "v 也要戴帽子：v / (1 - betas[1] ** t)",
        ),
        Mistake(
            _adam_with("no first hat"),
            "m needs a hat, too: m / (1 - betas[0] ** t)",
            "m 也要戴帽子：m / (1 - betas[0] ** t)",
        ),
        Mistake(
            _adam_with("hat on the root"),
            "the hat belongs on v, under the root: sqrt(v / (1 - betas[1] ** t)) + eps",
            "帽子要戴在根号里的 v 上：sqrt(v / (1 - betas[1] ** t)) + eps",
        ),
        Mistake(
            _adam_with("t + 1"),
            "t counts from 1 already: beta ** t, not beta ** (t + 1)",
            "t 本来就从 1 开始：用 beta ** t，而不是 beta ** (t + 1)",
        ),
        Mistake(
            _adam_with("uphill"),
            "the step goes with the gradient, uphill: subtract it",
            "沿着梯度方向走，是在上坡：应当减去",
        ),
        Mistake(
            _adam_with("no rate"),
            "the rate is not used: rate * m_hat / (sqrt(v_hat) + eps)",
            "没有用到学习率：rate * m_hat / (sqrt(v_hat) + eps)",
        ),
        Mistake(
            _adam_with("order"),
            "m and v are exchanged: return the weights, m, v",
            "m 与 v 的次序反了：应返回权重、m、v",
        ),
        Mistake(
            _adam_with("times t"),
            "beta to the power t, not times t",
            "是 beta 的 t 次方，不是乘以 t",
        ),
        Mistake(
            _adam_with("t - 1"),
            "t counts from 1 already: with t - 1 the first step divides by zero",
            "t 本来就从 1 开始：用 t - 1 的话，第一步会除以零",
        ),
        Mistake(
            _adam_with("always 1"),
            "the correction must fade: use beta ** t, not beta",
            "修正应随步数减弱：用 beta ** t，而不是 beta",
        ),
        Mistake(
            _adam_with("hats kept"),
            "you return m and v with their hats: keep them bare, and put the hats on anew in each step",
            "返回的是戴了帽子的 m 和 v：保存时不要修正，每一步再重新修正",
        ),
        Mistake(
            _adam_with("eps inside"),
            "eps stands outside the root: sqrt(v) + eps",
            "eps 应在根号外面：sqrt(v) + eps",
        ),
        Mistake(
            _adam_with("no eps"),
            "without eps a weight that has no gradient becomes 0 / 0",
            "没有 eps，没有梯度的权重会变成 0 / 0",
        ),
        Mistake(
            _adam_with("no root"),
            "you divide by v: it averages squares, so take its root",
            "您除以了 v：它是平方的平均，要开平方",
        ),
        Mistake(
            _adam_with("not squared"),
            "v averages the squares of the gradient",
            "v 平均的是梯度的平方",
        ),
        Mistake(
            _adam_with("betas exchanged"),
            "the two betas are exchanged: the first belongs to m",
            "两个 beta 弄反了：第一个属于 m",
        ),
        Mistake(
            _adam_with("shares reversed"),
            "beta is the share of the old average, 1 - beta that of the new gradient",
            "beta 是旧平均所占的比例，新梯度占 1 - beta",
        ),
        Mistake(
            _adam_with("first not decayed"),
            "the old m must shrink by beta, or it only grows",
            "旧的 m 要乘以 beta，否则只会越积越大",
        ),
        Mistake(
            _adam_with("gradient itself"),
            "the step uses the gradient instead of its average m: without momentum this is RMSprop",
            "走步时用的是梯度本身，而不是滑动平均 m：没有动量就成了 RMSprop",
        ),
    ),
    hints=(
        Text(
            "Which two averages are kept, and which are only computed?", "哪两个平均值要保存，哪两个只是临时算出来的？"
        ),
        Text("m_hat = m / (1 - betas[0] ** t), and v likewise.", "m_hat = m / (1 - betas[0] ** t)，v 同理。"),
        Text(
            "weights - rate * m_hat / (v_hat.sqrt() + eps), with m and v returned as they are.",
            "weights - rate * m_hat / (v_hat.sqrt() + eps)，返回的 m 和 v 不带修正。",
        ),
    ),
)


def _observe_cosine(answer: Any, case: tuple[Any, ...]) -> list[float]:
    steps, peak, warmup = case
    return [answer(step, steps, peak, warmup) for step in range(steps)]


def _cosine(step: int, steps: int, peak: float, warmup: int) -> float:
    """The product's, in shares of the run."""
    return rate(ScheduleConfig("cosine", warmup=warmup / (steps + 1)), peak, (step + 1) / (steps + 1))


def _cosine_with(slip: str) -> Callable[[int, int, float, int], float]:
    def cosine(step: int, steps: int, peak: float, warmup: int) -> float:
        climbing = step + (0 if slip in ("zero first", "stub") else 1)
        if step < warmup:
            return peak if slip == "no climb" else peak * (climbing // warmup if slip == "whole" else climbing / warmup)
        past = (step + 1 - warmup) / (steps + 1 - warmup)
        past = {
            "wave from 0": (step + 1) / (steps + 1),
            "stub": step / steps,
            "one late": (step - warmup) / (steps - warmup),
            "shifted only": (step + 1 - warmup) / (steps + 1),
        }.get(slip, past)
        turned = {"whole wave": 2 * math.pi * past, "quarter": math.pi * past / 2, "degrees": 180 * past}.get(
            slip, math.pi * past
        )
        if slip == "negative":
            return peak * math.cos(turned)
        return peak * math.cos(turned) if slip == "quarter" else peak * (1 + math.cos(turned)) / 2

    return cosine


def _climbs(slip: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by its warm-up, whatever the wave does."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        theirs = [_observe_cosine(_cosine_with(slip), case) for case in _COSINE_CASES]
        parts = zip(given, theirs, _COSINE_CASES, strict=True)
        return all(same(one[:warmup], other[:warmup], 1e-5) for one, other, (_, _, warmup) in parts)

    return when


def _falls(*slips: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by its wave, whatever the warm-up does."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        known = [[_observe_cosine(_cosine_with(slip), case) for case in _COSINE_CASES] for slip in slips]
        waves = [warmup for _, _, warmup in _COSINE_CASES]
        return any(
            all(same(one[start:], other[start:], 1e-5) for one, other, start in zip(given, theirs, waves, strict=True))
            for theirs in known
        )

    return when


_COSINE_CASES = [(10, 1.0, 3), (8, 0.5, 0), (20, 2.0, 5), (7, 1.0, 1)]

COSINE = Exercise(
    number="10.4",
    name="cosine",
    stub='''import math


def cosine(step, steps, peak, warmup):
    """The rate of step 0 … steps - 1: up to the peak in step warmup - 1, then down; step number `steps` would have zero."""
    if step < warmup:
        return peak * step / warmup
    return peak * (1 + math.cos(math.pi * step / steps)) / 2
''',
    expected=_cosine,
    cases=lambda: _COSINE_CASES,
    observe=_observe_cosine,
    mistakes=(
        Mistake(
            _cosine_with("stub"),
            "both bugs are still in it; begin with the very first step: which rate does it have?",
            "两处错误都还在；先看第一步：它的学习率是多少？",
        ),
        Mistake(
            _cosine_with("zero first"),
            "the first step still has the rate zero: in step 0 one step of the climb is made, step + 1",
            "第一步的学习率仍为零：第 0 步就应该已经爬升一级，即 step + 1",
            when=_climbs("zero first"),
        ),
        Mistake(
            _cosine_with("wave from 0"),
            "the wave still begins at step 0, so the rate drops suddenly after the warm-up: begin it where the "
            "climb ends",
            "余弦波仍从第 0 步开始，预热一结束学习率就会突降：应从预热结束处开始",
            when=_falls("wave from 0", "stub"),
        ),
        Mistake(
            _cosine_with("shifted only"),
            "the wave begins at the right place but is too long: it has steps + 1 - warmup steps to reach zero",
            "波的起点对了，但太长：它要在 steps + 1 - warmup 步之内降到零",
            when=_falls("shifted only"),
        ),
        Mistake(
            _cosine_with("one late"),
            "the wave is a step late: the peak belongs to step warmup - 1 alone, so past = (step + 1 - warmup) / "
            "(steps + 1 - warmup)",
            "波晚了一步：只有第 warmup - 1 步取峰值，所以 past = (step + 1 - warmup) / (steps + 1 - warmup)",
            when=_falls("one late"),
        ),
        Mistake(
            _cosine_with("no climb"),
            "the warm-up is missing: the rate begins at its peak",
            "没有预热：学习率一开始就在峰值",
            when=_climbs("no climb"),
        ),
        Mistake(
            _cosine_with("whole"),
            "// divides to whole numbers: the climb becomes one jump",
            "// 是整除：逐步爬升变成了一次跳跃",
            when=_climbs("whole"),
        ),
        Mistake(
            _cosine_with("whole wave"),
            "a whole wave climbs back to the peak: use π, not 2π",
            "整个波又会爬回峰值：用 π，而不是 2π",
            when=_falls("whole wave"),
        ),
        Mistake(
            _cosine_with("quarter"),
            "this is a quarter of a wave: it falls late and fast; half a wave is (1 + cos(π x)) / 2",
            "这是四分之一个波，前慢后快；半个波是 (1 + cos(π x)) / 2",
            when=_falls("quarter"),
        ),
        Mistake(
            _cosine_with("negative"),
            "a bare cosine becomes negative, and negative rates go uphill: (1 + cos) / 2",
            "单独一个余弦会变成负数，学习率为负就是在上坡：用 (1 + cos) / 2",
            when=_falls("negative"),
        ),
        Mistake(
            _cosine_with("degrees"),
            "math.cos wants radians, not degrees",
            "math.cos 要的是弧度，不是角度",
            when=_falls("degrees"),
        ),
    ),
    hints=(
        Text(
            "Print the rates of ten steps with a warm-up of three. Where do they jump?",
            "打印共十步、预热三步的学习率。它在哪里突变？",
        ),
        Text("Which step has the rate zero, and what would it learn?", "哪一步的学习率为零？这一步能学到什么？"),
        Text(
            "Climb: (step + 1) / warmup. Then past = (step + 1 - warmup) / (steps + 1 - warmup), from 0 to 1.",
            "爬升：(step + 1) / warmup。之后 past = (step + 1 - warmup) / (steps + 1 - warmup)，从 0 到 1。",
        ),
    ),
)
