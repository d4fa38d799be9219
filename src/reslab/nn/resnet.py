"""The residual network: stem, stages, head. `forward` is `classify` after `features`: intermediates are values."""

import dataclasses
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reslab.errors import ResLabError, nearest
from reslab.nn.blocks import BasicBlock, Block, Bottleneck, ShortcutKind, SingleBlock
from reslab.nn.layers import SMALL_MAP, Activation, ConvNorm, Normalize, PooledConvNorm, Whitening
from reslab.shapes import FEATURES, IMAGES, LOGITS, OUTPUT

BlockKind = Literal["basic", "bottleneck", "single"]
StemKind = Literal["7x7", "3x3", "whitening"]
EntryKind = Literal["block", "pool"]


@dataclass(frozen=True, slots=True)
class ResNetConfig:
    """The shape of one residual network. Plain values only: it is printed, compared and stored in the model file."""

    depths: tuple[int, ...]
    """Blocks in each stage."""

    widths: tuple[int, ...]
    """Width of each stage; a bottleneck puts out four times as many channels."""

    block: BlockKind = "basic"

    stem: StemKind = "7x7"
    """`7x7` at stride 2 with max pooling shrinks by 4 (ImageNet); `3x3` keeps the size (CIFAR, section 4.2);
    `whitening` is a fixed 2x2 convolution (`layers.Whitening`)."""

    entry: EntryKind = "block"
    """How a stage begins: with its first `block`, which strides in every stage but the first; or with a convolution and
    max `pool`ing, in every stage, before its blocks (`layers.PooledConvNorm`)."""

    shortcut: ShortcutKind = "B"

    stride_in_1x1: bool = False
    """Where a bottleneck strides: in its 3x3 convolution (False, today's habit) or in the first 1x1 (the paper)."""

    in_channels: int = 3

    num_classes: int = 1000

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Subtracted from images in [0, 1] by the network's first operation: one number per channel, or one for all."""

    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    zero_init_last_norm: bool = False
    """Start every block as its shortcut (Goyal et al. 2017, section 5.1). A plain block has none, and stays as it is."""

    activation: Activation = "relu"
    """Of whitening stem, pooled entries and single blocks; the paper's blocks have their ReLU."""

    identity_init: bool = False
    """Start 3x3 convolutions as the identity on as many channels as come in, the rest random (Jordan 2024)."""

    def __post_init__(self) -> None:
        """A file may describe anything; what no network can be is refused here, once, for every door."""
        for field, known in (
            ("block", BlockKind),
            ("stem", StemKind),
            ("entry", EntryKind),
            ("shortcut", ShortcutKind),
        ):
            word = getattr(self, field)
            if word not in get_args(known):
                raise ResLabError(f"the network's {field} {word!r} is unknown", nearest(str(word), get_args(known)))
        if not self.depths or len(self.depths) != len(self.widths):
            raise ResLabError(f"a network needs one width per stage, not {self.widths} for {self.depths}")
        if min(*self.depths, *self.widths, self.in_channels, self.num_classes) < 1:
            raise ResLabError("a network needs positive depths, widths, channels and classes")
        if len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise ResLabError(f"a network cannot normalise by mean {self.mean} and std {self.std}")

    @property
    def layers(self) -> int:
        """Weighted layers on the longest path, as the paper counts: convolutions and the linear layer."""
        entries = len(self.depths) if self.entry == "pool" else 0
        return 2 + entries + sum(self.depths) * {"single": 1, "basic": 2, "bottleneck": 3}[self.block]

    @property
    def stride(self) -> int:
        """Input pixels per pixel of the last feature map."""
        return (4 if self.stem == "7x7" else 1) * 2 ** (len(self.depths) - (0 if self.entry == "pool" else 1))


