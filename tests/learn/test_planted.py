"""Bugs planted in code of another style are recognised by what they do; right answers pass, whatever their parts are called."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import timm
import torchvision
from torch import nn
from torch.nn import functional as F

from reslab.errors import ResLabError
from reslab.learn.check import exercise
from reslab.learn.judge import judge
from reslab.learn.results import result


class Residual(nn.Module):
    """A basic block with lists of layers, and a shortcut that the name table does not know."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.match = None
        if stride != 1 or inputs != outputs:
            self.match = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.filters = nn.ModuleList(self.convolutions(inputs, outputs, stride))

    def convolutions(self, inputs, outputs, stride):
        return [
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        ]

    def around(self, x):
        return x if self.match is None else self.match(x)

    def inside(self, x):
        return self.norms[1](self.filters[1](F.relu(self.norms[0](self.filters[0](x)))))

    def forward(self, x):
        return F.relu(self.around(x) + self.inside(x))


class EarlyRelu(Residual):
    def forward(self, x):
        return self.inside(x).clamp(min=0) + self.around(x)


class Plain(Residual):
    def forward(self, x):
        return self.inside(x).clamp(min=0)


class Overwriting(Residual):
    def forward(self, x):
        return self.around(x).add_(self.inside(x)).relu_()


class LateStride(Residual):
    def convolutions(self, inputs, outputs, stride):
        return [
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
        ]


class EarlyReluLateStride(EarlyRelu, LateStride):
    pass


class ResNet18(nn.Module):
    """A flat list of layers."""

    block = Residual
    pool = nn.MaxPool2d(3, 2, 1)

    def __init__(self):
        super().__init__()
        self.answers = nn.Linear(512, 1000)
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        blocks = [self.block(widths[k], widths[k + 1], 2 if k in (2, 4, 6) else 1) for k in range(8)]
        start = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), self.pool]
        self.trunk = nn.Sequential(*start, *blocks)

    def forward(self, x):
        return self.answers(F.adaptive_avg_pool2d(self.trunk(x), 1).flatten(1))


class Probabilities(ResNet18):
    def forward(self, x):
        return super().forward(x).softmax(1)


class EarlyReluNetwork(ResNet18):
    block = EarlyRelu


class NotPooled(ResNet18):
    pool = nn.Dropout(0.0)


class Averaged(ResNet18):
    pool = nn.AvgPool2d(3, 2, 1)


class Summed(ResNet18):
    def forward(self, x):
        return self.answers(self.trunk(x).sum((2, 3)))


class FirstStageStrides(ResNet18):
    def __init__(self):
        super().__init__()
        self.trunk[4] = self.block(64, 64, 2)


class EarlyReluSummed(Summed, EarlyReluNetwork):
    pass


class PaddedBefore(ResNet18):
    """Right, though the padding is a layer of its own."""

    def __init__(self):
        super().__init__()
        self.trunk[0] = nn.Sequential(nn.ZeroPad2d(3), nn.Conv2d(3, 64, 7, 2, bias=False))


class PaddedByTwo(ResNet18):
    def __init__(self):
        super().__init__()
        self.trunk[0].padding = (2, 2)


def hard_coded(network):
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Sequential()
    return network


def hard_coded_with_bias(network):
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1)
    network.maxpool = nn.Identity()
    return network


def unreturned(network):
    hard_coded(network)


def from_any_library(number):
    """An exercise that takes other libraries' networks, which are written in yet another way."""
    return replace(exercise(number), watch=lambda: nullcontext([]))


@pytest.mark.parametrize("number", ["6.1", "8.1", "8.3"])
def test_other_names_are_right(number):
    answers = {
        "8.3": [hard_coded],
        "6.1": [Residual],
        "8.1": [ResNet18, torchvision.models.resnet18, lambda: timm.create_model("resnet18")],
    }
    assert all(judge(from_any_library(number), answer).right for answer in answers[number])


