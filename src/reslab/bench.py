"""How fast a network is here: forward, alone, from files, in training; and how much of the machine that uses."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from reslab import runtime
from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK, blocks
from reslab.data.sources import read_data
from reslab.engine.choose import open_engine
from reslab.engine.face import Engine, block_logits
from reslab.engine.torch import TorchEngine
from reslab.modelfile import Header
from reslab.nn.config import config_from
from reslab.nn.count import macs
from reslab.nn.resnet import build
from reslab.nn.zoo import ZOO, native_size
from reslab.pixels.preprocess import Preprocess
from reslab.train.config import TrainConfig
from reslab.train.speed import seconds_per_step

_LEAST = 3  # repetitions
_FILES, _SIDE = 512, 400
_SQUARE = 2048  # of the matrices whose product is the machine's peak


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured. Rates are medians over repetitions of a fixed amount of work."""

    model: str
    engine: str
    size: int
    machine: str
    macs: int
    """Multiply-accumulates per picture."""
    forward_images_per_second: float
    """Pictures in memory, a block at a time."""
    latency_ms_p50: float
    """One picture alone, from uint8 pixels to logits."""
    latency_ms_p95: float
    files_images_per_second: float
    """From files on disk to answers."""
    files: str
    """Which files."""
    waiting_share: float
    """Of that time, how much the engine waited for pictures."""
    training_images_per_second: float
    """Full steps on a block of pictures in memory."""
    training_precision: str
    peak_memory_mb: float
    """The whole process's greatest resident memory."""
    matmul_gflops: float
    """Two times the multiply-accumulates per second of a large float32 matrix product: the machine's peak."""
    percent_of_peak: float
    """What the forward pass makes of that peak."""


def bench(model: str, data: str | None = None, seconds: float = 5.0) -> Bench:
    """Measure a model file, a run, or a fresh network of the zoo, on this machine.

    Args:
        data: pictures for the measurement from files; scikit-learn's photographs, cut into JPEG files, by default.
        seconds: time for each of the measurements.
    """
    engine = _fresh(model) if model in ZOO else open_engine(model)
    size, shape = engine.header.preprocess.size, config_from(engine.header.network)
    pixels = np.random.default_rng(0).integers(0, 256, (BLOCK, size, size, 3)).astype(np.uint8)
    peak = _matmul_gflops(seconds / 2)
    forward = BLOCK / statistics.median(_times(lambda: block_logits(engine, pixels), seconds))
    alone = sorted(_times(lambda: engine.logits(pixels[:1]), seconds))
    rate, waiting, files = _from_files(engine, data, seconds)
    per_picture = macs(shape, size)
    precision, _ = runtime.precision()
    work = TrainConfig(batch_size=BLOCK, size=size, precision=precision, accumulate=1, layout="channels-last")
    return Bench(
        model=model,
        engine=engine.name,
        size=size,
        machine=runtime.describe(),
        macs=per_picture,
        forward_images_per_second=forward,
        latency_ms_p50=1e3 * alone[len(alone) // 2],
        latency_ms_p95=1e3 * alone[int(len(alone) * 0.95)],
        files_images_per_second=rate,
        files=files,
        waiting_share=waiting,
        training_images_per_second=BLOCK / seconds_per_step(engine.header.network, work),
        training_precision=precision,
        peak_memory_mb=runtime.peak_memory() / 1e6,
        matmul_gflops=peak,
        percent_of_peak=100 * 2 * per_picture * forward / 1e9 / peak,
    )


def _fresh(name: str) -> TorchEngine:
    config = ZOO[name]
    classes = tuple(str(k) for k in range(config.num_classes))
    return TorchEngine(
        build(config), Header({"name": name, **asdict(config)}, classes, Preprocess(native_size(config)))
    )


def _times(work: Callable[[], object], seconds: float) -> list[float]:
    """Durations of one call, after one to warm up, repeated for so many seconds; three at least."""
    work()
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < _LEAST or time.perf_counter() - started < seconds:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return times


def _matmul_gflops(seconds: float) -> float:
    left, right = torch.rand(2, _SQUARE, _SQUARE, device=runtime.device())

    def product() -> None:
        torch.mm(left, right)
        runtime.synchronize(left.device)

    return 2 * _SQUARE**3 / min(_times(product, seconds)) / 1e9


def _from_files(engine: Engine, data: str | None, seconds: float) -> tuple[float, float, str]:
    """Pictures per second from files to answers, the share of that time spent waiting for them, and which they are."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = list(read_data(data).pictures[:_FILES]) if data else _photographs(Path(folder))
        named = data or f"{len(pictures)} JPEG files of {_SIDE} x {_SIDE} pixels"
        shown, computing, begin = 0, 0.0, time.perf_counter()
        while shown == 0 or time.perf_counter() - begin < seconds:
            for block in blocks(pictures, engine.header.preprocess, engine.header.preprocess.size):
                started = time.perf_counter()
                block_logits(engine, block.pixels)
                computing += time.perf_counter() - started
                shown += len(block.indices)
        whole = time.perf_counter() - begin
    return shown / whole, 1 - computing / whole, named


def _photographs(folder: Path) -> list[Picture]:
    """scikit-learn's two photographs, cut into JPEG files."""
    pictures = []
    dice = np.random.default_rng(0)
    photographs = load_sample_images().images
    for number in range(_FILES):
        photograph = photographs[number % len(photographs)]
        y, x = (int(dice.integers(0, side - _SIDE + 1)) for side in photograph.shape[:2])
        path = folder / f"{number}.jpg"
        Image.fromarray(photograph[y : y + _SIDE, x : x + _SIDE]).save(path, quality=90)
        pictures.append(Picture(path.name, path, ""))
    return pictures
