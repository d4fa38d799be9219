"""Which layers of trained weights learn, when, and how fast.

The layers fall into groups by depth: stem, each stage, head. What learns is a pure function of the mode and of the share
of the run that is behind, so a resumed run unfreezes where the first one would have.
"""

from torch import nn

from reslab.nn.resnet import ResNet
from reslab.train.config import FRESH

_UNFREEZE = 0.3  # of a gradual run passes before the lower layers learn (Kumar et al. 2022: the head must fit first)
_SLOWER = 0.5  # each group learns at this share of the rate of the group above it (Howard and Ruder 2018, section 3.2)


def by_depth(network: ResNet) -> list[nn.Module]:
    """The groups from the head down to the stem."""
    last = nn.ModuleList([network.last, network.stages[-1]])
    return [network.head, last, *reversed(network.stages[:-1]), network.stem]


def lr_factors(network: ResNet, mode: str) -> list[tuple[nn.Module, float]]:
    """Each group with what its learning rate is multiplied by."""
    if mode not in ("all", "gradual"):
        return [(group, 1.0) for group in by_depth(network)]
    return [(group, _SLOWER**depth) for depth, group in enumerate(by_depth(network))]


def unfreeze(network: ResNet, mode: str, done: float) -> None:
    """Unfreeze the groups that are due; the others keep weights and norm statistics as they are."""
    network.train()
    if mode == FRESH:
        return
    groups = by_depth(network)
    learning = {"head": 1, "last": 2, "all": len(groups), "gradual": 2 if done < _UNFREEZE else len(groups)}[mode]
    for depth, group in enumerate(groups):
        group.train(depth < learning)
        group.requires_grad_(depth < learning)
