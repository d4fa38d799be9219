"""Lesson 5, degradation: tell it from its neighbours, construct the solution, read the numbers."""

from collections.abc import Callable
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from reslab.learn.exercise import Exercise, Mistake, Text, value
from reslab.learn.exercises.lesson5_more import BUG_HUNT
from reslab.learn.exercises.modules import randomise
from reslab.nn.blocks import BasicBlock
from reslab.nn.config import ResNetConfig
from reslab.study.published import published

_DIAGNOSES = ("overfitting", "leak", "degradation", "underfitting")


def _word(place: int, *words: str) -> Callable[[list[Any], list[Any]], bool]:
    """Whether one of these words stands in a place where it is wrong."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        (words_given,) = given
        several = isinstance(words_given, (tuple, list)) and len(words_given) == len(_DIAGNOSES)
        return several and words_given[place] in words and words_given[place] != _DIAGNOSES[place]

    return when


def _no_words(given: list[Any], expected: list[Any]) -> bool:
    (words,) = given
    return not (isinstance(words, (tuple, list)) and len(words) == 4 and all(word in _DIAGNOSES for word in words))


DIAGNOSES = Exercise(
    number="5.1",
    name="diagnoses",
    stub="""# Errors in percent on pictures of training, test, later; shallow network | deep network
