"""How fast training steps are with each way to compute a convolution (`reslab.nn.convolution`), timed in turn in one process.

    python benchmarks/convolution.py [--model resnet18] [--size 64] [--batch 64] [--rounds 10] [--kernels avx2]
    python benchmarks/convolution.py --layers [--batch 32] [--kernels avx2]

A step is forward, backward and optimizer on random pictures, as a run takes it; its time is that of the processor, so other
programs beside it matter little. Contestants take turns, each round in the other direction. A ratio compares the two steps of
one round: with PyTorch's own convolutions in float32 (or with `matmul`), in that of the two memory layouts that was faster in
this round. It is printed with the range of the middle 80 % of the rounds. `--kernels avx2` holds oneDNN, MKL and ATen to AVX2,
as on a processor without AVX-512. `--layers` times the gradient of the weights of each 3x3 layer of resnet18 and resnet50 (32
to 224 px), resnet20 and fast_resnet8 instead: PyTorch's against nine products.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from reslab.nn import winograd
from reslab.nn.convolution import use_convolution, weight_gradient
from reslab.nn.layers import to_images
from reslab.nn.resnet import build
from reslab.nn.zoo import configuration
from reslab.system import device
from reslab.train.config import OptimConfig
from reslab.train.step.optim import build_optimizer

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
CLASSES, WARM_UP = 10, 2


@dataclass(frozen=True)
class Contestant:
    layout: str
    convolution: str
    precision: str = "float32"

    def __str__(self) -> str:
        return f"{self.convolution}, {self.layout}, {self.precision}"


PYTORCH = [Contestant("channels-last", "pytorch"), Contestant("channels-first", "pytorch")]
MATMUL = [Contestant("channels-last", "matmul"), Contestant("channels-first", "matmul")]
OTHERS = [
    *MATMUL, Contestant("channels-last", "winograd"),
    Contestant("channels-last", "pytorch", "bfloat16"), Contestant("channels-last", "matmul", "bfloat16"),
]  # fmt: skip


def step_of(model: str, size: int, batch: int, contestant: Contestant) -> Callable[[], float]:
    """A function that takes one step and gives the loss before it."""
    network = device.to_device(build(replace(configuration(model), num_classes=CLASSES), seed=0), contestant.layout)
    use_convolution(network, contestant.convolution)
    optimizer = build_optimizer(network, OptimConfig(lr=0.02))
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, generator=generator)
    labels = torch.arange(batch) % CLASSES

    def step() -> float:
        optimizer.zero_grad()
        with device.mixed_precision(torch.device("cpu"), contestant.precision):
            logits = network(device.to_layout(to_images(pixels), contestant.layout))
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def timed(functions: list[Callable], rounds: int) -> list[list[float]]:
    """Milliseconds of the processor that each function takes, in turn."""
    times: list[list[float]] = [[] for _ in functions]
    for number in range(rounds):
        order = range(len(functions)) if number % 2 == 0 else reversed(range(len(functions)))
        for index in order:
            begin = time.process_time()
            functions[index]()
            times[index].append(1000 * (time.process_time() - begin))
    return times


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """Median of the ratio round by round, and the range of its middle 80 %."""
    ordered = sorted(a / b for a, b in zip(theirs, ours, strict=True))
    cut = len(ordered) // 10
    return [round(v, 2) for v in (statistics.median(ordered), ordered[cut], ordered[-1 - cut])]


def steps(options: argparse.Namespace) -> None:
    contestants = PYTORCH + [c for c in OTHERS if c.convolution != "winograd" or winograd.available()]
    if not options.bfloat16:
        contestants = [c for c in contestants if c.precision == "float32"]
    functions = [step_of(options.model, options.size, options.batch, each) for each in contestants]
    losses = [[function() for _ in range(WARM_UP)] for function in functions]
    times = timed(functions, options.rounds)
    pytorch, matmul = (
        [min(row) for row in zip(*(times[contestants.index(each)] for each in bases), strict=True)]
        for bases in (PYTORCH, MATMUL)
    )
    for contestant, first, mine in zip(contestants, losses, times, strict=True):
        row: dict = {"ms": round(statistics.median(mine), 1), "times as fast": ratios(pytorch, mine)}
        row |= {"times as fast as matmul": ratios(matmul, mine), "losses": [round(v, 4) for v in first]}
        print(json.dumps({str(contestant): row}), flush=True)


def shapes() -> list[tuple[int, int, int, int]]:
    """Input channels, output channels, side of the input, stride of every 3x3 layer; each once, small maps first."""
    found = {(c, c, side, 1) for c, side in ((16, 32), (32, 16), (64, 8), (64, 32), (128, 16), (256, 8), (512, 4))}
    found |= {(c, 2 * c, side, 1) for c, side in ((64, 16), (128, 16), (256, 8))}
    for size in (32, 64, 96, 128, 160, 224):
        for c, times in ((64, 4), (128, 8), (256, 16), (512, 32)):
            side, before = -(-size // times), -(-size // (times // 2))
            found |= {(c, c, side, 1)} | ({(c // 2, c, before, 2), (c, c, before, 2)} if c > 64 else set())
    return sorted(found, key=lambda shape: (-(-shape[2] // shape[3]), shape))


def layers(options: argparse.Namespace) -> None:
    kinds = [(torch.float32, layout) for layout in device.LAYOUTS] + [
        (torch.bfloat16, "channels-last")
    ] * options.bfloat16
    for inputs, outputs, side, stride in shapes():
        out = -(-side // stride)
        if out > options.largest:
            return
        for kind, layout in kinds:
            x, weight, dy = (
                torch.randn(shape).to(kind, memory_format=device.LAYOUTS[layout])
                for shape in (
                    (options.batch, inputs, side, side),
                    (outputs, inputs, 3, 3),
                    (options.batch, outputs, out, out),
                )
            )
            fixed = None, [stride, stride], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False]
            functions = [
                lambda x=x, weight=weight, dy=dy, fixed=fixed: torch.ops.aten.convolution_backward(
                    dy, x, weight, *fixed
                )[1],
                lambda x=x, weight=weight, dy=dy, stride=stride: torch.empty_like(weight).copy_(
                    weight_gradient(x, dy, stride)
                ),
            ]
            for function in functions:
                function()
            theirs, ours = timed(functions, options.rounds)
            row = {"layer": [inputs, outputs, side, stride], "map": out, "kind": f"{str(kind)[6:]}, {layout}"}
            row |= {"ms": [round(statistics.median(times), 2) for times in (theirs, ours)]}
            print(
                json.dumps(row | {"times as fast": spread([a / b for a, b in zip(theirs, ours, strict=True)])}),
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kernels", choices=("native", "avx2"), default="native")
    parser.add_argument("--bfloat16", action="store_true", help="time bfloat16 too")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--largest", type=int, default=16, help="with --layers: the largest map")
    options = parser.parse_args()
    if options.kernels == "avx2" and not AVX2.items() <= os.environ.items():  # read when PyTorch is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | AVX2)
    device.use_threads(options.threads)
    device.exact()
    device.keep_memory()
    print(
        json.dumps({"machine": device.describe(), "kernels": torch.backends.cpu.get_cpu_capability()} | vars(options))
    )
    (layers if options.layers else steps)(options)


if __name__ == "__main__":
    main()
