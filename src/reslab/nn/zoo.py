"""The zoo: name -> configuration. Data that one can read, print and test; no registry, no import side effects."""

import dataclasses

from reslab.errors import ResLabError, nearest
from reslab.nn.resnet import BlockKind, ResNet, ResNetConfig, build

_IMAGENET_WIDTHS = (64, 128, 256, 512)
_CIFAR_WIDTHS = (16, 32, 64)


def _imagenet(depths: tuple[int, int, int, int], block: BlockKind) -> ResNetConfig:
    """Table 1 of the paper."""
    return ResNetConfig(depths, _IMAGENET_WIDTHS, block)


def _cifar(layers: int) -> ResNetConfig:
    """Section 4.2: 6n + 2 layers on maps of 32, 16 and 8 pixels, shortcuts of option A."""
    blocks = (layers - 2) // 6
    return ResNetConfig((blocks,) * 3, _CIFAR_WIDTHS, stem="3x3", shortcut="A", num_classes=10)


ZOO: dict[str, ResNetConfig] = {
    "resnet18": _imagenet((2, 2, 2, 2), "basic"),
    "resnet34": _imagenet((3, 4, 6, 3), "basic"),
    "resnet50": _imagenet((3, 4, 6, 3), "bottleneck"),
    "resnet101": _imagenet((3, 4, 23, 3), "bottleneck"),
    "resnet152": _imagenet((3, 8, 36, 3), "bottleneck"),
    "resnet20": _cifar(20),
    "resnet32": _cifar(32),
    "resnet44": _cifar(44),
    "resnet56": _cifar(56),
    "resnet110": _cifar(110),
    "fast_resnet8": ResNetConfig(
        (1, 1, 1), (64, 256, 256), "single", "whitening", "pool", num_classes=10, activation="gelu", identity_init=True
    ),
}

SOURCES: dict[str, str] = {
    name: "He et al. 2015, " + ("table 1" if config.stem == "7x7" else "section 4.2") for name, config in ZOO.items()
} | {"fast_resnet8": "ours, after Page 2019 and Jordan 2024"}
"""Where each network is defined."""


def native_size(config: ResNetConfig) -> int:
    """The input side, in pixels, that the network was designed for."""
    return 224 if config.stem == "7x7" else 32


def configuration(name: str) -> ResNetConfig:
    """The zoo's configuration of that name; an unknown name raises and offers the nearest one."""
    if name not in ZOO:
        raise ResLabError(f"there is no network named {name!r}", nearest(name, ZOO))
    return ZOO[name]


def build_named(name: str, seed: int = 0, **changes: object) -> ResNet:
    """A fresh network of the zoo; `changes` replace fields of its configuration, e.g. `num_classes=10`."""
    return build(dataclasses.replace(configuration(name), **changes), seed)  # type: ignore[arg-type]
