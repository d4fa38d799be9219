"""Other people's names for the same tensors: a table, tested to be a bijection, instead of names bent to match."""

import re

import torch
from torch import Tensor

from reslab.errors import ResLabError
from reslab.nn.resnet import ResNet

# Ours -> torchvision's. Applied first match wins; the reverse direction is built from the forward one.
_TORCHVISION = (
    (r"stem\.first\.conv\.", "conv1."),
    (r"stem\.first\.norm\.", "bn1."),
    (r"head\.", "fc."),
)
_STAGE = re.compile(r"stages\.(\d+)\.(\d+)\.(.+)")
_INSIDE = (
    ("first.conv.", "conv1."),
    ("first.norm.", "bn1."),
    ("second.conv.", "conv2."),
    ("second.norm.", "bn2."),
    ("third.conv.", "conv3."),
    ("third.norm.", "bn3."),
    ("shortcut.conv.", "downsample.0."),
    ("shortcut.norm.", "downsample.1."),
)


def torchvision_name(name: str) -> str:
    """torchvision's name of one of our tensors: `stages.0.1.second.conv.weight` is `layer1.1.conv2.weight`."""
    stage = _STAGE.fullmatch(name)
    if stage:
        number, block, rest = stage.groups()
        for ours, theirs in _INSIDE:
            if rest.startswith(ours):
                return f"layer{int(number) + 1}.{block}.{theirs}{rest.removeprefix(ours)}"
    for pattern, theirs in _TORCHVISION:
        if re.match(pattern, name):
            return re.sub(pattern, theirs, name, count=1)
    raise KeyError(name)


def to_torchvision(network: ResNet) -> dict[str, Tensor]:
    """The network's tensors under torchvision's names."""
    return {torchvision_name(name): tensor for name, tensor in network.state_dict().items()}


def load_foreign(network: ResNet, state_dict: dict[str, Tensor]) -> ResNet:
    """Copy a torchvision state dict into `network`.

    Raises:
        ResLabError: names or shapes differ; the message counts and names them, and nothing has been loaded.
    """
    ours = network.state_dict()
    wanted = {torchvision_name(name): name for name in ours}
    missing = sorted(wanted.keys() - state_dict.keys())
    extra = sorted(state_dict.keys() - wanted.keys())
    misfits = [
        f"{theirs} is {tuple(state_dict[theirs].shape)}, not {tuple(ours[name].shape)}"
        for theirs, name in wanted.items()
        if theirs in state_dict and state_dict[theirs].shape != ours[name].shape
    ]
    complaints = [f"lacks {_few(missing)}"] * bool(missing) + [f"has {_few(extra)} too many"] * bool(extra)
    complaints += [_few(misfits)] * bool(misfits)
    if complaints:
        raise ResLabError("the weights do not fit this network: " + "; ".join(complaints), "choose the same --model")
    with torch.no_grad():
        network.load_state_dict({name: state_dict[theirs] for theirs, name in wanted.items()})
    return network


def _few(names: list[str], shown: int = 3) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