@pytest.mark.parametrize(
    ("number", "answer", "said"),
    [
        ("6.1", EarlyRelu, "ReLU stands before the sum and not after it"),
        ("6.1", Plain, "nothing is added"),
        ("6.1", Overwriting, "the block writes into its own input"),
        ("6.1", LateStride, "the stride is in the second convolution"),
        ("6.1", EarlyReluLateStride, "the stride is in the second convolution"),
        ("8.1", Probabilities, "the network ends in a softmax"),
        ("8.1", EarlyReluNetwork, "the last ReLU of a block stands before the sum"),
        ("8.1", NotPooled, "the max pooling behind the first convolution is missing"),
        ("8.1", lambda: torchvision.models.resnet18(num_classes=7), "the last layer does not give 1,000 numbers"),
        ("8.1", torchvision.models.resnet34, "another number of convolutions than 17"),
        ("8.1", Averaged, "the pooling behind the first convolution takes means"),
        ("8.1", Summed, "the head adds up each channel"),
        ("8.1", FirstStageStrides, "the first stage strides, too"),
        ("8.1", EarlyReluSummed, "the last ReLU of a block stands before the sum"),
        ("8.1", PaddedByTwo, "needs padding=3"),
        ("8.1", lambda: torchvision.models.resnet18(norm_layer=lambda n: nn.BatchNorm2d(n, eps=0.01)), "another eps"),
        ("8.3", unreturned, "the network is not returned"),
        ("8.3", hard_coded_with_bias, "the new convolution has a bias"),
    ],
)
def test_a_planted_bug_is_named(number, answer, said):
    assert said in judge(from_any_library(number), answer).says.en


