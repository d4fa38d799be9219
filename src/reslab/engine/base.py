"""The protocol of every engine: uint8 pictures in, logits out, whichever library computes them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK, Block, blocks, load, map_in_order, parts, read_block
from reslab.model.file import Header
from reslab.system.events import ignore
from reslab.system.machine import default_workers
from reslab.tasks.table import task_named

_PIXELS = 2**21  # per forward pass: its largest maps then take some 200 MB
_CORE_PIXELS = 2**18  # per pass on one core: more gain nothing, and a single picture is padded to as many


class Classifier(Protocol):
    """Whatever computes logits for pictures."""

    name: str
    """`torch`, `onnxruntime`, …"""

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, classes]` for uint8 `[batch, size, size, 3]`."""
        ...


class Engine(Classifier, Protocol):
    """A loaded model."""

    header: Header
    sha256: str
    seen: np.ndarray
    """uint8 `[n, 5]`: hashes of the pictures that the model was trained on."""


class ExplainableEngine(Engine, Protocol):
    """A model that ends in global average pooling and one linear layer, and exposes both."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, features, map_height, map_width]`, before pooling, for uint8 `[batch, size, size, 3]`."""
        ...

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight float32 `[classes, features]` and bias `[classes]` of the linear layer."""
        ...


@runtime_checkable
class OneCoreEngine(Protocol):
    """A thread-safe engine that computes each batch on one core.

    Cores that share a forward pass wait for each other after every layer; cores with a batch each never do.
    """

    def one_core_logits(self, pixels: np.ndarray) -> np.ndarray:
        """The same as `Engine.logits`, within rounding."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointAssumptions:
    """What a bare foreign checkpoint does not say. What is None is guessed, and each guess is passed to `on_message`."""

    model: str | None = None
    """A network of the zoo; else inferred from the tensors."""
    size: int | None = None
    """Side of the input; else the network's native size."""
    mean: tuple[float, ...] | None = None
    """Else ImageNet's."""
    std: tuple[float, ...] | None = None
    classes: tuple[str, ...] | None = None
    """Names in the order of the network's outputs."""
    data_classes: tuple[str, ...] | None = None
    """The sorted classes of the data: the guess where `classes` is None."""
    on_message: Callable[[str], None] = ignore


def block_logits(engine: Classifier, pixels: np.ndarray) -> np.ndarray:
    """Logits of any number of pictures, computed in batches of one fixed size.

    A library may sum in another order for another batch shape; with one shape, the logits of a picture do not depend on
    how many others are computed with it.
    """
    return padded_logits(engine.logits, pixels, batch_size(pixels.shape[1]))


def padded_logits(logits: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, batch: int) -> np.ndarray:
    """Logits in batches of exactly `batch` pictures: the last batch is padded with black."""
    missing = -len(pixels) % batch
    padded = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)]) if missing else pixels
    rows = [logits(padded[start : start + batch]) for start in range(0, len(padded), batch)]
    return np.concatenate(rows)[: len(pixels)]


def batch_size(side: int, pixels: int = _PIXELS) -> int:
    """Pictures of this side per forward pass: a power of two, `BLOCK` at most, fewer where the maps are large."""
    fitting = max(1, pixels // side**2)
    return min(BLOCK, 2 ** (fitting.bit_length() - 1))


def probabilities(engine: Engine, logits: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, float64 `[batch, classes]`: softmax, or sigmoid where a picture may have several labels."""
    scaled = logits.astype(np.float64) / engine.header.calibration.temperature
    return task_named(engine.header.task).probabilities(scaled)


def stream_logits(
    engine: Engine,
    pictures: Iterable[Picture],
    workers: int | None = None,
    read: Callable[[Picture], np.ndarray] = load,
) -> Iterator[tuple[Block, np.ndarray]]:
    """Read pictures and compute their logits, block by block: threads decode while the engine computes.

    With a `OneCoreEngine`, each thread decodes a small block and computes its logits itself.
    """
    preprocess = engine.header.preprocess
    if not isinstance(engine, OneCoreEngine):
        for block in blocks(pictures, preprocess, preprocess.size, workers, read):
            yield block, block_logits(engine, block.pixels)
        return
    one_core_logits, batch = engine.one_core_logits, batch_size(preprocess.size, _CORE_PIXELS)

    def answer(part: tuple[int, list[Picture]]) -> tuple[Block, np.ndarray]:
        block = read_block(*part, preprocess, preprocess.size, read)
        return block, padded_logits(one_core_logits, block.pixels, batch)

    workers = default_workers() if workers is None else workers
    yield from map_in_order(answer, parts(pictures, batch), workers, ahead=2 * workers)


class MirrorAveraged:
    """Test-time augmentation: the mean of the logits of each picture and of its mirror image, at twice the cost."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.header, self.sha256, self.name, self.seen = engine.header, engine.sha256, engine.name, engine.seen

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return (self.engine.logits(pixels) + self.engine.logits(np.ascontiguousarray(pixels[:, :, ::-1]))) / 2
