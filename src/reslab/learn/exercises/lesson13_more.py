"""Lesson 13, continued: an evaluation with bugs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from reslab.learn.exercise import Exercise, Mistake, Raised, Text
from reslab.metrics.calibration import expected_calibration_error, fit_temperature, softmax


def _network(seed: int) -> nn.Module:
    """A small network with a norm and dropout, so that its two modes differ; given in training mode."""
    dice = torch.Generator().manual_seed(seed)
    layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 3)).double()
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.copy_(2 * torch.randn(parameter.shape, generator=dice, dtype=torch.float64))
    return layers.train()


def _data() -> list[tuple[Any, ...]]:
    """Networks by seed, and two splits whose temperatures differ; the test split is no multiple of the batch."""
    dice, cases = np.random.default_rng(13), []
    for seed in (1, 2):
        inputs, network = dice.normal(size=(110, 4)), _network(seed).eval()
        with torch.no_grad():
            likely = network(torch.tensor(inputs)).argmax(1).numpy()
        noise = np.where(np.arange(110) < 60, 0.15, 0.45)
        labels = np.where(dice.random(110) < noise, dice.integers(0, 3, 110), likely)
        cases.append((seed, inputs[:60], labels[:60], inputs[60:], labels[60:]))
    return cases


def _logits(network: nn.Module, inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.tensor(inputs)).numpy()


def _evaluate(
    network: nn.Module, val: Any, val_labels: Any, test: Any, labels: Any, bugs: Sequence[str] = ()
) -> tuple[Any, ...]:
    """Accuracy, n and calibration error of the test split, with those of the bugs that are named."""
    if "mode" not in bugs:
        network.eval()
    if "leak" in bugs:
        temperature = fit_temperature(_logits(network, test), labels)
    else:
        temperature = fit_temperature(_logits(network, val), val_labels)
    if "cold" in bugs:
        temperature = 1.0
    if "upside down" in bugs:
        temperature = 1 / temperature
    size = 16
    starts = range(0, len(test) - size + 1, size) if "last" in bugs else range(0, len(test), size)
    parts = [slice(start, min(start + size, len(test))) for start in starts]
    logits = [_logits(network, test[part]) for part in parts]
    right = [(each.argmax(1) == labels[part]) for each, part in zip(logits, parts, strict=True)]
    hits = np.concatenate(right)
    accuracy = float(np.mean([each.mean() for each in right])) if "mean" in bugs else float(hits.mean())
    if "val" in bugs:
        accuracy = float((_logits(network, val).argmax(1) == val_labels).mean())
    named = np.concatenate([labels[part] for part in parts])
    return accuracy, len(hits), expected_calibration_error(softmax(np.concatenate(logits) / temperature), named)


def _broken(*bugs: str) -> Callable[..., Any]:
    return lambda *given: _evaluate(*given, bugs=bugs)


def _observe(answer: Callable[..., Any], case: tuple[Any, ...]) -> Any:
    """Accuracy, number of pictures, calibration error, and the mode in which the network answered."""
    seed, *splits = case
    network, modes = _network(seed), []
    network.register_forward_hook(lambda module, given, result: modes.append(module.training))
    torch.manual_seed(0)
    accuracy, n, error = answer(network, *splits)
    return float(accuracy), int(n), float(error), "training" if any(modes) else "evaluation"


def _mode(given: list[Any], expected: list[Any]) -> bool:
    return all(not isinstance(each, Raised) and each[3] == "training" for each in given)


def _fewer(given: list[Any], expected: list[Any]) -> bool:
    return all(not isinstance(g, Raised) and 0 < g[1] < e[1] for g, e in zip(given, expected, strict=True))


HUNT = Exercise(
    number="13.4",
    name="evaluate",
    stub='''import numpy as np
import torch

from reslab.metrics.calibration import expected_calibration_error, fit_temperature, softmax


def evaluate(network, val, val_labels, test, labels):
    """Numpy arrays -> (accuracy on the test pictures, how many they are, their calibration error at the fitted temperature)."""

    def answer(inputs):
        with torch.no_grad():
            return network(torch.tensor(inputs)).numpy()

    temperature = fit_temperature(answer(test), labels)
    logits, accuracies = [], []
    for start in range(0, len(test) - 16 + 1, 16):
        batch = answer(test[start : start + 16])
        logits.append(batch)
        accuracies.append((batch.argmax(1) == labels[start : start + 16]).mean())
    logits = np.concatenate(logits)
    error = expected_calibration_error(softmax(logits / temperature), labels[: len(logits)])
    return np.mean(accuracies), len(logits), error
''',
    expected=_broken(),
    cases=_data,
    observe=_observe,
    mistakes=(
        Mistake(
            _broken("mode"),
            "the network answers in training mode: dropout draws lots, and norms look at the batch; call eval() first",
            "网络还在训练模式：dropout 会随机丢弃，归一化用的是当前这一批的统计量；先调用 eval()",
            when=_mode,
        ),
        Mistake(
            _broken("last"),
            "the last, smaller batch is left out: 50 pictures are not three times 16",
            "最后不满的那一批漏掉了：50 张图片每批 16 张，三批并没有用完",
            when=_fewer,
        ),
        Mistake(
            _broken("mean"),
            "the mean of batch accuracies counts the pictures of a small batch more than others: count hits, divide once",
            "对各批的准确率取平均，会让小批里的图片分量更重：应当累计答对数，最后只除一次",
        ),
        Mistake(
            _broken("leak"),
            "the temperature was fitted on the test pictures, so their calibration error flatters: fit it on the validation",
            "温度是用测试图片拟合的，测得的校准误差当然好看：应当用验证图片来拟合",
        ),
        Mistake(
            _broken("leak", "mean"),
            "two faults are left: the temperature is fitted on the test pictures, and batches of unequal size count alike",
            "还剩两处错误：温度在测试图片上拟合，而且大小不同的批被同等看待",
        ),
        Mistake(
            _broken("cold"),
            "the fitted temperature is not used",
            "没有使用拟合出来的温度",
        ),
        Mistake(
            _broken("upside down"),
            "logits are divided by the temperature, not multiplied by it",
            "logits 要除以温度，而不是乘以温度",
        ),
        Mistake(
            _broken("val"),
            "this accuracy is that of the validation pictures, which have already helped to choose",
            "这是验证图片上的准确率，而它们已经参与过挑选",
        ),
    ),
    hints=(
        Text(
            "Four bugs. Which pictures may know about which? In which mode does a network answer?",
            "共有四处错误。哪些图片可以用来决定什么？网络作答时应当处于什么模式？",
        ),
        Text(
            "How many of the 50 test pictures are judged? How much does one of the last two count?",
            "50 张测试图片评了多少张？最后两张各占多大分量？",
        ),
        Text(
            "eval(); fit on val; range(0, len(test), 16); hits of all pictures together, divided by their number.",
            "eval()；在 val 上拟合温度；range(0, len(test), 16)；把所有图片的答对数加起来再除以总数。",
        ),
    ),
)
