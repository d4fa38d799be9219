"""The zoo: name -> configuration. Data that one can read, print and test; no registry, no import side effects."""

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING

from reslab.errors import ResLabError, nearest
from reslab.nn.config import ResNetConfig, config_from

if TYPE_CHECKING:
    import reslab.nn.resnet

_WIDTHS = (64, 128, 256, 512)
_CIFAR_WIDTHS = (16, 32, 64)

_RESNET18 = ResNetConfig((2, 2, 2, 2), _WIDTHS)
_RESNET34 = ResNetConfig((3, 4, 6, 3), _WIDTHS)
_RESNET50 = ResNetConfig((3, 4, 6, 3), _WIDTHS, "bottleneck")
_RESNET101 = ResNetConfig((3, 4, 23, 3), _WIDTHS, "bottleneck")


def _cifar(layers: int) -> ResNetConfig:
    """Section 4.2: 6n + 2 layers on maps of 32, 16 and 8 pixels, shortcuts of option A."""
    return ResNetConfig(((layers - 2) // 6,) * 3, _CIFAR_WIDTHS, stem="3x3", shortcut="A", num_classes=10)


def _cifar_bottleneck(layers: int) -> ResNetConfig:
    """9n + 2 layers with pre-activation; shapes change by projection."""
    blocks = (layers - 2) // 9
    return ResNetConfig((blocks,) * 3, _CIFAR_WIDTHS, "bottleneck", True, "3x3", 16, num_classes=10)


def _wide(layers: int, factor: int) -> ResNetConfig:
    """WRN-n-k: 6n + 4 convolutions, projections counted, k times as wide behind a stem of 16 channels."""
    widths = tuple(factor * width for width in _CIFAR_WIDTHS)
    return ResNetConfig(((layers - 4) // 6,) * 3, widths, "basic", True, "3x3", 16, num_classes=10)


_HE, _HE2 = "He et al. 2015", "He et al. 2016"
_XIE, _ZAGORUYKO = "Xie et al. 2017", "Zagoruyko and Komodakis 2016"

_ENTRIES: dict[str, tuple[ResNetConfig, str]] = {
    "resnet18": (_RESNET18, f"{_HE}, table 1"),
    "resnet34": (_RESNET34, f"{_HE}, table 1"),
    "resnet50": (_RESNET50, f"{_HE}, table 1"),
    "resnet101": (_RESNET101, f"{_HE}, table 1"),
    "resnet152": (ResNetConfig((3, 8, 36, 3), _WIDTHS, "bottleneck"), f"{_HE}, table 1"),
    "resnet200": (ResNetConfig((3, 24, 36, 3), _WIDTHS, "bottleneck"), f"{_HE2}, section 4.3"),
    "plain18": (replace(_RESNET18, shortcut="plain"), f"{_HE}, section 4.1"),
    "plain34": (replace(_RESNET34, shortcut="plain"), f"{_HE}, section 4.1"),
    "preact_resnet18": (replace(_RESNET18, preact=True), _HE2),
    "preact_resnet50": (replace(_RESNET50, preact=True), _HE2),
    "resnext50_32x4d": (replace(_RESNET50, groups=32, group_width=4), f"{_XIE}, table 1"),
    "resnext101_32x8d": (replace(_RESNET101, groups=32, group_width=8), f"{_XIE}; Mahajan et al. 2018"),
    "resnext101_64x4d": (replace(_RESNET101, groups=64, group_width=4), f"{_XIE}, table 4"),
    "wide_resnet50_2": (replace(_RESNET50, group_width=128), f"{_ZAGORUYKO}, table 8"),
    "wide_resnet101_2": (replace(_RESNET101, group_width=128), f"{_ZAGORUYKO}; torchvision"),
    "resnet50d": (replace(_RESNET50, stem="deep", shortcut="D"), "He T. et al. 2019, table 5"),
    "seresnet50": (replace(_RESNET50, squeeze=True), "Hu et al. 2018, table 2"),
    **{f"resnet{n}": (_cifar(n), f"{_HE}, section 4.2") for n in (20, 32, 44, 56, 110, 1202)},
    **{f"plain{n}": (replace(_cifar(n), shortcut="plain"), f"{_HE}, section 4.2") for n in (20, 32, 44, 56, 110)},
    "preact110": (replace(_cifar(110), preact=True), f"{_HE2}, table 2"),
    "preact164": (_cifar_bottleneck(164), f"{_HE2}, table 3"),
    "preact1001": (_cifar_bottleneck(1001), f"{_HE2}, table 4"),
    "resnext29_8x64d": (
        ResNetConfig((3, 3, 3), _WIDTHS[:3], "bottleneck", stem="3x3", groups=8, num_classes=10), f"{_XIE}, section 5.3",
    ),
    "wrn_16_8": (_wide(16, 8), f"{_ZAGORUYKO} (16 counts projections)"),
    "wrn_28_10": (_wide(28, 10), f"{_ZAGORUYKO}, table 5 (28 counts projections)"),
    **{f"fast_resnet8{tail}": (
        ResNetConfig((1, 1, 1), (64, 256, last), "single", stem="whitening", entry="pool", num_classes=10,
                     activation="gelu", identity_init=True),
        "ours, after Page 2019 and Jordan 2024",
    ) for tail, last in (("", 256), ("_wide", 512))},
}  # fmt: skip

ZOO: dict[str, ResNetConfig] = {name: config for name, (config, _) in _ENTRIES.items()}

SOURCES: dict[str, str] = {name: source for name, (_, source) in _ENTRIES.items()}
"""Where each network is defined."""


def native_size(config: ResNetConfig) -> int:
    """The input side, in pixels, that the network was designed for."""
    return 224 if config.shrinks_early else 32


def configuration(name: str) -> ResNetConfig:
    """The zoo's configuration of that name; an unknown name raises and offers the nearest one."""
    if not isinstance(name, str) or name not in ZOO:
        raise ResLabError(f"there is no network named {name!r}", nearest(name, ZOO))
    return ZOO[name]


def build_named(name: str, seed: int = 0, **changes: object) -> "reslab.nn.resnet.ResNet":
    """A fresh network of the zoo; `changes` replace fields of its configuration, e.g. `num_classes=10`."""
    known = {field.name for field in fields(ResNetConfig)}
    if odd := sorted(changes.keys() - known):
        raise ResLabError(f"a network has no {odd[0]}", nearest(odd[0], known))
    try:
        config = config_from(asdict(replace(configuration(name), **changes)))  # type: ignore[arg-type]
    except TypeError as error:
        raise ResLabError(f"no network has {changes}: {error}", "fields are those of ResNetConfig") from None
    from reslab.nn.resnet import build  # the rest of the zoo needs no PyTorch

    return build(config, seed)
