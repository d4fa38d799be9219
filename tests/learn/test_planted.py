"""Bugs planted in code of another style are recognised by what they do; right answers pass, whatever their parts are called."""

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


@pytest.mark.parametrize("number", ["6.1", "8.1"])
def test_other_names_are_right(number):
    answers = {"6.1": [Residual], "8.1": [ResNet18, torchvision.models.resnet18, lambda: timm.create_model("resnet18")]}
    assert all(judge(exercise(number), answer).right for answer in answers[number])


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
    ],
)
def test_a_planted_bug_is_named(number, answer, said):
    assert said in judge(exercise(number), answer).says.en


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


def test_a_result_that_is_not_there_is_an_error():
    assert result("lesion")["pictures"] == 10_000
    with pytest.raises(ResLabError, match="no result named nothing"):
        result("nothing")
