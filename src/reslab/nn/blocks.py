"""The residual block, `y = F(x, {W_i}) + x` (He et al. 2015, equation 1), in its shapes and with its shortcuts."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from reslab.nn.config import ResNetConfig
from reslab.nn.layers import (
    ACTIVATIONS,
    ConvNorm,
    ConvNormRelu,
    NormConv,
    NormRelu,
    SqueezeExcitation,
    StochasticDepth,
    conv,
)
from reslab.shapes import IMAGES, OUTPUT


class PaddedIdentity(nn.Module):
    """Option A: every `stride`-th pixel, the new channels zero. No parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class PooledProjection(ConvNorm):
    """Option D: average pooling where the block strides, so that the projection sees every pixel."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, kernel=1)
        self.stride = stride

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False)
        return super().forward(x)


def shortcut(config: ResNetConfig, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """The path that carries `x` past the residual; None in a plain network."""
    kind, changes = config.shortcut, stride != 1 or in_channels != out_channels
    if kind == "plain":
        return None
    if kind == "C" or (kind in ("B", "D") and changes):
        if config.preact:
            return conv(in_channels, out_channels, kernel=1, stride=stride)
        if kind == "D":
            return PooledProjection(in_channels, out_channels, stride)
        return ConvNorm(in_channels, out_channels, kernel=1, stride=stride)
    return PaddedIdentity(in_channels, out_channels, stride) if changes else nn.Identity()


class Block(nn.Module):
    """`relu(shortcut(x) + residual(x))`; with pre-activation `shortcut(x) + residual(relu(norm(x)))`.

    Args:
        width: of the stage; the block puts out `width * expansion` channels.
        drop: probability that training skips the residual.
    """

    expansion = 1
    """Output channels per unit of width."""

    ends_with: str
    """Name of the last weighted layer."""

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int, drop: float = 0.0) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.preact = config.preact
        self.activation = config.activation if config.block == "single" else "relu"
        self.shortcut = shortcut(config, in_channels, out_channels, stride)
        self.norm = NormRelu(in_channels) if config.preact else nn.Identity()
        self.gate = SqueezeExcitation(out_channels) if config.squeeze else nn.Identity()
        self.drop = StochasticDepth(drop) if drop else nn.Identity()
        self.build_layers(config, in_channels, width, stride)

    def build_layers(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        """Create the weighted layers."""
        raise TypeError(f"{type(self).__name__} has no layers")

    def residual_path(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        """The weighted layers, one after the other."""
        raise TypeError(f"{type(self).__name__} has no residual path")

    def residual(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        """F(x): the weighted layers, and what scales or skips them."""
        return self.drop(self.gate(self.residual_path(x)))

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        if self.preact:
            return self.preactivated(x)
        activate = ACTIVATIONS[self.activation]
        if self.shortcut is None:
            return activate(self.residual(x))
        return activate(self.shortcut(x) + self.residual(x))

    def preactivated(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        """Nothing follows the sum, so x reaches every later block unchanged.

        A projection takes x after norm and ReLU (He et al. 2016, section 4 and appendix).
        """
        active = self.norm(x)
        if self.shortcut is None:
            return self.residual(active)
        return self.shortcut(active if isinstance(self.shortcut, nn.Conv2d) else x) + self.residual(active)

    @property
    def last_weight(self) -> nn.Parameter:
        """The weight whose zeros turn the block into its shortcut at the start."""
        last = getattr(self, self.ends_with)
        return last.conv.weight if self.preact else last.norm.weight


class SingleBlock(Block):
    """One 3x3 convolution: the smallest residual, for networks that train in minutes."""

    ends_with = "only"

    def build_layers(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        self.only = ConvNorm(in_channels, width, kernel=3, stride=stride)

    def residual_path(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.only(x)


class BasicBlock(Block):
    """Two 3x3 convolutions (figure 5, left). `width` is also the number of output channels."""

    ends_with = "second"

    def build_layers(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        first, _, last = _orders(config)
        self.first = first(in_channels, width, kernel=3, stride=stride)
        self.second = last(width, width, kernel=3)

    def residual_path(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.second(self.first(x))


class Bottleneck(Block):
    """1x1 reduces, 3x3 convolves, 1x1 expands to four times `width` channels (figure 5, right).

    The 3x3 convolution has the stride, as is usual today ("v1.5"); `stride_in_1x1` is the paper's variant.
    """

    expansion = 4
    ends_with = "third"

    def build_layers(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        inner = width * config.group_width // 64 * config.groups
        early, late = (stride, 1) if config.stride_in_1x1 else (1, stride)
        first, second, last = _orders(config)
        self.first = first(in_channels, inner, kernel=1, stride=early)
        self.second = second(inner, inner, kernel=3, stride=late, groups=config.groups)
        self.third = last(inner, width * self.expansion, kernel=1)

    def residual_path(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.third(self.second(self.first(x)))


def _orders(config: ResNetConfig) -> tuple[Callable[..., nn.Module], ...]:
    """The classes of the first, the middle and the last weighted layer of a block.

    Usually convolution, norm, ReLU, with the last ReLU after the sum. With pre-activation norm, ReLU, convolution, with
    the first norm and ReLU before the block.
    """
    return (conv, NormConv, NormConv) if config.preact else (ConvNormRelu, ConvNormRelu, ConvNorm)


BLOCKS: dict[str, type[Block]] = {"single": SingleBlock, "basic": BasicBlock, "bottleneck": Bottleneck}
