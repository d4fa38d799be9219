"""The engine for foreign checkpoints: what they do not say is given by the caller, or guessed and reported."""

import dataclasses
import hashlib
from pathlib import Path

from reslab.engine.base import CheckpointAssumptions
from reslab.engine.torch import TorchEngine
from reslab.errors import ResLabError
from reslab.model.checkpoint import build_network, read_checkpoint
from reslab.model.file import Header, refuse_duplicate_classes
from reslab.nn.zoo import native_size
from reslab.pixels.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from reslab.system import device


def open_foreign(path: Path, assumed: CheckpointAssumptions) -> TorchEngine:
    """The engine of a checkpoint from torchvision, timm or any training script.

    Raises:
        ResLabError: it cannot be read, is not a residual network, or differs from `assumed.model`; the message says how.
    """
    device.keep_memory()
    state = read_checkpoint(path)
    mean, std = assumed.mean or IMAGENET_MEAN, assumed.std or IMAGENET_STD
    name, network = build_network(state, assumed.model, mean, std)
    config = network.config
    size = assumed.size or native_size(config)
    classes = _classes(path, config.num_classes, assumed)
    if assumed.model is None:
        assumed.on_message(f"the network looks like {name} ({config.layers} layers); --model names another")
    if assumed.size is None:
        assumed.on_message(f"pictures of {size} px, the native size of {name}; --size sets another")
    if assumed.mean is None or assumed.std is None:
        assumed.on_message(f"mean {_row(mean)} and std {_row(std)}, those of ImageNet; --mean, --std set others")
    header = Header({"name": name, **dataclasses.asdict(config)}, classes, Preprocess(size))
    return TorchEngine(network, header, hashlib.sha256(path.read_bytes()).hexdigest())


def _classes(path: Path, count: int, assumed: CheckpointAssumptions) -> tuple[str, ...]:
    given = assumed.classes or assumed.data_classes
    if given is None:
        assumed.on_message(f"classes without names, 0 to {count - 1}; --classes FILE names them")
        return tuple(str(number) for number in range(count))
    if len(given) != count:
        raise ResLabError(
            f"{path} has {count} classes, and {len(given)} are named",
            "name them with --classes FILE, one per line in the order of its outputs",
        )
    refuse_duplicate_classes(given)
    if assumed.classes is None:
        shown = ", ".join(given[:3]) + (", …" if count > 3 else "")
        assumed.on_message(f"its classes are those of the data in sorted order ({shown}); --classes names others")
    return given


def _row(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
