"""What training minimises, per batch and summed over its pictures."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from reslab.modelfile import Task
from reslab.shapes import PIXELS, TARGETS


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a run: a function of logits, targets and pictures, without memory."""

    label_smoothing: float = 0.0
    """Of a single label."""
    task: Task = "single"

    def __call__(
        self, logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS], pixels: UInt8[Tensor, PIXELS]
    ) -> Float[Tensor, ""]:
        """The loss summed over pictures; `pixels` are those that the logits answer.

        It is the negative log likelihood of a picture's label; of several, taken as independent, the sum over labels.
        """
        if self.task == "multi":
            return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum")

    def hits(self, logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS]) -> Integer[Tensor, ""]:
        """How many pictures are answered right: the label that counts most, or every one of several."""
        if self.task == "multi":
            return ((logits > 0) == (targets > 0.5)).all(dim=1).sum()
        return (logits.argmax(1) == targets.argmax(1)).sum()
