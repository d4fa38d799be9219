"""The engine for somebody else's checkpoint: what it does not say is given, or guessed aloud."""

import dataclasses
import hashlib
from pathlib import Path

from reslab.engine.base import Assumed
from reslab.engine.torch import TorchEngine
from reslab.errors import ResLabError
from reslab.model.checkpoint import network_from, read_checkpoint
from reslab.model.file import Header, refuse_twins
from reslab.nn.zoo import native_size
from reslab.pixels.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from reslab.system import device


def open_foreign(path: Path, assumed: Assumed) -> TorchEngine:
    """The engine of a checkpoint from torchvision, timm or anybody's training script.

    Raises:
        ResLabError: it cannot be read, is no residual network's, or differs from `assumed.model`; the message says how.
    """
    device.keep_memory()
    state = read_checkpoint(path)
    mean, std = assumed.mean or IMAGENET_MEAN, assumed.std or IMAGENET_STD
    name, network = network_from(state, assumed.model, mean, std)
    config = network.config
    size = assumed.size or native_size(config)
    classes = _classes(path, config.num_classes, assumed)
    if assumed.model is None:
        assumed.tell(f"the network looks like {name} ({config.layers} layers; else say --model)")
    if assumed.size is None:
        assumed.tell(f"pictures of {size} px, as {name} is used to (else say --size)")
    if assumed.mean is None or assumed.std is None:
        assumed.tell(f"mean {_row(mean)} and std {_row(std)}, ImageNet's (else say --mean, --std)")
    header = Header({"name": name, **dataclasses.asdict(config)}, classes, Preprocess(size))
    return TorchEngine(network, header, hashlib.sha256(path.read_bytes()).hexdigest())


def _classes(path: Path, count: int, assumed: Assumed) -> tuple[str, ...]:
    given = assumed.classes or assumed.data_classes
    if given is None:
        assumed.tell(f"classes without names, 0 to {count - 1} (--classes FILE names them)")
        return tuple(str(number) for number in range(count))
    if len(given) != count:
        raise ResLabError(
            f"{path} answers with {count} classes, and {len(given)} are named",
            "name them with --classes FILE, one per line in the order of its answers",
        )
    refuse_twins(given)
    if assumed.classes is None:
        shown = ", ".join(given[:3]) + (", …" if count > 3 else "")
        assumed.tell(f"its classes are those of the data in sorted order ({shown}; else say --classes)")
    return given


def _row(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
