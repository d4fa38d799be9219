"""The protocol of every engine: uint8 pictures in, logits and pooled features out, whichever library computes them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import BLOCK, Block, blocks, load_image, map_in_order, parts, read_block
from reslab.model.file import Header
from reslab.pixels.preprocess import Decoded
from reslab.system.events import ignore
from reslab.system.machine import default_workers
from reslab.tasks.table import task_named

_PIXELS = 2**21  # per forward pass: its largest maps then take some 200 MB
_CORE_PIXELS = 2**18  # per pass on one core: more gain nothing, and a single picture is padded to as many


class Outputs(NamedTuple):
    """What a network gives for some pictures."""

    logits: np.ndarray
    """float32 `[n, classes]`."""
    features: np.ndarray | None = None
    """float32 `[n, d]`, averaged over positions: the input of the linear layer. None where they were not asked for, or the
    graph does not give them."""

    def rows(self, chosen: slice | np.ndarray) -> "Outputs":
        """The outputs for some of the pictures."""
        return Outputs(self.logits[chosen], None if self.features is None else self.features[chosen])


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """The outputs of several batches as one."""
    features = [part.features for part in parts if part.features is not None]
    return Outputs(np.concatenate([part.logits for part in parts]), np.concatenate(features) if features else None)


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

    @property
    def explains(self) -> bool:
        """Whether the model ends in global average pooling and one linear layer, and exposes both (`ExplainableEngine`)."""
        ...


class ExplainableEngine(Engine, Protocol):
    """A model that ends in global average pooling and one linear layer, and exposes both."""

    def embed(self, pixels: np.ndarray) -> Outputs:
        """Logits and pooled features for uint8 `[batch, size, size, 3]`, of one forward pass."""
        ...

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

    def one_core_embed(self, pixels: np.ndarray) -> Outputs:
        """The same as `ExplainableEngine.embed`, within rounding."""
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
    return padded_outputs(lambda part: Outputs(logits(part)), pixels, batch).logits


def padded_outputs(forward: Callable[[np.ndarray], Outputs], pixels: np.ndarray, batch: int) -> Outputs:
    """The same for all outputs."""
    missing = -len(pixels) % batch
    padded = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)]) if missing else pixels
    parts = [forward(padded[start : start + batch]) for start in range(0, len(padded), batch)]
    return join_outputs(parts).rows(slice(len(pixels)))


def forward_of(engine: Any, embed: bool, one_core: bool = False) -> Callable[[np.ndarray], Outputs]:
    """The engine's forward pass, with features where they are asked for and the model gives them."""
    if embed and engine.explains:
        return engine.one_core_embed if one_core else engine.embed
    logits = engine.one_core_logits if one_core else engine.logits
    return lambda pixels: Outputs(logits(pixels))


def batch_size(side: int, pixels: int = _PIXELS) -> int:
    """Pictures of this side per forward pass: a power of two, `BLOCK` at most, fewer where the maps are large."""
    fitting = max(1, pixels // side**2)
    return min(BLOCK, 2 ** (fitting.bit_length() - 1))


def probabilities(engine: Engine, logits: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, float64 `[batch, classes]`: softmax, or sigmoid where a picture may have several labels."""
    scaled = logits.astype(np.float64) / engine.header.calibration.temperature
    return task_named(engine.header.task).probabilities(scaled)


def stream_outputs(
    engine: Engine,
    pictures: Iterable[Picture],
    workers: int | None = None,
    read: Callable[[Picture], Decoded] = load_image,
    embed: bool = False,
) -> Iterator[tuple[Block, Outputs]]:
    """Read pictures and compute their logits, block by block: threads decode while the engine computes.

    With a `OneCoreEngine`, each thread decodes a small block and computes its logits itself.

    Args:
        embed: compute pooled features too.
    """
    preprocess = engine.header.preprocess
    if not isinstance(engine, OneCoreEngine):
        forward, batch = forward_of(engine, embed), batch_size(preprocess.size)
        for block in blocks(pictures, preprocess, preprocess.size, workers, read):
            yield block, padded_outputs(forward, block.pixels, batch)
        return
    alone, small = forward_of(engine, embed, one_core=True), batch_size(preprocess.size, _CORE_PIXELS)

    def answer(part: tuple[int, list[Picture]]) -> tuple[Block, Outputs]:
        block = read_block(*part, preprocess, preprocess.size, read)
        return block, padded_outputs(alone, block.pixels, small)

    workers = default_workers() if workers is None else workers
    yield from map_in_order(answer, parts(pictures, small), workers, ahead=2 * workers)


class MirrorAveraged:
    """Test-time augmentation: the mean of the logits, and of the features, of each picture and its mirror image."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.explains = engine, engine.explains
        self.header, self.sha256, self.name, self.seen = engine.header, engine.sha256, engine.name, engine.seen

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return (self.engine.logits(pixels) + self.engine.logits(_mirror(pixels))) / 2

    def embed(self, pixels: np.ndarray) -> Outputs:
        here, there = self.engine.embed(pixels), self.engine.embed(_mirror(pixels))
        return Outputs((here.logits + there.logits) / 2, (here.features + there.features) / 2)

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        return self.engine.head


def _mirror(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[:, :, ::-1])
