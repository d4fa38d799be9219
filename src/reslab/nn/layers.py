"""The bricks: convolution, norm, the two kinds of pooling, and the step from pictures to numbers."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from reslab.shapes import IMAGES, OUTPUT, PIXELS


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the map's size at stride 1, `y(i,j) = sum_mn x(i+m, j+n) w(m,n)`.

    No bias: the norm that follows subtracts the mean, and with it any bias (Ioffe and Szegedy 2015, section 3.2).
    """
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)


class ConvNorm(nn.Module):
    """Convolution, then batch norm: the pair that residual networks are built of."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, kernel, stride, groups)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.norm(self.conv(x))


class Normalize(nn.Module):
    """`(images - mean) / std` per channel: the network's first operation, for every engine.

    Mean 0 and std 1 leave [0, 1] as it is; 0.5 and 0.5 give [-1, 1].
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.identity = all(m == 0 for m in mean) and all(s == 1 for s in std)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, IMAGES]) -> Float[Tensor, IMAGES]:
        return images if self.identity else (images - self.mean) / self.std


def to_images(pixels: UInt8[Tensor, PIXELS]) -> Float[Tensor, IMAGES]:
    """uint8 pixels, channels last, as float images in [0, 1]; the memory stays channels-last, as CPUs like it."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)
