"""A residual network in plain code, as torchvision writes it: right, or with classic mistakes."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercises.modules import Variant

RIGHT: Variant = frozenset()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "GELU": F.gelu, "SiLU": F.silu, "leaky ReLU": F.leaky_relu, "ELU": F.elu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "ReLU6": F.relu6, "leaky ReLU 0.1": partial(F.leaky_relu, negative_slope=0.1),
    "leaky ReLU 0.2": partial(F.leaky_relu, negative_slope=0.2),
}  # fmt: skip
"""What may stand in the place of ReLU."""

JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiplied": torch.mul,
    "maximum": torch.maximum,
    "no residual": lambda out, along: along,
    "subtracted": torch.sub,
    "subtracted from": lambda out, along: along - out,
    "averaged": lambda out, along: (out + along) / 2,
    "shortcut twice": lambda out, along: out + 2 * along,
    "residual twice": lambda out, along: 2 * out + along,
    "concatenated": lambda out, along: torch.cat([out, along], 1),
}
"""What may stand in the place of the sum."""


POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "maximum at the end": lambda x: x.amax((2, 3)),
    "sum at the end": lambda x: x.sum((2, 3)),
    "first place": lambda x: x[:, :, 0, 0],
}
"""What may stand in the place of the mean."""

ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: x.softmax(1),
    "softmax over the batch": lambda x: x.softmax(0),
    "log softmax": lambda x: x.log_softmax(1),
    "sigmoid at the end": torch.sigmoid,
    "ReLU at the end": F.relu,
}
"""What may follow the last layer."""


def activate(x: Tensor, mistakes: Variant) -> Tensor:
    """ReLU, or what stands in its place."""
    return next((ACTIVATIONS[name] for name in ACTIVATIONS if name in mistakes), F.relu)(x)


def _norm(channels: int, mistakes: Variant) -> nn.Module:
    return nn.GroupNorm(1, channels) if "another norm" in mistakes else nn.BatchNorm2d(channels)


class Block(nn.Module):
    """The basic block with shortcuts of option B."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, mistakes: Variant = RIGHT) -> None:
        super().__init__()
        self.mistakes = mistakes
        bias, kernel = "bias" in mistakes, 5 if "other filters" in mistakes else 3
        first, second = (
            0 if {"no padding", name} & mistakes else kernel // 2 for name in ("first unpadded", "second unpadded")
        )
        second_stride = stride if {"both stride", "second strides"} & mistakes else 1
        first_stride = 1 if "second strides" in mistakes else stride
        between = in_channels if "second counts wrong" in mistakes else out_channels
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel, first_stride, first, bias=bias)
        self.bn1 = _norm(in_channels if "pre-activation" in mistakes else out_channels, mistakes)
        if "no first norm" in mistakes:
            self.bn1 = nn.Identity()
        self.conv2 = nn.Conv2d(between, out_channels, kernel, second_stride, second, bias=bias)
        self.conv3 = (
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False) if "three convolutions" in mistakes else None
        )
        self.bn2 = self.bn1 if "one norm" in mistakes else _norm(out_channels, mistakes)
        if "no second norm" in mistakes:
            self.bn2 = nn.Identity()
        if "other eps" in mistakes:
            self.bn1.eps = 1e-3  # pyrefly: ignore[bad-argument-type]
        self.shortcut = nn.Sequential()
        if self._projects(in_channels, out_channels, stride):
            self._project(in_channels, out_channels, stride)

    def _project(self, in_channels: int, out_channels: int, stride: int) -> None:
        kernel, along = 3 if "projection 3 × 3" in self.mistakes else 1, stride
        if "shortcut without stride" in self.mistakes:
            along = 1
        elif "shortcut pools" in self.mistakes:
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
            along = 1
        bias = bool({"bias", "projection bias"} & self.mistakes)
        self.shortcut.append(nn.Conv2d(in_channels, out_channels, kernel, along, kernel // 2, bias=bias))
        if "shortcut without norm" not in self.mistakes:
            self.shortcut.append(_norm(out_channels, self.mistakes))
        if "projection active" in self.mistakes:
            self.shortcut.append(nn.ReLU())

    def _projects(self, in_channels: int, out_channels: int, stride: int) -> bool:
        if "projection everywhere" in self.mistakes:
            return True
        if "no projection" in self.mistakes:
            return False
        if "asks only for channels" in self.mistakes:
            return in_channels != out_channels
        return stride != 1 if "asks only for stride" in self.mistakes else stride != 1 or in_channels != out_channels

    def _active(self, x: Tensor) -> Tensor:
        return activate(x, self.mistakes)

    def _residual(self, x: Tensor) -> Tensor:
        if "pre-activation" in self.mistakes:
            return self.conv2(self._active(self.bn2(self.conv1(self._active(self.bn1(x))))))
        out = self.conv1(x)
        if "norm after ReLU" in self.mistakes:
            out = self.bn1(self._active(out))
        else:
            out = out if "first norm unused" in self.mistakes else self.bn1(out)
            out = out if "no ReLU between" in self.mistakes else self._active(out)
        out = self.conv2(out)
        if self.conv3:
            out = self.conv3(out)
        if {"norm behind the sum", "second norm unused"} & self.mistakes:
            return out
        return (self.bn1 if "norm used twice" in self.mistakes else self.bn2)(out)

    def _joined(self, out: Tensor, x: Tensor) -> Tensor:
        wrong = self.mistakes
        along = x if "projection unused" in wrong else self.shortcut(x)
        if "shortcut active" in wrong:
            along = self._active(along)
        if "in place" in wrong:
            along += out
            return along
        if "doubled" in wrong and not len(self.shortcut):
            along = out
        join = next((JOINS[name] for name in JOINS if name in wrong), torch.add)
        return self.bn2(join(out, along)) if "norm behind the sum" in wrong else join(out, along)

    def forward(self, x: Tensor) -> Tensor:
        wrong = self.mistakes
        if "x active" in wrong:
            x = self._active(x)
        out = self._residual(x)
        if "series" in wrong:
            return F.relu(self.shortcut(out))
        if "x overwritten" in wrong:
            return F.relu(out + self.shortcut(out))
        if "x overwritten at once" in wrong:
            return F.relu(out + self.shortcut(F.relu(self.bn1(self.conv1(x)))))
        if "no sum" in wrong:
            return self._active(out)
        if "ReLU before the sum" in wrong:
            return self._joined(self._active(out), x)
        if "ReLU twice" in wrong:
            out = self._active(out)
        out = self._joined(out, x)
        return out if {"no ReLU after", "pre-activation"} & wrong else self._active(out)


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
        kernel, stride = (3, 1) if "small stem" in mistakes else (5 if "other stem" in mistakes else 7, 2)
        if "other widths" in mistakes:
            widths = [*widths[:2], widths[2] // 2, *widths[3:]]
        stride = 1 if "stem without stride" in mistakes else stride
        around = kernel // 2 - ("stem padding" in mistakes)
        self.conv1 = nn.Conv2d(3, widths[0], kernel, stride, around, bias="bias" in mistakes)
        self.bn1 = nn.Identity() if "no stem norm" in mistakes else _norm(widths[0], mistakes)
        window, padding = (2, 0) if "pooling 2 × 2" in mistakes else (3, 0 if "pooling unpadded" in mistakes else 1)
        pool = nn.AvgPool2d if "average pooling" in mistakes else nn.MaxPool2d
        self.maxpool = (
            nn.Identity()
            if "no max pooling" in mistakes
            else pool(window, 2, padding, ceil_mode="ceil pooling" in mistakes)
        )
        blocks, channels = [], widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for number in range(depth + ("one block too many" in mistakes)):
                blocks.append(self._block(channels, width, stage, number))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.positions = 49 if "flattened" in mistakes else 1
        num_classes = 10 if "other classes" in mistakes else num_classes
        self.fc = nn.Linear(channels * self.positions, num_classes, bias="no last bias" not in mistakes)

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
        x = self.conv1(x)
        if "norm after ReLU" in wrong:
            x = self.bn1(activate(x, wrong))
        else:
            x = self.bn1(x) if "no stem ReLU" in wrong else activate(self.bn1(x), wrong)
        x = self.blocks(self.maxpool(x))
        if "flattened" in wrong:
            return self.fc(x.flatten(1))
        pooled = next((POOLS[name](x) for name in POOLS if name in wrong), x.mean((2, 3)))
        return next((ENDS[name] for name in ENDS if name in wrong), torch.Tensor.clone)(self.fc(pooled))
