"""Measurements of our own networks in PyTorch: cost, training speed, and the machine's peak."""

from dataclasses import asdict, dataclass

import torch

from reslab.bench.clock import times
from reslab.data.reader import BLOCK
from reslab.engine.torch import TorchEngine
from reslab.model.file import Header
from reslab.nn.config import member_configs
from reslab.nn.count import macs
from reslab.nn.resnet import build
from reslab.nn.zoo import ZOO, native_size
from reslab.pixels.preprocess import Preprocess
from reslab.system import device
from reslab.train.config import TrainConfig
from reslab.train.plan.speed import seconds_per_step

_SQUARE = 2048  # of the matrices whose product is the machine's peak


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a network on this machine."""

    machine: str
    macs: int
    training_images_per_second: float
    training_precision: str
    matmul_gflops: float
    percent_of_peak: float


def fresh(name: str) -> TorchEngine | None:
    """A network of the zoo with random weights, at its native size; None if the name is unknown."""
    if name not in ZOO:
        return None
    config = ZOO[name]
    classes = tuple(str(k) for k in range(config.num_classes))
    return TorchEngine(
        build(config), Header({"name": name, **asdict(config)}, classes, Preprocess(native_size(config)))
    )


def cost(header: Header, forward: float, seconds: float) -> Cost:
    """Measure the network that a header describes.

    Args:
        forward: pictures per second in forward passes.
        seconds: time for measuring the machine's peak.
    """
    size, members = header.preprocess.size, member_configs(header.network)
    precision, _ = device.precision()
    per_picture, peak = len(members) * macs(members[0], size), _matmul_gflops(seconds)
    work = TrainConfig(batch_size=BLOCK, size=size, precision=precision, accumulate=1, layout="channels-last")
    return Cost(
        machine=device.describe(),
        macs=per_picture,
        training_images_per_second=BLOCK / (len(members) * seconds_per_step(asdict(members[0]), work)),
        training_precision=precision,
        matmul_gflops=peak,
        percent_of_peak=100 * 2 * per_picture * forward / 1e9 / peak,
    )


def _matmul_gflops(seconds: float) -> float:
    left, right = torch.rand(2, _SQUARE, _SQUARE, device=device.fastest())

    def product() -> None:
        torch.mm(left, right)
        device.synchronize(left.device)

    return 2 * _SQUARE**3 / min(times(product, seconds)) / 1e9