# A   6,  9,  9 |  1, 12, 12
# B   3,  3, 24 |  1,  1, 25
# C   9, 10, 10 | 16, 17, 17
# D  41, 42, 42 | 39, 40, 40
# For A, B, C and D one of "overfitting", "degradation", "underfitting", "leak".
diagnoses = ("", "", "", "")
""",
    expected=_DIAGNOSES,
    observe=value,
    mistakes=(
        Mistake(
            "overfitting",
            "give four of the words overfitting, degradation, underfitting, leak, for A to D: a tuple of texts",
            "请给出四个词，依次对应 A 到 D，取自 overfitting、degradation、underfitting、leak：一个由文字组成的元组",
            _no_words,
        ),
        Mistake(
            ("degradation", "leak", "degradation", "underfitting"),
            "A: with degradation the *training* error of the deeper network would be higher; here it is lower, and only "
            "the errors on other pictures have grown",
            "A：若是退化，更深网络的*训练*误差应当更高；这里反而更低，变高的只是其他图片上的误差",
            _word(0, "degradation"),
        ),
        Mistake(
            ("underfitting", "leak", "degradation", "underfitting"),
            "A: compare the three columns: the training pictures are learnt almost by heart, other pictures are not",
            "A：比较三列：训练图片几乎背了下来，其他图片却没有学会",
            _word(0, "underfitting", "leak"),
        ),
        Mistake(
            ("overfitting", "overfitting", "degradation", "underfitting"),
            "B: with overfitting the test error would be high as well; here only pictures collected later are answered badly",
            "B：若是过拟合，测试误差也应当高；这里只有后来收集的图片答得差",
            _word(1, "overfitting"),
        ),
        Mistake(
            ("overfitting", "underfitting", "degradation", "underfitting"),
            "B: why should test pictures be as easy as training pictures, and pictures collected later not? Perhaps the "
            "test pictures are among the training pictures",
            "B：测试图片为什么和训练图片一样容易，后来收集的图片却不是？也许测试图片混进了训练图片里",
            _word(1, "underfitting", "degradation"),
        ),
        Mistake(
            ("overfitting", "leak", "overfitting", "underfitting"),
            "C: with overfitting the training error would be low; here it is the deeper network that has learnt less, on "
            "the training pictures too",
            "C：若是过拟合，训练误差应当很低；这里是更深的网络学得更少，在训练图片上也一样",
            _word(2, "overfitting", "leak"),
        ),
        Mistake(
            ("overfitting", "leak", "underfitting", "underfitting"),
            "C: underfitting is right for the deeper network alone, but what is to be named is that *depth made it worse*",
            "C：单看更深的网络，说欠拟合不算错；但这里的要点是：*加深反而变差了*",
            _word(2, "underfitting"),
        ),
        Mistake(
            ("overfitting", "leak", "degradation", "degradation"),
            "D: the deeper network is a little better, so depth did no harm; both have simply learnt too little",
            "D：更深的网络略好一些，可见加深并无害处；只是两者都学得太少",
            _word(3, "degradation"),
        ),
        Mistake(
            ("overfitting", "leak", "degradation", "overfitting"),
            "D: training and test error are nearly equal, so nothing was learnt by heart and nothing leaked",
            "D：训练误差与测试误差几乎相等，可见既没有死记硬背，也没有泄漏",
            _word(3, "overfitting", "leak"),
        ),
    ),
    hints=(
        Text(
            "First look at the training error alone: does depth make it lower or higher?",
            "先只看训练误差：加深之后，它变低了还是变高了？",
        ),
        Text(
            "Training error higher with depth: degradation. High and equal everywhere: underfitting.",
            "加深后训练误差变高：退化（degradation）。处处都高而且相近：欠拟合（underfitting）。",
        ),
        Text(
            "Low in training: if the test error is high, overfitting; if only later pictures are wrong, a leak.",
            "训练误差低：若测试误差高，是过拟合（overfitting）；若只有后来的图片答错，是泄漏（leak）。",
        ),
    ),
)

_CONFIG = ResNetConfig((1,), (4,), stem="3x3", shortcut="plain", num_classes=2)


def _identity_observe(answer: Any, case: tuple[Any, ...]) -> Tensor:
    """What a plain block, whose norms have seen other data, makes of an input that is nowhere negative."""
    (width,) = case
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        block = randomise(BasicBlock(_CONFIG, width, width, 1), width).eval()
    x = torch.rand(2, width, 6, 5, generator=torch.Generator().manual_seed(width))
    with torch.no_grad():
        answer(block)
        return block.eval()(x)


def _make_identity(block: Any, mistake: str = "") -> None:
    """Turn a plain block into the identity, with one mistake."""
    for layer in (block.first,) if mistake == "first only" else (block.first, block.second):
        width = len(layer.conv.weight)
        layer.conv.weight.zero_()
        own, place = torch.arange(width), (0, 0) if mistake == "corner" else (1, 1)
        if mistake == "all channels":
            layer.conv.weight[:, :, 1, 1] = 1.0
        elif mistake == "all ones":
            layer.conv.weight.fill_(1.0)
        elif mistake == "blurred":
            layer.conv.weight[own, own] = 1 / 9
        elif mistake == "reversed":
            layer.conv.weight[own, own.roll(1), 1, 1] = 1.0
        elif mistake != "zeros":
            layer.conv.weight[own, own, place[0], place[1]] = 1.0
        norm = layer.norm
        if mistake == "norms left":
            continue
        if mistake != "bias left":
            norm.bias.zero_()
        norm.weight.fill_((1 + norm.eps) ** 0.5)
        if mistake != "averages left":
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0)


_IDENTITY_SAYS = {
    "zeros": Text(
        "with all weights zero a plain block gives zero: that works where there is a shortcut, and here there is none",
        "权重全为零，普通网络的块就只会输出零：有捷径时才能这样做，而这里没有捷径",
    ),
    "all channels": Text(
        "every output channel is the sum of all input channels: output c should look at input c alone",
        "每个输出通道都成了所有输入通道之和：第 c 个输出通道应当只看第 c 个输入通道",
    ),
    "all ones": Text(
        "every output is the sum of nine pixels of all channels: of the whole filter only one number is 1, the one that looks "
        "at the pixel itself, in its own channel",
        "每个输出都成了所有通道上九个像素之和：整个卷积核只有一个数为 1，即对准自己通道、自己像素的那个",
    ),
    "bias left": Text(
        "the norms still add their offset: set their bias to 0",
        "归一化还会加上原来的偏移：要把 bias 设为 0",
    ),
    "blurred": Text(
        "the picture is blurred: the middle of the 3 × 3 filter is 1, all else 0",
        "图变模糊了：3 × 3 卷积核应当中心为 1，其余为 0",
    ),
    "corner": Text(
        "the picture is shifted: the 1 belongs in the middle of the filter",
        "图被平移了：1 应当放在卷积核的中心",
    ),
    "reversed": Text(
        "the channels are exchanged: output c should look at input c",
        "通道的次序乱了：第 c 个输出通道应看第 c 个输入通道",
    ),
    "first only": Text(
        "only the first layer passes its input on: the second one needs the same",
        "只有第一层原样通过：第二层也要同样处理",
    ),
    "norms left": Text(
        "the convolutions are right, but the norms still subtract and scale: set their factor, offset and running averages",
        "卷积对了，可归一化仍在减均值、做缩放：要设置它们的系数、偏移和滑动平均",
    ),
    "averages left": Text(
        "the norms still use their running mean and variance: set those to 0 and 1, too",
        "归一化仍在用均值和方差原来的滑动平均：也要设为 0 和 1",
    ),
}

IDENTITY = Exercise(
    number="5.2",
    name="make_identity",
    stub='''import torch


def make_identity(block):
    """Set the weights of a plain block so that, in evaluation mode, it gives back any x that is nowhere negative.

    The block computes relu(norm(conv(·))) twice: block.first and block.second, each with the parts conv (3 × 3, no bias)
    and norm (weight, bias, running_mean, running_var).
    """
    raise NotImplementedError
''',
    expected=_make_identity,
    cases=lambda: [(4,), (7,)],
    observe=_identity_observe,
    tolerance=1e-4,
    mistakes=tuple(Mistake(partial(_make_identity, mistake=name), *says) for name, says in _IDENTITY_SAYS.items()),
    hints=(
        Text(
            "Which 3 × 3 filter leaves a picture as it is? And what must a norm do to change nothing?",
            "哪个 3 × 3 卷积核会让图片保持不变？归一化又要怎样才什么也不改？",
        ),
        Text(
            "torch.nn.init.dirac_ writes that filter. In evaluation mode a norm computes (x − mean) / sqrt(var + eps) · weight "
            "+ bias.",
            "torch.nn.init.dirac_ 会写出这样的卷积核。评估模式下，归一化计算 (x − mean) / sqrt(var + eps) · weight + bias。",
        ),
        Text(
            "For both layers: dirac_(conv.weight); running_mean 0, running_var 1, bias 0, weight sqrt(1 + eps), or simply 1.",
            "两层都要：dirac_(conv.weight)；running_mean 与 bias 为 0，running_var 为 1，weight 为 sqrt(1 + eps) 或 1。",
        ),
    ),
)


def _last(name: str, kind: str) -> float:
    """The last value of a curve in percent, the mean of all runs of that network."""
    runs = [run for run in published()["networks"] if run["name"] == name]
    return 100 * mean(run["test"]["error"] if kind == "test" else run["epochs"][-1][kind] for run in runs)


def _gap(kind: str, plain: str = "plain") -> float:
    return _last(f"{plain}56", kind) - _last(f"{plain}20", kind)


GAP = Exercise(
    number="5.3",
    name="gap",
    stub="""# Percentage points by which the training error of plain56 is higher than that of plain20, after the last epoch.
