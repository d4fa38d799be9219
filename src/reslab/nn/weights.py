"""Translate parameter names: to torchvision's and timm's by a table, from any library's by the structure of the network."""

import re
from collections.abc import Mapping

from torch import Tensor

from reslab.errors import ResLabError
from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import ResNet

_IN_A_BLOCK = re.compile(r"(?:^|\.)(\w*?\d\w*|\w+\.\d+)\.(?:(?:blocks?|layers)\.)?(\d+)\.(.+)")
"""Stage, number of the block in it, and the rest of a module's name."""
_SHORTCUT = re.compile("short|downs|skip|proj|identity")
_GATE = re.compile(r"\b(se|gate)\b")
_STAGE = re.compile(r"stages\.(\d+)\.(\d+)\.(.+)")
_COUNTER = "num_batches_tracked"

# Our modules -> torchvision's, and timm's where torchvision has no such network.
_TORCHVISION = {
    "stem.first.conv": "conv1", "stem.first.norm": "bn1", "head": "fc",
    "first.conv": "conv1", "first.norm": "bn1", "second.conv": "conv2", "second.norm": "bn2",
    "third.conv": "conv3", "third.norm": "bn3", "shortcut.conv": "downsample.0", "shortcut.norm": "downsample.1",
    "gate.squeeze": "se.fc1", "gate.excite": "se.fc2",
}  # fmt: skip
_DEEP = {
    "stem.first.conv": "conv1.0", "stem.first.norm": "conv1.1", "stem.second.conv": "conv1.3",
    "stem.second.norm": "conv1.4", "stem.third.conv": "conv1.6", "stem.third.norm": "bn1",
}  # fmt: skip
_POOLED = {"shortcut.conv": "downsample.1", "shortcut.norm": "downsample.2"}  # average pooling is number 0
_PREACT = {
    "stem.first": "stem.conv", "last": "norm", "head": "head.fc", "norm": "norm1", "first": "conv1",
    "second.norm": "norm2", "second.conv": "conv2", "third.norm": "norm3", "third.conv": "conv3",
    "shortcut": "downsample.conv",
}  # fmt: skip


def torchvision_name(name: str, config: ResNetConfig) -> str:
    """torchvision's name of one of our tensors: `stages.0.1.second.conv.weight` is `layer1.1.conv2.weight`."""
    table = _PREACT if config.preact else _TORCHVISION
    table = table | (_DEEP if config.stem == "deep" else {}) | (_POOLED if config.shortcut == "D" else {})
    module, _, leaf = name.rpartition(".")
    stage = _STAGE.fullmatch(module)
    if (stage[3] if stage else module) not in table:
        raise ResLabError(f"{name} has no name in torchvision or timm: neither has this network")
    if stage is None:
        return f"{table[module]}.{leaf}"
    block = f"stages.{stage[1]}.blocks.{stage[2]}" if config.preact else f"layer{int(stage[1]) + 1}.{stage[2]}"
    return f"{block}.{table[stage[3]]}.{leaf}"


def to_torchvision(network: ResNet) -> dict[str, Tensor]:
    """The network's tensors under torchvision's names (timm's for pre-activation, whose head is a 1x1 convolution)."""
    state = {torchvision_name(name, network.config): tensor for name, tensor in network.state_dict().items()}
    if network.config.preact:
        state["head.fc.weight"] = state["head.fc.weight"][:, :, None, None]
    return state


def load_foreign(network: ResNet, state_dict: Mapping[str, Tensor]) -> ResNet:
    """Copy another library's tensors into `network`.

    Norms' batch counters may be absent, as in files older than PyTorch 0.4.1: our norms keep a moving average of
    fixed momentum, which does not use them.

    Raises:
        ResLabError: names or shapes differ; the message counts and names them, and nothing has been loaded.
    """
    ours, (found, theirs) = network.state_dict(), translate_names(state_dict)
    first = next(iter(ours))  # the stem's convolution, the only one that depends on the colours
    if first in found and found[first].shape[1] == 3:
        found[first] = for_channels(found[first], network.config.in_channels)
    lacking = [name for name in ours if name not in found and not name.endswith(_COUNTER)]
    missing = sorted(torchvision_name(name, network.config) for name in lacking)
    extra = sorted(theirs[name] for name in found if name not in ours)
    misfits = [
        f"{theirs[name]} is {tuple(tensor.shape)}, not {tuple(ours[name].shape)}"
        for name, tensor in found.items()
        if name in ours and tensor.shape != ours[name].shape
    ]
    complaints = [f"lacks {_few(missing)}"] * bool(missing) + [f"has {_few(extra)} too many"] * bool(extra)
    complaints += [_few(misfits)] * bool(misfits)
    if complaints:
        raise ResLabError("the weights do not fit this network: " + "; ".join(complaints), "choose the same --model")
    network.load_state_dict(ours | found)
    return network