SOURCES = {
    "2.1": """
import torch
from torch.nn import functional as F

def conv2d(x, weight, stride, padding):
    x = F.pad(x, (padding,) * 4)
    k = weight.shape[-1]
    height, width = x.shape[2:]
    rows, columns = (height - k) // stride + 1, (width - k) // stride + 1
    y = torch.zeros(len(x), len(weight), rows, columns)
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            for c in range(x.shape[1]):
                y[:, :, i, j] += torch.einsum("bmn,omn->bo", window[:, c], weight[:, c])
    return y
""",
    "3.2": """
def head(features, weight, bias):
    batch, channels, height, width = features.shape
    pooled = features.flatten(2).sum(2) / (height * width)
    return pooled @ weight.T + bias
""",
    "4.1": """
import torch
from torch import nn

class BatchNorm2d(nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("m", torch.zeros(channels))
        self.register_buffer("v", torch.ones(channels))

    def forward(self, x):
        m, v = self.m, self.v
        if self.training:
            m, v = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            n = x.numel() // x.shape[1]
            self.m += self.momentum * (m - self.m)
            self.v += self.momentum * (v * n / (n - 1) - self.v)
        m, v, gamma, beta = (each[:, None, None] for each in (m, v, self.gamma, self.beta))
        return gamma * (x - m) / torch.sqrt(v + self.eps) + beta
""",
    "6.1": """
import torch
from torch import nn

class BasicBlock(nn.Module):
    def __init__(self, i, o, stride=1):
        super().__init__()
        self.a, self.b = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.na, self.nb = nn.BatchNorm2d(o), nn.BatchNorm2d(o)
        self.act = nn.ReLU()
        self.way = nn.Identity()
        if stride != 1 or i != o:
            self.way = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.act(self.na(self.a(x)))
        y = self.nb(self.b(y))
        return self.act(self.way(x) + y)
""",
    "7.1": """
import torch

def jacobian(x, blocks):
    total = torch.eye(len(x))
    for w1, w2 in blocks:
        inner = w1 @ x
        total = total + w2 @ (w1 * (inner > 0)[:, None]) @ total
        x = x + w2 @ inner.relu()
    return total
""",
    "9.1": """
from torch import nn

class Bottleneck(nn.Module):
    def __init__(self, i, width, stride):
        super().__init__()
        o = 4 * width
        shapes = ((i, width, 1, 1, 0), (width, width, 3, stride, 1), (width, o, 1, 1, 0))
        layers = [nn.Sequential(nn.Conv2d(*shape, bias=False), nn.BatchNorm2d(shape[1])) for shape in shapes]
        self.f = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.way = nn.Identity()
        if stride != 1 or i != o:
            self.way = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return (self.f(x) + self.way(x)).relu()
""",
    "10.1": """
import torch

def cross_entropy(logits, labels):
    z = logits - logits.max(1, keepdim=True).values
    log_p = z - z.exp().sum(1, keepdim=True).log()
    return -log_p[torch.arange(len(labels)), labels].mean()
""",
}
PLANTED = [
    ("2.1", "F.pad(x, (padding,) * 4)", "F.pad(x, (2 * padding,) * 4)", "padded twice"),
    ("2.1", "y[:, :, i, j] +=", "y[:, :, i, j] =", "overwrites the one before"),
    ("2.1", "(width - k) // stride + 1", "(height - k) // stride + 1", "always square"),
    (
        "2.1",
        "// stride + 1, (width - k) // stride + 1",
        "// stride + 2, (width - k) // stride + 2",
        "too many positions",
    ),
    ("2.1", "return y", "return y.transpose(2, 3)", "rows and columns of the output"),
    ("3.2", "(height * width)", "width", "the width only"),
    ("3.2", "(height * width)", "64", "always divided by the same number"),
    ("3.2", ".flatten(2).sum(2) / (height * width)", "[:, :, height // 2, width // 2]", "only one place"),
    ("3.2", "weight.T", "weight", "multiply by weight.T"),
    ("3.2", "pooled @ weight.T + bias", "(pooled @ weight.T + bias).sigmoid()", "these are probabilities"),
    ("4.1", "eps, self.momentum = eps, momentum", "eps, self.momentum = 1e-6, momentum", "argument eps is not used"),
    ("4.1", "eps, self.momentum = eps, momentum", "eps, self.momentum = eps, 0.1", "argument momentum is not used"),
    ("4.1", "torch.sqrt(v + self.eps)", "(v + self.eps)", "divided by the variance"),
    ("4.1", "x.numel() // x.shape[1]", "len(x)", "N counts pictures only"),
    ("4.1", "(0, 2, 3)", "(2, 3)", "statistics per picture"),
    ("6.1", "nn.ReLU()", "nn.LeakyReLU(0.2)", "another function than ReLU"),
    ("6.1", "self.way(x) + y", "self.way(x) - y", "subtracted"),
    ("6.1", "self.way(x) + y", "torch.cat((y, self.way(x)), 1)", "twice the channels"),
    ("6.1", "self.act(self.na(self.a(x)))", "self.na(self.act(self.a(x)))", "before the first norm"),
    ("6.1", "self.nb(self.b(y))", "self.na(self.b(y))", "the first norm runs behind both"),
    ("6.1", "1, stride, bias=False", "3, stride, 1, bias=False", "the shortcut's convolution is 3 × 3"),
    ("6.1", "1, stride, bias=False", "1, stride", "the 1 × 1 convolution of the shortcut has a bias"),
    ("6.1", "self.way(x) + y", "2 * self.way(x) + y", "one of the two counts twice"),
    (
        "6.1",
        "nn.BatchNorm2d(o), nn.BatchNorm2d(o)",
        "nn.GroupNorm(2, o), nn.GroupNorm(2, o)",
        "another one than batch norm",
    ),
    ("6.1", "self.na(self.a(x))", "self.a(x)", "the first convolution has no norm"),
    ("6.1", "self.way(x) + y", "self.way(y) + y", "x is overwritten"),
    ("7.1", "inner.relu()", "inner", "goes through no ReLU"),
    ("7.1", "x = x + w2", "x = w2", "the shortcut is lost"),
    ("9.1", "stride != 1 or ", "", "a block that strides but keeps its channels"),
    ("9.1", "bias=False", "bias=True", "your convolutions have a bias"),
    ("9.1", "+ self.way(x)", "+ x", "x is added as it is"),
    ("10.1", "[torch.arange(len(labels)), labels]", "[:, labels]", "pair them"),
    ("10.1", ".sum(1, keepdim=True).log()", ".sum(1, keepdim=True).log2()", "base 2"),
    ("10.1", "logits.max(1, keepdim=True).values", "logits.max()", "subtracted from the whole batch"),
    ("10.1", "logits.max(1, keepdim=True).values", "logits.max(0, keepdim=True).values", "each picture's own"),
    ("10.1", "log_p[torch", "log_p.exp()[torch", "without its logarithm"),
    ("10.1", "[torch.arange(len(labels)), labels]", "", "the labels are not used"),
]