gap = None
""",
    expected=_gap("train_error"),
    observe=value,
    tolerance=0.002,
    mistakes=(
        Mistake(
            _gap("val_error"),
            "this is the gap of the validation error: degradation shows in the *training* error",
            "这是验证误差之差：退化要看*训练*误差",
        ),
        Mistake(
            _gap("test"),
            "this is the gap of the test error: degradation shows in the *training* error",
            "这是测试误差之差：退化要看*训练*误差",
        ),
        Mistake(
            -_gap("train_error"),
            "the sign: plain56 minus plain20",
            "符号反了：应是 plain56 减 plain20",
        ),
        Mistake(
            _gap("train_error") / 100,
            "this is a share: in percentage points it is a hundred times as much",
            "这是比例：换成百分点要乘以 100",
        ),
        Mistake(
            _gap("train_error", "resnet"),
            "this is the gap of the residual networks",
            "这是残差网络之间的差",
        ),
        Mistake(
            _last("plain56", "train_error"),
            "this is the training error of plain56 itself: subtract that of plain20",
            "这是 plain56 的训练误差本身：还要减去 plain20 的",
        ),
        Mistake(
            _last("plain56", "train_error") / _last("plain20", "train_error"),
            "this is a ratio: a difference is asked for",
            "这是比值：要的是差",
        ),
    ),
    hints=(
        Text("The table of the lesson has the numbers.", "课文的表里有这些数。"),
        Text(
            'Or compute it: published()["networks"] holds the runs, each with its epochs.',
            '也可以算出来：published()["networks"] 里是各次训练，每次都记着各轮的结果。',
        ),
        Text(
            '100 * (run56["epochs"][-1]["train_error"] - run20["epochs"][-1]["train_error"]); several runs: their means.',
            '100 * (run56["epochs"][-1]["train_error"] - run20["epochs"][-1]["train_error"])；若有多次训练，取平均。',
        ),
    ),
)

EXERCISES = (DIAGNOSES, IDENTITY, GAP, BUG_HUNT)
