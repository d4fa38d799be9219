"""An exported graph in the engines of `predict`, beside OpenVINO's own benchmark on the same file: pictures per second, one run.

    python benchmarks/engines.py [--model resnet18] [--size 224] [--rounds 5] [--seconds 10]

The graph is the float32 `model.onnx` of random weights, uint8 pictures in. Our engines compute one batch on each core, as
`predict` does; `benchmark_app` (of the package openvino) takes the same batches with its own hint for throughput, in float32.
Loading and compiling are not counted. In each round the contestants run one after the other, each in a process of its own, so
that a machine whose speed drifts is fair to all. Printed: pictures/s, median and range, and each over benchmark_app, by round.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from predict import GRAPH, write_models

from reslab.engine.base import batch_size
from reslab.engine.onnx import open_exported
from reslab.engine.openvino import open_openvino
from reslab.system import device
from reslab.system.machine import default_workers

OPEN = {"onnxruntime": open_exported, "openvino": open_openvino}
PEER = "benchmark_app"


def ours(name: str, graph: Path, seconds: float) -> float:
    """Pictures per second of one of our engines, a batch on each core."""
    engine = OPEN[name](graph)
    side = engine.header.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size(side), side, side, 3), np.uint8)

    def answer(_: int) -> int:
        count = 0
        while time.perf_counter() < end:
            count += len(engine.one_core_logits(pixels))
        return count

    with ThreadPoolExecutor(cores := default_workers()) as pool:
        end = time.perf_counter() + 1.0
        list(pool.map(answer, range(cores)))  # the first call compiles
        begin = time.perf_counter()
        end = begin + seconds
        return sum(pool.map(answer, range(cores))) / (time.perf_counter() - begin)


def peer(graph: Path, size: int, seconds: float) -> float:
    """Pictures per second by OpenVINO's own benchmark."""
    command = [str(Path(sys.executable).with_name(PEER)), "-m", str(graph), "-d", "CPU", "-hint", "throughput"]
    command += f"-infer_precision f32 -shape images[{batch_size(size)},{size},{size},3] -t {seconds:g}".split()
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Throughput:\s+([\d.]+) FPS", done.stdout)
    if not found:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return float(found[1])


def measure(name: str, graph: Path, options: argparse.Namespace) -> float:
    """One contestant in a process of its own."""
    if name == PEER:
        return peer(graph, options.size, options.seconds)
    command = [sys.executable, __file__, "--seconds", f"{options.seconds:g}", "--run", name, str(graph)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(ours(options.run[0], Path(options.run[1]), options.seconds))
        return
    speeds: dict[str, list[float]] = {name: [] for name in (*OPEN, PEER)}
    with tempfile.TemporaryDirectory() as place:
        write_models(Path(place), options.model, options.size)
        for _ in range(options.rounds):
            for name, found in speeds.items():
                found.append(measure(name, Path(place, GRAPH), options))
    what = f"{options.model} at {options.size} px, {options.rounds} rounds of {options.seconds:g} s"
    print(f"{what}; {device.describe()}")
    for name, found in speeds.items():
        ratios = [own / theirs for own, theirs in zip(found, speeds[PEER], strict=True)]
        speed = f"{statistics.median(found):8.1f} pictures/s ({min(found):.1f} to {max(found):.1f})"
        ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"{name:14}{speed}, over {PEER} {ratio}")


if __name__ == "__main__":
    main()
