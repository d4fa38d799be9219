"""Measure a model's speed here: forward passes, latency, from files; with PyTorch also the share of the machine's peak."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from reslab.bench.clock import times
from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK
from reslab.data.sources import read_data
from reslab.engine.base import Engine, stream_outputs
from reslab.engine.open import EngineName, open_engine
from reslab.errors import ResLabError
from reslab.nn.zoo import ZOO
from reslab.pixels.encode import encode_picture
from reslab.system import machine

_FILES, _SIDE = 512, 400
_KINDS = 8  # different pictures behind those files


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What was measured. Rates are medians over repetitions of a fixed amount of work.

    For an exported model some are None: its cost is unknown, and it cannot be trained.
    """

    model: str
    engine: str
    size: int
    machine: str
    macs: int | None = None
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
    """The share of that time that exceeds the forward passes: waiting for pictures to be read."""
    training_images_per_second: float | None = None
    """Full steps on a block of pictures in memory."""
    training_precision: str | None = None
    peak_memory_mb: float
    """The whole process's greatest resident memory."""
    matmul_gflops: float | None = None
    """Two times the multiply-accumulates per second of a large float32 matrix product: the machine's peak."""
    percent_of_peak: float | None = None
    """The share of that peak that the forward pass reaches."""


def measure(model: str, data: str | None = None, seconds: float = 5.0, engine: EngineName = "auto") -> Bench:
    """Measure a model file, a run, an exported model, or a fresh network of the zoo, on this machine.

    Args:
        data: pictures for the measurement from files; by default JPEG files of photograph-like noise.
        seconds: time for each of the measurements.
        engine: which library computes, if the file leaves a choice.
    """
    opened = _opened(model, engine)
    size = opened.header.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (BLOCK, size, size, 3)).astype(np.uint8)
    block = [Picture(str(number), each, "") for number, each in enumerate(pixels)]
    forward = BLOCK / statistics.median(times(lambda: list(stream_outputs(opened, block)), seconds))
    alone = sorted(times(lambda: opened.logits(pixels[:1]), seconds))
    rate, files = _from_files(opened, data, seconds)
    found = Bench(
        model=model,
        engine=opened.name,
        size=size,
        machine=machine.describe(opened.name.partition(".")[0]),
        forward_images_per_second=forward,
        latency_ms_p50=1e3 * alone[len(alone) // 2],
        latency_ms_p95=1e3 * alone[int(len(alone) * 0.95)],
        files_images_per_second=rate,
        files=files,
        waiting_share=max(0.0, 1 - rate / forward),
        peak_memory_mb=machine.peak_memory() / 1e6,
    )
    if opened.name != "torch":
        return found
    from reslab.bench.network import cost  # PyTorch is here already

    measured = asdict(cost(opened.header, forward, seconds / 2))
    return replace(found, **measured, peak_memory_mb=machine.peak_memory() / 1e6)


def _opened(model: str, kind: EngineName) -> Engine:
    """The engine of a model or, for a name of the zoo, of a fresh network."""
    try:
        return open_engine(model, engine=kind)
    except ResLabError as unknown:
        engine = _fresh(model, unknown)
        if engine is None:
            raise
        return engine


def _fresh(name: str, unknown: ResLabError) -> Engine | None:
    if name not in ZOO:
        return None
    try:
        from reslab.bench.network import fresh
    except ImportError:
        raise ResLabError(unknown.message, "a network of the zoo needs pip install 'reslab[train]'") from None
    return fresh(name)


def _from_files(engine: Engine, data: str | None, seconds: float) -> tuple[float, str]:
    """Pictures per second from files to answers, and which files."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = list(read_data(data).pictures[:_FILES]) if data else _photographs(Path(folder))
        named = data or f"{len(pictures)} JPEG files of {_SIDE} x {_SIDE} pixels"
        shown, begin = 0, time.perf_counter()
        while shown == 0 or time.perf_counter() - begin < seconds:
            shown += sum(len(block.indices) for block, _ in stream_outputs(engine, pictures))
        return shown / (time.perf_counter() - begin), named


def _photographs(folder: Path) -> Sequence[Picture]:
    """JPEG files that take about as long to decode as photographs."""
    contents = [_photograph(number) for number in range(_KINDS)]
    pictures = []
    for number in range(_FILES):
        path = folder / f"{number}.jpg"
        path.write_bytes(contents[number % _KINDS])
        pictures.append(Picture(path.name, path, ""))
    return pictures


def _photograph(seed: int) -> bytes:
    """Noise whose amplitude falls with the frequency, as it does in photographs (Field 1987, J. Opt. Soc. Am. A 4)."""
    dice = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE))
    frequency[0, 0] = np.inf
    planes = np.fft.irfft2(np.fft.rfft2(dice.normal(size=(3, _SIDE, _SIDE))) / frequency, (_SIDE, _SIDE))
    mixed = planes[:1] + planes / 4  # colours are correlated
    pixels = 128 + 50 * mixed / mixed.std()
    return encode_picture(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0), "JPEG", quality=90)
