"""Several networks of one architecture as one, whose logits are the mean of theirs."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import ResNet
from reslab.shapes import FEATURES, IMAGES


class Ensemble(ResNet):
    """K networks side by side (Lakshminarayanan et al. 2017, arXiv:1612.01474), with the mean of their logits.

    The mean of K linear heads is one linear head on the features of all of them, concatenated: with W = [W_1 | … | W_K] / K
    and b = (b_1 + … + b_K) / K, W (f_1, …, f_K) + b is the mean of the W_k f_k + b_k. So an ensemble is a network with K
    times as many features, and what explains, exports or serves one needs to know nothing of it.

    Its probabilities are the members' geometric mean, scaled to sum to 1; those of the paper are the arithmetic mean.
    """

    def __init__(self, configs: Sequence[ResNetConfig]) -> None:
        """`configs`: one per member, alike but for the normalisation of the input."""
        nn.Module.__init__(self)  # stem and stages are the members'
        self.config = configs[0]
        members = [ResNet(config) for config in configs]
        channels = members[0].head.in_features
        for member in members:
            del member.head
        self.members = nn.ModuleList(members)
        self.head = nn.Linear(len(members) * channels, self.config.num_classes)

    def features(self, images: Float[Tensor, IMAGES]) -> Float[Tensor, FEATURES]:
        """The last feature maps of all members, before pooling, one after the other along the channels."""
        maps = [member.features(images) for member in self.members]  # pyrefly: ignore[not-callable]
        return torch.cat(maps, dim=1)


def combine(members: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The tensors of an `Ensemble` from those of its members: their heads become one, the rest stays as it is."""
    bodies = {
        f"members.{number}.{name}": tensor
        for number, tensors in enumerate(members)
        for name, tensor in tensors.items()
        if not name.startswith("head.")
    }
    weight = np.concatenate([tensors["head.weight"] for tensors in members], axis=1) / len(members)
    bias = np.mean([tensors["head.bias"] for tensors in members], axis=0)
    return bodies | {"head.weight": weight, "head.bias": bias}
