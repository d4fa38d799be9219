"""The margin of each training picture, averaged over the epochs: a label that the others contradict keeps a small one.

Pleiss et al. 2020, "Identifying mislabeled data using the area under the margin ranking", arXiv:2001.10528, equation 1.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reslab.shapes import TARGETS


def margins_of(logits: Float[Tensor, TARGETS], targets: Float[Tensor, TARGETS]) -> Float[Tensor, "2 batch"]:
    """The logit of each picture's label minus the largest other one, and the number of that other class.

    Args:
        targets: the label is the class with the largest target.
    """
    own = targets.argmax(1, keepdim=True)
    rival, number = logits.scatter(1, own, -torch.inf).max(1)
    return torch.stack([logits.gather(1, own)[:, 0] - rival, number.to(logits.dtype)])


@dataclass(slots=True)
class Margins:
    """The sums of a run, one row per training picture, in the order of its store. Part of the saved state."""

    total: np.ndarray
    """float64 `[n]`: the sum of the margins."""
    seen: np.ndarray
    """int32 `[n]`: how many margins are in it. Pictures of rare classes may be seen more often than others
    (`--balance sampler`), blended ones do not always count."""
    rival: np.ndarray
    """int32 `[n]`: the class whose logit was the largest but the label's when the picture was last seen."""

    @classmethod
    def none(cls, count: int) -> Self:
        """Before the first step."""
        return cls(np.zeros(count), np.zeros(count, np.int32), np.zeros(count, np.int32))

    def add(self, indices: np.ndarray, margins: np.ndarray) -> None:
        """Count the pictures of a step: `[2, batch]`, as `margins_of` gives them."""
        np.add.at(self.total, indices, margins[0])
        np.add.at(self.seen, indices, 1)
        self.rival[indices] = margins[1]

    def mean(self) -> np.ndarray:
        """float64 `[n]`; NaN for a picture that was not seen."""
        with np.errstate(invalid="ignore"):
            return self.total / self.seen