def defined(number, source):
    namespace = {}
    exec(source, namespace)
    return namespace[exercise(number).name]


@pytest.mark.parametrize("number", SOURCES)
def test_the_sources_are_right(number):
    assert judge(exercise(number), defined(number, SOURCES[number])).right


@pytest.mark.parametrize(("number", "right", "bug", "said"), PLANTED)
def test_a_bug_in_another_style_is_named(number, right, bug, said):
    assert right in SOURCES[number]
    assert said in judge(exercise(number), defined(number, SOURCES[number].replace(right, bug))).says.en


REPAIRS = [
    ("2 if not blocks else 1", "2 if number == 0 and blocks else 1"),
    ("out_channels, 1, bias=False", "out_channels, 1, stride, bias=False"),
    ("F.relu(self.norm2(self.conv2(out)))", "self.norm2(self.conv2(out))"),
    ("total += out", "total = total + out"),
]


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({0, 1, 2, 3}, "only the very first block of all strides"),
        ({1, 3}, "a shortcut does not stride where its block does"),
        ({2, 3}, "F(x) goes through a ReLU of its own"),
        ({3}, "a block overwrites its input"),
        (set(), "right in all"),
    ],
)
def test_a_bug_hunt_names_what_is_left(left, said):
    source = exercise("6.4").stub
    for number, (bug, repaired) in enumerate(REPAIRS):
        assert bug in source
        if number not in left:
            source = source.replace(bug, repaired)
    namespace = {}
    exec(source, namespace)
    assert said in judge(exercise("6.4"), namespace["stages"]).says.en


@pytest.mark.parametrize(
    ("number", "repairs", "said"),
    [
        ("1.4", [], "all three bugs are still in it"),
        ("9.4", [], "all three bugs are still in it"),
        ("9.4", [(".softmax(dim=1)", ".sigmoid()")], "the means are taken of x"),
        ("9.4", [(".softmax(dim=1)", ".sigmoid()"), ("x.mean", "y.mean")], "only F(x) is scaled"),
        ("10.4", [], "both bugs are still in it"),
        ("10.4", [("step / warmup", "(step + 1) / warmup")], "the wave still begins at step 0"),
        (
            "10.4",
            [("step / steps", "(step + 1 - warmup) / (steps + 1 - warmup)")],
            "the first step still has the rate zero",
        ),
        ("17.4", [], "all three bugs are still in it"),
        ("17.4", [("return merged", "return merged[::-1]")], "scale_factor=2 fails"),
    ],
)
def test_a_bug_hunt_gives_one_nudge_at_a_time(number, repairs, said):
    source = exercise(number).stub
    for bug, repaired in repairs:
        assert bug in source
        source = source.replace(bug, repaired)
    says = judge(exercise(number), defined(number, source)).says.en
    assert said in says and "bugs left" not in says


def test_a_result_that_is_not_there_is_an_error():
    assert result("lesion")["pictures"] == 10_000
    with pytest.raises(ResLabError, match="no result named nothing"):
        result("nothing")
