"""The layers of a residual network: convolution, norm, squeeze-and-excitation, pooling, input normalisation."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from reslab.nn.config import SMALL_MAP, Activation
from reslab.shapes import IMAGES, OUTPUT, PIXELS

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "gelu": F.gelu}
"""ReLU works in place: its input is not used again."""


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

    def fold(self) -> None:
        """Fold the norm into the convolution for inference, `w g/s` and `b + (0 - m) g/s`: one pass over memory less."""
        self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.register_module("norm", nn.Identity())


class ConvNormRelu(ConvNorm):
    """Convolution, batch norm, ReLU."""

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return torch.relu_(super().forward(x))


class NormRelu(nn.BatchNorm2d):
    """Batch norm, then ReLU: what precedes a convolution in a pre-activation network."""

    def forward(self, input: Float[Tensor, IMAGES]) -> Float[Tensor, IMAGES]:
        return torch.relu_(super().forward(input))


class NormConv(nn.Module):
    """Batch norm, ReLU, convolution: the order of pre-activation (He et al. 2016, figure 4e)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.norm = NormRelu(in_channels)
        self.conv = conv(in_channels, out_channels, kernel, stride, groups)

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.conv(self.norm(x))


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018, section 3): each channel times a factor in (0, 1) made of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, max(1, channels // 16), kernel_size=1)
        self.excite = nn.Conv2d(max(1, channels // 16), channels, kernel_size=1)

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, IMAGES]:
        return x * torch.sigmoid(self.excite(torch.relu_(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))))


class StochasticDepth(nn.Module):
    """In training, zero for a share `rate` of the pictures and 1 / (1 - rate) times the input for the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, IMAGES]:
        if not self.training:
            return x
        keep = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.rate
        return x * (keep.to(x.dtype) / (1 - self.rate))


class PooledConvNorm(ConvNorm):
    """Convolution, 2x2 max pooling, norm, activation: halves the map and changes its channels (Page 2019, "ResNet-9")."""

    def __init__(self, in_channels: int, out_channels: int, activation: Activation = "relu") -> None:
        super().__init__(in_channels, out_channels, kernel=3)
        self.activation = activation

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        x = self.conv(x)
        return ACTIVATIONS[self.activation](self.norm(F.max_pool2d(x, 2, ceil_mode=min(x.shape[2:]) <= SMALL_MAP)))

    def fold(self) -> None:
        """Leave the norm: pooling lies between, and a negative factor would turn its maximum into the minimum."""


class Whitening(nn.Module):
    """The 2x2 patches of the images in decorrelated coordinates, both signs of each, and an activation.

    Its filters are computed from the training pictures (`train.whiten`) and stay fixed, so that the largest map needs no
    gradient (Page 2019; Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds", section 3.2).
    """

    def __init__(self, in_channels: int, activation: Activation = "relu") -> None:
        super().__init__()
        self.activation = activation
        self.out_channels = 8 * in_channels
        self.conv = nn.Conv2d(in_channels, self.out_channels, kernel_size=2)
        self.conv.weight.requires_grad_(False)

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return ACTIVATIONS[self.activation](self.conv(x))


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
    """uint8 pixels, channels last, as float images in [0, 1]; the memory stays channels-last, which is faster on CPUs."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)
