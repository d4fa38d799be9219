"""The one face of every engine: uint8 pictures in, logits out. Which library computes them is nobody's business."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK, Block, blocks, load
from reslab.metrics.calibration import softmax
from reslab.metrics.multilabel import sigmoid
from reslab.modelfile import Header

_PIXELS = 2**21  # of a forward pass: its largest maps then take some 200 MB


class Engine(Protocol):
    """A model that is ready to answer."""

    header: Header
    sha256: str
    name: str
    """`torch`, `onnxruntime`, …"""
    seen: np.ndarray
    """uint8 `[n, 5]`: hashes of the pictures that the model was trained on."""

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, classes]` for uint8 `[batch, size, size, 3]`."""
        ...


class ExplainableEngine(Engine, Protocol):
    """A model of global average pooling and one linear layer, whose parts can be looked at."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, features, map_height, map_width]`, before pooling, for uint8 `[batch, size, size, 3]`."""
        ...

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight float32 `[classes, features]` and bias `[classes]` of the linear layer."""
        ...


def _unheard(sentence: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What somebody else's bare checkpoint does not say. What is left open is guessed, and `tell` hears each guess."""

    model: str | None = None
    """A network of the zoo; else what the tensors look like."""
    size: int | None = None
    """Side of the input; else the network's native one."""
    mean: tuple[float, ...] | None = None
    """Else ImageNet's."""
    std: tuple[float, ...] | None = None
    classes: tuple[str, ...] | None = None
    """Names in the order of the network's answers."""
    data_classes: tuple[str, ...] | None = None
    """The classes of the data at hand, sorted: a guess where nobody names them."""
    tell: Callable[[str], None] = _unheard


def block_logits(engine: Engine, pixels: np.ndarray) -> np.ndarray:
    """Logits of up to `BLOCK` pictures, always computed in batches of one fixed size.

    A library may sum in another order for another batch shape, so a picture's answer must not depend on how many
    others happen to be asked with it: the last batch is padded with black.
    """
    batch = batch_size(pixels.shape[1])
    missing = -len(pixels) % batch
    padded = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)]) if missing else pixels
    rows = [engine.logits(padded[start : start + batch]) for start in range(0, len(padded), batch)]
    return np.concatenate(rows)[: len(pixels)]


def batch_size(side: int) -> int:
    """Pictures of this side per forward pass: a power of two, `BLOCK` at most, fewer where the maps are large."""
    fitting = max(1, _PIXELS // side**2)
    return min(BLOCK, 2 ** (fitting.bit_length() - 1))


def probabilities(engine: Engine, logits: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, float64 `[batch, classes]`: they add up to 1, unless a picture may bear several labels."""
    scaled = logits.astype(np.float64) / engine.header.calibration.temperature
    return sigmoid(scaled) if engine.header.task == "multi" else softmax(scaled)


def answers(
    engine: Engine,
    pictures: Iterable[Picture],
    workers: int | None = None,
    read: Callable[[Picture], np.ndarray] = load,
) -> Iterator[tuple[Block, np.ndarray]]:
    """Read and answer, block by block: decoding goes on in threads while the engine computes."""
    preprocess = engine.header.preprocess
    for block in blocks(pictures, preprocess, preprocess.size, workers, read):
        yield block, block_logits(engine, block.pixels)


class Mirrored:
    """An engine that answers with the mean of its logits for a picture and for its mirror image: twice the work."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.header, self.sha256, self.name, self.seen = engine.header, engine.sha256, engine.name, engine.seen

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return (self.engine.logits(pixels) + self.engine.logits(np.ascontiguousarray(pixels[:, :, ::-1]))) / 2
