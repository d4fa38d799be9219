"""What training minimises, per batch and summed over its pictures."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from reslab.shapes import PIXELS, TARGETS


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a run: a function of logits, targets and pictures, without memory."""

    label_smoothing: float = 0.0

    def __call__(
        self, logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS], pixels: UInt8[Tensor, PIXELS]
    ) -> Float[Tensor, ""]:
        """The loss summed over pictures; `pixels` are those that the logits answer."""
        return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum")
