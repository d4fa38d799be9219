"""Parameters, multiply-accumulates and shapes, measured on the network itself (nothing is computed: meta tensors)."""

from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reslab.errors import ResLabError
from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import ResNet

_ALWAYS = 2**24  # numbers of a network whose file is too small for it: then what differs is said by name


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of `reslab models NAME`."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int


def parameters(config: ResNetConfig) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in on_meta(config).parameters())


def macs(config: ResNetConfig, size: int) -> int:
    """Multiply-accumulates of convolutions and linear layers for one `size` x `size` picture.

    Papers print these as "FLOPs (multiply-adds)"; other people's FLOPs are twice as many.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        on_meta(config).eval()(meta_images(config, size))
    return counter.get_total_flops() // 2


def refuse_larger(config: ResNetConfig, tensors: int, numbers: int) -> None:
    """One sentence where a file describes a network that its own tensors cannot fill, before anything is allocated.

    Args:
        tensors: how many the file holds.
        numbers: how many all of them together hold.
    """
    if sum(config.depths) <= tensors:  # a block has one tensor at least
        with suppress(RuntimeError):  # sizes beyond 64 bits
            if parameters(config) <= 4 * numbers + _ALWAYS:
                return
    raise ResLabError(
        f"the tensors do not fit the network that the file describes: they are {numbers:,} numbers, far too few"
    )


def layer_table(config: ResNetConfig, size: int) -> list[Layer]:
    """Every layer that has weights or changes the shape, in the order of execution."""
    network = on_meta(config).eval()
    rows: list[Layer] = []

    def watch(name: str, module: nn.Module) -> None:
        own = sum(p.numel() for p in module.parameters())
        module.register_forward_hook(
            lambda _m, _i, output: rows.append(Layer(name, type(module).__name__, tuple(output.shape[1:]), own))
        )

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear | nn.MaxPool2d):
            watch(name, module)
    with torch.no_grad():
        network(meta_images(config, size))
    return rows


def on_meta(config: ResNetConfig) -> ResNet:
    """The network without numbers: shapes only."""
    with torch.device("meta"):
        return ResNet(config)


def meta_images(config: ResNetConfig, size: int) -> torch.Tensor:
    """One picture without numbers."""
    return torch.zeros(1, config.in_channels, size, size, device="meta")
