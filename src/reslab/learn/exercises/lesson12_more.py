"""Lesson 12, the bug hunt: a loop with six bugs, watched from inside the network and the optimiser."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.train.step.muon import SGD

_TRAIN, _VALIDATION, _TEST, _CLASSES, _SIZE = 20, 6, 6, 3, 8
_PICTURES = _TRAIN + _VALIDATION + _TEST


class _Watched(nn.Module):
    """A row of logits for each picture, plus a bias for all; picture n is row n of the identity matrix.

    So the gradient of a row shows with which label its picture was trained.
    """

    def __init__(self) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(12)
        self.rows = nn.Parameter(torch.randn(_PICTURES, _CLASSES, generator=dice))
        self.bias = nn.Parameter(torch.zeros(_CLASSES))
        self.seen: list[tuple[list[int], bool, int]] = []
        """Of each forward pass: its pictures, whether in training mode, and how many steps had been made."""
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((x.argmax(1).tolist(), self.training, self.steps))
        return x @ self.rows + self.bias


class _Optimiser(SGD):
    """SGD that notes its rate, its gradient and the weights before each step."""

    def __init__(self, network: _Watched) -> None:
        super().__init__(network.parameters(), lr=1.0)
        self.network, self.noted = network, []

    def step(self, closure: Any = None) -> None:
        network = self.network
        gradient = network.rows.grad if network.rows.grad is not None else torch.zeros_like(network.rows)
        logits = (network.rows + network.bias).detach().clone()
        self.noted.append((len(network.seen) - 1, self.param_groups[0]["lr"], gradient.clone(), logits))
        super().step(closure)
        network.steps += 1


def _observe_loop(answer: Any, case: tuple[Any, ...]) -> dict[str, Any]:
    """What a loop did, as facts of its own about each of the classic bugs."""
    epochs, gamma = case
    network = _Watched()
    optimiser = _Optimiser(network)
    x, y = torch.eye(_PICTURES), torch.arange(_PICTURES) * 7 % 5 % _CLASSES
    ends = (0, _TRAIN, _TRAIN + _VALIDATION, _PICTURES)
    train, validation, test = ((x[a:b], y[a:b]) for a, b in zip(ends, ends[1:], strict=False))
    kept, hits = answer(network, optimiser, train, validation, test, epochs, gamma, torch.Generator().manual_seed(1))
    return _facts(network, optimiser, y) | _result(network, kept, hits, y)


def _facts(network: _Watched, optimiser: _Optimiser, y: Tensor) -> dict[str, Any]:
    """Of training and judging."""
    steps = {at for at, *_ in optimiser.noted}
    trained = [network.seen[at] for at in sorted(steps)]
    judged = [each for at, each in enumerate(network.seen) if at not in steps]
    pictures, _, gradient, logits = network.seen[optimiser.noted[0][0]][0], *optimiser.noted[0][1:]
    mine = gradient[pictures]
    label = mine.argmin(1)
    right = (F.softmax(logits[pictures], 1) - F.one_hot(label, _CLASSES)) / len(pictures)
    others = [
        [n for n in range(_PICTURES) if n not in network.seen[at][0]] for at, *_ in optimiser.noted
    ]  # what a batch does not hold has no gradient of its own
    return {
        "labels": bool((label == y[pictures]).all()),
        "loss": bool(torch.allclose(mine, right, atol=1e-4)),
        "cleared": all(
            float(g[rest].abs().sum()) < 1e-6 for (_, _, g, _), rest in zip(optimiser.noted, others, strict=True)
        ),
        "rates": [float(rate) for _, rate, _, _ in optimiser.noted],
        "pictures": sorted(n for seen, _, _ in trained for n in seen),
        "training mode": all(mode for _, mode, _ in trained),
        "evaluation mode": not any(mode for _, mode, _ in judged),
        "chosen by": sorted({_part(seen[0]) for seen, _, when in judged if when < network.steps}),
    }


def _part(picture: int) -> str:
    return "train" if picture < _TRAIN else "validation" if picture < _TRAIN + _VALIDATION else "test"


def _result(network: _Watched, kept: Any, hits: Any, y: Tensor) -> dict[str, Any]:
    """Whether the weights that are given are those that were judged, and the score is theirs."""
    own = (kept["rows"] + kept["bias"]).argmax(1) == y
    copied = not any(kept[name].data_ptr() == value.data_ptr() for name, value in network.state_dict().items())
    return {"copied": copied, "score": int(hits) == int(own[_TRAIN + _VALIDATION :].sum())}


def _listed(answer: Any, case: tuple[Any, ...]) -> list[Any]:
    return list(_observe_loop(answer, case).values())


_FACTS = (
    "labels", "loss", "cleared", "rates", "pictures", "training mode", "evaluation mode", "chosen by", "copied", "score",
)  # fmt: skip


def _wrong(fact: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by one fact about it, whatever else is wrong."""
    at = _FACTS.index(fact)

    def when(given: list[Any], expected: list[Any]) -> bool:
        return all(isinstance(g, list) and g[at] != e[at] for g, e in zip(given, expected, strict=True))

    return when


