"""Where training starts: new weights, or trained ones with a new head. PyTorch is imported only to open them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import ResLabError, nearest
from reslab.model.file import is_foreign, read_model
from reslab.model.run import MODEL_NAME, PACKAGED, packaged_file
from reslab.nn.config import member_configs
from reslab.nn.zoo import ZOO
from reslab.pixels.preprocess import IMAGENET_MEAN, IMAGENET_STD
from reslab.system.fetch import Remote, fetch
from reslab.train.hub import PREFIX, describe

if TYPE_CHECKING:
    from torch import Tensor

    from reslab.nn.resnet import ResNet

SCRATCH = "none"
IMAGENET_WORD = "imagenet"
_CHANNELS = 3  # every picture is decoded to RGB
_LICENCE = "torchvision (BSD-3-Clause); trained on ImageNet, whose terms allow non-commercial research"


def _torchvision(file: str, megabytes: float) -> Remote:
    """torchvision's files carry the first eight digits of their sha256 in their names."""
    digits = file.rsplit("-", 1)[1].removesuffix(".pth")
    return Remote(f"https://download.pytorch.org/models/{file}", digits, round(megabytes * 1e6), _LICENCE)


IMAGENET: dict[str, Remote] = {
    "resnet18": _torchvision("resnet18-f37072fd.pth", 44.661),
    "resnet34": _torchvision("resnet34-b627a593.pth", 83.275),
    "resnet50": _torchvision("resnet50-11ad3fa6.pth", 97.79),
    "resnet101": _torchvision("resnet101-cd907fc2.pth", 170.53),
    "resnet152": _torchvision("resnet152-f82ba261.pth", 230.474),
    "resnext50_32x4d": _torchvision("resnext50_32x4d-1a0047aa.pth", 95.833),
    "resnext101_32x8d": _torchvision("resnext101_32x8d-110c445d.pth", 339.673),
    "resnext101_64x4d": _torchvision("resnext101_64x4d-173b62eb.pth", 319.318),
    "wide_resnet50_2": _torchvision("wide_resnet50_2-9ba9bcbe.pth", 263.124),
    "wide_resnet101_2": _torchvision("wide_resnet101_2-d733dc28.pth", 484.747),
}
"""Networks that torchvision has trained on ImageNet's 1,000 classes -> its file (the newest of each)."""


@dataclass(frozen=True, slots=True)
class Start:
    """Trained weights, opened."""

    name: str
    """Their network in the zoo."""
    network: ResNet
    classes: tuple[str, ...]
    """The classes of their head; empty if unknown."""
    licence: str | None
    digest: str
    """sha256 of their file."""
    size: int = 0
    """Side of the pictures that they were trained on; 0 if unknown."""
    members: int = 1
    """Networks that answer together: more than one in an ensemble, which can teach, but not be trained on."""

    def __post_init__(self) -> None:
        if (channels := self.network.config.in_channels) != _CHANNELS:
            needed = f"{channels} channel" + "s" * (channels > 1)
            raise ResLabError(
                f"the weights of {self.name} are for pictures of {needed}, and ours have {_CHANNELS}",
                "start from weights for colour pictures: grey pictures are read as colour too",
            )


def open_start(weights: str, model: str, on_progress: Callable[[int, int], None] | None = None) -> Start:
    """Open `imagenet`, a packaged name, `hf:OWNER/NAME`, a model file, a run folder, or a foreign checkpoint.

    Args:
        model: the network to be trained; it decides which of the ImageNet files is meant.

    Raises:
        ResLabError: there are no such weights, they cannot be read or fetched, or they are no network of the zoo.
    """
    if weights == IMAGENET_WORD:
        if model not in IMAGENET:
            raise ResLabError(f"there are no ImageNet weights for {model}", "known: " + ", ".join(IMAGENET))
        return _foreign(fetch(IMAGENET[model], on_progress), model, IMAGENET[model].licence)
    if weights.startswith(PREFIX):
        return _from_hub(weights, on_progress)
    path = packaged_file(weights, ".safetensors") if weights in PACKAGED else Path(weights)
    path = path / MODEL_NAME if path.is_dir() else path
    if not path.is_file():
        known = (SCRATCH, IMAGENET_WORD, *PACKAGED)
        raise ResLabError(
            f"there are no weights {weights}", f"a file, a run folder, or {', '.join(known)}; {nearest(weights, known)}"
        )
    if is_foreign(path):
        return _foreign(path, None, None)
    from reslab.engine.torch import network_from_file

    opened = read_model(path)
    training = opened.header.training
    return Start(
        str(opened.header.network.get("name", "unnamed")),
        network_from_file(opened, path),
        opened.header.classes,
        training.get("licence") or training.get("weights_licence"),
        opened.sha256,
        members=len(member_configs(opened.header.network)),
    )


def copy_weights(start: Start, network: ResNet, classes: tuple[str, ...]) -> None:
    """Copy trained weights into a fresh network of the same shape.

    Of the head, the rows of classes that both know by name are copied; the others are zero, so that new classes start
    equally likely and the first step does not push a random direction through the trained layers.

    Raises:
        ResLabError: the networks differ; the message names tensors and shapes, and nothing has been copied.
    """
    ours, theirs = network.state_dict(), start.network.state_dict()
    differing = [
        f"{name} is {tuple(theirs[name].shape) if name in theirs else 'missing'} there and {tuple(tensor.shape)} here"
        for name, tensor in ours.items()
        if not name.startswith("head.") and (name not in theirs or theirs[name].shape != tensor.shape)
    ]
    if differing:
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise ResLabError(f"the weights are of {start.name}: {differing[0]}{more}", f"--model {start.name}")
    known = [(row, start.classes.index(label)) for row, label in enumerate(classes) if label in start.classes]
    for name in ("head.weight", "head.bias"):
        theirs[name] = _with_rows(ours[name], theirs[name], known)
    network.load_state_dict({name: theirs[name] for name in ours})


def _with_rows(ours: Tensor, theirs: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    rows = ours.new_zeros(ours.shape)
    for mine, other in pairs:
        rows[mine] = theirs[other]
    return rows


def _from_hub(weights: str, on_progress: Callable[[int, int], None] | None) -> Start:
    model = describe(weights)
    path = fetch(model.remote, on_progress)
    start = _foreign(path, model.architecture, model.remote.licence, model.mean, model.std)
    answers = start.network.config.num_classes
    if model.classes and len(model.classes) != answers:
        raise ResLabError(
            f"{weights} names {len(model.classes)} classes, but its head has {answers}", "ask its author which is right"
        )
    return replace(start, classes=model.classes, size=model.size)


def _foreign(
    path: Path,
    model: str | None,
    licence: str | None,
    mean: tuple[float, ...] = IMAGENET_MEAN,  # unless given
    std: tuple[float, ...] = IMAGENET_STD,
) -> Start:
    from reslab.model.checkpoint import build_network, read_checkpoint

    state = read_checkpoint(path)
    name, network = build_network(state, model, mean, std)
    if name not in ZOO:
        raise ResLabError(
            f"{path} holds a network that is not in the zoo", "reslab models lists those that can be trained"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Start(name, network, (), licence, digest)
