"""The one face of every engine: uint8 pictures in, logits out. Which library computes them is nobody's business."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK, Block, blocks, load, ordered, parts, read_block
from reslab.model.file import Header
from reslab.system.events import ignore
from reslab.system.machine import default_workers
from reslab.tasks.table import task_named

_PIXELS = 2**21  # of a forward pass: its largest maps then take some 200 MB
_CORE_PIXELS = 2**18  # of one on a single core: more gain nothing, and a lone picture waits for them all


class Answering(Protocol):
    """Whatever gives logits for pictures."""

    name: str
    """`torch`, `onnxruntime`, …"""

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, classes]` for uint8 `[batch, size, size, 3]`."""
        ...


class Engine(Answering, Protocol):
    """A model that is ready to answer."""

    header: Header
    sha256: str
    seen: np.ndarray
    """uint8 `[n, 5]`: hashes of the pictures that the model was trained on."""


class ExplainableEngine(Engine, Protocol):
    """A model of global average pooling and one linear layer, whose parts can be looked at."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[batch, features, map_height, map_width]`, before pooling, for uint8 `[batch, size, size, 3]`."""
        ...

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight float32 `[classes, features]` and bias `[classes]` of the linear layer."""
        ...


@runtime_checkable
class OneCoreEngine(Protocol):
    """An engine that several threads may ask at once, each answer computed on one core.

    Cores that share a forward pass wait for each other after every layer; with a batch each they never do.
    """

    def one_core_logits(self, pixels: np.ndarray) -> np.ndarray:
        """The same as `Engine.logits`, within rounding."""
        ...


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
    tell: Callable[[str], None] = ignore


def block_logits(engine: Answering, pixels: np.ndarray) -> np.ndarray:
    """Logits of up to `BLOCK` pictures, always computed in batches of one fixed size.

    A library may sum in another order for another batch shape, so a picture's answer must not depend on how many
    others happen to be asked with it: the last batch is padded with black.
    """
    return _fixed(engine.logits, pixels, batch_size(pixels.shape[1]))


def _fixed(logits: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, batch: int) -> np.ndarray:
    missing = -len(pixels) % batch
    padded = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)]) if missing else pixels
    rows = [logits(padded[start : start + batch]) for start in range(0, len(padded), batch)]
    return np.concatenate(rows)[: len(pixels)]


def batch_size(side: int, pixels: int = _PIXELS) -> int:
    """Pictures of this side per forward pass: a power of two, `BLOCK` at most, fewer where the maps are large."""
    fitting = max(1, pixels // side**2)
    return min(BLOCK, 2 ** (fitting.bit_length() - 1))


def probabilities(engine: Engine, logits: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, float64 `[batch, classes]`: they add up to 1, unless a picture may have several labels."""
    scaled = logits.astype(np.float64) / engine.header.calibration.temperature
    return task_named(engine.header.task).probabilities(scaled)


def answers(
    engine: Engine,
    pictures: Iterable[Picture],
    workers: int | None = None,
    read: Callable[[Picture], np.ndarray] = load,
) -> Iterator[tuple[Block, np.ndarray]]:
    """Read and answer, block by block: decoding goes on in threads while the engine computes.

    Where the engine can answer on one core, each thread reads a few pictures and answers for them itself.
    """
    preprocess, ask = engine.header.preprocess, engine
    if not isinstance(ask, OneCoreEngine):
        for block in blocks(pictures, preprocess, preprocess.size, workers, read):
            yield block, block_logits(engine, block.pixels)
        return
    batch = batch_size(preprocess.size, _CORE_PIXELS)

    def answer(part: tuple[int, list[Picture]]) -> tuple[Block, np.ndarray]:
        block = read_block(*part, preprocess, preprocess.size, read)
        return block, _fixed(ask.one_core_logits, block.pixels, batch)

    workers = default_workers() if workers is None else workers
    yield from ordered(answer, parts(pictures, batch), workers, ahead=2 * workers)


class Mirrored:
    """An engine that answers with the mean of its logits for a picture and for its mirror image: twice the work."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.header, self.sha256, self.name, self.seen = engine.header, engine.sha256, engine.name, engine.seen

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return (self.engine.logits(pixels) + self.engine.logits(np.ascontiguousarray(pixels[:, :, ::-1]))) / 2
