"""What training minimises, per batch and summed over its pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

from reslab.nn.resnet import ResNet
from reslab.shapes import IMAGES, TARGETS
from reslab.system import device

_LEAST_NORM = 1e-7  # of the logits, as in the authors' code


def class_weights(counts: Sequence[int]) -> np.ndarray:
    """What a picture of each class weighs so that every class weighs the same: n / (K n_c), 1 on the average picture."""
    n = np.asarray(counts, np.float64)
    return n.sum() / (len(n) * np.maximum(n, 1))


def log_prior(counts: Sequence[int]) -> np.ndarray:
    """The logarithm of each class's share of the training pictures."""
    n = np.maximum(np.asarray(counts, np.float64), 1)
    return np.log(n / n.sum())


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network whose answers are a second target (Hinton, Vinyals and Dean 2015, arXiv:1503.02531)."""

    network: ResNet
    columns: Tensor
    """Which of its classes is which of ours."""
    share: float
    """Of the loss that the teacher decides; the labels decide the rest."""
    temperature: float
    """Softens both answers; the loss is scaled by its square, so that its gradient keeps its size."""
    precision: str

    def loss(self, logits: Float[Tensor, TARGETS], images: Float[Tensor, IMAGES]) -> Float[Tensor, ""]:
        """Divergence of the network's softened answers from the teacher's, summed over pictures."""
        with torch.no_grad(), device.mixed_precision(images.device, self.precision):
            theirs = self.network(images)[:, self.columns].to(logits.dtype)
        soft, t = F.softmax(theirs / self.temperature, dim=1), self.temperature
        return t * t * F.kl_div(F.log_softmax(logits / t, dim=1), soft, reduction="sum")


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a run: a function of logits, targets and pictures, without memory."""

    label_smoothing: float = 0.0
    task: str = "single"
    weights: Float[Tensor, "classes"] | None = None
    """`class_weights`."""
    prior: Float[Tensor, "classes"] | None = None
    """`log_prior`, added to the logits while training, so that without it they answer as if all classes were equally
    frequent (Menon et al. 2021, arXiv:2007.07314: logit-adjusted softmax cross-entropy)."""
    teacher: Teacher | None = None
    logit_norm: float = 0.0
    """Temperature of `normalized`; 0 takes the logits as they are."""

    def __call__(
        self, logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS], images: Float[Tensor, IMAGES]
    ) -> Float[Tensor, ""]:
        """The loss summed over pictures; `images` are those that the logits answer."""
        loss = LOSSES[self.task](self, logits, targets)
        if self.teacher is None:
            return loss
        return (1 - self.teacher.share) * loss + self.teacher.share * self.teacher.loss(logits, images)

    def hits(self, logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS]) -> Integer[Tensor, ""]:
        """How many pictures are answered right."""
        return HITS[self.task](logits, targets).sum()


def normalized(logits: Float[Tensor, TARGETS], temperature: float) -> Float[Tensor, TARGETS]:
    """Each picture's logits over their Euclidean norm and a temperature (LogitNorm: Wei et al. 2022, arXiv:2205.09310, eq. 5).

    The loss then depends on their direction alone, so training cannot lower it by larger logits, which is what makes a network
    overconfident about pictures unlike those that it was trained on. The network still answers with its plain logits.
    """
    return F.normalize(logits, dim=1, eps=_LEAST_NORM) / temperature


def cross_entropy(
    objective: Objective, logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS]
) -> Float[Tensor, ""]:
    """Of one label: its negative log likelihood, with all that an objective adds to it."""
    if objective.logit_norm:
        logits = normalized(logits, objective.logit_norm)
    adjusted = logits if objective.prior is None else logits + objective.prior.to(logits)
    weights = None if objective.weights is None else objective.weights.to(logits)
    return F.cross_entropy(adjusted, targets, weights, label_smoothing=objective.label_smoothing, reduction="sum")


def binary_cross_entropy(
    objective: Objective, logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS]
) -> Float[Tensor, ""]:
    """Of several labels, taken as independent: the sum of their negative log likelihoods."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


LOSSES: dict[str, Callable[[Objective, Tensor, Tensor], Tensor]] = {
    "single": cross_entropy,
    "multi": binary_cross_entropy,
}
"""Task -> its loss, summed over pictures."""

HITS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "single": lambda logits, targets: logits.argmax(1) == targets.argmax(1),
    "multi": lambda logits, targets: ((logits > 0) == (targets > 0.5)).all(dim=1),
}
"""Task -> which pictures are answered right; of a blended one, its greater part counts."""
