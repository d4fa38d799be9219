"""What the published record of CIFAR-10 training costs on this machine, beside our recipe: steps timed in turn, one run.

    python benchmarks/record.py [--batch 500] [--steps 6] [--rounds 5]

The record is airbench94 with Muon (Jordan 2024): 94.01 % in 8 epochs, mirrored and shifted views averaged at the test.
Its network and its step are rebuilt here from the description: a fixed 2x2 whitening convolution, three groups of
convolution, 2x2 pooling, norm, GELU, convolution, norm, GELU (64, 256, 256 channels), 3x3 max pooling and a linear
layer; Muon on the filters, SGD on the rest. Data work is left out for both. Ours is the step of recipe cifar10_94
(--val none), its 50,000 pictures and its epochs. Seconds of a whole training = steps x median seconds per step.
"""

import argparse
import dataclasses
import json
import math
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from reslab.nn.resnet import build
from reslab.nn.zoo import ZOO
from reslab.system import device
from reslab.train.recipes import recipe
from reslab.train.step.muon import Muon
from reslab.train.step.optim import build_optimizer

PICTURES, RECORD_EPOCHS = 50_000, 8


class Group(nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.GELU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.GELU(),
        )  # fmt: skip


def record_network() -> nn.Module:
    whitening = nn.Conv2d(3, 24, 2)
    whitening.weight.requires_grad_(False)
    groups = [Group(before, after) for before, after in ((24, 64), (64, 256), (256, 256))]
    return nn.Sequential(whitening, nn.GELU(), *groups, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10, bias=False))


def record_optimizer(network: nn.Module) -> Muon:
    learning = [p for p in network.parameters() if p.requires_grad]
    filters = {"params": [p for p in learning if p.ndim == 4], "momentum": 0.6, "orthogonal": True}
    return Muon([filters, {"params": [p for p in learning if p.ndim < 4], "share": 0.2}], lr=0.24)


class Contestant:
    def __init__(self, network: nn.Module, optimizer, epochs: float, batch: int, precision: str) -> None:
        self.network, self.optimizer, self.precision = network.train(), optimizer, precision
        self.steps = math.ceil(PICTURES / batch) * epochs
        self.images = torch.rand(batch, 3, 32, 32).to(memory_format=torch.channels_last)
        self.labels = torch.arange(batch) % 10
        self.times: list[float] = []

    def step(self) -> None:
        self.optimizer.zero_grad()
        with device.mixed_precision(device.fastest(), self.precision):
            logits = self.network(self.images)
        F.cross_entropy(logits.float(), self.labels, label_smoothing=0.2).backward()
        self.optimizer.step()

    def run(self, steps: int) -> None:
        for _ in range(steps):
            begin = time.perf_counter()
            self.step()
            self.times.append(time.perf_counter() - begin)

    @property
    def seconds(self) -> float:
        return self.steps * statistics.median(self.times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device.keep_memory()
    device.exact()
    ours = recipe("cifar10_94")
    contestants: dict[str, Contestant] = {}
    for precision in dict.fromkeys(("float32", device.precision()[0])):
        network = device.to_device(record_network())
        contestants[f"record {precision}"] = Contestant(
            network, record_optimizer(network), RECORD_EPOCHS, options.batch, precision
        )
        network = device.to_device(build(dataclasses.replace(ZOO[ours.model], num_classes=10)))
        contestants[f"reslab {precision}"] = Contestant(
            network, build_optimizer(network, ours.optim), ours.epochs, ours.batch_size, precision
        )
    for contestant in contestants.values():
        contestant.step()
    for _ in range(options.rounds):
        for contestant in contestants.values():
            contestant.run(options.steps)
    seconds = {name: contestant.seconds for name, contestant in contestants.items()}
    kinds = [name.split()[1] for name in contestants if name.startswith("record")]
    report = {
        "machine": device.describe(),
        "seconds of a whole training": {k: round(v, 1) for k, v in seconds.items()},
    }
    report["reslab / record"] = {
        kind: round(seconds[f"reslab {kind}"] / seconds[f"record {kind}"], 3) for kind in kinds
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