def _rate_per_batch(given: list[Any], expected: list[Any]) -> bool:
    """The rate changes within the first epoch."""
    return all(isinstance(g, list) and len(set(g[3][:3])) > 1 for g in given)


def _loop(slip: str = "") -> Callable[..., tuple[dict[str, Tensor], int]]:
    def fit(
        network: nn.Module, optimiser: Any, train: Any, validation: Any, test: Any, epochs: int, gamma: float, dice: Any
    ) -> tuple[dict[str, Tensor], int]:
        def hits_of(part: Any) -> int:
            if slip != "no eval":
                network.eval()
            with torch.no_grad():
                return int((network(part[0]).argmax(1) == part[1]).sum())

        (x, y), best, kept = train, -1, {}
        for _ in range(epochs):
            if slip != "no train" or not kept:
                network.train()
            order = torch.randperm(len(x), generator=dice)
            labels = y if slip == "labels" else y[order]
            for some, theirs in zip(x[order].split(_SIZE), labels.split(_SIZE), strict=True):
                logits = network(some)
                loss = F.cross_entropy(logits.softmax(1) if slip == "softmax" else logits, theirs)
                if slip != "no zero_grad":
                    optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if slip == "rate per batch":
                    optimiser.param_groups[0]["lr"] *= gamma
            if slip not in ("rate per batch", "constant rate"):
                optimiser.param_groups[0]["lr"] *= gamma
            hits = hits_of({"test leak": test, "chosen on training": train}.get(slip, validation))
            if hits > best:
                best, kept = hits, network.state_dict() if slip == "not copied" else copy.deepcopy(network.state_dict())
        if slip != "last judged":
            network.load_state_dict(kept)
        return kept, hits_of(test)

    return fit


