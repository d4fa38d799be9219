"""Other people's names for the same tensors: a table, tested to be a bijection, instead of names bent to match."""

import re
from collections.abc import Mapping

from torch import Tensor

from reslab.errors import ResLabError
from reslab.nn.resnet import ResNet

# Ours -> torchvision's: what a name begins with, outside the stages and inside a block.
_OUTSIDE = (
    ("stem.first.conv.", "conv1."),
    ("stem.first.norm.", "bn1."),
    ("head.", "fc."),
)
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
_STAGE = re.compile(r"stages\.(\d+)\.(\d+)\.(.+)")
_COUNTER = "num_batches_tracked"


def torchvision_name(name: str) -> str:
    """torchvision's name of one of our tensors: `stages.0.1.second.conv.weight` is `layer1.1.conv2.weight`."""
    stage = _STAGE.fullmatch(name)
    if stage is None:
        return _renamed(name, _OUTSIDE)
    number, block, rest = stage.groups()
    return f"layer{int(number) + 1}.{block}.{_renamed(rest, _INSIDE)}"


def to_torchvision(network: ResNet) -> dict[str, Tensor]:
    """The network's tensors under torchvision's names."""
    return {torchvision_name(name): tensor for name, tensor in network.state_dict().items()}


def load_foreign(network: ResNet, state_dict: Mapping[str, Tensor]) -> ResNet:
    """Copy a torchvision state dict into `network`.

    Norms' batch counters may be absent, as in files older than PyTorch 0.4.1: our norms keep a moving average of
    fixed momentum, which never looks at them.

    Raises:
        ResLabError: names or shapes differ; the message counts and names them, and nothing has been loaded.
    """
    ours = network.state_dict()
    wanted = {torchvision_name(name): name for name in ours}
    missing = sorted(name for name in wanted.keys() - state_dict.keys() if not name.endswith(_COUNTER))
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
    network.load_state_dict({name: state_dict.get(theirs, ours[name]) for theirs, name in wanted.items()})
    return network


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for ours, theirs in table:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise KeyError(name)


def _few(names: list[str], shown: int = 3) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
