"""A residual network in plain code, as torchvision writes it: right, or with classic mistakes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercises.modules import Variant

RIGHT: Variant = frozenset()


class Block(nn.Module):
    """The basic block with shortcuts of option B."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, mistakes: Variant = RIGHT) -> None:
        super().__init__()
        self.mistakes = mistakes
        bias, padding = "bias" in mistakes, 0 if "no padding" in mistakes else 1
        second_stride = stride if {"both stride", "second strides"} & mistakes else 1
        first_stride = 1 if "second strides" in mistakes else stride
        between = in_channels if "second counts wrong" in mistakes else out_channels
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, first_stride, padding, bias=bias)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(between, out_channels, 3, second_stride, padding, bias=bias)
        self.bn2 = self.bn1 if "one norm" in mistakes else nn.BatchNorm2d(out_channels)
        if "no second norm" in mistakes:
            self.bn2 = nn.Identity()
        self.shortcut = nn.Sequential()
        if self._projects(in_channels, out_channels, stride):
            along = 1 if "shortcut without stride" in mistakes else stride
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, 1, along, bias=bias))
            if "shortcut without norm" not in mistakes:
                self.shortcut.append(nn.BatchNorm2d(out_channels))

    def _projects(self, in_channels: int, out_channels: int, stride: int) -> bool:
        if "projection everywhere" in self.mistakes:
            return True
        if "no projection" in self.mistakes:
            return False
        if "asks only for channels" in self.mistakes:
            return in_channels != out_channels
        return stride != 1 if "asks only for stride" in self.mistakes else stride != 1 or in_channels != out_channels

    def forward(self, x: Tensor) -> Tensor:
        wrong = self.mistakes
        out = self.bn1(self.conv1(x))
        out = self.bn2(self.conv2(out if "no ReLU between" in wrong else F.relu(out)))
        if "series" in wrong:
            return F.relu(self.shortcut(out))
        if "no sum" in wrong:
            return F.relu(out)
        if "ReLU before the sum" in wrong:
            return F.relu(out) + self.shortcut(x)
        if "ReLU twice" in wrong:
            out = F.relu(out)
        if "in place" in wrong:
            along = self.shortcut(x)
            along += out
            return F.relu(along)
        out = out + self.shortcut(x)
        return out if "no ReLU after" in wrong else F.relu(out)


class Network(nn.Module):
    """A network of basic blocks; by default ResNet-18."""

    def __init__(
        self,
        depths: Sequence[int] = (2, 2, 2, 2),
        widths: Sequence[int] = (64, 128, 256, 512),
        num_classes: int = 1000,
        mistakes: Variant = RIGHT,
    ) -> None:
        super().__init__()
        self.mistakes = mistakes
        kernel, stride = (3, 1) if "small stem" in mistakes else (7, 2)
        stride = 1 if "stem without stride" in mistakes else stride
        self.conv1 = nn.Conv2d(3, widths[0], kernel, stride, kernel // 2, bias="bias" in mistakes)
        self.bn1 = nn.Identity() if "no stem norm" in mistakes else nn.BatchNorm2d(widths[0])
        window, padding = (2, 0) if "pooling 2 × 2" in mistakes else (3, 0 if "pooling unpadded" in mistakes else 1)
        self.maxpool = nn.Identity() if "no max pooling" in mistakes else nn.MaxPool2d(window, 2, padding)
        blocks, channels = [], widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for number in range(depth + ("one block too many" in mistakes)):
                blocks.append(self._block(channels, width, stage, number))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.positions = 49 if "flattened" in mistakes else 1
        self.fc = nn.Linear(channels * self.positions, 10 if "other classes" in mistakes else num_classes)

    def _block(self, channels: int, width: int, stage: int, number: int) -> Block:
        first = number == 0 and stage > 0
        if "first stage strides" in self.mistakes:
            first = number == 0
        elif "no stage strides" in self.mistakes:
            first = False
        inside = self.mistakes
        if "projection at every stage" in inside and number == 0:
            inside |= {"projection everywhere"}
        return Block(channels, width, 2 if first else 1, inside)

    def forward(self, x: Tensor) -> Tensor:
        wrong = self.mistakes
        x = self.bn1(self.conv1(x))
        x = self.blocks(self.maxpool(x if "no stem ReLU" in wrong else F.relu(x)))
        if "flattened" in wrong:
            return self.fc(x.flatten(1))
        logits = self.fc(x.amax((2, 3)) if "maximum at the end" in wrong else x.mean((2, 3)))
        return torch.softmax(logits, 1) if "softmax" in wrong else logits
