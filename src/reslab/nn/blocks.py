"""The residual block, `y = F(x, {W_i}) + x` (He et al. 2015, equation 1), in its shapes and with its shortcuts."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from reslab.nn.layers import ACTIVATIONS, Activation, ConvNorm
from reslab.shapes import IMAGES, OUTPUT

ShortcutKind = Literal["A", "B", "C", "plain"]
"""Section 4.1 of the paper: A pads the identity with zero channels, B projects where the shape changes, C projects
everywhere; `plain` has no shortcut at all, the network that the paper compares with."""


class PaddedIdentity(nn.Module):
    """Option A: every `stride`-th pixel, the new channels zero. No parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def shortcut(kind: ShortcutKind, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """The path that carries `x` past the residual; None in a plain network."""
    changes = stride != 1 or in_channels != out_channels
    if kind == "plain":
        return None
    if kind == "C" or (kind == "B" and changes):
        return ConvNorm(in_channels, out_channels, kernel=1, stride=stride)
    return PaddedIdentity(in_channels, out_channels, stride) if changes else nn.Identity()


class Block(nn.Module):
    """What all blocks share: `relu(shortcut(x) + residual(x))`, or another activation."""

    expansion: int
    """Output channels per unit of width."""

    def __init__(self, path: nn.Module | None, activation: Activation = "relu") -> None:
        super().__init__()
        self.shortcut = path
        self.activation = activation

    def residual(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        raise TypeError(f"{type(self).__name__} defines no residual")

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        activate = ACTIVATIONS[self.activation]
        if self.shortcut is None:
            return activate(self.residual(x))
        return activate(self.shortcut(x) + self.residual(x))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the residual; zero weights there make the block an identity at the start."""
        raise TypeError(f"{type(self).__name__} defines no last norm")


class SingleBlock(Block):
    """One 3x3 convolution: the smallest residual there is, for networks that are to be trained in minutes."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, kind: ShortcutKind = "B", activation: Activation = "relu"
    ) -> None:
        super().__init__(shortcut(kind, in_channels, width, stride), activation)
        self.only = ConvNorm(in_channels, width, kernel=3, stride=stride)

    def residual(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.only(x)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.only.norm


class BasicBlock(Block):
    """Two 3x3 convolutions (figure 5, left). `width` is also the number of output channels."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, kind: ShortcutKind = "B") -> None:
        super().__init__(shortcut(kind, in_channels, width, stride))
        self.first = ConvNorm(in_channels, width, kernel=3, stride=stride)
        self.second = ConvNorm(width, width, kernel=3)

    def residual(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.second(relu(self.first(x), inplace=True))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.second.norm


class Bottleneck(Block):
    """1x1 reduces, 3x3 works, 1x1 restores four times `width` channels (figure 5, right).

    The stride sits in the 3x3 convolution, as everybody trains it today ("v1.5"); `stride_in_1x1` is the paper's.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, kind: ShortcutKind = "B", stride_in_1x1: bool = False
    ) -> None:
        out_channels = width * self.expansion
        super().__init__(shortcut(kind, in_channels, out_channels, stride))
        early, late = (stride, 1) if stride_in_1x1 else (1, stride)
        self.first = ConvNorm(in_channels, width, kernel=1, stride=early)
        self.second = ConvNorm(width, width, kernel=3, stride=late)
        self.third = ConvNorm(width, out_channels, kernel=1)

    def residual(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.third(relu(self.second(relu(self.first(x), inplace=True)), inplace=True))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.third.norm
