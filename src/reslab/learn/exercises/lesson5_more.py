"""Lesson 5, continued: a fair race."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Text
from reslab.learn.exercises.modules import Diagnosis, Variant

_STEPS = 24


def _build(kind: str) -> nn.Module:
    """Two small networks that differ in width, each with the same weights whenever it is built."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(kind))
        width = {"plain": 5, "A": 7}[kind]
        return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 3))


def _race(
    build: Callable[[str], nn.Module], images: Tensor, labels: Tensor, steps: int, mistakes: Variant = frozenset()
) -> dict[str, float]:
    """Train both networks on the same batches, with some mistakes."""
    order, results = torch.Generator().manual_seed(0), {}
    for kind in ("plain", "A"):
        if "other batches" not in mistakes:
            order = torch.Generator().manual_seed(0)
        network = build(kind).train("evaluation mode" not in mistakes)
        adam = torch.optim.Adam(network.parameters(), lr=0.01)
        losses = []
        for _ in range(steps):
            if "one batch" in mistakes:
                order.manual_seed(0)
            batch = torch.randint(len(images), (16,), generator=order)
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            if "accumulated" not in mistakes and "too late" not in mistakes:
                adam.zero_grad()
            loss.backward()
            if "too late" in mistakes:
                adam.zero_grad()
            adam.step()
            losses.append(loss.item())
        shown = losses[:10] if "first ten" in mistakes else losses if "all steps" in mistakes else losses[-10:]
        results[kind] = losses[-1] if "last step" in mistakes else sum(shown) / len(shown)
    return results


def _observe(answer: Any, case: tuple[Any, ...]) -> Any:
    """The two losses, for random data of three classes."""
    dice = torch.Generator().manual_seed(case[0])
    images, labels = torch.randn(80, 6, generator=dice), torch.randint(3, (80,), generator=dice)
    images[:, 0] += 2 * labels
    found = answer(_build, images, labels, _STEPS)
    return torch.tensor([float(found["plain"]), float(found["A"])])


def _cases() -> list[tuple[int]]:
    return [(1,), (2,)]


def _make(mistakes: Variant = frozenset()) -> Any:
    return partial(_race, mistakes=mistakes)


_GROUPS = (
    ("other batches", "one batch"),
    ("evaluation mode",),
    ("accumulated", "too late"),
    ("first ten", "all steps", "last step"),
)
_SAYS = {
    "other batches": Text(
        "the second network sees other batches than the first: the generator goes on where the first race left it; begin "
        "each race with a fresh one",
        "第二个网络看到的批与第一个不同：随机数生成器接着上一个网络往下走；每个网络都要从头开始",
    ),
    "one batch": Text(
        "every step sees the same batch: the generator must be made once per race, not once per step",
        "每一步看到的都是同一批：生成器应当每个网络建一次，而不是每步建一次",
    ),
    "evaluation mode": Text(
        "the networks train in evaluation mode, with the norms' running averages: call train()",
        "网络在评估模式下训练，归一化用的是滑动平均：应调用 train()",
    ),
    "accumulated": Text(
        "the gradients of all earlier steps are added up: call zero_grad before backward",
        "以前各步的梯度都累加了起来：应在 backward 之前调用 zero_grad",
    ),
    "too late": Text(
        "no weight ever changes: zero_grad stands between backward and step, or step is not called at all",
        "权重始终不变：zero_grad 放在了 backward 与 step 之间，或者根本没有调用 step",
    ),
    "first ten": Text(
        "these are the losses of the first ten steps: the last ten are asked for",
        "这是最前面十步的损失：要的是最后十步",
    ),
    "all steps": Text(
        "this is the mean of all steps: the last ten are asked for",
        "这是所有步的平均：要的是最后十步",
    ),
    "last step": Text(
        "this is the loss of the last step alone, one batch: take the mean of ten",
        "这只是最后一步、一个批的损失：要取十步的平均",
    ),
}
_DIAGNOSIS = Diagnosis(_make, _GROUPS, _observe, _cases, most=4)

BUG_HUNT = Exercise(
    number="5.4",
    name="race",
    stub='''import torch
from torch.nn import functional as F


def race(build, images, labels, steps):
    """Train build("plain") and build("A") on the same batches: {kind: mean loss of the last ten steps}."""
    order = torch.Generator().manual_seed(0)
    results = {}
    for kind in ("plain", "A"):
        network = build(kind).train()
        adam = torch.optim.Adam(network.parameters(), lr=0.01)
        losses = []
        for _ in range(steps):
            batch = torch.randint(len(images), (16,), generator=order)
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            loss.backward()
            adam.step()
            losses.append(loss.item())
        results[kind] = sum(losses[:10]) / 10
    return results
''',
    expected=_make(),
    cases=_cases,
    observe=_observe,
    tolerance=1e-4,
    mistakes=_DIAGNOSIS.mistakes(_SAYS),
    hints=(
        Text(
            "There are three bugs: one makes the race unfair, one the training wrong, one the result.",
            "共有三处错误：一处使比赛不公平，一处使训练出错，一处使结果不对。",
        ),
        Text(
            "Which batches does the second network see? What does backward do to gradients that are there? Which ten steps?",
            "第二个网络看到的是哪些批？backward 对已有的梯度做什么？是哪十步？",
        ),
        Text(
            "A fresh generator inside the outer loop; adam.zero_grad() before backward; losses[-10:].",
            "在外层循环里新建生成器；backward 之前调用 adam.zero_grad()；用 losses[-10:]。",
        ),
    ),
)
