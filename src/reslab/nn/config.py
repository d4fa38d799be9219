"""The shape of a residual network as plain values, which are printed, compared, stored in files and built into layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from reslab.errors import ResLabError, nearest
from reslab.system.bounds import POSITIVE_COUNT
from reslab.system.values import build

BlockKind = Literal["basic", "bottleneck", "single"]
StemKind = Literal["7x7", "3x3", "deep", "whitening"]
EntryKind = Literal["block", "pool"]
ShortcutKind = Literal["A", "B", "C", "D", "plain"]
Activation = Literal["relu", "gelu"]

MOST_MEMBERS = 100
"""Networks in one ensemble."""

SMALL_MAP = 3
"""Pooling rounds odd sides down, but those of the smallest maps up: none becomes empty."""


@dataclass(frozen=True, slots=True)
class ResNetConfig:
    """The shape of one residual network."""

    depths: tuple[int, ...]
    """Blocks in each stage."""
    widths: tuple[int, ...]
    """Width of each stage; a bottleneck outputs four times as many channels."""
    block: BlockKind = "basic"
    preact: bool = False
    """Norm and ReLU stand before each convolution instead of behind it (He et al. 2016, arXiv:1603.05027, figure 1b)."""
    stem: StemKind = "7x7"
    """`7x7` at stride 2 with max pooling shrinks by 4 (ImageNet), and so does `deep`, three 3x3 convolutions (He T. et al.
    2019, arXiv:1812.01187, figure 2b); `3x3` keeps the size (CIFAR, section 4.2); `whitening` is a fixed 2x2
    convolution (`layers.Whitening`)."""
    stem_width: int = 0
    """Output channels of the stem; 0 means the first stage's width."""
    entry: EntryKind = "block"
    """How a stage begins: with its first `block`, which strides in every stage but the first; or with a convolution and
    max `pool`ing, in every stage, before its blocks (`layers.PooledConvNorm`)."""
    shortcut: ShortcutKind = "B"
    """Section 4.1 of the paper: A pads the identity with zero channels, B projects where the shape changes, C projects
    everywhere; D is B with average pooling before the projection (ResNet-D: He T. et al. 2019, figure 2c); `plain` has no
    shortcut at all, the network that the paper compares with."""
    stride_in_1x1: bool = False
    """Where a bottleneck strides: in its 3x3 convolution (False, as is usual today) or in the first 1x1 (the paper)."""
    groups: int = 1
    """Of a bottleneck's 3x3 convolution: the cardinality (Xie et al. 2017, arXiv:1611.05431, figure 3c)."""
    group_width: int = 64
    """Channels of each group in a stage of width 64, in proportion elsewhere: ResNeXt 32x4d has 32 groups of 4, a wide
    bottleneck one of 128."""
    squeeze: bool = False
    """Each residual is scaled channel by channel (squeeze-and-excitation: Hu et al. 2018, arXiv:1709.01507)."""
    drop_path: float = 0.0
    """Probability that training skips the last of L blocks' residuals; that of block l is l/L times as much (stochastic
    depth: Huang et al. 2016, arXiv:1603.09382, equation 4)."""
    in_channels: int = 3
    num_classes: int = 1000
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Subtracted from images in [0, 1] by the network's first operation: one number per channel, or one for all."""
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    zero_init_last_norm: bool = False
    """Start every block as its shortcut (Goyal et al. 2017, section 5.1). Plain blocks have none and are left alone."""
    activation: Activation = "relu"
    """Activation of the whitening stem, pooled entries and single blocks; the paper's blocks always use ReLU."""
    identity_init: bool = False
    """Start 3x3 convolutions as the identity on as many outputs as there are inputs, the rest random (Jordan 2024)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built: a file may describe anything."""
        object.__setattr__(self, "num_classes", POSITIVE_COUNT.check("--num-classes", self.num_classes))
        for field, kind in _CHOICES.items():
            value, known = getattr(self, field), get_args(kind)
            if value not in known:
                raise ResLabError(f"the network's {field} {value!r} is unknown", nearest(str(value), known))
        if not self.depths or len(self.depths) != len(self.widths):
            raise ResLabError(f"a network needs one width per stage, not {self.widths} for {self.depths}")
        if min(*self.depths, *self.widths, self.in_channels, self.num_classes, self.groups, self.group_width) < 1:
            raise ResLabError("a network needs positive depths, widths, channels, groups and classes")
        if len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise ResLabError(f"a network cannot normalise by mean {self.mean} and std {self.std}")
        if not 0 <= self.drop_path < 1:
            raise ResLabError(f"a residual cannot be skipped with probability {self.drop_path}", "choose 0.1, say")
        if self.groups > 1 and self.block != "bottleneck":
            raise ResLabError(f"a {self.block} block has no groups", "groups belong to bottlenecks")
        if self.preact and (self.block == "single" or self.shortcut == "D" or self.stem in ("deep", "whitening")):
            raise ResLabError(
                f"pre-activation cannot be combined with {self.block} blocks, shortcut {self.shortcut} and stem {self.stem}"
            )

    @property
    def layers(self) -> int:
        """Weighted layers on the longest path, as the paper counts: convolutions and the linear layer."""
        entries = len(self.depths) if self.entry == "pool" else 0
        stem = 3 if self.stem == "deep" else 1
        return stem + entries + sum(self.depths) * {"single": 1, "basic": 2, "bottleneck": 3}[self.block] + 1

    @property
    def shrinks_early(self) -> bool:
        """Whether the stem already shrinks the picture by 4, as networks for large pictures do."""
        return self.stem in ("7x7", "deep")


_CHOICES: dict[str, Any] = {
    "block": BlockKind,
    "stem": StemKind,
    "entry": EntryKind,
    "shortcut": ShortcutKind,
    "activation": Activation,
}


def config_from(values: Mapping[str, Any]) -> ResNetConfig:
    """A configuration from the plain values of a file: lists become tuples, the zoo's `name` is dropped."""
    return build(ResNetConfig, {k: v for k, v in values.items() if k != "name"}, "the description of the network")


@dataclass(frozen=True, slots=True)
class _Input:
    """What may differ between the members of an ensemble, since each may be normalised by its own pictures."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def member_configs(values: Mapping[str, Any]) -> tuple[ResNetConfig, ...]:
    """The configuration of each member of an ensemble from the plain values of a file; of a single network, its own.

    An ensemble's description is that of a network with a list `members`: the mean and std of each.

    Raises:
        ResLabError: the description is damaged, or there are fewer than two members or more than `MOST_MEMBERS`.
    """
    config = config_from({name: value for name, value in values.items() if name != "members"})
    if "members" not in values:
        return (config,)
    members = values["members"]
    if not isinstance(members, list | tuple) or not 2 <= len(members) <= MOST_MEMBERS:
        raise ResLabError(f"the description of the network is damaged: members is no list of 2 to {MOST_MEMBERS}")
    inputs = build(tuple[_Input, ...], members, "the description of the network", "members")
    return tuple(replace(config, mean=one.mean, std=one.std) for one in inputs)


def last_map(config: ResNetConfig, size: int) -> int:
    """Side of the last feature map for a square input of `size` pixels."""
    if config.stem == "whitening":
        size -= 1
    if config.shrinks_early:
        size = -(-size // 4)
    for _ in range(len(config.depths) - (config.entry == "block")):  # a striding convolution rounds up
        size = -(-size // 2) if config.entry == "block" or size <= SMALL_MAP else size // 2
    return size
