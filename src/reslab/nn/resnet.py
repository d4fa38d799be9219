"""The residual network: stem, stages, head. `forward` is `classify(features(x))`, so the last map is at hand."""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reslab.nn.blocks import BLOCKS, Block
from reslab.nn.config import ResNetConfig
from reslab.nn.layers import ConvNorm, ConvNormRelu, Normalize, NormRelu, PooledConvNorm, Whitening, conv
from reslab.shapes import ANY_MAP, FEATURES, IMAGES, LOGITS, OUTPUT
from reslab.system.bounds import SEED


class Stem(nn.Module):
    """The first convolution, or three instead of it; the ImageNet forms also halve the map by max pooling.

    Before pre-activation blocks it has no norm and ReLU: the first block begins with them.
    """

    def __init__(self, config: ResNetConfig, out_channels: int) -> None:
        super().__init__()
        kernel, stride = {"7x7": (7, 2), "deep": (3, 2), "3x3": (3, 1)}[config.stem]
        deep = config.stem == "deep"
        width = out_channels // 2 if deep else out_channels
        self.first = (conv if config.preact else ConvNormRelu)(config.in_channels, width, kernel, stride)
        self.second = ConvNormRelu(width, width, kernel=3) if deep else nn.Identity()
        self.third = ConvNormRelu(width, out_channels, kernel=3) if deep else nn.Identity()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1) if config.shrinks_early else nn.Identity()

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.pool(self.third(self.second(self.first(x))))


class ResNet(nn.Module):
    """He et al. 2015 (arXiv:1512.03385) and its family, for any input of 8 pixels or more and any number of classes."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.normalize = Normalize(config.mean, config.std)
        self.stem, channels = _stem(config)
        blocks = sum(config.depths)
        rates = iter([config.drop_path * (number + 1) / blocks for number in range(blocks)])
        stages = []
        for index, (depth, width) in enumerate(zip(config.depths, config.widths, strict=True)):
            drops = [next(rates) for _ in range(depth)]
            stage, channels = _stage(config, channels, width, drops, stride=1 if index == 0 else 2)
            stages.append(stage)
        self.stages = nn.Sequential(*stages)
        self.last = NormRelu(channels) if config.preact else nn.Identity()
        self.head = nn.Linear(channels, config.num_classes)

    def features(self, images: Float[Tensor, IMAGES]) -> Float[Tensor, FEATURES]:
        """The last feature map, before pooling."""
        return self.last(self.stages(self.stem(self.normalize(images))))

    def stage_maps(self, images: Float[Tensor, IMAGES]) -> list[Float[Tensor, ANY_MAP]]:
        """The map that each stage gives, the finest first, for detection and segmentation; the last is `features(images)`."""
        x, maps = self.stem(self.normalize(images)), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [*maps[:-1], self.last(x)]

    def classify(self, features: Float[Tensor, FEATURES]) -> Float[Tensor, LOGITS]:
        """Global average pooling, then one linear layer."""
        return self.head(features.mean(dim=(2, 3)))

    def forward(self, images: Float[Tensor, IMAGES]) -> Float[Tensor, LOGITS]:
        """Logits of float images in [0, 1], channels first."""
        return self.classify(self.features(images))


def fold_batch_norm(network: ResNet) -> ResNet:
    """A copy for inference with norms folded into convolutions: the same function, up to rounding."""
    copy = deepcopy(network).eval()
    for module in copy.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):  # not folded yet
            module.fold()
    return copy


def build(config: ResNetConfig, seed: int = 0) -> ResNet:
    """A network with fresh weights, determined by `seed` alone; the global random state is left as it was.

    He initialisation for convolutions, std sqrt(2 / (kernel^2 out_channels)) (He et al. 2015b, arXiv:1502.01852,
    equation 14: the backward form), the linear layer uniform in +-1/sqrt(inputs) (PyTorch's default), norms at weight 1
    and bias 0.
    """
    with torch.random.fork_rng(devices=[]):  # PyTorch's layers draw weights of their own, which are replaced below
        network = ResNet(config)
    generator = torch.Generator().manual_seed(SEED.check("--seed", seed))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if config.identity_init and module.kernel_size == (3, 3):
                nn.init.dirac_(module.weight[: module.in_channels])  # the filters beyond keep their random start
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    if config.zero_init_last_norm:
        for block in network.modules():
            if isinstance(block, Block) and block.shortcut is not None:
                nn.init.zeros_(block.last_weight)
    return network


def _stem(config: ResNetConfig) -> tuple[nn.Module, int]:
    """The stem and its output channels."""
    if config.stem == "whitening":
        return Whitening(config.in_channels, config.activation), 8 * config.in_channels
    channels = config.stem_width or config.widths[0]
    return Stem(config, channels), channels


def _stage(
    config: ResNetConfig, in_channels: int, width: int, drops: list[float], stride: int
) -> tuple[nn.Sequential, int]:
    """One block per rate in `drops`, the first of which strides; and the stage's output channels."""
    layers: list[nn.Module] = []
    if config.entry == "pool":
        layers.append(PooledConvNorm(in_channels, width, config.activation))
        in_channels, stride = width, 1
    make = BLOCKS[config.block]
    for drop in drops:
        layers.append(make(config, in_channels, width, stride, drop))
        in_channels, stride = width * make.expansion, 1
    return nn.Sequential(*layers), in_channels