def for_channels(weight: Tensor, in_channels: int) -> Tensor:
    """A first convolution `[out, 3, h, w]` for pictures of another number of channels.

    For grey pictures the sum over the colours, which is the filter's response to a grey RGB picture; otherwise the
    colours' filters repeated, scaled by 3 / in_channels so that the response keeps its size.
    """
    if in_channels == 1:
        return weight.sum(1, keepdim=True)
    return weight.repeat(1, -(-in_channels // 3), 1, 1)[:, :in_channels] * (3 / in_channels)


def translate_names(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Another library's tensors under our names, and its names by ours: found by shape, order and a few keywords.

    Understands torchvision, timm, Hugging Face and common code (`layer1.0.conv1`, `conv2_x.0.left.0`, `shortcut.0`, heads
    of any name, prefixes such as `module.`). The bias of a convolution goes into the running mean of the norm behind it,
    which subtracts it anyway. Names that are not understood are kept.
    """
    modules = _our_modules(state)
    theirs: dict[str, str] = {}
    for name in state:
        module, _, leaf = name.rpartition(".")
        theirs[f"{modules[module]}.{leaf}" if module in modules else name] = name
    tensors = {ours: state[name] for ours, name in theirs.items()}
    for name in [name for name in tensors if name.endswith(".conv.bias")]:
        mean = name.removesuffix("conv.bias") + "norm.running_mean"
        if mean in tensors:
            tensors[mean] = tensors[mean] - tensors.pop(name)
    for name, tensor in tensors.items():
        if name == "head.weight":  # some heads are 1x1 convolutions
            tensors[name] = tensor.flatten(1)
        elif ".gate." in name and tensor.ndim == 2:  # and some gates linear layers
            tensors[name] = tensor[:, :, None, None]
    return tensors, theirs


def _our_modules(state: Mapping[str, Tensor]) -> dict[str, str]:
    """The other library's modules -> ours, for those that are understood."""
    weights = {name.removesuffix(".weight"): t for name, t in state.items() if name.endswith(".weight")}
    kinds = {module: {1: "norm", 2: "linear", 4: "conv"}.get(weight.ndim, "") for module, weight in weights.items()}
    inside = {module: found for module in kinds if (found := _IN_A_BLOCK.search(module))}
    stages = {name: number for number, name in enumerate(dict.fromkeys(found[1] for found in inside.values()))}
    preact = _norms_first({m: weights[m] for m, found in inside.items() if not _SHORTCUT.search(found[3])}, inside)
    ours: dict[str, str] = {}
    taken: set[str] = set()
    for module, kind in kinds.items():
        if found := inside.get(module):
            words = [f"stages.{stages[found[1]]}.{found[2]}.{word}" for word in _roles(found[3], kind, preact)]
        elif kind == "linear" or weights[module].shape[2:] == (1, 1):
            words = ["head"]
        else:
            words = ["last" if kind == "norm" and preact else f"stem.{word}" for word in _roles("", kind, preact)]
        # Modules come in the order of execution, so the first free place is the right one.
        if free := [word for word in words if word not in taken]:
            ours[module] = free[0]
            taken.add(free[0])
    return ours


def _norms_first(path: Mapping[str, Tensor], inside: Mapping[str, re.Match]) -> bool:
    """Whether a block's first norm has the channels that come in (pre-activation), not those of its first convolution."""
    convolutions: dict[tuple, Tensor] = {}
    norms: dict[tuple, Tensor] = {}
    for module, weight in path.items():
        (convolutions if weight.ndim == 4 else norms).setdefault(inside[module].group(1, 2), weight)
    # Only blocks that change the number of channels tell the two orders apart; all of them must agree.
    pairs = [(len(norms[b]), *convolutions[b].shape[:2]) for b in convolutions.keys() & norms.keys()]
    telling = {norm == before for norm, after, before in pairs if after != before and norm in (after, before)}
    return telling == {True}


def _roles(name: str, kind: str, preact: bool) -> tuple[str, ...]:
    """What a module of this name and kind can be in a block, in the order in which these places are filled."""
    if _SHORTCUT.search(name):
        return ("shortcut",) if preact else (f"shortcut.{kind}",)
    if _GATE.search(name):
        return ("gate.squeeze", "gate.excite")
    if preact:
        return {"conv": ("first", "second.conv", "third.conv"), "norm": ("norm", "second.norm", "third.norm")}.get(
            kind, ()
        )
    return (f"first.{kind}", f"second.{kind}", f"third.{kind}")


def _few(names: list[str], shown: int = 3) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