LOOP = Exercise(
    number="12.4",
    name="fit",
    stub='''import copy

import torch
from torch.nn import functional as F


def fit(network, optimiser, train, validation, test, epochs, gamma, dice):
    """-> the weights of the epoch that is best on the validation set, and how many test pictures they answer right

    train, validation, test: (pictures, labels) each; gamma: what the rate is multiplied by after each epoch.
    """
    x, y = train
    best, kept = -1, None
    for epoch in range(epochs):
        x = x[torch.randperm(len(x), generator=dice)]
        for some, theirs in zip(x.split(8), y.split(8)):
            loss = F.cross_entropy(network(some).softmax(1), theirs)
            loss.backward()
            optimiser.step()
            for group in optimiser.param_groups:
                group["lr"] *= gamma
        hits = (network(test[0]).argmax(1) == test[1]).sum().item()
        if hits > best:
            best, kept = hits, copy.deepcopy(network.state_dict())
    return kept, best
''',
    expected=_loop(),
    cases=lambda: [(4, 0.5), (3, 0.8)],
    observe=_listed,
    mistakes=(
        Mistake(
            _loop("labels"),
            "pictures are shuffled without their labels: use one order for both, x[order] and y[order]",
            "打乱了图片，却没有同时打乱标签：两者要用同一个顺序，x[order] 和 y[order]",
            when=_wrong("labels"),
        ),
        Mistake(
            _loop("softmax"),
            "softmax twice: cross_entropy takes logits and applies it itself; so the gradient is nearly always "
            "too small",
            "做了两次 softmax：cross_entropy 接收 logits，自己会做 softmax；这样梯度几乎总是偏小",
            when=_wrong("loss"),
        ),
        Mistake(
            _loop("no zero_grad"),
            "gradients are never cleared: each step also takes those of all batches before; zero_grad() before "
            "backward()",
            "梯度从不清零：每一步都带着之前所有批的梯度；在 backward() 之前调用 zero_grad()",
            when=_wrong("cleared"),
        ),
        Mistake(
            _loop("rate per batch"),
            "the rate is lowered after every batch: after a few batches it is nearly zero; once per epoch is meant",
            "每一批之后都降低学习率：没过几批就接近零了；应当每轮只降一次",
            when=_rate_per_batch,
        ),
        Mistake(
            _loop("constant rate"),
            "the rate is never lowered: times gamma after each epoch",
            "学习率从未降低：每轮之后要乘以 gamma",
            when=_wrong("rates"),
        ),
        Mistake(
            _loop("no eval"),
            "pictures are judged in training mode: batch norm then uses the batch, and its running averages learn from "
            "pictures that were put aside; eval() before judging",
            "在训练模式下评估：批量归一化会用这一批的统计量，留出的图片还会混进滑动平均；评估前要 eval()",
            when=_wrong("evaluation mode"),
        ),
        Mistake(
            _loop("no train"),
            "after the first epoch the network stays in evaluation mode: train() at the beginning of each epoch",
            "第一轮之后网络一直停在评估模式：每轮开始要调用 train()",
            when=_wrong("training mode"),
        ),
        Mistake(
            _loop("test leak"),
            "the test set chooses the epoch, so its score is too good: the validation set chooses, the test set "
            "is looked at "
            "once, at the end",
            "轮次是用测试集挑选的，测试成绩就会虚高：挑选要用验证集，测试集只在最后看一次",
            when=lambda given, expected: all(isinstance(g, list) and "test" in g[7] for g in given),
        ),
        Mistake(
            _loop("chosen on training"),
            "the training pictures choose the epoch: they favour the one that knows them by heart; use the "
            "validation set",
            "用训练图片挑选轮次，会偏向把它们背下来的那一轮：请用验证集",
            when=_wrong("chosen by"),
        ),
        Mistake(
            _loop("not copied"),
            "the kept weights are not a copy: they train on with the network; copy.deepcopy(network.state_dict())",
            "留下的权重不是副本，会随网络继续变化：用 copy.deepcopy(network.state_dict())",
            when=_wrong("copied"),
        ),
        Mistake(
            _loop("last judged"),
            "the score is not that of the weights you give: load the kept ones before the test pictures are answered",
            "得分不属于您返回的那组权重：先载入留下的权重，再回答测试图片",
            when=_wrong("score"),
        ),
    ),
    hints=(
        Text(
            "Read the loop line by line, and ask of each: when, with what, in which mode?",
            "逐行读这个循环，每一行都问一问：什么时候执行，用了哪些数据，处于哪种模式？",
        ),
        Text(
            "Two bugs are in how the loss is made, two in what happens once per batch, two in how the epoch is chosen.",
            "两处错在损失怎么算，两处错在每一批里做了什么，两处错在怎样挑选轮次。",
        ),
        Text(
            "One order for x and y; logits; zero_grad(); the rate after the inner loop; train() and eval(); "
            "validation chooses, and "
            "at the end load_state_dict(kept) and the test set.",
            "x 与 y 用同一顺序；传 logits；zero_grad()；学习率移到内层循环之后；train() 与 eval()；用验证集挑选，"
            "最后 load_state_dict(kept) 再测测试集。",
        ),
    ),
)
