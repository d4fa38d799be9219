"""Parameters, multiply-accumulates and shapes, computed from a configuration; a test compares them with built networks."""

from contextlib import suppress
from dataclasses import dataclass

from reslab.errors import ResLabError
from reslab.nn.config import SMALL_MAP, ResNetConfig

_ANY_SIZE = 32  # parameters do not depend on it

_ALWAYS = 2**24  # a network of so many parameters is always built, since loading then names the tensors that differ


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of `reslab models NAME`."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int


def parameters(config: ResNetConfig) -> int:
    """The number of trainable parameters."""
    return sum(layer.parameters for layer in layer_table(config, _ANY_SIZE))


def macs(config: ResNetConfig, size: int) -> int:
    """Multiply-accumulates of convolutions and linear layers for one `size` x `size` picture.

    Papers often print these as "FLOPs (multiply-adds)"; others count two FLOPs for each.
    """
    return sum(layer.macs for layer in layer_table(config, size))


def refuse_larger(config: ResNetConfig, tensors: int, numbers: int) -> None:
    """Refuse a file that describes a far larger network than its tensors can fill, before anything is allocated.

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
    table = _Table(config.in_channels, size)
    _stem(table, config)
    for index, (depth, width) in enumerate(zip(config.depths, config.widths, strict=True)):
        stride, first = 1 if index == 0 else 2, 0
        if config.entry == "pool":
            table.conv(f"stages.{index}.0.conv", width, kernel=3)
            table.side = -(-table.side // 2) if table.side <= SMALL_MAP else table.side // 2
            table.norm(f"stages.{index}.0.norm")
            stride, first = 1, 1
        for number in range(depth):
            _block(table, config, f"stages.{index}.{first + number}", width, stride if number == 0 else 1)
    if config.preact:
        table.norm("last", "NormRelu")
    weights = table.channels * config.num_classes
    return [*table.rows, Layer("head", "Linear", (config.num_classes,), weights + config.num_classes, weights)]


class _Table:
    """The rows so far, and the size of the last layer's output."""

    def __init__(self, channels: int, side: int) -> None:
        self.rows: list[Layer] = []
        self.channels, self.side = channels, side

    def add(self, name: str, kind: str, parameters: int = 0, macs: int = 0) -> None:
        self.rows.append(Layer(name, kind, (self.channels, self.side, self.side), parameters, macs))

    def conv(
        self, name: str, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, bias: bool = False
    ) -> None:
        """An odd kernel keeps the side, divided by the stride and rounded up; the whitening stem's 2x2 takes one pixel."""
        weights = self.channels // groups * kernel**2 * channels
        self.channels = channels
        self.side = self.side - 1 if kernel == 2 else -(-self.side // stride)
        self.add(name, "Conv2d", weights + bias * channels, weights * self.side**2)

    def norm(self, name: str, kind: str = "BatchNorm2d") -> None:
        self.add(name, kind, 2 * self.channels)

    def conv_norm(self, name: str, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        self.conv(f"{name}.conv", channels, kernel, stride, groups)
        self.norm(f"{name}.norm")


def _stem(table: _Table, config: ResNetConfig) -> None:
    width = config.stem_width or config.widths[0]
    match config.stem:
        case "whitening":
            table.conv("stem.conv", 8 * config.in_channels, kernel=2, bias=True)
        case "deep":
            table.conv_norm("stem.first", width // 2, 3, 2)
            table.conv_norm("stem.second", width // 2, 3)
            table.conv_norm("stem.third", width, 3)
        case _:
            kernel, stride = (7, 2) if config.stem == "7x7" else (3, 1)
            if config.preact:
                table.conv("stem.first", width, kernel, stride)
            else:
                table.conv_norm("stem.first", width, kernel, stride)
    if config.shrinks_early:
        table.side = -(-table.side // 2)
        table.add("stem.pool", "MaxPool2d")


def _block(table: _Table, config: ResNetConfig, name: str, width: int, stride: int) -> None:
    """The layers of one block: norm, shortcut, residual, gate."""
    channels, side = table.channels, table.side
    out = 4 * width if config.block == "bottleneck" else width
    if config.preact:
        table.norm(f"{name}.norm", "NormRelu")
    if config.shortcut == "C" or (config.shortcut in ("B", "D") and (stride != 1 or channels != out)):
        project = table.conv if config.preact else table.conv_norm
        project(f"{name}.shortcut", out, 1, stride)
        table.channels, table.side = channels, side
    for place, (layer, *shape) in enumerate(_convolutions(config, width, stride)):
        if not config.preact:
            table.conv_norm(f"{name}.{layer}", *shape)
        elif place == 0:
            table.conv(f"{name}.{layer}", *shape)
        else:
            table.norm(f"{name}.{layer}.norm", "NormRelu")
            table.conv(f"{name}.{layer}.conv", *shape)
    if config.squeeze:
        side, table.side = table.side, 1
        table.conv(f"{name}.gate.squeeze", max(1, out // 16), bias=True)
        table.conv(f"{name}.gate.excite", out, bias=True)
        table.side = side


def _convolutions(config: ResNetConfig, width: int, stride: int) -> list[tuple[str, int, int, int, int]]:
    """Name, channels, kernel, stride and groups of a block's weighted layers."""
    if config.block == "single":
        return [("only", width, 3, stride, 1)]
    if config.block == "basic":
        return [("first", width, 3, stride, 1), ("second", width, 3, 1, 1)]
    inner = width * config.group_width // 64 * config.groups
    early, late = (stride, 1) if config.stride_in_1x1 else (1, stride)
    return [("first", inner, 1, early, 1), ("second", inner, 3, late, config.groups), ("third", 4 * width, 1, 1, 1)]