class Stem(nn.Module):
    """The first convolution; the ImageNet form also halves the map by max pooling."""

    def __init__(self, in_channels: int, out_channels: int, kind: StemKind) -> None:
        super().__init__()
        large = kind == "7x7"
        self.first = ConvNorm(in_channels, out_channels, kernel=7 if large else 3, stride=2 if large else 1)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1) if large else nn.Identity()

    def forward(self, x: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        return self.pool(torch.relu_(self.first(x)))


class ResNet(nn.Module):
    """He et al. 2015 (arXiv:1512.03385), for any input of 8 pixels or more and any number of classes."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.normalize = Normalize(config.mean, config.std)
        whitening = config.stem == "whitening"
        channels = 8 * config.in_channels if whitening else config.widths[0]
        self.stem = (
            Whitening(config.in_channels, config.activation)
            if whitening
            else Stem(config.in_channels, channels, config.stem)
        )
        stages = []
        for index, (depth, width) in enumerate(zip(config.depths, config.widths, strict=True)):
            stage, channels = _stage(config, channels, width, depth, stride=1 if index == 0 else 2)
            stages.append(stage)
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels, config.num_classes)

    def features(self, images: Float[Tensor, IMAGES]) -> Float[Tensor, FEATURES]:
        """The last feature map, before pooling."""
        return self.stages(self.stem(self.normalize(images)))

    def classify(self, features: Float[Tensor, FEATURES]) -> Float[Tensor, LOGITS]:
        """Global average pooling, then one linear layer."""
        return self.head(features.mean(dim=(2, 3)))

    def forward(self, images: Float[Tensor, IMAGES]) -> Float[Tensor, LOGITS]:
        """Logits of float images in [0, 1], channels first."""
        return self.classify(self.features(images))


def folded(network: ResNet) -> ResNet:
    """A copy for inference whose norms are part of its convolutions: the same function, up to rounding."""
    copy = deepcopy(network).eval()
    for module in copy.modules():
        if isinstance(module, ConvNorm):
            module.fold()
    return copy


def _stage(config: ResNetConfig, in_channels: int, width: int, depth: int, stride: int) -> tuple[nn.Sequential, int]:
    """`depth` blocks, the first of which strides; and the channels that come out."""
    layers: list[nn.Module] = []
    if config.entry == "pool":
        layers.append(PooledConvNorm(in_channels, width, config.activation))
        in_channels, stride = width, 1
    for step in (stride,) + (1,) * (depth - 1):
        if config.block == "bottleneck":
            block: Block = Bottleneck(in_channels, width, step, config.shortcut, config.stride_in_1x1)
        elif config.block == "basic":
            block = BasicBlock(in_channels, width, step, config.shortcut)
        else:
            block = SingleBlock(in_channels, width, step, config.shortcut, config.activation)
        layers.append(block)
        in_channels = width * block.expansion
    return nn.Sequential(*layers), in_channels


def build(config: ResNetConfig, seed: int = 0) -> ResNet:
    """A network with fresh weights, decided by `seed` alone; the global random state is left as it was.

    He initialisation for convolutions, std sqrt(2 / (kernel^2 out_channels)) (He et al. 2015b, arXiv:1502.01852,
    equation 14: the backward form), the linear layer uniform in +-1/sqrt(inputs) (PyTorch's habit), norms at weight 1
    and bias 0.
    """
    with torch.random.fork_rng(devices=[]):
        network = ResNet(config)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if config.identity_init and module.kernel_size == (3, 3):
                nn.init.dirac_(module.weight[: module.in_channels])
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, Block) and module.shortcut is not None and config.zero_init_last_norm:
            nn.init.zeros_(module.last_norm.weight)
    return network


def config_from(values: Mapping[str, Any]) -> ResNetConfig:
    """A configuration from plain values, as a file holds them: lists become tuples, `name` is the zoo's business."""
    known = {f.name for f in dataclasses.fields(ResNetConfig)}
    odd = sorted(values.keys() - known - {"name"})
    if odd:
        raise ResLabError(f"the network has unknown fields: {', '.join(odd)}", "pip install -U reslab")
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    return ResNetConfig(**plain)


def last_map(config: ResNetConfig, size: int) -> int:
    """Side of the last feature map for a square input of `size` pixels."""
    if config.stem == "whitening":
        size -= 1
    if config.entry == "block":
        return -(-size // config.stride)  # every halving rounds up, so all of them do
    if config.stem == "7x7":
        size = -(-size // 4)
    for _ in config.depths:
        size = size // 2 if size > SMALL_MAP else -(-size // 2)
    return size
